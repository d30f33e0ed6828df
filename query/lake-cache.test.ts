import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { paths } from '#layout';
import { openLakeReader, type LakeView, type Store } from '#store';
import { openFixtureLake, sessionId, type FixtureLake } from './fixture-lake.ts';
import { IDLE_MS, openLakeCache, turns, type LakeCache } from './lake-cache.ts';
import { createLake } from './lake.ts';

const T0 = Date.parse('2026-03-10T10:00:00Z');
const NOW = T0 + 1000;
const events = [{ tsMs: T0, type: 'click' }];
let lake: FixtureLake;
let gets: string[];
let store: Store;
let cache: LakeCache;
const view = (project = 'one'): Promise<LakeView> => openLakeReader(lake.store, () => NOW).view(project);
const copies = (project = 'one'): Promise<string[]> =>
  readdir(join(lake.dir, 'cache', project)).catch(() => []);
const open = (bytesMax = 2 ** 30): Promise<LakeCache> =>
  openLakeCache({ dir: join(lake.dir, 'cache'), bytesMax, store });

beforeEach(async () => {
  lake = await openFixtureLake();
  gets = [];
  store = {
    ...lake.store,
    list: (prefix) => lake.store.list(prefix),
    get: (key) => (gets.push(key), lake.store.get(key)),
  };
  cache = await open();
});
afterEach(() => lake.close());

describe('local copies', () => {
  it('are made once, of events alone, also for many at once', async () => {
    await lake.flush([{ project: 'one', id: sessionId(T0, 1), events }]);
    await lake.flush([{ project: 'one', id: sessionId(T0, 2), events }]);
    const leases = await Promise.all([1, 2, 3].map(async () => cache.lease(await view(), NOW)));
    expect(leases.map(({ files }) => files)).toEqual([2, 2, 2]);
    expect(gets).toHaveLength(2);
    expect(gets.every((key) => key.endsWith('.events.parquet'))).toBe(true);
    leases.forEach(({ release }) => release());
    expect(await copies()).toHaveLength(2);
    expect(cache.bytes()).toBeGreaterThan(0);
  });
  it('hold no row of another project', async () => {
    await lake.flush([
      { project: 'one', id: sessionId(T0, 1), events },
      { project: 'two', id: sessionId(T0, 2), events: [{ tsMs: T0, type: 'track', name: 'ZWEI-ONLY' }] },
    ]);
    const { classes } = await cache.lease(await view(), NOW);
    expect(classes).toHaveLength(1);
    const bytes = await readFile(classes[0]!.paths[0]!);
    expect(bytes.includes('one')).toBe(true);
    for (const foreign of ['two', sessionId(T0, 2)]) expect(bytes.includes(foreign)).toBe(false);
  });
  it('of a file that the lake names no more go when the last statement that uses them is through', async () => {
    const session = { project: 'one', id: sessionId(T0, 1), events };
    await lake.flush([session]);
    const before = await cache.lease(await view(), NOW);
    const [old] = await copies();
    await lake.compact('one', [session]);
    const after = await cache.lease(await view(), NOW);
    after.release();
    expect(await copies()).toContain(old);
    before.release();
    before.release();
    await expect.poll(() => copies()).toHaveLength(1);
    expect(await copies()).not.toContain(old);
  });
  it('are not made of what has expired whole', async () => {
    await lake.flush([{ project: 'one', id: sessionId(T0, 1), events }]);
    const { files } = await cache.lease(await view(), T0 + 31 * 86_400_000);
    expect([files, gets]).toEqual([0, []]);
  });
  it('of a project that nobody asks about are dropped, and made again when somebody does', async () => {
    await lake.flush([{ project: 'one', id: sessionId(T0, 1), events }]);
    (await cache.lease(await view(), NOW)).release();
    await cache.dropIdle(NOW + IDLE_MS - 1);
    expect(await copies()).toHaveLength(1);
    await cache.dropIdle(NOW + IDLE_MS);
    expect(await copies()).toEqual([]);
    expect((await cache.lease(await view(), NOW)).files).toBe(1);
  });
  it('of the project unused longest make room', async () => {
    cache = await open(1);
    for (const project of ['one', 'two']) await lake.flush([{ project, id: sessionId(T0, 1), events }]);
    const used = await cache.lease(await view('one'), NOW);
    (await cache.lease(await view('two'), NOW + 1)).release();
    await expect.poll(() => copies('two')).toEqual([]);
    expect(await copies('one')).toHaveLength(1);
    used.release();
    await expect.poll(() => copies('one')).toEqual([]);
  });
  it('that an earlier process left are removed at the start, and nothing else is', async () => {
    const dir = join(lake.dir, 'cache', 'one');
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, `${'a'.repeat(32)}.parquet`), '');
    await writeFile(join(dir, `${'b'.repeat(32)}.parquet.part`), '');
    await writeFile(join(dir, 'mine.txt'), '');
    await open();
    expect(await copies()).toEqual(['mine.txt']);
  });
  it('a file that is gone is not_found, and once it is there again it is found', async () => {
    await lake.flush([{ project: 'one', id: sessionId(T0, 1), events }]);
    const seen = await view();
    const { key } = seen.files.find(({ table }) => table === 'events')!;
    const bytes = await lake.store.get(key);
    await lake.store.remove([key]);
    await expect(cache.lease(seen, NOW)).rejects.toMatchObject({ code: 'not_found' });
    await lake.store.put(key, bytes);
    expect((await cache.lease(seen, NOW)).files).toBe(1);
  });
});

it('at most so many works run at once, and all run', async () => {
  const turn = turns(2);
  let running = 0;
  let most = 0;
  const work = () =>
    turn(async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      if (most > 5) throw new Error('too many');
    });
  await Promise.all(Array.from({ length: 9 }, work));
  await expect(turn(() => Promise.reject(new Error('this one alone')))).rejects.toThrow('this one alone');
  expect([most, running]).toEqual([2, 0]);
});

describe('the lake', () => {
  it('is looked at when asked and the last look is too old, by all who ask in one look', async () => {
    let nowMs = NOW;
    let looks = 0;
    const reader = openLakeReader(lake.store, () => nowMs);
    const seen = createLake(
      { view: (project) => (looks++, reader.view(project)) },
      { refreshMs: 100, now: () => nowMs },
    );
    const look = (project: string): Promise<LakeView> => seen.read(project, (view) => Promise.resolve(view));
    await Promise.all([look('one'), look('one')]);
    nowMs += 99;
    await look('one');
    expect(looks).toBe(1);
    nowMs += 1;
    await look('one');
    expect(looks).toBe(2);
    nowMs -= 1000;
    expect((await look('one')).asOfMs).toBe(nowMs);
  });
  it('hides a session before the store says so, and leaves it to the store afterwards', async () => {
    let nowMs = NOW;
    const seen = createLake(
      openLakeReader(lake.store, () => nowMs),
      { refreshMs: 100, now: () => nowMs },
    );
    const look = (project: string): Promise<LakeView> => seen.read(project, (view) => Promise.resolve(view));
    const id = sessionId(T0, 1);
    await look('one');
    seen.hide('one', id);
    expect((await look('one')).erased.has(id)).toBe(true);
    expect((await look('two')).erased.has(id)).toBe(false);
    await lake.store.put(paths.erasure('one', id), Buffer.from('{}'));
    nowMs += 100;
    expect((await look('one')).erased.has(id)).toBe(true);
    await lake.store.remove([paths.erasure('one', id)]);
    nowMs += 100;
    expect((await look('one')).erased.has(id)).toBe(false);
  });
});
