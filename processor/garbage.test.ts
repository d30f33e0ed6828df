import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shardOf } from '#stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDaysLake, GRACE_MS, type DaysLake } from './fixture-days.ts';
import { getJsonIfThere, newestRoot } from './lake-reader.ts';
import { paths, placeOf, sessionDate, utcDate, type Erasure } from './layout.ts';
import { sessionAt } from './samples.ts';

import { openStore, type Store } from './store.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const t0 = Date.now();
const start = Date.parse(utcDate(t0)) - 3 * DAY_MS;

let dir: string;
let store: Store;
let lake: DaysLake;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'garbage-'));
  store = await openStore(dir);
  lake = await createDaysLake(store);
  await lake.record({ startMs: start, count: 5 });
  await lake.record({ startMs: start + DAY_MS, count: 5, days: 90 });
  await lake.maintain().sweep(t0);
});
afterEach(async () => {
  await lake.close();
  await rm(dir, { recursive: true, force: true });
});

const keysOf = async (prefix: string = paths.classesPrefix): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix))
    if (prefix !== paths.classesPrefix || placeOf(key)) keys.push(key);
  return keys;
};

describe('a manifest that is lost', () => {
  it.each(['all roots', 'a day manifest'])('takes no data file with it: %s', async (what) => {
    const root = (await newestRoot(store, 'shop'))!;
    const before = await keysOf();
    expect(before).toHaveLength(6);
    if (what === 'all roots')
      for (let version = root.version; version > 0; version--)
        await store.remove([paths.manifest('shop', version)]);
    else await store.remove([Object.values(root.days)[0]!]);
    for (const afterMs of [2, 4, 26]) await lake.maintain().sweep(t0 + afterMs * HOUR_MS);
    expect(await keysOf()).toEqual(before);
  });

  it('keeps nothing beyond its class', async () => {
    const root = (await newestRoot(store, 'shop'))!;
    for (let version = root.version; version > 0; version--)
      await store.remove([paths.manifest('shop', version)]);
    await lake.maintain().sweep(start + 32 * DAY_MS + GRACE_MS);
    expect((await keysOf()).filter((key) => key.startsWith(paths.classPrefix('r30')))).toEqual([]);
    expect(await keysOf()).not.toEqual([]);
  });
});

it('an erasure removes what a repair put aside of the day', async () => {
  const session = sessionAt(start, 1);
  const asides = [
    paths.quarantinedFile(paths.file('r30', 'events', 'shop', sessionDate(session), 'broken')),
    paths.quarantinedFile(paths.l0File(shardOf(session), 1, 'broken', 'r30', 'events')),
  ];
  const other = paths.quarantinedFile(paths.file('r30', 'events', 'shop', '2001-01-01', 'broken'));
  for (const key of [...asides, other]) await store.put(key, Buffer.from('half of a file'));
  await lake.erase('shop', session, t0);
  await lake.maintain().sweep(t0);
  expect((await getJsonIfThere<Erasure>(store, paths.erasure('shop', session)))?.done).toBeDefined();
  expect(await keysOf(paths.quarantinedFilesPrefix)).toEqual([other]);
});
