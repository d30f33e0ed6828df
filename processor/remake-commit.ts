import { note } from './flush.ts';
import { inspectFile } from './inspect-file.ts';
import { encodeEventsFile, encodeReplayFile } from './lake-file.ts';
import { encodeJson, listErased } from './lake-reader.ts';
import { listAll, tableOf, type LakeScan } from './lake-scan.ts';
import {
  paths,
  shardIn,
  type ClassName,
  type Commit,
  type CommitSession,
  type EventRow,
  type LakeFile,
  type ReplayRow,
} from './layout.ts';
import { inRanges } from './ranges.ts';
import { createSeen, type SeenRids } from './seen.ts';
import type { Store } from './store.ts';

/**
 * Commits that cannot be read, or are gone from between two others, made anew from the data files of their positions.
 *
 *   commits   1–40 │ 41–57 │ ??? │ 80–99      the one at 58 ends where the next begins; of a shard's last one nobody
 *   files     1-a    41-b    58-c  80-e       knows the end, so its messages are read once more, and what is of them
 *                            58-d             in a file already is then known
 *
 * Which of two owners' files had been named is not known either: a row that is in several, or in another commit, counts once.
 */
export interface Remade {
  key: string;
  commit: Commit;
}
interface Gap {
  shard: number;
  fromSeq: number;
  /** Of the commit after it. */
  nextSeq: number | undefined;
}

export const fromSeqIn = (key: string): number => Number(/\/(\d+)[^/]*$/.exec(key)?.[1]);

/** Where a shard's chain of commits is broken, ascending. Pure. */
export function findGaps(commits: ReadonlyMap<string, Commit | undefined>): Gap[] {
  const gaps: Gap[] = [];
  const byShard = Map.groupBy(commits, ([key]) => shardIn(key));
  for (const [shard, ofShard] of byShard) {
    let endSeq: number | undefined;
    for (const [i, [key, commit]] of ofShard.entries()) {
      const fromSeq = fromSeqIn(key);
      const next = ofShard[i + 1];
      const nextSeq = next && fromSeqIn(next[0]);
      if (endSeq !== undefined && endSeq + 1 < fromSeq)
        gaps.push({ shard, fromSeq: endSeq + 1, nextSeq: fromSeq });
      if (!commit) gaps.push({ shard, fromSeq, nextSeq });
      endSeq = commit?.lastSeq ?? (nextSeq === undefined ? undefined : nextSeq - 1);
    }
  }
  return gaps;
}

/** Puts what is missing, and notes it in the scan. What is there and cannot be read must be put aside before. @throws StoreError */
export async function remakeCommits(
  store: Store,
  scan: LakeScan,
  nonce: () => string,
  nowMs: number,
): Promise<Remade[]> {
  const remade: Remade[] = [];
  for (const gap of findGaps(scan.commits)) {
    const commit = await remake(store, scan, gap, nonce(), nowMs);
    const key = paths.commit(gap.shard, gap.fromSeq);
    await store.put(key, encodeJson(commit));
    scan.commits.set(key, commit);
    remade.push({ key, commit });
  }
  return remade;
}

async function remake(
  store: Store,
  scan: LakeScan,
  { shard, fromSeq, nextSeq }: Gap,
  nonce: string,
  nowMs: number,
): Promise<Commit> {
  const others = createSeen();
  let prevSeq: number | undefined;
  for (const { key } of await listAll(store, paths.seenShardPrefix(shard))) prevSeq = fromSeqIn(key);
  for (const [key, commit] of scan.commits) {
    if (shardIn(key) !== shard) continue;
    if (commit) others.add(commit.sessions);
    if (fromSeqIn(key) < fromSeq) prevSeq = Math.max(prevSeq ?? 0, fromSeqIn(key));
  }
  const keys = [...scan.l0.keys()].filter((key) => {
    const seq = fromSeqIn(key);
    return (
      key.endsWith('.parquet') && shardIn(key) === shard && seq >= fromSeq && seq < (nextSeq ?? Infinity)
    );
  });
  const sessions = new Map<string, CommitSession>();
  const files: LakeFile[] = [];
  for (const [cls, ofClass] of Map.groupBy(keys, classIn))
    for (const table of ['events', 'replay'] as const) {
      const rows = await newRows(
        store,
        ofClass.filter((key) => tableOf(key) === table),
        others,
      );
      if (!rows.length) continue;
      if (table === 'events') for (const row of rows as EventRow[]) noteIn(sessions, cls, row);
      const key = paths.l0File(shard, fromSeq, nonce, cls, table);
      const { file, bytes } =
        table === 'events'
          ? await encodeEventsFile(key, cls, rows as EventRow[])
          : await encodeReplayFile(key, cls, rows as ReplayRow[]);
      await store.put(key, bytes);
      scan.l0.set(key, { key, bytes: bytes.length, modifiedMs: nowMs });
      files.push(file);
    }
  return {
    v: 1,
    shard,
    fromSeq,
    ...(prevSeq !== undefined && { prevSeq }),
    lastSeq: nextSeq === undefined ? fromSeq : nextSeq - 1,
    resumeSeq: nextSeq ?? fromSeq,
    committedMs: nowMs,
    files,
    sessions: [...sessions.values()],
  };
}
const classIn = (key: string): ClassName => /\.(r\d+)\.\w+\.parquet$/.exec(key)![1] as ClassName;

/** Each once, less what other commits have and what is erased. */
async function newRows(
  store: Store,
  keys: readonly string[],
  others: SeenRids,
): Promise<(EventRow | ReplayRow)[]> {
  const rows: (EventRow | ReplayRow)[] = [];
  const taken = new Set<string>();
  const erased = new Map<string, Set<string>>();
  for (const key of keys) {
    const inspected = await inspectFile(tableOf(key), await store.get(key));
    for (const row of inspected.rows as (EventRow | ReplayRow)[]) {
      const { project, session_id: session, rid, seq } = row;
      const gone = erased.get(project) ?? (await listErased(store, project));
      erased.set(project, gone);
      const name = `${session}/${rid}/${seq}`;
      if (gone.has(session) || inRanges(others.seqs(session, rid), seq) || taken.has(name)) continue;
      taken.add(name);
      rows.push(row);
    }
  }
  return rows;
}

/** Which frames it came in no row tells; by its seqs it is known again. */
function noteIn(lines: Map<string, CommitSession>, cls: ClassName, row: EventRow): void {
  const { project, session_id: session, rid } = row;
  const key = `${session}/${rid}`;
  const none = { frames: [], seqs: [], startMs: 0, endMs: 0, rows: 0 };
  const line = lines.get(key) ?? { project, session, rid, class: cls, ...none };
  lines.set(key, line);
  note(line, row);
  if (row.url !== undefined) line.url = row.url;
}
