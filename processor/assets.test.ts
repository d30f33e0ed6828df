import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ASSET_BYTES_MAX } from '#protocol';
import { openStream, shardOf, type Stream } from '#stream';
import { assemble, isRejected, openMessage } from './assembler.ts';
import { takeAssets } from './assets.ts';
import { loadChain } from './chain.ts';
import { createErasures } from './erasures.ts';
import { flush, type Flushed } from './flush.ts';
import { moveRows } from './holds.ts';
import { inspectFile } from './inspect-file.ts';
import { createCommitCache, encodeJson, getJson } from './lake-reader.ts';
import { paths, sessionDate, type ClassName, type Erasure, type EventRow } from './layout.ts';
import type { Maintenance } from './maintenance.ts';
import { quietMaintenance } from './test-maintenance.ts';
import { createManifestReader } from './manifest.ts';
import { createSender, pageLoad, sessionAt, withMethods } from './samples.ts';
import { openLakeReader, openStore, type Store } from './store.ts';
import { decodeFile } from './x-hyparquet.ts';

const DAY_MS = 86_400_000;
const t0 = Date.now();
let dir: string;
let store: Store;
let stream: Stream;
let nonces = 0;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assets-'));
  store = await openStore(join(dir, 'lake'));
  stream = await openStream(join(dir, 'stream'), { bytesMax: 64 * 1024 * 1024 });
});
afterEach(async () => {
  await stream.close();
  await store.close();
  await rm(dir, { recursive: true, force: true });
});

const nonce = (): string => `n${String(nonces++).padStart(6, '0')}`;
const nameOf = (content: string, ending = 'png'): string =>
  `${createHash('sha256').update(content).digest('hex')}.${ending}`;
const custom = (tag: string, payload: object) => ({ type: 5, timestamp: t0, data: { tag, payload } });
const asset = (content: string, name = nameOf(content)) =>
  custom('asset', { name, url: 'https://shop.example/a', base64: Buffer.from(content).toString('base64') });
const ref = (content: string) =>
  custom('asset_ref', { name: nameOf(content), url: 'https://shop.example/a', ids: [7] });

const first = sessionAt(t0, 1);
const other = Array.from({ length: 400 }, (_, n) => sessionAt(t0, n + 2)).find(
  (id) => shardOf(id) === shardOf(first),
)!;
const placeOf = (content: string, session = first): string =>
  paths.asset('r30', 'shop', sessionDate(session), nameOf(content));

let rids = 0;
/** One commit of what the session recorded, as a recorder instance of its own. */
async function commit(session: string, events: unknown[], into: Store = store): Promise<Flushed> {
  const sent = createSender({ project: 'shop', session, rid: `rid${rids++}` }).batch(events);
  const shard = shardOf(session);
  const { fromSeq, seen } = await loadChain(store, shard, t0);
  const opened = sent.map((one, i) => openMessage({ ...one, seq: fromSeq + i, appendedMs: t0 }, t0));
  const { batches, rejected } = assemble(
    opened.filter((one) => !isRejected(one)) as never,
    seen.hasFrame,
    () => true,
  );
  const lastSeq = fromSeq + sent.length - 1;
  const flushed = await flush(
    { shard, fromSeq, lastSeq, resumeSeq: lastSeq + 1, batches, rejected },
    { store: into, erasures: createErasures(store, Date.now), seen, now: () => t0, nonce },
  );
  return flushed!;
}
const maintain = (on: Store = store): Maintenance =>
  quietMaintenance({ store: on, stream, nonce, graceMs: 0 });
async function erase(session: string, maintenance = maintain()): Promise<void> {
  const tombstone: Erasure = { v: 1, project: 'shop', session, requestedMs: t0 };
  const key = paths.erasure('shop', session);
  await store.put(key, encodeJson(tombstone));
  for (let sweeps = 0; !(await getJson<Erasure>(store, key)).done; sweeps++) {
    expect(sweeps).toBeLessThan(5);
    await maintenance.sweep(t0 + sweeps);
  }
}
async function assetsThere(cls: ClassName = 'r30'): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(paths.classPrefix(cls)))
    if (key.includes('/assets/')) keys.push(key);
  return keys;
}
async function rows(): Promise<EventRow[]> {
  const { files } = await openLakeReader(store, () => t0).view('shop');
  const found = files.filter(({ table }) => table === 'events');
  return (await Promise.all(found.map(async ({ key }) => decodeFile('events', await store.get(key))))).flat();
}

test('the bytes of an asset are kept once beside the rows, and no row holds them', async () => {
  const { commit: made } = await commit(first, [asset('red'), ref('red')]);
  await commit(other, [asset('red')]);
  expect(await assetsThere()).toEqual([placeOf('red')]);
  expect(Buffer.from(await store.get(placeOf('red'))).toString()).toBe('red');
  const [brought, told] = await rows();
  expect(brought).toMatchObject({ type: 'asset', name: nameOf('red') });
  expect(JSON.parse(brought!.props!)).toEqual({
    name: nameOf('red'),
    url: 'https://shop.example/a',
    bytes: 3,
  });
  expect(JSON.parse(told!.props!)).toMatchObject({ ids: [7] });
  // What is not played is not in `replay`.
  expect(made.files.map(({ table, rows: count }) => [table, count])).toEqual([
    ['events', 2],
    ['replay', 1],
  ]);
});

test('what is not what its name says is refused, counted, and noted in its row', () => {
  const events = [
    asset('red', nameOf('blue')),
    asset('red', nameOf('red', 'html')),
    asset('x'.repeat(ASSET_BYTES_MAX + 1)),
    custom('asset', { name: 7, base64: 8 }),
    custom('asset', { name: '../../v1/config/00000001.json', base64: 'e30=' }),
    asset('red'),
  ];
  const { assets, refused } = takeAssets(events);
  expect(refused).toEqual(['bad_hash', 'bad_name', 'too_large', 'bad_name', 'bad_name']);
  expect([...assets.keys()]).toEqual([nameOf('red')]);
  expect(JSON.stringify(events)).not.toContain('base64');
  expect(events[0]!.data.payload).toMatchObject({ refused: 'bad_hash', bytes: 3 });
});

test('assets go with their day and class, and not before', async () => {
  await commit(first, [...pageLoad(5, t0), asset('red'), ref('red')]);
  const maintenance = maintain();
  const overMs = Date.parse(`${sessionDate(first)}T00:00:00Z`) + 32 * DAY_MS;
  await maintenance.sweep(t0);
  await maintenance.sweep(t0 + DAY_MS);
  await maintenance.sweep(overMs - 1);
  expect(await assetsThere()).toEqual([placeOf('red')]);
  await maintenance.sweep(overMs);
  await maintenance.sweep(overMs + 1);
  expect(await assetsThere()).toEqual([]);
});

test('an erasure takes the assets that no other session of the day tells of', async () => {
  await commit(first, [...pageLoad(5, t0), asset('red'), asset('blue'), ref('red'), ref('blue')]);
  await commit(other, [...pageLoad(5, t0), ref('blue')]);
  await erase(first);
  expect(await assetsThere()).toEqual([placeOf('blue')]);
  await erase(other);
  expect(await assetsThere()).toEqual([]);
});

/** A page load whose page has style sheets so long that sealing takes them out. */
const styled = (...marks: string[]) => {
  const events = pageLoad(5, t0);
  const sheets = marks.map((mark, i) => ({
    ...{ type: 2, id: 10 + i, tagName: 'style', attributes: { _cssText: sheet(mark) }, childNodes: [] },
  }));
  events[3]!.data = { node: { type: 0, id: 1, childNodes: sheets } };
  return events;
};
const sheet = (mark: string): string => `.${mark} { }`.repeat(200);
const sheetOf = (mark: string, cls: ClassName = 'r30'): string =>
  paths.asset(cls, 'shop', sessionDate(first), nameOf(sheet(mark), 'css'));

test('an erasure takes what only the erased pages showed, also where their file is spliced', async () => {
  await commit(first, styled('own', 'shared'));
  await commit(other, styled('other', 'shared'));
  await maintain().compact(t0);
  expect(await assetsThere()).toEqual(['own', 'shared', 'other'].map((mark) => sheetOf(mark)).sort());
  await erase(first);
  expect(await assetsThere()).toEqual(['shared', 'other'].map((mark) => sheetOf(mark)).sort());
  await erase(other);
  expect(await assetsThere()).toEqual([]);
});

test('what a page showed goes with its rows to another class, and stays only for others', async () => {
  await commit(first, styled('own', 'shared'));
  await commit(other, styled('other', 'shared'));
  await maintain().compact(t0);
  const state = createManifestReader(store);
  const parts = { store, state, commits: createCommitCache(store), nonce, forget: async () => {} };
  const daysOf = (session: string) => (session === first ? 90 : undefined);
  await moveRows(parts, 'shop', sessionDate(first), daysOf, t0 + 4 * DAY_MS);
  expect(await assetsThere('r30')).toEqual(['shared', 'other'].map((mark) => sheetOf(mark)).sort());
  expect(await assetsThere('r90')).toEqual(['own', 'shared'].map((mark) => sheetOf(mark, 'r90')).sort());
  const { files } = (await state('shop')).days.get(sessionDate(first))!;
  for (const file of files.filter(({ table }) => table === 'replay')) {
    const { rows: moved, problems } = await inspectFile('replay', await store.get(file.key));
    expect(problems).toEqual([]);
    expect(new Set(moved.map((row) => row.session_id))).toEqual(
      new Set([file.class === 'r90' ? first : other]),
    );
  }
});

test('an erasure that was cut short before the assets went takes them when it is done again', async () => {
  await commit(first, [...pageLoad(5, t0), asset('red'), ref('red')]);
  let isBroken = true;
  const breaking = withMethods(store, {
    remove: (keys: string[]) => {
      if (isBroken && keys.some((key) => key.includes('/assets/'))) throw new Error('killed');
      return store.remove(keys);
    },
  });
  await expect(erase(first, maintain(breaking))).rejects.toThrow('killed');
  isBroken = false;
  await erase(first);
  expect(await assetsThere()).toEqual([]);
});

test('an asset whose commit comes while an erasure removes it is brought back', async () => {
  await commit(first, [...pageLoad(5, t0), asset('red'), ref('red')]);
  let late: Promise<unknown> | undefined;
  const racing = withMethods(store, {
    remove: async (keys: string[]) => {
      if (keys.includes(placeOf('red'))) await (late ??= commit(other, [...pageLoad(5, t0), asset('red')]));
      await store.remove(keys);
    },
  });
  await erase(first, maintain(racing));
  expect(late).toBeDefined();
  expect(await assetsThere()).toEqual([placeOf('red')]);
});

test('an asset whose commit comes after the erasure that removed it is put once more', async () => {
  await commit(first, [...pageLoad(5, t0), asset('red'), ref('red')]);
  let isErased = false;
  const slow = withMethods(store, {
    put: async (key: string, bytes: Uint8Array, options?: { ifAbsent?: boolean }) => {
      if (/\/l0\/.*\.json$/.test(key) && !isErased) {
        isErased = true;
        await erase(first);
        expect(await assetsThere()).toEqual([]);
      }
      await store.put(key, bytes, options);
    },
  });
  // Another shard: an erasure waits for files of its own shard that no commit names yet.
  const elsewhere = Array.from({ length: 99 }, (_, n) => sessionAt(t0, n + 2)).find(
    (id) => shardOf(id) !== shardOf(first),
  )!;
  await commit(elsewhere, [...pageLoad(5, t0), asset('red'), ref('red')], slow);
  expect(isErased).toBe(true);
  expect(await assetsThere()).toEqual([placeOf('red')]);
});

test('a flush leaves no asset of a session that was erased while it put', async () => {
  const slow = withMethods(store, {
    put: async (key: string, bytes: Uint8Array, options?: { ifAbsent?: boolean }) => {
      await store.put(key, bytes, options);
      if (key === placeOf('red'))
        await store.put(
          paths.erasure('shop', first),
          encodeJson({ v: 1, project: 'shop', session: first, requestedMs: t0 } satisfies Erasure),
        );
    },
  });
  await commit(first, [...pageLoad(5, t0), asset('red'), ref('red')], slow);
  expect(await assetsThere()).toEqual([]);
});
