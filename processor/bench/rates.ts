import { join } from 'node:path';
import { openStream, shardOf } from '#stream';
import { openDirectoryStore } from '../directory-store.ts';
import { createErasures } from '../erasures.ts';
import { flush } from '../flush.ts';
import { openLakeReader } from '../lake-reader.ts';
import type { Commit, LakeFile } from '../layout.ts';
import { quietMaintenance } from '../test-maintenance.ts';
import { createSeen } from '../seen.ts';
import type { Store } from '../store.ts';
import { countRequests, type Counted } from './counting-store.ts';
import { cpuSeconds, figure, percentile, sum, zstd } from './measuring.ts';
import { batchesOf, inflate, type CorpusSession } from './read-corpus.ts';

const DAY_MS = 86_400_000;
const TURNS = 3;

export interface Rated {
  /** The files of the flush, and what they were compacted into before the day was closed. */
  fresh: LakeFile[];
  compacted: LakeFile[];
  /** By what was done, in order. */
  requests: [string, Counted][];
}

/**
 * Flushes the sessions into the store and takes them through compaction, the closing of their day and a sweep; prints
 * rates a core, beside the work that no flush can leave out.
 */
export async function measureRates(
  inner: Store,
  project: string,
  dir: string,
  sessions: readonly CorpusSession[],
): Promise<Rated> {
  const store = countRequests(inner);
  const requests: [string, Counted][] = [];
  let nonces = 0;
  const nonce = (): string => `n${String(nonces++).padStart(15, '0')}`;
  const erasures = createErasures(store, Date.now);
  /** One commit a shard, as for a backlog. */
  const flushAll = async (to: Store): Promise<Commit[]> => {
    const batches = sessions.flatMap((one, n) => batchesOf(one, n, project));
    const commits: Commit[] = [];
    for (const [shard, its] of Map.groupBy(batches, ({ session }) => shardOf(session))) {
      const input = { shard, fromSeq: 1, lastSeq: 1, resumeSeq: 2, batches: its, rejected: [] };
      const flushed = await flush(input, { store: to, erasures, seen: createSeen(), now: Date.now, nonce });
      if (!flushed || flushed.rejected.length) throw new Error('a flush failed');
      commits.push(flushed.commit);
    }
    return commits;
  };
  const limit = (): void => {
    for (const { batches } of sessions) {
      const jsons = batches.map(inflate);
      for (const json of jsons) JSON.parse(json.toString());
      zstd(Buffer.concat(jsons), 9);
    }
  };

  // Code that ran before is code that runs compiled.
  const warm = await openDirectoryStore(join(dir, 'warm'));
  await flushAll(warm);
  await warm.close();
  const limits: number[] = [];
  const flushes: number[] = [];
  let fresh: LakeFile[] = [];
  // In turns, for a machine is not always as fast.
  for (let turn = 0; turn < TURNS; turn++) {
    const to = turn ? await openDirectoryStore(join(dir, `scratch-${turn}`)) : store;
    limits.push(await cpuSeconds(limit));
    store.take();
    let commits: Commit[] = [];
    flushes.push(await cpuSeconds(async () => (commits = await flushAll(to))));
    if (turn) {
      await to.close();
      continue;
    }
    fresh = commits.flatMap(({ files }) => files);
    requests.push(['flush', store.take()]);
  }

  const stream = await openStream(join(dir, 'empty'), { bytesMax: 1 << 20 });
  const maintenance = quietMaintenance({ store, stream, erasures, nonce, graceMs: 0 });
  const compactS = await cpuSeconds(() => maintenance.compact(Date.now()));
  requests.push(['compact', store.take()]);
  const { files: compacted } = await openLakeReader(inner, Date.now).view(project);
  await maintenance.compact(Date.now() + 3 * DAY_MS);
  requests.push(['day closed', store.take()]);
  await maintenance.sweep(Date.now() + 3 * DAY_MS);
  requests.push(['sweep', store.take()]);
  await stream.close();

  const rawBytes = sum(sessions, (one) => one.rawBytes);
  const events = sum(sessions, (one) => one.events);
  const limitS = percentile(limits, 0.5);
  const flushS = percentile(flushes, 0.5);
  const rate = (seconds: number): string =>
    `${(rawBytes / 1e6 / seconds).toFixed(1).padStart(7)} MB/s of JSON  ${(events / seconds).toFixed(0).padStart(8)} events/s`;
  console.log(`  ${rate(limitS)}  gunzip, JSON.parse, zstd -9 a session: the limit`);
  console.log(`  ${rate(flushS)}  flush`);
  console.log(`  ${rate(compactS)}  compaction (decodes and encodes anew)`);
  figure('flush_mb_per_core_s', rawBytes / 1e6 / flushS, 'MB/s');
  figure('flush_vs_limit_ratio', limitS / flushS, 'of the limit');
  figure('compact_mb_per_core_s', rawBytes / 1e6 / compactS, 'MB/s');
  return { fresh, compacted, requests };
}
