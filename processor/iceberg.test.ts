import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '#service';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDaysLake, GRACE_MS, type DaysLake } from './fixture-days.ts';
import { createIceberg } from './iceberg.ts';
import { decodeManifest, decodeManifestList, keyOf, type Entry } from './iceberg-manifest.ts';
import { stepsTo, type Metadata, type Snapshot } from './iceberg-plan.ts';
import { createImmutableReader, getJson, newestRoot } from './lake-reader.ts';
import { paths, TABLES, type DayManifest, type LakeFile, type Table } from './layout.ts';
import { createManifestReader } from './manifest.ts';
import { createRandom, withMethods } from './samples.ts';
import { openMemoryStore } from './test-memory-store.ts';
import { openStore, StoreError, type Store } from './store.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** Ten minutes before the next midnight, so that what is written now is old a while after it. */
const t0 = Math.ceil(Date.now() / DAY_MS) * DAY_MS - 600_000;

let store: Store;
let dir: string;
let lake: DaysLake;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'iceberg-'));
  store = await openStore(join(dir, 'lake'));
  lake = await createDaysLake(store);
});
afterEach(async () => {
  await lake.close();
  await rm(dir, { recursive: true, force: true });
});

const keysOf = async (prefix: string): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
};
const hinted = async (table: Table = 'events', project = 'shop'): Promise<number> =>
  Number(Buffer.from(await store.get(paths.icebergHint(project, table))).toString());
const metadataOf = async (table: Table = 'events', project = 'shop'): Promise<Metadata> =>
  getJson(store, paths.icebergMetadata(project, table, await hinted(table, project)));
const entriesOf = async (snapshot: Snapshot, table: Table = 'events'): Promise<Entry[]> => {
  const list = decodeManifestList(
    store.location,
    await store.get(keyOf(store.location, snapshot['manifest-list'])),
  );
  const all = list.map(async ({ key }) => decodeManifest(table, store.location, await store.get(key)));
  return (await Promise.all(all)).flat();
};
/** Rows of the files that a snapshot added, or has. */
const rowsIn = (entries: Entry[], status: Entry['status'], snapshot: number): number =>
  entries
    .filter((entry) => entry.status === status && (status === 'existing' || entry.snapshot === snapshot))
    .reduce((sum, { file }) => sum + file.rows, 0);
const operations = ({ snapshots }: Metadata): string[] => snapshots.map(({ summary }) => summary.operation);

/** What a table leads to is there, and is what the project's manifest has. */
async function check(project = 'shop'): Promise<void> {
  const root = await newestRoot(store, project);
  const days = await createImmutableReader<DayManifest>(store)(Object.values(root?.days ?? {}));
  for (const table of TABLES) {
    const files = days.flatMap((day) => day.files).filter((file) => file.table === table);
    if (!files.length && !(await keysOf(paths.icebergTable(project, table))).length) continue;
    const metadata = await metadataOf(table, project);
    const current = metadata.snapshots.at(-1)!;
    expect(metadata['current-snapshot-id']).toBe(current['snapshot-id']);
    const entries = (await entriesOf(current, table)).filter(({ status }) => status !== 'deleted');
    expect(entries.map(({ file }) => file).sort(byKey)).toEqual(files.map(asIceberg).sort(byKey));
    for (const snapshot of metadata.snapshots) await entriesOf(snapshot, table);
  }
}
/** What an Iceberg manifest has no place for is left out. */
const asIceberg = ({ sealed: _sealed, sha256: _hash, groups: _groups, ...file }: LakeFile): LakeFile => file;
const byKey = (a: LakeFile, b: LakeFile): number => (a.key < b.key ? -1 : 1);

describe('a publication', () => {
  it('follows the manifest, and appends what came', async () => {
    const maintenance = lake.maintain();
    for (const day of [0, 1, 1]) {
      await lake.record({ startMs: t0 - day * DAY_MS });
      await maintenance.compact(t0);
      await check();
    }
    const metadata = await metadataOf();
    expect(operations(metadata)).toEqual(['append', 'append', 'append']);
    expect(metadata.snapshots.map(({ summary }) => summary['total-records'])).toEqual(['100', '200', '300']);
    for (const snapshot of metadata.snapshots)
      expect(rowsIn(await entriesOf(snapshot), 'added', snapshot['snapshot-id'])).toBe(100);
    expect(metadata.location).toBe(`file://${join(dir, 'lake')}/${paths.icebergTable('shop', 'events')}`);
  });

  it('replaces what was merged, after it appended what came merged with it', async () => {
    const maintenance = lake.maintain();
    for (let i = 0; i < 8; i++) {
      await lake.record({ startMs: t0 + i });
      await maintenance.compact(t0);
      await check();
    }
    const metadata = await metadataOf();
    expect(operations(metadata)).toEqual([...Array<string>(8).fill('append'), 'replace']);
    const [append, replace] = await Promise.all(metadata.snapshots.slice(-2).map((one) => entriesOf(one)));
    const [appended, replaced] = metadata.snapshots.slice(-2).map((one) => one['snapshot-id']);
    expect(rowsIn(append!, 'added', appended!)).toBe(100);
    expect(rowsIn(replace!, 'deleted', replaced!)).toBe(800);
    expect(rowsIn(replace!, 'added', replaced!)).toBe(800);
    // The file that came merged was seen by no other reader, and is there for those that read what was appended.
    for (const { file } of append!) await store.get(file.key);
    const sequences = metadata.snapshots.map((snapshot) => snapshot['sequence-number']);
    expect(sequences).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(
      replace!
        .filter(({ status }) => status === 'deleted')
        .map(({ sequence }) => sequence)
        .sort(),
    ).toEqual(sequences.slice(0, 8));
  });

  it('keeps a version apart that another processor did not publish', async () => {
    const maintenance = lake.maintain();
    const silent = lake.maintain(
      withMethods(store, {
        put: async (key, bytes, options) => {
          if (key.startsWith(paths.icebergPrefix)) throw new StoreError('store_unavailable', 'no');
          await store.put(key, bytes, options);
        },
      }),
    );
    await lake.record({ startMs: t0 });
    await maintenance.compact(t0);
    for (let i = 1; i < 8; i++) {
      await lake.record({ startMs: t0 + i });
      await expect(silent.compact(t0)).rejects.toThrow('no');
    }
    await maintenance.compact(t0);
    await check();
    expect(operations(await metadataOf())).toEqual([...Array<string>(8).fill('append'), 'replace']);
  });

  it('writes only the manifests of days that changed, and one a month of those that are closed', async () => {
    const maintenance = lake.maintain();
    const [first, second] = [t0 - 70 * DAY_MS, t0 - 69 * DAY_MS];
    for (const startMs of [first, second, t0 - DAY_MS, t0]) {
      await lake.record({ startMs, days: 365 });
      await maintenance.compact(t0);
    }
    const written = (await keysOf(paths.icebergTable('shop', 'events'))).filter((key) =>
      key.includes('/00000004-'),
    );
    expect(written).toHaveLength(2);
    const current = (await metadataOf()).snapshots.at(-1)!;
    const list = decodeManifestList(
      store.location,
      await store.get(keyOf(store.location, current['manifest-list'])),
    );
    const sameMonth = new Date(first).getUTCMonth() === new Date(second).getUTCMonth();
    expect(list).toHaveLength(sameMonth ? 3 : 4);
  });

  it('drops snapshots whose files may be gone', async () => {
    const maintenance = lake.maintain();
    for (const atMs of [0, HOUR_MS, HOUR_MS + GRACE_MS]) {
      await lake.record({ startMs: t0 + atMs });
      await maintenance.compact(t0 + atMs);
    }
    expect((await metadataOf()).snapshots).toHaveLength(2);
    await maintenance.sweep(t0 + 2 * HOUR_MS);
    expect((await metadataOf()).snapshots).toHaveLength(1);
    const before = await keysOf(paths.icebergPrefix);
    await maintenance.sweep(t0 + 2 * HOUR_MS + 1000);
    expect(await keysOf(paths.icebergPrefix)).toEqual(before);
    await check();
  });

  it('begins anew where the store was moved, and on what cannot be read', async () => {
    await lake.record({ startMs: t0 });
    await lake.maintain().compact(t0);
    const moved = withMethods(store, { location: 's3://elsewhere' } as Partial<Store>);
    await lake.maintain(moved).sweep(t0 + 3 * HOUR_MS);
    expect(await metadataOf()).toMatchObject({
      location: `s3://elsewhere/${paths.icebergTable('shop', 'events')}`,
      snapshots: [{ summary: { operation: 'append', 'total-records': '100' } }],
    });
    await store.put(paths.icebergMetadata('shop', 'events', 2), Buffer.from('{'));
    await lake.maintain().sweep(t0 + 6 * HOUR_MS);
    await check();
    expect(await hinted()).toBe(3);
  });
});

describe('gone means gone', () => {
  /** Objects of other readers' metadata in which the session stands, also inside Avro's compressed blocks. */
  const naming = async (session: string): Promise<string[]> => {
    const found: string[] = [];
    for (const key of await keysOf(paths.icebergPrefix)) {
      const bytes = await store.get(key);
      const table = TABLES.find((one) => key.includes(`/${one}/`))!;
      const text = ((): string => {
        if (!key.endsWith('.avro')) return Buffer.from(bytes).toString();
        try {
          return JSON.stringify(decodeManifest(table, store.location, bytes));
        } catch {
          return JSON.stringify(decodeManifestList(store.location, bytes));
        }
      })();
      if (text.includes(session)) found.push(key);
    }
    return found;
  };

  it('after an erasure no metadata names the session, and no snapshot leads to what is gone', async () => {
    const maintenance = lake.maintain();
    const erased: string[] = [];
    for (let i = 0; i < 10; i++) {
      const [row] = await lake.record({ startMs: t0 + i });
      if (i === 0 || i === 9) erased.push(row!.session_id);
      await maintenance.compact(t0);
    }
    for (const session of erased) {
      expect(await naming(session)).not.toEqual([]);
      await lake.erase('shop', session, t0);
      await maintenance.sweep(t0);
      expect(await naming(session)).toEqual([]);
      await check();
      const metadata = await metadataOf();
      expect(metadata.snapshots).toHaveLength(1);
      expect(['overwrite', 'delete']).toContain(operations(metadata)[0]);
      for (const { file, status } of await entriesOf(metadata.snapshots[0]!))
        if (status !== 'deleted') await store.get(file.key);
      expect(
        (await keysOf(paths.icebergTable('shop', 'events'))).filter((key) => key.endsWith('.json')),
      ).toHaveLength(1);
    }
    expect((await metadataOf()).snapshots[0]!.summary['total-records']).toBe('800');
  });

  it('an erasure that was broken off at any write or removal is made whole by the next sweep', async () => {
    // A hundred sweeps, of which the disk is not what matters.
    store = openMemoryStore(Date.now);
    await lake.close();
    lake = await createDaysLake(store);
    const counted = { puts: 0, failAt: 0 };
    const act = async (): Promise<void> => {
      if (++counted.puts === counted.failAt) throw new StoreError('store_unavailable', 'broken off');
    };
    const brittle = withMethods(store, {
      put: async (key, bytes, options) => {
        await act();
        await store.put(key, bytes, options);
      },
      remove: async (keys) => {
        await act();
        await store.remove(keys);
      },
    });
    let whole = false;
    for (let failAt = 1; !whole; failAt++) {
      const startMs = t0 + failAt * 1000;
      const [kept] = await lake.record({ startMs });
      const [row] = await lake.record({ startMs: startMs + 1 });
      await lake.maintain().compact(t0);
      await lake.erase('shop', row!.session_id, t0);
      Object.assign(counted, { puts: 0, failAt });
      await lake
        .maintain(brittle)
        .sweep(t0)
        .then(
          () => (whole = true),
          () => {},
        );
      await lake.maintain().sweep(t0);
      expect(await naming(row!.session_id), `broken off at ${failAt}`).toEqual([]);
      expect(await naming(kept!.session_id)).not.toEqual([]);
      expect(
        (await getJson<{ done?: object }>(store, paths.erasure('shop', row!.session_id))).done,
      ).toBeTruthy();
      await check();
    }
    expect(counted.failAt).toBeGreaterThan(10);
  });

  it('an expiry drops what was before, and leaves the files to readers that still use them', async () => {
    await lake.record({ startMs: t0 });
    await lake.record({ startMs: t0 + 1, days: 90 });
    const maintenance = lake.maintain();
    await maintenance.sweep(t0);
    const files = await keysOf(paths.classPrefix('r30'));
    const untilMs = t0 + 33 * DAY_MS;
    await maintenance.sweep(untilMs);
    await check();
    const metadata = await metadataOf();
    expect(operations(metadata)).toEqual(['delete']);
    expect(metadata.snapshots[0]!.summary['total-records']).toBe('100');
    expect(await keysOf(paths.classPrefix('r30'))).toEqual(files);
  });
});

describe('publishers that race or stop', () => {
  it('leave the state before or the one after, wherever one stops', async () => {
    await lake.record({ startMs: t0 });
    await lake.maintain().compact(t0);
    for (let failAt = 1, whole = false; !whole; failAt++) {
      await lake.record({ startMs: t0 + failAt });
      let puts = 0;
      const brittle = withMethods(store, {
        put: async (key, bytes, options) => {
          if (key.startsWith(paths.icebergPrefix) && ++puts === failAt)
            throw new StoreError('store_unavailable', 'stopped');
          await store.put(key, bytes, options);
        },
      });
      await lake
        .maintain(brittle)
        .compact(t0)
        .then(
          () => (whole = true),
          () => {},
        );
      const seen = Number((await metadataOf()).snapshots.at(-1)!.summary['total-records']);
      expect([failAt * 100, failAt * 100 + 100]).toContain(seen);
      for (const snapshot of (await metadataOf()).snapshots) await entriesOf(snapshot);
      await lake.maintain().compact(t0);
      await check();
    }
    const maintenance = lake.maintain();
    for (const hours of [4, 5]) await maintenance.sweep(t0 + hours * HOUR_MS);
    await check();
    const left = await keysOf(paths.icebergTable('shop', 'events'));
    const named = (
      await Promise.all(
        (await metadataOf()).snapshots.map(async (one) => {
          const list = keyOf(store.location, one['manifest-list']);
          return [list, ...decodeManifestList(store.location, await store.get(list)).map(({ key }) => key)];
        }),
      )
    ).flat();
    expect(left.filter((key) => key.endsWith('.avro')).sort()).toEqual([...new Set(named)].sort());
  });

  it('never make a version that is less than the manifest was', { timeout: 60_000 }, async () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
    process.stdout.write(`racing publishers: SEED=${seed}\n`);
    const random = createRandom(seed);
    const maintainers = [lake.maintain(), lake.maintain()];
    const sessions: string[] = [];
    // By the store's clock too, which tells what is being written from what was left.
    let nowMs = Date.now();
    const startMs = nowMs;
    const ignoreVanished = (error: unknown): void => {
      if ((error as { code?: string }).code !== 'not_found') throw error;
    };
    for (let step = 0; step < 40; step++) {
      const dice = random();
      if (dice < 0.4) {
        const [row] = await lake.record({
          startMs: startMs - Math.floor(random() * 5) * DAY_MS + step,
          count: 5,
          days: 90,
        });
        sessions.push(row!.session_id);
      } else if (dice < 0.75)
        await Promise.all(maintainers.map((one) => one.compact(nowMs).catch(ignoreVanished)));
      else {
        nowMs += Math.floor(random() * GRACE_MS) / 2;
        if (dice > 0.9 && sessions.length) await lake.erase('shop', sessions.pop()!, nowMs);
        await Promise.all(maintainers.map((one) => one.sweep(nowMs).catch(ignoreVanished)));
      }
      if (!(await newestRoot(store, 'shop'))) continue;
      await maintainers[step % 2]!.compact(nowMs);
      await check();
    }
    await maintainers[0]!.sweep(nowMs);
    expect(Number((await metadataOf()).snapshots.at(-1)!.summary['total-records'])).toBe(
      lake.rows('shop').length,
    );
  });

  it('put the hint right that one of them wrote late', async () => {
    await lake.record({ startMs: t0 });
    await lake.maintain().compact(t0);
    await lake.record({ startMs: t0 + 1 });
    const late = withMethods(store, {
      put: async (key, bytes, options) => {
        await store.put(key, bytes, options);
        if (!key.endsWith('v2.metadata.json') || !key.includes('/events/')) return;
        await lake.record({ startMs: t0 + 2 });
        await lake.maintain().compact(t0);
        expect(await hinted()).toBe(3);
      },
    });
    await lake.maintain(late).compact(t0);
    expect(await hinted()).toBe(3);
    await store.put(paths.icebergHint('shop', 'events'), Buffer.from('1'));
    await lake.maintain().compact(t0);
    expect(await hinted()).toBe(3);
  });

  it('ask the store for nothing more when nothing changed', async () => {
    await lake.record({ startMs: t0 });
    await lake.maintain().compact(t0);
    let asked = 0;
    const counting = withMethods(store, {
      get: (...args) => (asked++, store.get(...args)),
      list: (...args) => (asked++, store.list(...args)),
    });
    const state = createManifestReader(store);
    const iceberg = createIceberg({
      store: counting,
      state,
      nonce: () => 'n',
      graceMs: GRACE_MS,
      log: createLog('silent'),
    });
    await iceberg.publish('shop', t0);
    asked = 0;
    await iceberg.publish('shop', t0);
    expect(asked).toBe(0);
  });
});

describe('a step is taken for', () => {
  const file = (name: string, rows: number): LakeFile => ({
    ...{ key: name, table: 'events', class: 'r30', bytes: 1, rows },
    ...{ firstSession: 'a', lastSession: 'b', minMs: 0, maxMs: 1 },
  });
  const [a, b, c] = [file('a', 1), file('b', 2), file('c', 3)];
  const live = (...files: LakeFile[]) => [
    ...[{ key: 'm', bytes: 1, snapshot: 1, sequence: 1 }].map((manifest) => ({
      ...manifest,
      entries: files.map((one): Entry => ({ status: 'added', snapshot: 1, sequence: 1, file: one })),
    })),
  ];
  const steps = (
    before: LakeFile[],
    after: LakeFile[],
    merges: { into: string; of: LakeFile[] }[] = [],
  ): string[] =>
    stepsTo({ version: 1, files: after, merges }, live(...before)).map(
      ({ operation, added, removed }) =>
        `${operation} +${added.map(({ key }) => key).join('')} -${[...removed].sort().join('')}`,
    );
  it('an append, a replacement, or both', () => {
    expect(steps([a], [a])).toEqual([]);
    expect(steps([a], [a, b])).toEqual(['append +b -']);
    expect(steps([a, b], [c], [{ into: 'c', of: [a, b] }])).toEqual(['replace +c -ab']);
    expect(steps([a], [c], [{ into: 'c', of: [a, b] }])).toEqual(['append +b -', 'replace +c -ab']);
    expect(steps([a, b], [c, file('d', 9)], [{ into: 'c', of: [a, b] }])).toEqual([
      'append +d -',
      'replace +c -ab',
    ]);
  });
  it('an overwrite or a deletion when rows went, or no one says why', () => {
    expect(steps([a, b], [a])).toEqual(['delete + -b']);
    expect(steps([a, b], [c])).toEqual(['overwrite +c -ab']);
    expect(steps([a, b], [file('c', 2)], [{ into: 'c', of: [a, b] }])).toEqual(['overwrite +c -ab']);
    expect(steps([a, b, file('d', 9)], [c], [{ into: 'c', of: [a, b] }])).toEqual(['overwrite +c -abd']);
  });
});
