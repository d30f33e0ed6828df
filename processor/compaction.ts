import {
  classDays,
  dayIsPast,
  pendingCommits,
  type Commit,
  type KnownCommit,
  type LakeFile,
  type RecordedTable,
  type RootManifest,
} from './layout.ts';

/**
 * Commits that a project has rows in and has not taken in, ascending; of each shard only as far as its chain has no
 * hole, for a list may miss a commit that was made while it ran, and none may be skipped for ever.
 */
export function planIntake<C extends KnownCommit>(
  project: string,
  root: RootManifest | undefined,
  commits: readonly C[],
): C[] {
  const whole = unbroken(commits);
  return pendingCommits(project, root, whole);
}

/** Of each shard, its commits in order up to the first hole. */
export function unbroken<C extends Pick<Commit, 'shard' | 'fromSeq' | 'lastSeq'>>(
  commits: readonly C[],
): C[] {
  const sorted = commits.toSorted((a, b) => a.shard - b.shard || a.fromSeq - b.fromSeq);
  const holes = new Set<number>();
  return sorted.filter((commit, i) => {
    const before = sorted[i - 1];
    if (before?.shard === commit.shard && before.lastSeq + 1 !== commit.fromSeq) holes.add(commit.shard);
    return !holes.has(commit.shard);
  });
}

/** Merging holds the files in memory, so that larger ones are left as they are. */
export const MERGE_BYTES_MAX = { events: 4 * 1024 * 1024, replay: 16 * 1024 * 1024 } as const;
/** A row of `events` that takes 7 bytes in a file takes some 500 in memory; of `replay` no more than a row group is held. */
const MERGE_ROWS_MAX = { events: 200_000, replay: Infinity } as const;
/** Row groups of a `replay` file: of each, its writer and whoever reads its footer hold some 10 KB. */
export const GROUPS_MAX = 2000;
/** So many files of about one size become one: each byte is written again once a tier, not once an interval. */
export const MERGE_FILES_MIN = 8;
const TIERS_BYTES = [64 * 1024, 512 * 1024, 4 * 1024 * 1024, 16 * 1024 * 1024];

const tierOf = (bytes: number): number => {
  const tier = TIERS_BYTES.findIndex((top) => bytes < top);
  return tier < 0 ? TIERS_BYTES.length : tier;
};

/**
 * Which files of one day to write as one: those of a class and table in a tier that has become full; once the day is
 * closed, for nothing more comes, whatever fits together. Each group has at least two files. Those of `sessions` are
 * written anew as their rows are.
 */
export function planMerges(files: readonly LakeFile[], dayIsClosed: boolean): LakeFile[][] {
  const groups = new Map<string, LakeFile[]>();
  for (const file of files) {
    if (file.table === 'sessions') continue;
    const kind = `${file.class} ${file.table} ${dayIsClosed ? '' : tierOf(file.bytes)}`;
    groups.set(kind, [...(groups.get(kind) ?? []), file]);
  }
  const least = dayIsClosed ? 2 : MERGE_FILES_MIN;
  return [...groups.values()]
    .filter((group) => group.length >= least)
    .map(smallestThatFit)
    .filter((group) => group.length >= least);
}

function smallestThatFit(files: readonly LakeFile[]): LakeFile[] {
  let bytes = 0;
  let rows = 0;
  let groups = 0;
  return files
    .toSorted((a, b) => a.bytes - b.bytes)
    .filter(
      ({ table, ...file }) =>
        (bytes += file.bytes) <= MERGE_BYTES_MAX[table as RecordedTable] &&
        (rows += file.rows) <= MERGE_ROWS_MAX[table as RecordedTable] &&
        (groups += file.groups ?? 0) <= GROUPS_MAX,
    );
}

const HOUR_MS = 3_600_000;
/** A session that began on the day may go on for a day, and its last batches come late. */
export const dayIsClosed = (date: string, nowMs: number): boolean =>
  Date.parse(`${date}T00:00:00Z`) + 49 * HOUR_MS <= nowMs;

/** Without the files of classes that the day is past. */
export const unexpired = (date: string, files: readonly LakeFile[], nowMs: number): LakeFile[] =>
  files.filter((file) => !dayIsPast(date, classDays(file.class), nowMs));
