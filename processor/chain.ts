import { paths, type Commit, type Seen } from './layout.ts';
import { createImmutableReader, getJsonIfThere } from './lake-reader.ts';
import { createSeen, type SeenRids } from './seen.ts';
import type { Store } from './store.ts';
import { createUnlistedFinder } from './unlisted.ts';

/** Where a shard stands by its commits. */
export interface Chain {
  /** Of the next commit. */
  fromSeq: number;
  /** `fromSeq` of the newest. */
  prevSeq: number | undefined;
  /** Where to read the stream on. */
  resumeSeq: number;
  seen: SeenRids;
}

/** Reads a shard's commits. @throws StoreError */
export async function loadChain(store: Store, shard: number, nowMs: number): Promise<Chain> {
  // Commits before `seen`: one that goes meanwhile stands in `seen` by then, for that is written first.
  const listed = await keysUnder(store, paths.l0ShardPrefix(shard));
  const withUnlisted = createUnlistedFinder((key) => getJsonIfThere<Commit>(store, key));
  const commits = await withUnlisted(await createImmutableReader<Commit>(store)(listed));
  const first = commits[0]?.prevSeq;
  // Also when a list does not tell of it yet.
  const newestFold = first === undefined ? [] : [paths.seen(shard, first)];
  const folds = new Set([...(await keysUnder(store, paths.seenShardPrefix(shard))), ...newestFold]);
  const folded = await createImmutableReader<Seen>(store)([...folds]);
  const seen = createSeen();
  for (const { sessions } of [...folded, ...commits]) seen.add(sessions);
  seen.prune(nowMs);
  const newest = commits.at(-1);
  return {
    prevSeq: newest?.fromSeq,
    fromSeq: (newest?.lastSeq ?? 0) + 1,
    resumeSeq: newest?.resumeSeq ?? 1,
    seen,
  };
}

async function keysUnder(store: Store, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) if (key.endsWith('.json')) keys.push(key);
  return keys;
}
