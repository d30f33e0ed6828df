import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, inject, test } from 'vitest';
import type { SqlAnswer } from '#api';
import { paths } from '#layout';
import { openLakeReader, openStore, readReplayGroups, readReplayRows, type Store } from '#store';
import { startProcess, type Running } from './processes.ts';
import { freePort } from './servers.ts';
import { Rr1Client } from './test-rr1-client.ts';

/** Clients record all the while, processes are killed at moments that a seed decides, and every event is counted. */

const KEYS = { FIRST_WRITE_KEY: 'wk_chaos_write_key', FIRST_API_KEY: 'ak_chaos_api_key_for_tests' };
const HASTY = {
  FIRST_ORIGINS: '*',
  FLUSH_INTERVAL_MS: '150',
  REFRESH_INTERVAL_MS: '50',
  COMPACT_INTERVAL_MS: '1000',
  SWEEP_INTERVAL_MS: '1000',
  GRACE_MS: '0',
};
const CLIENTS = 8;
const natsUrl = inject('natsUrl');
const s3 = inject('s3');

interface Deaths {
  role: string;
  signal: 'SIGKILL' | 'SIGTERM';
}
const deaths = (signal: Deaths['signal'], ...roles: string[]): Deaths[] =>
  roles.map((role) => ({ role, signal }));

test(
  'embedded: nothing acked is lost and nothing is twice, whenever the process dies',
  { timeout: 90_000 },
  () =>
    ordeal(['all'], (DATA_DIR) => ({ DATA_DIR }), [
      ...deaths('SIGKILL', 'all', 'all', 'all', 'all', 'all'),
      ...deaths('SIGTERM', 'all'),
    ]),
);

describe.skipIf(!natsUrl || !s3)('on NATS and S3', () => {
  test('nothing acked is lost and nothing is twice, whichever role dies', { timeout: 90_000 }, async () => {
    const id = randomBytes(4).toString('hex');
    const STORE = `s3://chaos-${id}/lake?endpoint=${encodeURIComponent(s3?.endpoint ?? '')}&region=us-east-1`;
    const credentials = {
      AWS_ACCESS_KEY_ID: s3?.accessKey ?? '',
      AWS_SECRET_ACCESS_KEY: s3?.secretKey ?? '',
    };
    Object.assign(process.env, credentials);
    const settings = { STREAM: `${natsUrl}/CHAOS_${id}`, STORE, ...credentials };
    await ordeal(['collector', 'processor', 'query'], (DATA_DIR) => ({ DATA_DIR, ...settings }), [
      ...deaths('SIGKILL', 'collector', 'processor', 'query', 'collector', 'processor'),
      ...deaths('SIGTERM', 'processor', 'collector'),
    ]);
  });
});

async function ordeal(
  roles: readonly string[],
  settingsIn: (directory: string) => Record<string, string>,
  planned: readonly Deaths[],
): Promise<void> {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
  process.stdout.write(`chaos, ${roles.join(' ')}: SEED=${seed}\n`);
  const random = createRandom(seed);
  const directory = await mkdtemp(join(tmpdir(), 'mutoscope-chaos-'));
  const settings = settingsIn(directory);
  const listens = new Map<string, string>();
  for (const role of roles) listens.set(role, `127.0.0.1:${await freePort()}`);
  const running = new Map<string, Running>();
  const start = async (role: string): Promise<void> => {
    const LISTEN = listens.get(role) ?? '';
    const CACHE_DIR = join(directory, `cache-${role}`);
    running.set(role, await startProcess({ ...KEYS, ...HASTY, ...settings, CACHE_DIR, ROLE: role, LISTEN }));
  };
  const site = `http://${listens.get(roles[0] ?? '')}`;
  const app = `http://${listens.get(roles.at(-1) ?? '')}`;
  const clients: Rr1Client[] = [];
  const recorded = new AbortController();
  const watched = new AbortController();
  try {
    for (const role of roles) await start(role);
    const recording = Array.from({ length: CLIENTS }, (_, i) => {
      const rid = `rid-${seed}-${i}`;
      const client = new Rr1Client({ url: site, key: KEYS.FIRST_WRITE_KEY, rid });
      clients.push(client);
      return record(client, createRandom(seed + 1 + i), recorded.signal);
    });
    const watching = watch(app, watched.signal);
    for (const { role, signal } of shuffle(planned, random)) {
      await delay(500 + random() * 2500);
      const dying = running.get(role);
      if (signal === 'SIGTERM') expect(await dying?.end(), dying?.output()).toBe(0);
      else {
        dying?.kill();
        await dying?.end();
        // What is away for longer leaves the others with more to hold.
        await delay(random() * 500);
      }
      await start(role);
    }
    recorded.abort();
    await Promise.all(recording);
    await Promise.all(clients.map((client) => client.acked()));
    await expect
      .poll(() => sql(app, SUMMARY), { timeout: 20_000, interval: 200 })
      .toEqual(clients.map(summaryOf).sort(byJson));
    watched.abort();
    const { worst, answers } = await watching;
    expect(worst).toEqual([]);
    expect(answers).toBeGreaterThan(5);
    for (const client of clients) {
      expect(client.complaints).toEqual([]);
      expect(client.events).toBeGreaterThan(300);
    }
    expect(Math.min(...clients.map(({ connects }) => connects))).toBeGreaterThan(2);
    // Without a grace what is read could be collected meanwhile.
    for (const role of roles) expect(await running.get(role)?.end(), role).toBe(0);
    const store = await openStore(settings.STORE ?? join(directory, 'lake'));
    const events = clients.reduce((sum, client) => sum + client.events, 0);
    expect(await replayKeys(store)).toEqual({ rows: events, keys: events });
    expect(await keysOf(store, paths.quarantinePrefix)).toEqual([]);
    if (settings.STORE) await store.remove(await keysOf(store, ''));
    await store.close();
  } finally {
    recorded.abort();
    watched.abort();
    for (const client of clients) client.close();
    for (const one of running.values()) one.kill();
    await Promise.all([...running.values()].map((one) => one.end()));
    await rm(directory, { recursive: true, force: true });
  }
}

/** Each event bears its own ordinal, so that one that took another's place would be seen. */
async function record(client: Rr1Client, random: () => number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const count = 3 + Math.floor(random() * 8);
    client.send(
      Array.from({ length: count }, (_, i) => ({
        type: 5,
        timestamp: Date.now(),
        data: { tag: 'track', payload: { name: String(client.events + 1 + i), props: {} } },
      })),
    );
    await delay(40 + random() * 60);
  }
}

const SUMMARY = `SELECT session_id, rid, count(*) AS "rows", count(DISTINCT seq) AS seqs, min(seq) AS first, max(seq) AS last,
  count(*) FILTER (WHERE name = seq::VARCHAR) AS sound FROM events GROUP BY session_id, rid`;
const summaryOf = ({ session, rid, events }: Rr1Client): unknown[] => [
  session,
  rid,
  events,
  events,
  1,
  events,
  events,
];
const byJson = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

/** Asks until aborted. `worst`: answers in which an event stood twice, or that lacked what an answer before had. */
async function watch(app: string, signal: AbortSignal): Promise<{ worst: string[]; answers: number }> {
  const worst: string[] = [];
  let seen = 0;
  let answers = 0;
  while (!signal.aborted) {
    // While query is down there is no answer.
    const rows = await sql(app, 'SELECT count(*), count(DISTINCT (session_id, rid, seq)) FROM events').catch(
      () => undefined,
    );
    const [count, distinct] = (rows?.[0] ?? []) as number[];
    if (count !== undefined && distinct !== undefined) {
      answers++;
      if (count !== distinct) worst.push(`${count - distinct} of ${count} stood twice`);
      if (distinct < seen) worst.push(`${distinct} after ${seen}`);
      seen = distinct;
    }
    await delay(100);
  }
  return { worst, answers };
}

async function sql(app: string, statement: string): Promise<unknown[][]> {
  const reply = await fetch(`${app}/v1/sql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEYS.FIRST_API_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ sql: statement }),
  });
  if (reply.status !== 200) throw new Error(`SQL answered ${reply.status}: ${await reply.text()}`);
  return ((await reply.json()) as SqlAnswer).rows.sort(byJson);
}

async function replayKeys(store: Store): Promise<{ rows: number; keys: number }> {
  const { files } = await openLakeReader(store, Date.now).view('demo');
  const keys = new Set<string>();
  let rows = 0;
  for (const file of files.filter(({ table }) => table === 'replay'))
    for (const group of await readReplayGroups(store, file))
      for (const { session_id, rid, seq } of await readReplayRows(store, file, group)) {
        rows++;
        keys.add(`${session_id} ${rid} ${seq}`);
      }
  return { rows, keys: keys.size };
}

async function keysOf(store: Store, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

function shuffle<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, order: random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
}

/** Mulberry32. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
