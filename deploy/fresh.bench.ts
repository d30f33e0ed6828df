/**
 * How fresh SQL is: from the ack of a batch to the answer of `POST /v1/sql` that has its event, with default settings. One
 * process on directories, then, where they can be had, one on NATS and MinIO. FRESH_SECONDS of sending for each.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { SqlAnswer } from '#api';
import { startProcess } from './processes.ts';
import { freePort, startMinio, startNats } from './servers.ts';
import { Rr1Client } from './test-rr1-client.ts';

const SECONDS = Number(process.env.FRESH_SECONDS ?? 30);
const RECORDERS = 3;
const BATCH_EVERY_MS = 1000;
/** How much later than it could an event may be found. */
const ASK_EVERY_MS = 250;
const VISIBLE_MS_MAX = 60_000;
const KEYS = { FIRST_WRITE_KEY: 'wk_fresh_write_key', FIRST_API_KEY: 'ak_fresh_api_key_of_the_bench' };

const inDirectories = await measure('one process on directories', {});
report('sql_fresh', inDirectories);
try {
  const [nats, s3] = await Promise.all([startNats(), startMinio()]);
  const id = randomBytes(4).toString('hex');
  const { endpoint, accessKey, secretKey } = s3.value;
  const credentials = { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey };
  const STORE = `s3://fresh-${id}/lake?endpoint=${encodeURIComponent(endpoint)}&region=us-east-1`;
  const settings = { STREAM: `${nats.value}/FRESH_${id}`, STORE, ...credentials };
  report('sql_fresh_s3', await measure('one process on NATS and MinIO', settings));
  await Promise.all([nats.stop(), s3.stop()]);
} catch (error) {
  console.log(`not measured: NATS and MinIO: ${(error as Error).message}`);
}
process.exit();

async function measure(what: string, settings: Record<string, string>): Promise<number[]> {
  const dir = await mkdtemp(join(tmpdir(), 'bench-fresh-'));
  const LISTEN = `127.0.0.1:${await freePort()}`;
  const running = await startProcess({
    ...KEYS,
    DATA_DIR: dir,
    LISTEN,
    FIRST_ORIGINS: '*',
    ...settings,
  });
  /** By the marker's name: when its batch was acked, until an answer has it. */
  const acked = new Map<string, number>();
  const found: number[] = [];
  const clients = Array.from(
    { length: RECORDERS },
    (_, n) =>
      new Rr1Client({ url: running.url, key: KEYS.FIRST_WRITE_KEY, rid: `rid-fresh-${n}`.padEnd(22, '0') }),
  );
  const endMs = Date.now() + SECONDS * 1000;
  const sent = clients.map(async (client, n) => {
    // Not all at one moment.
    await delay((n * BATCH_EVERY_MS) / RECORDERS);
    for (let i = 0; Date.now() < endMs; i++) {
      const name = `marker-${n}-${i}`;
      client.send([{ type: 5, data: { tag: 'track', payload: { name } }, timestamp: Date.now() }]);
      await client.acked();
      acked.set(name, performance.now());
      await delay(BATCH_EVERY_MS);
    }
  });
  let isSending = true;
  const allSent = Promise.all(sent).then(() => (isSending = false));
  while (isSending || acked.size) {
    const names = await ask(running.url, [...acked.keys()]);
    const nowMs = performance.now();
    for (const name of names) {
      found.push(nowMs - acked.get(name)!);
      acked.delete(name);
    }
    const oldestMs = Math.min(...acked.values());
    if (nowMs - oldestMs > VISIBLE_MS_MAX)
      throw new Error(`an event was not seen within ${VISIBLE_MS_MAX} ms`);
    await delay(ASK_EVERY_MS);
  }
  await allSent;
  for (const client of clients) client.close();
  await running.end();
  await rm(dir, { recursive: true });
  console.log(
    `${what}: ${found.length} events of ${RECORDERS} recorders  (load ${loadavg()[0]!.toFixed(1)})`,
  );
  return found.sort((a, b) => a - b);
}

async function ask(url: string, names: readonly string[]): Promise<string[]> {
  if (!names.length) return [];
  const reply = await fetch(`${url}/v1/sql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEYS.FIRST_API_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      sql: `SELECT name FROM events WHERE type = 'track' AND name IN (${names.map((name) => `'${name}'`).join(', ')})`,
    }),
  });
  if (!reply.ok) throw new Error(`the question was answered with ${reply.status}: ${await reply.text()}`);
  return ((await reply.json()) as SqlAnswer).rows.map(([name]) => name as string);
}

function report(figure: string, sortedMs: readonly number[]): void {
  const at = (share: number): string =>
    (sortedMs[Math.min(sortedMs.length - 1, Math.floor(sortedMs.length * share))]! / 1000).toFixed(2);
  for (const [name, share] of [
    ['p50', 0.5],
    ['p95', 0.95],
    ['max', 1],
  ] as const)
    console.log(`figure ${figure}_${name}_s ${at(share)} s`);
}
