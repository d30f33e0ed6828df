import {
  paths,
  takenIn,
  type KnownCommit,
  type DayManifest,
  type LakeFile,
  type Merge,
  type RootManifest,
} from './layout.ts';
import { damage } from './damage.ts';
import { encodeJson, getJson, newestRoot } from './lake-reader.ts';
import { createLossWatch } from './lost-root.ts';
import { putOnce } from './put-once.ts';
import type { Store } from './store.ts';

/** A project's newest manifests. */
export interface ProjectState {
  project: string;
  root: RootManifest | undefined;
  /** By date. */
  days: ReadonlyMap<string, DayManifest>;
}

/** Manifests are immutable: each is read once. The state of a project whose newest root is lost is `damaged`. */
export function createManifestReader(store: Store): (project: string) => Promise<ProjectState> {
  const roots = new Map<string, RootManifest>();
  const isLost = createLossWatch(store);
  const held = new Map<string, Map<string, DayManifest>>();
  return async (project) => {
    const root = await newestRoot(store, project, roots.get(project));
    if (await isLost(project, root?.version ?? 0))
      throw damage(
        paths.projectManifestPrefix(project),
        'is without its newest root manifest; stop the processors and run mutoscope fsck --repair',
      );
    const before = held.get(project);
    const byKey = new Map<string, DayManifest>();
    const days = new Map<string, DayManifest>();
    for (const [date, key] of Object.entries(root?.days ?? {})) {
      const day = before?.get(key) ?? (await getJson<DayManifest>(store, key));
      byKey.set(key, day);
      days.set(date, day);
    }
    held.set(project, byKey);
    if (root) roots.set(project, root);
    return { project, root, days };
  };
}

/** What is to be different in a project's next version. */
export interface ManifestChange {
  /** Files of each day that changes; none: the day goes. */
  days: ReadonlyMap<string, readonly LakeFile[]>;
  /** By date. */
  merges?: ReadonlyMap<string, Merge[]>;
  /** Commits taken in. */
  commits?: readonly KnownCommit[];
}

/**
 * Puts the changed days and then the next root. False when another made that version first: nothing has changed then,
 * and what was written for it is to be removed. @throws StoreError
 */
export async function publish(
  store: Store,
  state: ProjectState,
  change: ManifestChange,
  nowMs: number,
  nonce: string,
): Promise<boolean> {
  const { project } = state;
  const written: string[] = [];
  const keys: Record<string, string | undefined> = {};
  for (const [date, files] of change.days) {
    if (!files.length) {
      keys[date] = undefined;
      continue;
    }
    const key = paths.dayManifest(project, date, nonce);
    const merges = change.merges?.get(date);
    const day: DayManifest = { v: 1, project, date, files: [...files], ...(merges ? { merges } : {}) };
    await store.put(key, encodeJson(day));
    written.push(key);
    keys[date] = key;
  }
  const root = nextRoot(state, keys, change.commits ?? [], nowMs);
  if (await putOnce(store, paths.manifest(project, root.version), encodeJson(root))) return true;
  await store.remove(written);
  return false;
}

export function nextRoot(
  { project, root }: Pick<ProjectState, 'project' | 'root'>,
  dayKeys: Record<string, string | undefined>,
  commits: readonly Pick<KnownCommit, 'shard' | 'fromSeq'>[],
  nowMs: number,
): RootManifest {
  const l0 = { ...root?.l0 };
  for (const { shard, fromSeq } of commits) l0[shard] = Math.max(l0[shard] ?? 0, fromSeq);
  const days = Object.entries({ ...root?.days, ...dayKeys })
    .filter((entry): entry is [string, string] => entry[1] !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    v: 1,
    project,
    version: (root?.version ?? 0) + 1,
    createdMs: nowMs,
    l0,
    days: Object.fromEntries(days),
  };
}

/**
 * Which of a project's root manifests a reader may still be using: the newest, and each that was the newest less than
 * `graceMs` ago. `roots` are ascending.
 */
export function rootsInUse(roots: readonly RootManifest[], nowMs: number, graceMs: number): RootManifest[] {
  return roots.filter((_, i) => {
    const next = roots[i + 1];
    return !next || next.createdMs > nowMs - graceMs;
  });
}

/**
 * Whether no reader can want the commit's data files any more: each project with rows in it took it in at least
 * `graceMs` ago.
 */
export function commitIsSpent(
  commit: KnownCommit,
  roots: (project: string) => readonly RootManifest[],
  nowMs: number,
  graceMs: number,
): boolean {
  const projects = new Set(commit.sessions.filter(({ rows }) => rows > 0).map(({ project }) => project));
  return [...projects].every((project) =>
    roots(project).some((root) => takenIn(root, commit) && root.createdMs <= nowMs - graceMs),
  );
}
