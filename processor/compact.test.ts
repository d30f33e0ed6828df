import { afterEach, beforeEach, expect, it } from 'vitest';
import { createDaysLake, type DaysLake } from './fixture-days.ts';
import { paths } from './layout.ts';
import { withMethods } from './samples.ts';
import { openLakeReader, StoreError, type Store } from './store.ts';
import { openMemoryStore } from './test-memory-store.ts';

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
const rowsSeen = async (project: string): Promise<number> =>
  (await openLakeReader(store, () => t0).view(project)).files
    .filter(({ table }) => table === 'events')
    .reduce((sum, { rows }) => sum + rows, 0);

it('a compaction that cannot go on leaves no file, and the next one does it all', async () => {
  await lake.record({ startMs: t0 });
  await lake.record({ project: 'bank', startMs: t0, count: 7 });
  const broken = withMethods(store, {
    get: async (key, range) => {
      if (key.startsWith(paths.classPrefix('r30'))) throw new StoreError('not_found', `${key} went`);
      return store.get(key, range);
    },
  });
  await expect(lake.maintain(broken).compact(t0)).rejects.toThrow('went');
  expect(await compacted()).toEqual([]);
  await lake.maintain().compact(t0);
  expect(await compacted()).toHaveLength(6);
  expect([await rowsSeen('shop'), await rowsSeen('bank')]).toEqual([100, 7]);
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
