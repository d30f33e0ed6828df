import { spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openStream } from '#stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyOf, openHarness, STREAM_BYTES_MAX, until, type Harness } from './processor.harness.ts';
import { append, createRandom, createSender, pageLoad, sessionAt, withMethods } from './samples.ts';
import { StoreError, type Store } from './store.ts';

let lake: Harness;
beforeEach(async () => void (lake = await openHarness()));
afterEach(() => lake.close());

const startMs = Date.now() - 60_000;
const session = sessionAt(startMs, 1);

describe('whatever happens to processors', () => {
  it('two that overlap store each event once', async () => {
    const [one, other] = [lake.start(), lake.start()];
    const sent: string[] = [];
    for (let n = 0; n < 40; n++) {
      const id = sessionAt(startMs, n);
      const sender = createSender({ project: 'shop', session: id, rid: `rid-${n}` });
      for (let i = 0; i < 3; i++) await append(lake.stream, sender.batch(pageLoad(5, startMs)));
      for (let seq = 1; seq <= 15; seq++) sent.push(`${id} rid-${n} ${seq}`);
    }
    await until(async () => expect((await lake.rows('shop')).length).toBeGreaterThanOrEqual(sent.length));
    expect((await lake.rows('shop')).map(keyOf).sort()).toEqual(sent.sort());
    const conflicts = await Promise.all([one, other].map(async ({ context }) => context.metrics.text()));
    expect(conflicts.join('')).toMatch(/mutoscope_commit_conflicts_total [1-9]/);
  });

  it('nothing is lost when the store is down for a while, and the service says so', async () => {
    let down = true;
    const { service } = lake.start({ store: failing(() => down) });
    const sender = createSender({ project: 'shop', session, rid: 'rid-1' });
    await append(lake.stream, sender.batch(pageLoad(7, startMs)));
    await until(async () => expect(service.problems().join()).toContain('the store is down'));
    down = false;
    await until(async () => expect(await lake.rows('shop')).toHaveLength(7));
    await until(async () => expect(service.problems()).toEqual([]));
  });

  it('what a new stream holds is stored when the old one was lost', async () => {
    const sender = createSender({ project: 'shop', session, rid: 'rid-1' });
    const old = lake.start();
    for (let i = 0; i < 3; i++) await append(lake.stream, sender.batch(pageLoad(5, startMs)));
    await until(async () => expect(await lake.rows('shop')).toHaveLength(15));
    await old.service.drain();
    await old.service.stop();
    await lake.stream.close();
    await rm(join(lake.dir, 'stream'), { recursive: true });
    lake.stream = await openStream(join(lake.dir, 'stream'), { bytesMax: STREAM_BYTES_MAX });
    await append(lake.stream, sender.batch(pageLoad(5, startMs)));
    const first = lake.start();
    await until(async () => expect(await lake.rows('shop')).toHaveLength(20));
    await first.service.drain();
    await first.service.stop();
    await append(lake.stream, sender.batch(pageLoad(5, startMs)));
    lake.start();
    await until(async () => expect(await lake.rows('shop')).toHaveLength(25));
    expect(new Set((await lake.rows('shop')).map(keyOf)).size).toBe(25);
  });

  it('kill -9 at any moment neither loses nor repeats a row', { timeout: 60_000 }, async () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
    process.stdout.write(`processor kill test: SEED=${seed}\n`);
    const random = createRandom(seed);
    await lake.stream.close();
    const acked = new Map<string, number>();
    for (let kill = 0; kill < 8; kill++) {
      const lines = await runVictim(seed + kill, 1 + kill * 1000, 150 + random() * 900);
      for (const line of lines) {
        const [id, rid, count] = line.split(' ');
        if (count) acked.set(`${id} ${rid}`, (acked.get(`${id} ${rid}`) ?? 0) + Number(count));
      }
    }
    lake.stream = await openStream(join(lake.dir, 'stream'), { bytesMax: STREAM_BYTES_MAX });
    const { service } = lake.start({ env: { COMPACT_INTERVAL_MS: '1000' } });
    const marker = createSender({ project: 'odd', session, rid: 'last' });
    await append(lake.stream, marker.batch(pageLoad(3, startMs)));
    await until(async () => {
      const missing = await missingOf(acked);
      expect(missing).toEqual([]);
    });
    await service.drain();
    const rows = [...(await lake.rows('odd')), ...(await lake.rows('even'))];
    expect(new Set(rows.map(keyOf)).size).toBe(rows.length);
    expect(acked.size).toBeGreaterThan(20);
    expect(await lake.quarantine()).toEqual([]);
  });
});

async function missingOf(acked: ReadonlyMap<string, number>): Promise<string[]> {
  const stored = new Map<string, number>();
  for (const row of [...(await lake.rows('odd')), ...(await lake.rows('even'))]) {
    const key = `${row.session_id} ${row.rid}`;
    stored.set(key, (stored.get(key) ?? 0) + 1);
  }
  return [...acked].filter(([key, count]) => (stored.get(key) ?? 0) < count).map(([key]) => key);
}

/** Lets a child process append and process for `ms` after it is up, kills it, and returns what it said was durable. */
async function runVictim(seed: number, firstSession: number, ms: number): Promise<string[]> {
  const script = join(import.meta.dirname, 'processor.victim.ts');
  const child = spawn(
    process.execPath,
    [script, join(lake.dir, 'stream'), join(lake.dir, 'lake'), String(seed), String(firstSession)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let said = '';
  const up = new Promise<void>((resolve) =>
    child.stdout.on('data', (data: Buffer) => {
      said += data.toString();
      resolve();
    }),
  );
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await Promise.race([up, closed]);
  await new Promise((resolve) => setTimeout(resolve, ms));
  child.kill('SIGKILL');
  await closed;
  return said.slice(0, said.lastIndexOf('\n')).split('\n');
}

const failing = (isDown: () => boolean): Store =>
  withMethods(lake.store, {
    put: async (...args) => {
      if (isDown()) throw new StoreError('store_unavailable', 'the store is down');
      return lake.store.put(...args);
    },
  });
