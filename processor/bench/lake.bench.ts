/**
 * What the lake costs, on the corpus of real sessions that `make corpus` records: bytes beside the limit (zstd -19 of a
 * whole session), rates a core beside gunzip, JSON.parse and zstd -9 alone, requests, memory of a processor that works
 * off a backlog, point reads, splicing beside encoding anew and a plain copy. SESSIONS bounds the sessions taken; a part
 * that would begin after BENCH_SECONDS is left out and named. Rates are of processor time, threads too, so that a busy
 * machine disturbs them less.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { constants, zstdCompressSync } from 'node:zlib';
import { hashApiKey, SCOPES } from '#projects';
import { createQuery } from '#query';
import { createHttp, createLog, createMetrics, readConfig } from '#service';
import { openStream, shardOf } from '#stream';
import { openDirectoryStore } from '../directory-store.ts';
import { createErasures } from '../erasures.ts';
import { flush } from '../flush.ts';
import { createReplayWriter, encodeReplayFile, encodeSealedFile } from '../lake-file.ts';
import { paths, sessionDate, utcDate, type Commit, type LakeFile, type ReplayRow } from '../layout.ts';
import { openLakeReader, readReplayGroups } from '../lake-reader.ts';
import { createMaintenance } from '../maintenance.ts';
import { partFile } from '../part-file.ts';
import { sessionAt } from '../samples.ts';
import { createAssetReader, putSealed, wholeRows } from '../seal.ts';
import { createSeen } from '../seen.ts';
import { openStore, type Store } from '../store.ts';
import { decodeReplayGroup, decodeReplayGroups } from '../parquet-groups.ts';
import { decodeFile } from '../x-hyparquet.ts';
import { workOff } from './backlog.ts';
import { manySessions } from './backlogs.ts';
import { countRequests, type Counted } from './counting-store.ts';
import { batchesOf, inflate, readCorpus, type CorpusSession } from './read-corpus.ts';

const SECONDS = Number(process.env.BENCH_SECONDS ?? 480);
const SESSIONS = Number(process.env.SESSIONS ?? 200);
const BACKLOG_BYTES = Number(process.env.BACKLOG_MB ?? 300) * 1e6;
const SPLICE_BYTES = Number(process.env.SPLICE_MB ?? 100) * 1e6;
const PROJECT = 'bench';
const API_KEY = 'ak_bench_key_of_the_lake';
const DAY_MS = 86_400_000;
const beginMs = Date.now();
const dir = await mkdtemp(join(tmpdir(), 'bench-lake-'));

const figure = (name: string, value: number, unit: string): void =>
  console.log(`figure ${name} ${value < 10 ? value.toFixed(3) : value.toFixed(1)} ${unit}`);
const kb = (bytes: number): string => `${(bytes / 1000).toFixed(1).padStart(9)} KB`;
const zstd = (bytes: Uint8Array | string, level: number): Buffer =>
  zstdCompressSync(bytes, {
    params: { [constants.ZSTD_c_compressionLevel]: level },
    chunkSize: Math.min(256 + (bytes.length >> 1), 1024 * 1024),
  });
const sum = <T>(items: Iterable<T>, of: (item: T) => number): number => {
  let total = 0;
  for (const item of items) total += of(item);
  return total;
};
/** Seconds of processor time, all threads. */
async function cpuSeconds(act: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
const percentile = (values: readonly number[], at: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * at))]!;
async function part(name: string, act: () => Promise<void>): Promise<void> {
  if ((Date.now() - beginMs) / 1000 > SECONDS) return console.log(`\nnot measured for want of time: ${name}`);
  console.log(`\n${name}  (load ${loadavg()[0]!.toFixed(1)})`);
  await act();
}

const { folder, sessions } = readCorpus(SESSIONS);
const count = sessions.length;
const rawBytes = sum(sessions, (one) => one.rawBytes);
const gzipBytes = sum(sessions, (one) => one.gzipBytes);
const events = sum(sessions, (one) => one.events);
const minutes = sum(sessions, ({ recordedMs }) => recordedMs) / 60_000;
console.log(
  `${count} sessions of ${folder}: ${events} events, ${minutes.toFixed(0)} recorded minutes, ${(rawBytes / 1e6).toFixed(0)} MB of JSON`,
);
const limitBytes = sum(sessions, ({ jsons }) => zstd(Buffer.concat(jsons), 19).length);

const store = countRequests(await openDirectoryStore(join(dir, 'lake')));
let nonces = 0;
const nonce = (): string => `n${String(nonces++).padStart(15, '0')}`;
const erasures = createErasures(store, Date.now);

/** One commit a shard, as for a backlog. */
async function flushAll(to: Store, from: readonly CorpusSession[]): Promise<Commit[]> {
  const commits: Commit[] = [];
  const shards = new Map<number, ReturnType<typeof batchesOf>>();
  from.forEach((one, n) => {
    const batches = batchesOf(one, n, PROJECT);
    const shard = shardOf(batches[0]!.session);
    shards.set(shard, [...(shards.get(shard) ?? []), ...batches]);
  });
  for (const [shard, batches] of shards) {
    const input = { shard, fromSeq: 1, lastSeq: 1, resumeSeq: 2, batches, rejected: [] };
    const flushed = await flush(input, { store: to, erasures, seen: createSeen(), now: Date.now, nonce });
    if (!flushed || flushed.rejected.length) throw new Error('a flush failed');
    commits.push(flushed.commit);
  }
  return commits;
}
const bytesOf = (files: Iterable<LakeFile>, table: string): number =>
  sum(files, (file) => (file.table === table ? file.bytes : 0));
const maintenance = createMaintenance({
  store,
  stream: await openStream(join(dir, 'empty'), { bytesMax: 1 << 20 }),
  erasures,
  nonce,
  log: createLog('silent'),
  now: Date.now,
  compactIntervalMs: 1000,
  sweepIntervalMs: 1000,
  graceMs: 0,
  onSwept: () => {},
  onTrouble: () => {},
});
const perThousand = (what: string, { put, get, list, removed }: Counted): void =>
  console.log(
    `  ${what.padEnd(10)}${[put, get, list, removed].map((n) => ((n * 1000) / count).toFixed(0).padStart(8)).join('')}`,
  );

let fresh: LakeFile[] = [];
let compacted: LakeFile[] = [];
const requests: [string, Counted][] = [];

await part('rates a core', async () => {
  const limit = (): void => {
    for (const { batches } of sessions) {
      const jsons = batches.map(inflate);
      for (const json of jsons) JSON.parse(json.toString());
      zstd(Buffer.concat(jsons), 9);
    }
  };
  // Code that ran before is code that runs compiled. One after the other in turns, for the machine is not always as fast.
  const scratch = await openDirectoryStore(join(dir, 'scratch'));
  await flushAll(scratch, sessions);
  const limits: number[] = [];
  const flushes: number[] = [];
  for (let turn = 0; turn < 3; turn++) {
    const to = turn ? await openDirectoryStore(join(dir, `scratch-${turn}`)) : store;
    limits.push(await cpuSeconds(limit));
    store.take();
    let files: LakeFile[] = [];
    flushes.push(
      await cpuSeconds(async () => (files = (await flushAll(to, sessions)).flatMap((one) => one.files))),
    );
    if (turn) continue;
    fresh = files;
    requests.push(['flush', store.take()]);
  }
  const limitS = percentile(limits, 0.5);
  const flushS = percentile(flushes, 0.5);
  const compactS = await cpuSeconds(() => maintenance.compact(Date.now()));
  requests.push(['compact', store.take()]);
  const lake = await openLakeReader(store, Date.now).view(PROJECT);
  compacted = lake.files;
  store.take();
  await maintenance.compact(Date.now() + 3 * DAY_MS);
  requests.push(['day closed', store.take()]);
  await maintenance.sweep(Date.now() + 3 * DAY_MS);
  requests.push(['sweep', store.take()]);
  const rate = (seconds: number): string =>
    `${(rawBytes / 1e6 / seconds).toFixed(1).padStart(7)} MB/s of JSON  ${(events / seconds).toFixed(0).padStart(8)} events/s`;
  console.log(`  ${rate(limitS)}  gunzip, JSON.parse, zstd -9 a session: the limit`);
  console.log(`  ${rate(flushS)}  flush`);
  console.log(`  ${rate(compactS)}  compaction (decodes and encodes anew)`);
  figure('flush_mb_per_core_s', rawBytes / 1e6 / flushS, 'MB/s');
  figure('flush_vs_limit_ratio', limitS / flushS, 'of the limit');
  figure('compact_mb_per_core_s', rawBytes / 1e6 / compactS, 'MB/s');
});

await part('requests and objects per 1,000 sessions, flushed at once by shard', async () => {
  console.log(
    `            ${'put'.padStart(7)}${'get'.padStart(8)}${'list'.padStart(8)}${'removed'.padStart(8)}`,
  );
  for (const [what, counted] of requests) perThousand(what, counted);
  let objects = 0;
  for await (const _ of store.list('v1/')) objects++;
  console.log(
    `  ${((objects * 1000) / count).toFixed(0)} objects are left; a live stream has at most 3 puts a shard and flush interval instead`,
  );
  figure('lake_objects_per_1000_sessions', (objects * 1000) / count, 'objects');
});

await part('bytes a session, and seal', async () => {
  const view = await openLakeReader(store, Date.now).view(PROJECT);
  const rows: ReplayRow[] = [];
  const joining = createAssetReader(store);
  /** As they lie there, but for the checkpoints. */
  let bareBytes = 0;
  for (const file of view.files)
    if (file.table === 'replay') {
      const all = await decodeFile('replay', await store.get(file.key));
      const bare = all.filter(({ kind }) => kind === 'event');
      bareBytes += (await encodeSealedFile(file.key, file.class, bare)).bytes.length;
      rows.push(...(await joining.joinAll(bare, file)));
    }
  const bySession = new Map<string, ReplayRow[]>();
  for (const row of rows) {
    const held = bySession.get(row.session_id);
    if (held) held.push(row);
    else bySession.set(row.session_id, [row]);
  }
  const scratch = await openDirectoryStore(join(dir, 'sealed'));
  let sealedBytes = 0;
  let plainBytes = 0;
  const sealS = await cpuSeconds(async () => {
    for (const [session, one] of bySession) {
      const to = { class: 'r30', project: PROJECT, date: sessionDate(session) } as const;
      const key = paths.file(to.class, 'replay', to.project, to.date, session);
      sealedBytes += (await putSealed(scratch, { ...to, key }, wholeRows(one)))!.bytes.length;
    }
  });
  await scratch.close();
  for (const one of bySession.values())
    plainBytes += (await encodeReplayFile('v1/plain', 'r30', one)).bytes.length;
  let assetBytes = 0;
  for await (const { bytes } of store.list('v1/r30/assets/')) assetBytes += bytes;
  const eventsBytes = bytesOf(view.files, 'events');
  const line = (what: string, bytes: number): void =>
    console.log(
      `  ${kb(bytes / count)}  ${(bytes / limitBytes).toFixed(3).padStart(7)} of zstd -19  ${what}`,
    );
  line('raw JSON', rawBytes);
  line('gzip batches as sent', gzipBytes);
  line('zstd -19 of the whole session', limitBytes);
  line('L0 replay', bytesOf(fresh, 'replay'));
  line('L0 events', bytesOf(fresh, 'events'));
  line('compacted replay', bytesOf(compacted, 'replay'));
  line('compacted events', bytesOf(compacted, 'events'));
  line('closed day: replay', bytesOf(view.files, 'replay'));
  line('closed day: replay without its checkpoints', bareBytes);
  line('closed day: events', eventsBytes);
  line('closed day: assets', assetBytes);
  line('replay unsealed, nothing taken out, a file a session', plainBytes);
  line('replay sealed, a file a session', sealedBytes);
  const beside = assetBytes + eventsBytes;
  const sealed = bytesOf(view.files, 'replay') + beside;
  // Of what lies there once a day is closed, assets and `events` among it; and of one session alone, unsealed.
  figure('lake_bytes_vs_zstd19_ratio', (bareBytes + beside) / limitBytes, 'of zstd -19');
  figure('lake_with_checkpoints_ratio', sealed / limitBytes, 'of zstd -19');
  figure('lake_unsealed_replay_ratio', plainBytes / limitBytes, 'of zstd -19');
  figure('lake_unsealed_ratio', (plainBytes + eventsBytes) / limitBytes, 'of zstd -19');
  // By the corpus's mean length: its sessions are about 5 minutes long, so what a snapshot costs is hardly stretched.
  figure('lake_kb_per_5min_session', ((sealed / 1000) * 5) / minutes, 'KB');
  figure('seal_events_per_core_s', rows.length / sealS, 'events/s');
});

await part('a processor that works off a backlog', async () => {
  const backlog = manySessions(sessions, PROJECT, BACKLOG_BYTES);
  const worked = await workOff(join(dir, 'backlog'), PROJECT, backlog, 300);
  console.log(
    `  ${(BACKLOG_BYTES / 1e6).toFixed(0)} MB inflated in ${worked.messages} messages; ${worked.rows} events in ${worked.seconds.toFixed(0)} s, with a compaction and a sweep`,
  );
  figure('processor_rss_mb', worked.rssMb, 'MB');
});

await part('point reads over the API, in a directory', () => pointReads(store, 'segment_read'));
await part('point reads over the API, on S3', async () => {
  const s3 = await startS3();
  const remote = await openStore(
    `s3://bench/lake?endpoint=${encodeURIComponent(s3.endpoint)}&region=us-east-1`,
  );
  for await (const { key } of store.list('v1/')) await remote.put(key, await store.get(key));
  await pointReads(remote, 'segment_read_s3');
  await remote.close();
  await s3.stop();
}).catch((error: unknown) => console.log(`  not measured: ${(error as Error).message}`));

await part('splicing: one session is erased from a large sealed file', async () => {
  const { files } = await openLakeReader(store, Date.now).view(PROJECT);
  const bySession = new Map<string, ReplayRow[]>();
  for (const file of files)
    if (file.table === 'replay')
      for (const row of await decodeFile('replay', await store.get(file.key))) {
        const held = bySession.get(row.session_id);
        if (held) held.push(row);
        else bySession.set(row.session_id, [row]);
      }
  const scratch = await openDirectoryStore(join(dir, 'spliced'));
  const place = { class: 'r30', project: PROJECT, date: utcDate(beginMs) } as const;
  const newKey = (): string => paths.file(place.class, 'replay', place.project, place.date, nonce());
  // The corpus over and over, each time as other sessions.
  const writer = createReplayWriter(newKey(), place.class, true);
  const rounds = Math.ceil(SPLICE_BYTES / bytesOf(files, 'replay'));
  for (let n = 0; n < rounds * bySession.size;)
    for (const rows of bySession.values()) {
      const session_id = sessionAt(beginMs, n++);
      await writer.write(rows.map((row) => ({ ...row, session_id })));
    }
  const { file, bytes } = writer.finish();
  await scratch.put(file.key, bytes);
  const victim = sessionAt(beginMs, 7);
  const get = (start?: number, end = bytes.length) =>
    scratch.get(file.key, start === undefined ? undefined : { start, end });
  const timed = async (what: string, act: () => Promise<unknown>): Promise<number> => {
    const startMs = performance.now();
    const seconds = await cpuSeconds(act);
    const rate = (bytes.length / 1e6 / seconds).toFixed(1).padStart(7);
    const allS = ((performance.now() - startMs) / 1000).toFixed(2);
    console.log(
      `  ${rate} MB/s  ${seconds.toFixed(2).padStart(6)} s of processor time, ${allS} s in all: ${what}`,
    );
    return seconds;
  };
  const others = async () => (await partFile(file, get, (session) => session !== victim)).get(true)!;
  await (await others()).put({ store: scratch, nonce }, place);
  const splicedS = await timed('spliced', async () => (await others()).put({ store: scratch, nonce }, place));
  const copyS = await timed('copied whole, as a limit', async () => scratch.put(newKey(), await get()));
  const rewrittenS = await timed('decoded and encoded anew', async () => {
    const anew = createReplayWriter(newKey(), place.class, true);
    for (const group of await decodeReplayGroups(bytes.length, get))
      if (group.session !== victim)
        await anew.write(await decodeReplayGroup(group, await get(group.start, group.end)));
    const encoded = anew.finish();
    await scratch.put(encoded.file.key, encoded.bytes);
  });
  await scratch.close();
  console.log(`  of ${(bytes.length / 1e6).toFixed(0)} MB, ${file.rows} rows; each from and to a directory`);
  figure('splice_mb_per_s', bytes.length / 1e6 / splicedS, 'MB/s');
  figure('splice_vs_copy_ratio', copyS / splicedS, 'of a plain copy');
  figure('splice_vs_rewrite_ratio', rewrittenS / splicedS, 'times as fast');
  figure('erase_spliced_s', splicedS, 's of processor time');
  figure('erase_rewritten_s', rewrittenS, 's of processor time');
});

console.log('\nnot measured here: freshness of SQL (make bench-fresh)');
await rm(dir, { recursive: true, force: true });
process.exit();

async function pointReads(from: Store, figureName: string): Promise<void> {
  const view = await openLakeReader(from, Date.now).view(PROJECT);
  const replay = view.files.filter(({ table }) => table === 'replay');
  const groups = (
    await Promise.all(
      replay.map(async (file) => (await readReplayGroups(from, file)).map((group) => ({ file, group }))),
    )
  ).flat();
  const open = () => {
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
    const config = readConfig({ CACHE_DIR: join(dir, `cache-${nonces++}`) });
    const service = createQuery({ config, log, metrics, http, now: Date.now }, { store: from, projects });
    const ran = service.run();
    const get = async (path: string): Promise<Buffer> => {
      const reply = await http.inject({ url: path, headers: { authorization: `Bearer ${API_KEY}` } });
      if (reply.statusCode !== 200) throw new Error(`${path}: ${reply.statusCode} ${reply.body}`);
      return reply.rawPayload;
    };
    return { get, close: async () => (await service.stop(), await ran, await http.close()) };
  };
  const timed = async (act: () => Promise<unknown>): Promise<number> => {
    const startMs = performance.now();
    await act();
    return performance.now() - startMs;
  };
  const times: Record<string, number[]> = { cold: [], warm: [], session: [], limit: [] };
  const ids = [...new Set(groups.map(({ group }) => group.session))].slice(0, 20);
  const warm = open();
  for (const id of ids) {
    const manifest = JSON.parse((await warm.get(`/v1/sessions/${id}/manifest`)).toString()) as {
      segments: { n: number }[];
    };
    const address = ({ n }: { n: number }): string => `/v1/sessions/${id}/segments/${n}`;
    const fresh = open();
    times.cold!.push(await timed(() => fresh.get(address(manifest.segments[0]!))));
    await fresh.close();
    for (const segment of manifest.segments) times.warm!.push(await timed(() => warm.get(address(segment))));
    times.session!.push(
      await timed(async () => {
        for (const segment of manifest.segments) await warm.get(address(segment));
      }),
    );
  }
  await warm.close();
  for (const { file, group } of groups.slice(0, 100))
    times.limit!.push(await timed(() => from.get(file.key, { start: group.start, end: group.end })));
  for (const [what, values] of Object.entries(times))
    console.log(
      `  ${what.padEnd(8)} p50 ${percentile(values, 0.5).toFixed(2)} ms  p95 ${percentile(values, 0.95).toFixed(2)} ms  of ${values.length}`,
    );
  console.log(
    '  cold: caches empty, the first segment; session: all segments of one, warm; limit: the same bytes by a ranged get',
  );
  figure(`${figureName}_p50_ms`, percentile(times.warm!, 0.5), 'ms');
  figure(`${figureName}_cold_p50_ms`, percentile(times.cold!, 0.5), 'ms');
}

/** TEST_S3_ENDPOINT with its keys in the environment, or a MinIO in a container. */
async function startS3(): Promise<{ endpoint: string; stop: () => Promise<unknown> }> {
  if (process.env.TEST_S3_ENDPOINT)
    return { endpoint: process.env.TEST_S3_ENDPOINT, stop: () => Promise.resolve() };
  const { GenericContainer, Wait } = await import('testcontainers');
  const key = 'mutoscope-bench';
  const container = await new GenericContainer('minio/minio:RELEASE.2025-09-07T16-13-09Z')
    .withCommand(['server', '/data'])
    .withEnvironment({ MINIO_ROOT_USER: key, MINIO_ROOT_PASSWORD: key })
    .withExposedPorts(9000)
    .withWaitStrategy(Wait.forHttp('/minio/health/ready', 9000))
    .start();
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: key });
  const endpoint = `http://${container.getHost()}:${container.getMappedPort(9000)}`;
  return { endpoint, stop: () => container.stop() };
}
