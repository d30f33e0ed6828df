import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ErasureAnswer, SqlAnswer } from '#api';
import { findIn } from '#store';
import { startProcess, type Running } from './processes.ts';
import { freePort } from './servers.ts';
import { Rr1Client } from './test-rr1-client.ts';

/** The whole product with everything of it in one directory, which is searched for what an erased session had said. */

const KEYS = { FIRST_WRITE_KEY: 'wk_erasure_write_key', FIRST_API_KEY: 'ak_erasure_api_key_for_tests' };
let directory: string;
let settings: Record<string, string> & { LISTEN: string };
let running: Running;
let clients: Rr1Client[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mutoscope-erasure-'));
  settings = {
    ...KEYS,
    ...{ DATA_DIR: directory, LISTEN: `127.0.0.1:${await freePort()}`, FIRST_ORIGINS: '*' },
    ...{ FLUSH_INTERVAL_MS: '150', REFRESH_INTERVAL_MS: '50' },
    ...{ COMPACT_INTERVAL_MS: '1000', SWEEP_INTERVAL_MS: '1000', GRACE_MS: '5000' },
  };
  running = await startProcess(settings);
  clients = [];
});
afterEach(async () => {
  for (const client of clients) client.close();
  running.kill();
  await running.end();
  await rm(directory, { recursive: true, force: true });
});

test('an erased session is unreadable at once and its bytes are soon nowhere in the data directory', async () => {
  const { gone, kept, said } = await recordTwo();
  const session = gone.session ?? '';
  await expect.poll(() => countOf(session), { timeout: 15_000 }).toBe(6);
  // One more batch in each of the places where it can be: stream, commit, files, quarantine, local copies.
  await expect.poll(() => isThere(/\/r30\/replay\/.*\.parquet$/), { timeout: 15_000 }).toBe(true);
  gone.send(tracks(said.gone));
  gone.send([], Buffer.from(`{ ${said.gone}`));
  await Promise.all([gone.acked(), kept.acked()]);
  await expect.poll(() => countOf(session), { timeout: 15_000 }).toBe(9);
  await expect.poll(() => isThere(/\/quarantine\/.*\.bin$/), { timeout: 15_000 }).toBe(true);
  expect((await found(said)).sort()).toEqual([said.gone, said.kept].sort());

  expect((await erase(session)).done).toBe(false);
  expect(await countOf(session)).toBe(0);
  expect((await api(`/v1/sessions/${session}`)).status).toBe(404);
  // A page that does not know of it goes on.
  gone.send(tracks(said.gone));
  await gone.acked();
  await untilGone(session, said);
  expect(await countOf(kept.session ?? '')).toBe(6);
});

test('so it is when the process is killed while it erases', async () => {
  const { gone, kept, said } = await recordTwo();
  const session = gone.session ?? '';
  await expect.poll(() => countOf(session), { timeout: 15_000 }).toBe(6);
  await erase(session);
  running.kill();
  await running.end();
  running = await startProcess(settings);
  await untilGone(session, said);
  expect(await countOf(kept.session ?? '')).toBe(6);
});

test(
  'figures: how soon no reader sees a session, and what is found of it in all bytes after',
  { timeout: 120_000 },
  async () => {
    const other = await startProcess({
      ...settings,
      ...{ ROLE: 'query', LISTEN: `127.0.0.1:${await freePort()}`, CACHE_DIR: join(directory, 'cache-2') },
      ...{ REFRESH_INTERVAL_MS: '1000' },
    });
    try {
      const all = await Promise.all(Array.from({ length: FIGURE_SESSIONS }, () => recordTwo()));
      const needles = all.map(({ gone, said }) => [gone.session!, said.gone]);
      const everywhere = [running.url, other.url];
      for (const { gone } of all)
        for (const url of everywhere)
          await expect.poll(() => readable(url, gone.session!), { timeout: 15_000 }).toBe(true);
      const seconds: number[] = [];
      for (const { gone } of all) {
        const fromMs = performance.now();
        await erase(gone.session!);
        for (const url of everywhere)
          await expect.poll(() => readable(url, gone.session!), { timeout: 60_000, interval: 5 }).toBe(false);
        seconds.push((performance.now() - fromMs) / 1000);
      }
      for (const { gone } of all)
        await expect.poll(async () => (await erase(gone.session!)).done, { timeout: 60_000 }).toBe(true);
      let bytes = 0;
      const found = new Set<string>();
      await expect
        .poll(
          async () => {
            // SQL lets go of its local copies when it is next asked, and knows that a file was replaced.
            for (const url of everywhere) await readable(url, all[0]!.gone.session!);
            found.clear();
            bytes = 0;
            for (const [path, haystack] of await haystacks()) {
              const here = [...findIn([haystack], needles.flat())];
              const isKept = (needle: string): boolean =>
                /\/(erasures|l0|seen)\/.*\.json$/.test(path) && needles.some(([id]) => id === needle);
              for (const needle of here.filter((one) => !isKept(one))) {
                found.add(`${needle} in ${path}`);
                bytes += needle.length;
              }
            }
            return [...found];
          },
          { timeout: 30_000, interval: 500 },
        )
        .toEqual([]);
      seconds.sort((a, b) => a - b);
      const [least, median, most] = [seconds[0]!, seconds[FIGURE_SESSIONS >> 1]!, seconds.at(-1)!];
      process.stdout.write(`figure erase_bytes_found_after ${bytes} bytes\n`);
      process.stdout.write(`figure erase_unreadable_s ${most.toFixed(3)} s\n`);
      process.stdout.write(`figure erase_unreadable_median_s ${median.toFixed(3)} s\n`);
      process.stdout.write(`figure erase_unreadable_min_s ${least.toFixed(3)} s\n`);
      for (const { kept } of all) expect(await countOf(kept.session ?? '')).toBe(6);
    } finally {
      other.kill();
      await other.end();
    }
  },
);
const FIGURE_SESSIONS = 20;

/** Whether any route of the server shows the session. */
async function readable(url: string, session: string): Promise<boolean> {
  const ask = (path: string, init: RequestInit = {}) => {
    const headers = { authorization: `Bearer ${KEYS.FIRST_API_KEY}`, 'content-type': 'application/json' };
    return fetch(url + path, { ...init, headers });
  };
  const sql = `SELECT count(*) FROM events WHERE session_id = '${session}'`;
  const [summary, manifest, counted] = await Promise.all([
    ask(`/v1/sessions/${session}`),
    ask(`/v1/sessions/${session}/manifest`),
    ask('/v1/sql', { method: 'POST', body: JSON.stringify({ sql }) }),
  ]);
  const rows = ((await counted.json()) as SqlAnswer).rows;
  return summary.ok || manifest.ok || Number(rows[0]?.[0]) > 0;
}

interface Said {
  gone: string;
  kept: string;
}

async function recordTwo(): Promise<{ gone: Rr1Client; kept: Rr1Client; said: Said }> {
  const said = {
    gone: `planted-${randomBytes(8).toString('hex')}`,
    kept: `kept-${randomBytes(8).toString('hex')}`,
  };
  const [gone, kept] = [said.gone, said.kept].map((text) => {
    const client = new Rr1Client({
      url: running.url,
      key: KEYS.FIRST_WRITE_KEY,
      rid: randomBytes(6).toString('hex'),
    });
    clients.push(client);
    client.send(tracks(text));
    client.send(tracks(text));
    return client;
  }) as [Rr1Client, Rr1Client];
  await Promise.all([gone.acked(), kept.acked()]);
  return { gone, kept, said };
}

const tracks = (text: string): unknown[] =>
  ['navigation', 'track', 'error'].map((tag) => ({
    type: 5,
    timestamp: Date.now(),
    data: {
      tag,
      payload:
        tag === 'navigation'
          ? { kind: 'push', url: `https://shop.example/${text}`, title: text }
          : { name: text, message: text, props: { text } },
    },
  }));

async function untilGone(session: string, said: Said): Promise<void> {
  await expect.poll(async () => (await erase(session)).done, { timeout: 15_000 }).toBe(true);
  // SQL lets go of its local copies when it is next asked.
  await expect
    .poll(async () => ((await countOf(session)) === 0 ? found(said) : []), { timeout: 15_000, interval: 250 })
    .toEqual([said.kept]);
}

const api = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(running.url + path, {
    ...init,
    headers: { authorization: `Bearer ${KEYS.FIRST_API_KEY}`, 'content-type': 'application/json' },
  });

async function erase(session: string): Promise<ErasureAnswer> {
  const reply = await fetch(`${running.url}/v1/sessions/${session}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${KEYS.FIRST_API_KEY}` },
  });
  expect(reply.ok, await reply.clone().text()).toBe(true);
  return (await reply.json()) as ErasureAnswer;
}

async function countOf(session: string): Promise<number> {
  const statement = `SELECT count(*) FROM events WHERE session_id = '${session}'`;
  const reply = await api('/v1/sql', { method: 'POST', body: JSON.stringify({ sql: statement }) });
  expect(reply.status, await reply.clone().text()).toBe(200);
  return Number(((await reply.json()) as SqlAnswer).rows[0]?.[0]);
}

const isThere = async (file: RegExp): Promise<boolean> =>
  (await readdir(directory, { recursive: true })).some((path) => file.test(path));

async function haystacks(): Promise<[path: string, bytes: Uint8Array][]> {
  const read: [string, Uint8Array][] = [];
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    // What goes while it is listed is gone.
    if (entry.isFile()) read.push([path, await readFile(path).catch(() => new Uint8Array())]);
  }
  return read;
}

async function found({ gone, kept }: Said): Promise<string[]> {
  return [
    ...findIn(
      (await haystacks()).map(([, bytes]) => bytes),
      [gone, kept],
    ),
  ];
}
