/**
 * What the lake costs, on the corpus of real sessions that `make corpus` records: bytes beside the limit (zstd -19 of a
 * whole session), rates a core beside gunzip, JSON.parse and zstd -9 alone, requests, memory of a processor that works
 * off a backlog, point reads, splicing beside encoding anew and a plain copy. SESSIONS bounds the sessions taken; a part
 * that would begin after BENCH_SECONDS is left out and named.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashApiKey, SCOPES } from '#projects';
import { createQuery } from '#query';
import { createHttp, createLog, createMetrics, readConfig } from '#service';
import { openDirectoryStore } from '../directory-store.ts';
import { openStore, type Store } from '../store.ts';
import { workOff } from './backlog.ts';
import { manySessions } from './backlogs.ts';
import { createParts, figure, sum } from './measuring.ts';
import { measurePointReads, type Served } from './point-reads.ts';
import { measureRates, type Rated } from './rates.ts';
import { readCorpus } from './read-corpus.ts';
import { measureSizes } from './sizes.ts';
import { measureSplicing } from './splicing.ts';

const SESSIONS = Number(process.env.SESSIONS ?? 200);
const BACKLOG_BYTES = Number(process.env.BACKLOG_MB ?? 300) * 1e6;
const SPLICE_BYTES = Number(process.env.SPLICE_MB ?? 100) * 1e6;
const PROJECT = 'bench';
const API_KEY = 'ak_bench_key_of_the_lake';
const part = createParts(Number(process.env.BENCH_SECONDS ?? 480));
const dir = await mkdtemp(join(tmpdir(), 'bench-lake-'));
const { folder, sessions } = readCorpus(SESSIONS);
const minutes = sum(sessions, ({ recordedMs }) => recordedMs) / 60_000;
const rawMb = sum(sessions, ({ rawBytes }) => rawBytes) / 1e6;
console.log(
  `${sessions.length} sessions of ${folder}: ${sum(sessions, ({ events }) => events)} events, ${minutes.toFixed(0)} recorded minutes, ${rawMb.toFixed(0)} MB of JSON`,
);
const store = await openDirectoryStore(join(dir, 'lake'));
let served = 0;
let rated: Rated = { fresh: [], compacted: [], requests: [] };

await part('rates a core', async () => {
  rated = await measureRates(store, PROJECT, dir, sessions);
});
await part('requests and objects per 1,000 sessions, flushed at once by shard', async () => {
  const columns = ['put', 'get', 'list', 'removed'] as const;
  const line = (what: string, cells: readonly string[]): void =>
    console.log(`  ${what.padEnd(10)}${cells.map((cell) => cell.padStart(8)).join('')}`);
  const perThousand = (count: number): number => (count * 1000) / sessions.length;
  line('', columns);
  for (const [what, counted] of rated.requests)
    line(
      what,
      columns.map((one) => perThousand(counted[one]).toFixed(0)),
    );
  let objects = 0;
  for await (const _ of store.list('v1/')) objects++;
  console.log('  a live stream has at most 3 puts a shard and flush interval instead');
  figure('lake_objects_per_1000_sessions', perThousand(objects), 'objects');
});
await part('bytes a session, and seal', () => measureSizes(store, PROJECT, dir, sessions, rated));
await part('a processor that works off a backlog', async () => {
  const backlog = manySessions(sessions, PROJECT, BACKLOG_BYTES);
  const worked = await workOff(join(dir, 'backlog'), PROJECT, backlog, 300);
  console.log(
    `  ${(BACKLOG_BYTES / 1e6).toFixed(0)} MB inflated in ${worked.messages} messages; ${worked.rows} events in ${worked.seconds.toFixed(0)} s, with a compaction and a sweep`,
  );
  figure('processor_rss_mb', worked.rssMb, 'MB');
});
await part('point reads over the API, in a directory', () =>
  measurePointReads(store, PROJECT, () => serve(store), 'segment_read'),
);
await part('point reads over the API, on S3', async () => {
  const endpoint = process.env.TEST_S3_ENDPOINT;
  if (!endpoint) return console.log('  not measured: no TEST_S3_ENDPOINT');
  const remote = await openCopy(
    `s3://bench/lake-${Date.now()}?endpoint=${encodeURIComponent(endpoint)}&region=us-east-1`,
  );
  await measurePointReads(remote, PROJECT, () => serve(remote), 'segment_read_s3');
  await remote.close();
});
await part('splicing: one session is erased from a large sealed file', () =>
  measureSplicing(store, PROJECT, dir, SPLICE_BYTES),
);

console.log('\nnot measured here: freshness of SQL (make bench-fresh)');
await rm(dir, { recursive: true, force: true });
process.exit();

async function openCopy(location: string): Promise<Store> {
  const copy = await openStore(location);
  for await (const { key } of store.list('v1/')) await copy.put(key, await store.get(key));
  return copy;
}

function serve(from: Store): Served {
  const log = createLog('silent');
  const metrics = createMetrics({ process: false });
  const http = createHttp(log, metrics, () => []);
  const project = {
    id: PROJECT,
    retentionDays: 30 as const,
    writeKeys: [],
    apiKeys: [{ name: 'bench', hash: hashApiKey(API_KEY), scopes: [...SCOPES] }],
  };
  const projects = { current: () => ({ v: 1 as const, secret: 'x'.repeat(43), projects: [project] }) };
  const config = readConfig({ CACHE_DIR: join(dir, `cache-${served++}`) });
  const service = createQuery({ config, log, metrics, http, now: Date.now }, { store: from, projects });
  const ran = service.run();
  return {
    get: async (path) => {
      const reply = await http.inject({ url: path, headers: { authorization: `Bearer ${API_KEY}` } });
      if (reply.statusCode !== 200) throw new Error(`${path}: ${reply.statusCode} ${reply.body}`);
      return reply.rawPayload;
    },
    close: async () => {
      await service.stop();
      await ran;
      await http.close();
    },
  };
}
