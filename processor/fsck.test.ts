import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '#service';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDaysLake, GRACE_MS, type DaysLake } from './fixture-days.ts';
import { fsck, type FsckOptions } from './fsck.ts';
import { encodeSessionsFile } from './lake-file.ts';
import { encodeJson, getJson, newestRoot } from './lake-reader.ts';
import { paths, placeOf, utcDate, type DayManifest, type LakeFile, type RootManifest } from './layout.ts';
import { repair } from './repair.ts';
import { createRandom, sessionAt, withMethods } from './samples.ts';
import { openLakeReader, openStore, StoreError, type Store } from './store.ts';
import { decodeFile } from './x-hyparquet.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const t0 = Date.now();
const today = Date.parse(utcDate(t0));

let dir: string;
let store: Store;
let lake: DaysLake;
let nonces = 0;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'fsck-'));
  store = await openStore(dir);
  lake = await createDaysLake(store);
});
afterEach(async () => {
  await lake.close();
  await rm(dir, { recursive: true, force: true });
});

const options = (more: Partial<FsckOptions> = {}): FsckOptions => ({ nowMs: t0, graceMs: GRACE_MS, ...more });
const wrong = async (more: Partial<FsckOptions> = {}): Promise<string[]> =>
  (await fsck(store, options(more))).findings
    .filter(({ level }) => level === 'wrong')
    .map(({ code }) => code)
    .sort();
const mend = () =>
  repair({ store, nonce: () => `r${String(nonces++)}`, log: createLog('silent') }, options());

/** Keys of all recorded rows that readers see; a row seen twice is twice in it. */
async function seen(project = 'shop'): Promise<string[]> {
  const view = await openLakeReader(store, () => t0).view(project);
  const keys: string[] = [];
  for (const { table, key, class: cls } of view.files)
    for (const row of table === 'sessions' ? [] : await decodeFile(table, await store.get(key)))
      if (row.project === project && !view.erased.has(row.session_id))
        keys.push(
          `${table} ${cls} ${JSON.stringify(row, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v))}`,
        );
  return keys.sort();
}

/** Days and classes of which there are events and no sessions. */
async function withoutSessions(): Promise<string[]> {
  const tables = new Map<string, Set<string>>();
  for (const { key, table } of (await openLakeReader(store, () => t0).view('shop')).files) {
    const { class: cls, date } = placeOf(key) ?? {};
    if (cls) tables.set(`${cls} ${date}`, (tables.get(`${cls} ${date}`) ?? new Set()).add(table));
  }
  return [...tables].filter(([, has]) => has.has('events') && !has.has('sessions')).map(([place]) => place);
}

/** Two days and two classes of one project and one of another, partly merged; then one commit that nobody took in. */
async function fill(): Promise<void> {
  for (let i = 0; i < 9; i++) await lake.record({ startMs: today - 3 * DAY_MS + i * 60_000, count: 5 });
  const maintenance = lake.maintain();
  await maintenance.sweep(t0);
  await lake.record({ startMs: today - 2 * DAY_MS, count: 7, days: 90 });
  await lake.record({ startMs: today - 3 * DAY_MS + HOUR_MS, count: 7 });
  await lake.record({ project: 'bank', startMs: today - 3 * DAY_MS, count: 3 });
  await lake.maintain().sweep(t0);
  await lake.record({ startMs: today - 3 * DAY_MS + 2 * HOUR_MS, count: 4 });
}
/** Lets go of what readers see no more: files of commits that were taken in, and files that were merged. */
async function spend(): Promise<void> {
  const named = new Set<string>();
  for (const project of ['shop', 'bank'])
    for (const { key } of (await openLakeReader(store, () => t0).view(project)).files) named.add(key);
  for await (const { key } of store.list(''))
    if (key.endsWith('.parquet') && !named.has(key)) await store.remove([key]);
}

const root = async (): Promise<RootManifest> => (await newestRoot(store, 'shop'))!;
async function day(at = 0): Promise<{ key: string; manifest: DayManifest }> {
  const key = Object.values((await root()).days)[at]!;
  return { key, manifest: await getJson<DayManifest>(store, key) };
}
const fileOf = async (table: LakeFile['table'], at = 0): Promise<LakeFile> =>
  (await day(at)).manifest.files.filter((file) => file.table === table).sort((a, b) => b.rows - a.rows)[0]!;
const flip = async (key: string, at: number): Promise<void> => {
  const bytes = Buffer.from(await store.get(key));
  bytes[at]! ^= 0x40;
  await store.put(key, bytes);
};
const edit = async (change: (file: LakeFile) => Partial<LakeFile>): Promise<void> => {
  const { key, manifest } = await day();
  const files = manifest.files.map((file, i) => (i ? file : { ...file, ...change(file) }));
  await store.put(key, encodeJson({ ...manifest, files }));
};

/** What is done to the lake, what is found, and whether rows can be lost by it once the commits are gone. */
const DAMAGES: Record<string, { act: () => Promise<void>; codes: string[]; losesRows?: boolean }> = {
  'the newest root deleted': {
    act: async () => store.remove([paths.manifest('shop', (await root()).version)]),
    codes: ['root_lost'],
  },
  'every root deleted': {
    act: async () => {
      for (let version = (await root()).version; version > 0; version--)
        await store.remove([paths.manifest('shop', version)]);
    },
    codes: ['root_lost'],
  },
  'the newest root cut off': {
    act: async () => store.put(paths.manifest('shop', (await root()).version), Buffer.from('{"v":1,"proj')),
    codes: ['bad_root'],
  },
  'a day manifest deleted': { act: async () => store.remove([(await day()).key]), codes: ['day_lost'] },
  'a day manifest that is none': {
    act: async () => store.put((await day()).key, Buffer.from('null')),
    codes: ['bad_day'],
  },
  'root and day manifests deleted': {
    act: async () => {
      for await (const { key } of store.list(paths.projectManifestPrefix('shop'))) await store.remove([key]);
    },
    codes: ['root_lost'],
  },
  'a data file deleted': {
    act: async () => store.remove([(await fileOf('events')).key]),
    codes: ['file_lost'],
    losesRows: true,
  },
  'a file cut off': {
    act: async () => {
      const { key, bytes } = await fileOf('replay');
      await store.put(key, (await store.get(key)).subarray(0, bytes - 20));
    },
    codes: ['unreadable', 'wrong_hash', 'wrong_size'],
    losesRows: true,
  },
  'a byte flipped': {
    act: async () => flip((await fileOf('events')).key, 60),
    codes: ['wrong_hash'],
    losesRows: true,
  },
  'two files swapped': {
    act: async () => {
      const [a, b] = [(await fileOf('events')).key, (await fileOf('events', 1)).key];
      const [bytesA, bytesB] = [await store.get(a), await store.get(b)];
      await store.put(a, bytesB);
      await store.put(b, bytesA);
    },
    codes: ['wrong_hash', 'wrong_hash', 'wrong_size', 'wrong_size'],
  },
  'a wrong row count': {
    act: () => edit(({ rows }) => ({ rows: rows + 1 })),
    codes: ['iceberg_differs', 'wrong_rows'],
  },
  'wrong bounds': { act: () => edit(() => ({ minMs: 1 })), codes: ['wrong_bounds'] },
  'a wrong size': { act: () => edit(() => ({ bytes: 5 })), codes: ['iceberg_differs', 'wrong_size'] },
  'rows told to be of another table': {
    act: () => edit(({ table }) => ({ table: table === 'events' ? 'replay' : 'events' })),
    codes: ['iceberg_differs', 'wrong_columns'],
  },
  'a session of which too little is told': {
    act: async () => {
      const line = await fileOf('sessions');
      const rows = await decodeFile('sessions', await store.get(line.key));
      const told = rows.map((row) => ({ ...row, events: row.events - 1 }));
      const { file, bytes } = await encodeSessionsFile(line.key, line.class, told);
      await store.put(line.key, bytes);
      const { key, manifest } = await day();
      const files = manifest.files.map((one) => (one.key === line.key ? file : one));
      await store.put(key, encodeJson({ ...manifest, files }));
    },
    codes: ['session_rows'],
  },
  'a file of sessions cut off': {
    act: async () => {
      const { key, bytes } = await fileOf('sessions');
      await store.put(key, (await store.get(key)).subarray(0, bytes - 20));
    },
    codes: ['unreadable', 'wrong_hash', 'wrong_size'],
  },
  'other readers led to less': {
    act: async () => {
      for await (const { key } of store.list(paths.icebergTable('shop', 'events')))
        if (key.endsWith('.avro')) await store.remove([key]);
    },
    codes: ['iceberg_differs'],
  },
};

describe('a whole lake', () => {
  it('is found well, while commits are there and when they are gone, and by a quick look', async () => {
    await fill();
    const report = await fsck(store, options());
    expect(report.findings.filter(({ level }) => level === 'wrong')).toEqual([]);
    expect(report.projects).toEqual(['bank', 'shop']);
    // Of both recorded tables 9 * 5 + 7 + 7 + 3 in files, 4 in the commit; of sessions 9 + 1 + 1 + 1.
    expect(report.rows).toBe(2 * (45 + 7 + 7 + 3 + 4) + 12);
    await spend();
    expect(await wrong()).toEqual([]);
    expect(await wrong({ quick: true })).toEqual([]);
    expect((await fsck(store, options({ quick: true }))).rows).toBe(0);
    expect((await fsck(store, options({ project: 'bank' }))).projects).toEqual(['bank']);
  });

  it('is not changed by a repair', async () => {
    await fill();
    const before = await root();
    expect((await mend()).done).toEqual([]);
    expect(await root()).toEqual(before);
  });
});

describe.each(Object.entries(DAMAGES))('%s', (_, { act, codes, losesRows }) => {
  it('is found and repaired, with the rows seen before', async () => {
    await fill();
    const before = await seen();
    const others = await seen('bank');
    await act();
    const unique = [...new Set(await wrong())];
    for (const code of codes) expect(unique).toContain(code);
    await mend();
    expect(await wrong()).toEqual([]);
    expect(await seen()).toEqual(before);
    expect(await seen('bank')).toEqual(others);
  });

  it('is found and repaired when the commits are gone, as far as there are bytes', async () => {
    await fill();
    await spend();
    const before = await seen();
    await act();
    expect(await wrong()).not.toEqual([]);
    const { done } = await mend();
    expect(await wrong()).toEqual([]);
    const after = await seen();
    if (losesRows) expect(done.join('\n')).toMatch(/rows that were told are in no file any more/);
    if (losesRows) expect(before).toEqual(expect.arrayContaining(after));
    else expect(after).toEqual(before);
    // What goes on goes on: the commit that was pending is taken in once, and other readers follow.
    await lake.maintain().sweep(t0);
    expect(await seen()).toEqual(after);
    expect(await wrong()).toEqual([]);
    expect(await withoutSessions()).toEqual([]);
  });
});

describe('what is found and left', () => {
  it('a stray file: told within the grace, wrong after it, and no row of it is seen', async () => {
    await fill();
    const { key, date } = { key: (await fileOf('events')).key, date: (await day()).manifest.date };
    await store.put(paths.file('r30', 'events', 'shop', date, 'stray'), await store.get(key));
    const report = await fsck(store, options());
    const stray = report.findings.filter(({ key }) => key.endsWith('/stray.parquet'));
    expect(stray).toMatchObject([
      { level: 'note', code: 'leftover', why: expect.stringContaining('minutes old') },
    ]);
    expect(await wrong({ nowMs: t0 + 5 * HOUR_MS })).toContain('leftover');
  });

  it('an asset whose content is not what its name says is put aside', async () => {
    await fill();
    const bytes = Buffer.from('an image');
    const name = (content: Buffer): string => `${createHash('sha256').update(content).digest('hex')}.png`;
    const good = paths.asset('r30', 'shop', utcDate(t0), name(bytes));
    const bad = paths.asset('r30', 'shop', utcDate(t0), name(Buffer.from('another')));
    for (const key of [good, bad]) await store.put(key, bytes);
    expect(await wrong()).toEqual(['asset_hash']);
    await mend();
    expect(await wrong()).toEqual([]);
    expect(Buffer.from(await store.get(good))).toEqual(bytes);
    expect(Buffer.from(await store.get(paths.quarantinedFile(bad)))).toEqual(bytes);
  });

  it('a file of a commit: the commit is let be without it, and the rest goes on', async () => {
    await fill();
    const before = await seen();
    const pending = paths.l0File(0, 13, 'nonce', 'r30', 'replay');
    await flip(pending, 30);
    expect(await wrong()).toEqual(['commit_file_bad']);
    await mend();
    expect(await wrong()).toEqual([]);
    await lake.maintain().sweep(t0);
    const after = await seen();
    expect(after).toHaveLength(before.length - 4);
    expect(before).toEqual(expect.arrayContaining(after));
  });

  it('an erased session does not come back by a repair', async () => {
    await fill();
    const erased = sessionAt(today - 3 * DAY_MS, 1);
    await lake.erase('shop', erased, t0);
    const before = await seen();
    for await (const { key } of store.list(paths.projectManifestPrefix('shop'))) await store.remove([key]);
    await mend();
    expect(await seen()).toEqual(before);
    const kept: string[] = [];
    for (const file of (await openLakeReader(store, () => t0).view('shop')).files)
      if (!file.key.startsWith(paths.l0Prefix))
        for (const row of await decodeFile(file.table, await store.get(file.key)))
          if (row.session_id === erased) kept.push(file.key);
    expect(kept).toEqual([]);
  });
});

it('a project of which only files are left is made anew from them', async () => {
  await fill();
  const before = await seen();
  for (const prefix of [paths.projectManifestPrefix('shop'), paths.icebergPrefix])
    for await (const { key } of store.list(prefix)) await store.remove([key]);
  expect(await wrong()).toEqual([]);
  const later = options({ nowMs: t0 + 3 * HOUR_MS });
  expect((await fsck(store, later)).findings.map(({ code }) => code)).toContain('root_lost');
  await repair({ store, nonce: () => `r${String(nonces++)}`, log: createLog('silent') }, later);
  expect(await seen()).toEqual(before);
  // The project that has its root has lost what other readers are led by, and its next compaction publishes it.
  expect(await wrong()).toEqual([]);
});

it('what a crash left of a compaction does not show the rows of its commits twice', async () => {
  await fill();
  await lake.record({ startMs: today - 2 * DAY_MS, count: 3 });
  const before = await seen();
  const crash = withMethods(store, {
    put: async (key, ...rest) => {
      if (/manifest\/project=shop\/\d+\.json$/.test(key)) throw new StoreError('store_unavailable', 'crash');
      await store.put(key, ...rest);
    },
  });
  await expect(lake.maintain(crash).compact(t0)).rejects.toThrow('crash');
  expect(await seen()).toEqual(before);
  for (const { key } of [await day(0), await day(1)]) await store.remove([key]);
  await mend();
  expect(await seen()).toEqual(before);
  await store.remove([paths.manifest('shop', (await root()).version)]);
  await mend();
  expect(await seen()).toEqual(before);
  expect(await wrong()).toEqual([]);
});

it('finds nothing wrong in a lake that is written meanwhile', { timeout: 60_000 }, async () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
  process.stdout.write(`fsck of a lake at work: SEED=${seed}\n`);
  const random = createRandom(seed);
  await fill();
  const [one, other] = [lake.maintain(), lake.maintain()];
  let clockMs = t0;
  for (let round = 0; round < 15; round++) {
    for (let i = 0; i < 3; i++)
      await lake.record({ startMs: today - 3 * DAY_MS, count: 1 + Math.floor(random() * 5) });
    clockMs += Math.floor(random() * HOUR_MS);
    if (round === 7) await lake.erase('shop', sessionAt(today - 3 * DAY_MS, 1), t0);
    const found: string[] = [];
    const work = [one, other].map((maintenance) => maintenance.sweep(clockMs).catch(ignoreVanished));
    const looks = [1, 2].map(async () => found.push(...(await wrong())));
    await Promise.all([...work, ...looks]);
    expect(found, `round ${round}`).toEqual([]);
  }
});

/** One maintainer may remove what the other is about to read. */
function ignoreVanished(error: unknown): void {
  if (!(error instanceof StoreError && error.code === 'not_found')) throw error;
}

it(
  'random damage to manifests of a random lake is repaired, every row seen once',
  { timeout: 60_000 },
  async () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
    process.stdout.write(`random damage: SEED=${seed}\n`);
    const random = createRandom(seed);
    const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)]!;
    const acts = Object.values(DAMAGES).filter(({ losesRows }) => !losesRows);
    await fill();
    for (let round = 0; round < 12; round++) {
      for (let i = Math.floor(random() * 4); i > 0; i--)
        await lake.record({
          startMs: today - pick([2, 3]) * DAY_MS,
          count: 1 + Math.floor(random() * 6),
          days: pick([30, 90]),
        });
      // A repair leaves `sessions` out, which some damage is done to.
      if (random() < 0.6 || !(await fileOf('sessions'))) await lake.maintain().sweep(t0);
      const before = await seen();
      // Damage needs a lake with manifests to damage.
      await pick(acts).act();
      await mend();
      expect(await wrong(), `round ${round}`).toEqual([]);
      expect(await seen(), `round ${round}`).toEqual(before);
      expect(new Set(before).size, `round ${round}`).toBe(before.length);
    }
  },
);
