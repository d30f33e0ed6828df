import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '#service';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { classesIn, expiryRules } from './classes.ts';
import { createDaysLake, GRACE_MS, type DaysLake } from './fixture-days.ts';
import { fsck } from './fsck.ts';
import { encodeJson, getJson, getJsonIfThere } from './lake-reader.ts';
import { dayEndMs, paths, utcDate, type Erasure, type Hold, type RetentionReport } from './layout.ts';
import { openRetention, type Retention } from './retention.ts';
import { sessionAt } from './samples.ts';
import { openLakeReader, openStore, type Store } from './store.ts';
import { decodeFile } from './x-hyparquet.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const t0 = Date.now();
const start = Date.parse(utcDate(t0)) - 3 * DAY_MS;
const date = utcDate(start);

let dir: string;
let store: Store;
let lake: DaysLake;
let nowMs: number;
let retention: Retention;
let nonces = 0;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'retention-'));
  store = await openStore(dir);
  lake = await createDaysLake(store);
  nowMs = t0;
  retention = openRetention(store, {
    now: () => nowMs,
    nonce: () => `m${String(nonces++)}`,
    log: createLog('silent'),
    graceMs: GRACE_MS,
  });
});
afterEach(async () => {
  await lake.close();
  await rm(dir, { recursive: true, force: true });
});

const sweep = (): Promise<void> => lake.maintain().sweep(nowMs);
const wrong = async (): Promise<string[]> =>
  (await fsck(store, { nowMs: t0, graceMs: GRACE_MS })).findings
    .filter(({ level }) => level === 'wrong')
    .map(({ code }) => code);
/** Of all files that readers see: rows of `events` and `replay` by session and class. Of those compacted `sessions` tells the same. */
async function rowsByClass(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const compacted: Record<string, number> = {};
  const told: Record<string, number> = {};
  for (const file of (await openLakeReader(store, () => nowMs).view('shop')).files)
    for (const row of await decodeFile(file.table, await store.get(file.key))) {
      const name = `${parseInt(row.session_id.slice(-4), 16)} ${file.class}`;
      if ('started_at' in row) {
        expect(told[name], 'a session has one row in a class').toBeUndefined();
        told[name] = 2 * row.events;
        continue;
      }
      counts[name] = (counts[name] ?? 0) + 1;
      if (!file.key.startsWith(paths.l0Prefix)) compacted[name] = (compacted[name] ?? 0) + 1;
    }
  expect(told).toEqual(compacted);
  return counts;
}
async function keysOf(prefix: string = paths.classesPrefix): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}
/** The n-th that the lake recorded. */
const session = (n: number, startMs = start): string => sessionAt(startMs, n);

describe('a class of its own number of days', () => {
  it('is gone from storage by two days and the grace after its end, and not before', async () => {
    await lake.record({ startMs: start, count: 3, days: 45 });
    await lake.record({ startMs: start, count: 3, days: 46 });
    await sweep();
    const kept = (days: number): Promise<string[]> => keysOf(paths.classPrefix(`r${days}`));
    expect(await kept(45)).toHaveLength(3);
    nowMs = dayEndMs(date, 45) - 1;
    await sweep();
    expect(await kept(45)).toHaveLength(3);
    nowMs = dayEndMs(date, 45);
    expect(nowMs - (start + 45 * DAY_MS)).toBe(2 * DAY_MS);
    await sweep();
    nowMs += GRACE_MS;
    await sweep();
    expect(await kept(45)).toEqual([]);
    expect(await kept(46)).toHaveLength(3);
  });

  it('gets a rule for deletion by age, which a bucket has no room for without end', () => {
    const files = [45, 365, 3650].map((days) => ({
      key: paths.file(`r${days}`, 'events', 'shop', date, 'x'),
    }));
    expect(expiryRules(classesIn(files))).toContainEqual({
      id: 'mutoscope-r45',
      prefix: 'v1/r45/',
      days: 47,
    });
    expect(expiryRules(classesIn(files)).map(({ id }) => id)).toEqual(
      expect.arrayContaining(
        ['r30', 'r90', 'r180', 'r365', 'r3650', 'quarantine'].map((c) => `mutoscope-${c}`),
      ),
    );
    const many = Array.from({ length: 3650 }, (_, i) => `r${i + 1}` as const);
    expect(expiryRules(many).length).toBeLessThan(1000);
  });

  it('is found by an erasure, in files and among assets, also when the commits are forgotten', async () => {
    const bytes = Buffer.from('an image');
    const name = `${createHash('sha256').update(bytes).digest('hex')}.png`;
    await store.put(paths.asset('r45', 'shop', date, name), bytes);
    await lake.record({ startMs: start, count: 3, days: 45, event: () => ({ type: 'asset', name }) });
    await sweep();
    nowMs += 30 * HOUR_MS;
    await sweep();
    expect(await keysOf(paths.classPrefix('r45'))).toHaveLength(4);
    await lake.erase('shop', session(1), nowMs);
    await sweep();
    expect(await keysOf(paths.classPrefix('r45'))).toEqual([]);
  });
});

describe('a move', () => {
  it('writes rows again in a longer or shorter class, alone those that are meant, with what they show', async () => {
    const bytes = Buffer.from('an image');
    const name = `${createHash('sha256').update(bytes).digest('hex')}.png`;
    await store.put(paths.asset('r30', 'shop', date, name), bytes);
    await lake.record({ startMs: start, count: 3, event: () => ({ type: 'asset', name }) });
    await lake.record({ startMs: start, count: 4 });
    await sweep();
    expect(await rowsByClass()).toEqual({ '1 r30': 6, '2 r30': 8 });
    expect(await retention.move('shop', session(1), 90)).toMatchObject({ rows: 3, files: 3 });
    expect(await rowsByClass()).toEqual({ '1 r90': 6, '2 r30': 8 });
    expect(Buffer.from(await store.get(paths.asset('r90', 'shop', date, name)))).toEqual(bytes);
    // The day is closed, and no other tells of it.
    expect(await keysOf(paths.assetsPrefix('r30', 'shop', date))).toEqual([]);
    await retention.move('shop', session(2), 7);
    expect(await rowsByClass()).toEqual({ '1 r90': 6, '2 r7': 8 });
    // Not as long as the replaced files would have stayed.
    expect((await keysOf(paths.classPrefix('r30'))).filter((key) => key.endsWith('.parquet'))).toEqual([]);
    await sweep();
    expect(await wrong()).toEqual([]);
    expect((await getJson<Hold>(store, paths.hold('shop', session(2)))).acts).toEqual([
      { act: 'move', atMs: t0, retentionDays: 7 },
    ]);
  });

  it('leaves an asset of which others tell', async () => {
    const bytes = Buffer.from('an image');
    const name = `${createHash('sha256').update(bytes).digest('hex')}.png`;
    await store.put(paths.asset('r30', 'shop', date, name), bytes);
    const event = () => ({ type: 'asset_ref', name });
    for (let i = 0; i < 3; i++) await lake.record({ startMs: start, count: 2, event });
    await sweep();
    const left = async (): Promise<number> => (await keysOf(paths.assetsPrefix('r30', 'shop', date))).length;
    await retention.move('shop', session(1), 7);
    expect(await left()).toBe(1);
    // Of a commit that nobody took in, too.
    await lake.record({ startMs: start, count: 2, event });
    for (const n of [2, 3]) await retention.move('shop', session(n), 7);
    expect(await left()).toBe(1);
    expect(await keysOf(paths.assetsPrefix('r7', 'shop', date))).toHaveLength(1);
  });

  it('of all sessions before a day leaves later ones, days that are not over, and sessions with a will of their own', async () => {
    await lake.record({ startMs: start - DAY_MS, count: 2 });
    await lake.record({ startMs: start - DAY_MS, count: 2 });
    await lake.record({ startMs: start, count: 2 });
    await lake.record({ startMs: t0 - HOUR_MS, count: 2 });
    await sweep();
    await retention.move('shop', session(2, start - DAY_MS), 60);
    expect(await retention.moveBefore('shop', date, 10)).toMatchObject({ days: 1, rows: 2 });
    expect(await rowsByClass()).toEqual({ '1 r10': 4, '2 r60': 4, '3 r30': 4, '4 r30': 4 });
    await retention.moveBefore('shop', '9999-01-01', 10);
    expect(await rowsByClass()).toEqual({ '1 r10': 4, '2 r60': 4, '3 r10': 4, '4 r30': 4 });
    expect(await wrong()).toEqual([]);
  });

  it('is refused for what is not stored, erased, or no number of days', async () => {
    await lake.record({ startMs: start, count: 3 });
    await sweep();
    const refused = (code: string) => expect.objectContaining({ code });
    await expect(retention.move('shop', session(9), 90)).rejects.toEqual(refused('unknown_session'));
    await expect(retention.move('bank', session(1), 90)).rejects.toEqual(refused('unknown_session'));
    await expect(retention.move('shop', '../x', 90)).rejects.toEqual(refused('unknown_session'));
    for (const days of [0, 3651, 1.5, NaN])
      await expect(retention.move('shop', session(1), days)).rejects.toEqual(refused('bad_retention'));
    await expect(retention.release('shop', session(1))).rejects.toEqual(refused('not_held'));
    await lake.erase('shop', session(1), t0);
    await expect(retention.hold('shop', session(1))).rejects.toEqual(refused('erased'));
    expect(await keysOf(paths.holdsPrefix)).toEqual([]);
  });
});

describe('a held session', () => {
  it('outlives its class, also with rows that come after, and goes with it once released', async () => {
    await lake.record({ startMs: start, count: 3 });
    await lake.record({ startMs: start, count: 3 });
    // In a commit that nobody took in yet: the sweep moves them.
    await retention.hold('shop', session(1), 'case 7');
    expect(await rowsByClass()).toEqual({ '1 r30': 6, '2 r30': 6 });
    await sweep();
    expect(await rowsByClass()).toEqual({ '1 r3650': 6, '2 r30': 6 });
    nowMs = dayEndMs(date, 30) + HOUR_MS;
    await sweep();
    expect(await rowsByClass()).toEqual({ '1 r3650': 6 });
    await retention.release('shop', session(1));
    await sweep();
    expect(await rowsByClass()).toEqual({});
    nowMs += GRACE_MS + 2 * HOUR_MS;
    await sweep();
    expect((await keysOf()).filter((key) => key.endsWith('.parquet'))).toEqual([]);
    const { acts } = await getJson<Hold>(store, paths.hold('shop', session(1)));
    expect(acts.map(({ act, reason }) => [act, reason])).toEqual([
      ['hold', 'case 7'],
      ['release', undefined],
    ]);
  });

  it('is not erased by a tombstone that came at the same time', async () => {
    await lake.record({ startMs: start, count: 3 });
    await sweep();
    await retention.hold('shop', session(1));
    const tombstone: Erasure = { v: 1, project: 'shop', session: session(1), requestedMs: t0 };
    await store.put(paths.erasure('shop', session(1)), encodeJson(tombstone));
    await sweep();
    expect(await rowsByClass()).toEqual({ '1 r3650': 6 });
    expect(await getJson(store, paths.erasure('shop', session(1)))).toEqual(tombstone);
  });
});

it('each sweep that collects reports what is stored of each class and day, and what is overdue', async () => {
  await lake.record({ startMs: start, count: 3 });
  await lake.record({ startMs: start, count: 4, days: 45 });
  await lake.record({ project: 'bank', startMs: start, count: 5 });
  await sweep();
  await sweep();
  const lines = async (project: string) =>
    (await getJsonIfThere<RetentionReport>(store, paths.retentionReport(project)))?.lines.map((line) => [
      line.retentionDays,
      line.date,
      line.rows,
      line.files,
      line.dueMs,
      line.overdueRows,
      line.bytes > 0,
    ]);
  expect(await lines('shop')).toEqual([
    [30, date, 3, 3, dayEndMs(date, 30), 0, true],
    [45, date, 4, 3, dayEndMs(date, 45), 0, true],
  ]);
  expect(await lines('bank')).toEqual([[30, date, 5, 3, dayEndMs(date, 30), 0, true]]);
  // The collection that begins a sweep comes before the expiry.
  nowMs = dayEndMs(date, 30);
  await sweep();
  expect((await lines('shop'))![0]).toEqual([30, date, 3, 3, dayEndMs(date, 30), 3, true]);
  await sweep();
  // Out of sight, and kept for the grace.
  expect((await lines('shop'))![0]).toEqual([30, date, 0, 3, dayEndMs(date, 30), 0, true]);
  nowMs += GRACE_MS;
  await sweep();
  expect((await lines('shop'))![0]).toEqual([45, date, 4, 3, dayEndMs(date, 45), 0, true]);
});
