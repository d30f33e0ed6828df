import type { ClassName, DayManifest, KnownCommit, LakeFile, RootManifest } from './layout.ts';

/**
 * What a reader of one project may look at: the files of its newest root manifest, and those of the commits that this
 * manifest has not taken in. Files of commits hold other projects' rows too.
 *
 * `days` are the manifests that `root.days` names; `commits` may be any, in any order.
 */
export function visibleFiles(
  project: string,
  root: RootManifest | undefined,
  days: readonly DayManifest[],
  commits: readonly KnownCommit[],
): LakeFile[] {
  return [
    ...days.flatMap((day) => day.files),
    ...pendingCommits(project, root, commits).flatMap((commit) => commitFiles(commit, project)),
  ];
}

/** Commits with rows of the project that its manifest has not taken in. */
export function pendingCommits<C extends KnownCommit>(
  project: string,
  root: RootManifest | undefined,
  commits: readonly C[],
): C[] {
  return commits.filter((commit) => !takenIn(root, commit) && commitClasses(commit, project).size > 0);
}

export const takenIn = (
  root: RootManifest | undefined,
  commit: { shard: number; fromSeq: number },
): boolean => commit.fromSeq <= (root?.l0[String(commit.shard)] ?? 0);

/** Files of a commit in which there are rows of the project. */
export function commitFiles(commit: KnownCommit, project: string): LakeFile[] {
  const classes = commitClasses(commit, project);
  return commit.files.filter((file) => classes.has(file.class));
}

function commitClasses(commit: KnownCommit, project: string): Set<ClassName> {
  const classes = new Set<ClassName>();
  for (const session of commit.sessions)
    if (session.project === project && session.rows > 0) classes.add(session.class);
  return classes;
}
