import { createLog } from '#service';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createDaysLake, GRACE_MS, type DaysLake } from './fixture-days.ts';
import { paths, utcDate } from './layout.ts';
import { repair } from './repair.ts';
import { withMethods } from './samples.ts';
import { openLakeReader, StoreError, type Store } from './store.ts';
import { openMemoryStore } from './test-memory-store.ts';
import { decodeFile } from './x-hyparquet.ts';

const DAY_MS = 86_400_000;
const t0 = Date.UTC(2026, 2, 10, 12);
let store: Store;
let lake: DaysLake;
beforeEach(async () => {
  store = openMemoryStore(() => t0);
  lake = await createDaysLake(store);
});
afterEach(() => lake.close());

async function compacted(): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(paths.classesPrefix)) keys.push(key);
  return keys;
}
async function sessionsTold(): Promise<number[]> {
  const events: number[] = [];
  for (const { table, key } of (await openLakeReader(store, () => t0).view('shop')).files)
    if (table === 'sessions')
      events.push(...(await decodeFile(table, await store.get(key))).map((row) => row.events));
  return events.sort((a, b) => a - b);
}
const rowsSeen = async (project: string): Promise<number> =>
  (await openLakeReader(store, () => t0).view(project)).files
    .filter(({ table }) => table === 'events')
    .reduce((sum, { rows }) => sum + rows, 0);

it('a compaction that cannot go on leaves no file, and the next one does it all', async () => {
  await lake.record({ startMs: t0 });
  await lake.record({ project: 'bank', startMs: t0, count: 7 });
  const broken = withMethods(store, {
    get: async (key, range) => {
      if (key.startsWith(paths.classPrefix('r30'))) throw new StoreError('store_unavailable', 'it went');
      return store.get(key, range);
    },
  });
  await expect(lake.maintain(broken).compact(t0)).rejects.toThrow('went');
  expect(await compacted()).toEqual([]);
  await lake.maintain().compact(t0);
  expect(await compacted()).toHaveLength(6);
  expect([await rowsSeen('shop'), await rowsSeen('bank')]).toEqual([100, 7]);
});

it('a file that is lost holds up nothing but the sessions of its day, until the day is repaired', async () => {
  // Two sessions a file, between which a third begins.
  for (const startMs of [t0, t0 + 2, t0 - DAY_MS]) await lake.record({ startMs });
  await lake.maintain().compact(t0);
  const lost = (await compacted()).find((key) => key.includes(`/events/project=shop/date=${utcDate(t0)}/`))!;
  await store.remove([lost]);
  await lake.record({ startMs: t0 + 1, count: 7 });
  await lake.record({ startMs: t0 - DAY_MS, count: 7 });
  await lake.maintain().compact(t0);
  expect(await sessionsTold()).toEqual([7, 100]);
  expect(await rowsSeen('shop')).toBe(314);
  const options = { nowMs: t0, graceMs: GRACE_MS };
  let nonces = 0;
  await repair({ store, nonce: () => `r${nonces++}`, log: createLog('silent') }, options);
  await lake.maintain().compact(t0);
  // The commits still have what was lost.
  expect(await sessionsTold()).toEqual([7, 7, 100, 100, 100]);
});

it('a compaction of which nobody knows whether it was published leaves its files', async () => {
  await lake.record({ startMs: t0 });
  const unanswered = withMethods(store, {
    put: async (key, ...rest) => {
      await store.put(key, ...rest);
      if (key === paths.manifest('shop', 1)) throw new StoreError('store_unavailable', 'no answer');
    },
  });
  await expect(lake.maintain(unanswered).compact(t0)).rejects.toThrow('no answer');
  expect(await compacted()).toHaveLength(3);
  expect(await rowsSeen('shop')).toBe(100);
});
