import { paths, type Commit, type Seen } from './layout.ts';
import { createImmutableReader } from './lake-reader.ts';
import { createSeen, type SeenRids } from './seen.ts';
import type { Store } from './store.ts';

/** Where a shard stands by its commits. */
export interface Chain {
  /** Of the next commit. */
  fromSeq: number;
  /** Where to read the stream on. */
  resumeSeq: number;
  seen: SeenRids;
}

/** Reads a shard's commits. @throws StoreError */
export async function loadChain(store: Store, shard: number, nowMs: number): Promise<Chain> {
  // Commits before `seen`: one that goes meanwhile stands in `seen` by then, for that is written first.
  const commits = await readAll<Commit>(store, paths.l0ShardPrefix(shard));
  const folded = await readAll<Seen>(store, paths.seenShardPrefix(shard));
  const seen = createSeen();
  for (const { sessions } of [...folded, ...commits]) seen.add(sessions);
  seen.prune(nowMs);
  const newest = commits.at(-1);
  return {
    fromSeq: (newest?.lastSeq ?? 0) + 1,
    resumeSeq: newest?.resumeSeq ?? 1,
    seen,
  };
}

async function readAll<T>(store: Store, prefix: string): Promise<T[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) if (key.endsWith('.json')) keys.push(key);
  return createImmutableReader(store)<T>(keys);
}
