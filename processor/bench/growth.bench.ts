/**
 * How the lake grows: 1,000, 10,000 and 100,000 sessions of a few real rows each, under new ids on ten days, committed 500 at
 * a time and compacted after every 5,000. A size that would begin after BENCH_SECONDS is left out and named.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStream } from '#stream';
import { openDirectoryStore } from '../directory-store.ts';
import { createErasures } from '../erasures.ts';
import { flush } from '../flush.ts';
import { paths } from '../layout.ts';
import { openLakeReader, readReplayGroups, readReplayRows } from '../lake-reader.ts';
import { quietMaintenance } from '../test-maintenance.ts';
import { sessionAt } from '../samples.ts';
import { createSeen } from '../seen.ts';
import { countRequests } from './counting-store.ts';
import { batchesOf, readCorpus } from './read-corpus.ts';

const SECONDS = Number(process.env.BENCH_SECONDS ?? 120);
const SIZES = (process.env.SIZES ?? '1000,10000,100000').split(',').map(Number);
const DAYS = 10;
const DAY_MS = 86_400_000;
const COMMIT_SESSIONS = 500;
const COMPACT_SESSIONS = 5000;
const READS = 20;
const COLLECTED_MS = 2 * 3_600_000;
const PROJECT = 'bench';
const beginMs = Date.now();
const spentSeconds = (): number => (Date.now() - beginMs) / 1000;
const { sessions } = readCorpus(200);
/** The smallest batch with more than one event of each session of the corpus. */
const small = sessions.map((one) => {
  const smallest = one.batches
    .filter((frames, i) => frames.length === 1 && one.jsons[i]!.includes('},{"type"'))
    .sort((a, b) => a[0]!.payload.length - b[0]!.payload.length)[0];
  return { ...one, batches: [smallest ?? one.batches.at(-1)!] };
});

interface Grown {
  sessions: number;
  bytes: number;
  objects: number;
  manifestBytes: number;
  viewMs: number;
  viewRequests: number;
  readMs: number;
}
const dir = await mkdtemp(join(tmpdir(), 'bench-growth-'));
const store = countRequests(await openDirectoryStore(join(dir, 'lake')));
/** Ahead, so that what merges have replaced is old enough to be collected. */
let aheadMs = 0;
const now = (): number => Date.now() + aheadMs;
const erasures = createErasures(store, now);
let nonces = 0;
const nonce = (): string => `n${String(nonces++).padStart(15, '0')}`;
const stream = await openStream(join(dir, 'empty'), { bytesMax: 1 << 20 });
const maintenance = quietMaintenance({ store, stream, erasures, nonce, now, graceMs: 0 });
const todayMs = Math.floor(Date.now() / DAY_MS) * DAY_MS;
const idOf = (n: number): string => sessionAt(todayMs - (n % DAYS) * DAY_MS + n, n);
const grown: Grown[] = [];
let made = 0;
let commits = 0;
for (const size of SIZES) {
  while (made < size && spentSeconds() < SECONDS) {
    await commit(Math.min(COMMIT_SESSIONS, size - made));
    if (made % COMPACT_SESSIONS === 0) await maintenance.compact(now());
  }
  if (made < size) {
    console.log(`not measured for want of time: ${size} sessions; it came to ${made}`);
    break;
  }
  await maintenance.sweep(now());
  aheadMs += COLLECTED_MS;
  await maintenance.sweep(now());
  grown.push(await measure(size));
}
const first = grown[0]!;
console.log(`load ${loadavg()[0]!.toFixed(1)}; in brackets: times that of ${first.sessions} sessions`);
for (const one of grown) {
  const ratio = (of: (grown: Grown) => number, unit: string, digits = 0): string =>
    `${of(one).toFixed(digits)} ${unit} (${(of(first) ? of(one) / of(first) : NaN).toFixed(2)})`;
  console.log(`${one.sessions} sessions`);
  console.log(`  ${ratio(({ bytes }) => bytes / 1000, 'KB')}  ${ratio(({ objects }) => objects, 'objects')}`);
  console.log(
    `  manifests ${ratio(({ manifestBytes }) => manifestBytes / 1000, 'KB', 1)}, cold view ${ratio(({ viewMs }) => viewMs, 'ms', 1)} in ${one.viewRequests} requests, a session's first row group ${ratio(({ readMs }) => readMs, 'ms', 1)}`,
  );
}
const last = grown.at(-1)!;
console.log(`figure growth_sessions ${last.sessions} sessions`);
console.log(`figure growth_manifest_ratio ${(last.manifestBytes / first.manifestBytes).toFixed(2)} times`);
console.log(`figure growth_view_ratio ${(last.viewMs / first.viewMs).toFixed(2)} times`);
await rm(dir, { recursive: true, force: true });
process.exit();

async function commit(count: number): Promise<void> {
  const batches = Array.from({ length: count }, () => {
    const n = made++;
    const session = idOf(n);
    return batchesOf(small[n % small.length]!, n, PROJECT).map((batch) => ({ ...batch, session }));
  }).flat();
  const fromSeq = ++commits;
  const input = { shard: 0, fromSeq, lastSeq: fromSeq, resumeSeq: fromSeq + 1, batches, rejected: [] };
  const flushed = await flush(input, { store, erasures, seen: createSeen(), now, nonce });
  if (!flushed || flushed.rejected.length) throw new Error('a flush failed');
}

async function measure(size: number): Promise<Grown> {
  let bytes = 0;
  let objects = 0;
  let manifestBytes = 0;
  for await (const object of store.list('v1/')) {
    objects++;
    bytes += object.bytes;
    if (object.key.startsWith(paths.manifestPrefix)) manifestBytes += object.bytes;
  }
  const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;
  const views: number[] = [];
  const reads: number[] = [];
  store.take();
  let view = await openLakeReader(store, now).view(PROJECT);
  const { get, list } = store.take();
  for (let i = 0; i < READS; i++) {
    let startMs = performance.now();
    view = await openLakeReader(store, now).view(PROJECT);
    views.push(performance.now() - startMs);
    const session = idOf(Math.floor((i * size) / READS));
    startMs = performance.now();
    let found = false;
    for (const file of view.files) {
      if (file.table !== 'replay' || session < file.firstSession || session > file.lastSession) continue;
      const group = (await readReplayGroups(store, file)).find((one) => one.session === session);
      if (group) found = (await readReplayRows(store, file, group)).length > 0;
      if (found) break;
    }
    if (!found) throw new Error(`session ${session} is not found`);
    reads.push(performance.now() - startMs);
  }
  return {
    sessions: size,
    bytes,
    objects,
    manifestBytes,
    viewMs: median(views),
    viewRequests: get + list,
    readMs: median(reads),
  };
}
