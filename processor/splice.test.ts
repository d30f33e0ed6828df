import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { decodeCheckpoint } from './checkpoints.ts';
import { sha256Of } from './damage.ts';
import { compareLine, inspectFile } from './inspect-file.ts';
import { encodeReplayFile } from './lake-file.ts';
import {
  ASSETS_KEY,
  GROUP_ASSETS_KEY,
  LAYOUT_VERSION_KEY,
  paths,
  sessionDate,
  type LakeFile,
  type ReplayRow,
} from './layout.ts';
import { namesIn } from './moved-assets.ts';
import { partFile } from './part-file.ts';
import { findIn } from './readable.ts';
import { compareRows, planReplayGroups } from './row-groups.ts';
import { createRandom, sessionAt, withMethods } from './samples.ts';
import { createAssetReader, putMerged, putSealed, wholeRows } from './seal.ts';
import type { SpliceableGroup } from './splice.ts';
import { assetsIn } from './split-assets.ts';
import { openStore, type Store } from './store.ts';
import { replayRows, START_MS } from './test-replay-rows.ts';
import { decodeSpliceableGroups } from './parquet-groups.ts';
import { decodeFile, encodeFile, readerOf } from './x-hyparquet.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
const random = createRandom(SEED);
const int = (below: number): number => Math.floor(random() * below);
console.log(`splicing: SEED=${SEED}`);

const date = sessionDate(sessionAt(START_MS, 1));
const place = { class: 'r30', project: 'shop', date } as const;

/** Page loads of several sessions, each session in the style of its own or of another's. */
const sampleLoads = (): ReplayRow[][] =>
  ['1a', '1b', '2a', '3a', '3b', '3c', '4a'].map((which) =>
    replayRows(
      sessionAt(START_MS, Number(which[0])),
      which[1]!,
      10 + int(400),
      int(2 ** 31),
      String(int(Number(which[0]))),
    ),
  );

/** Of a checkpoint its page, but for the ids that the fold gives out: how the rest is told depends on where it began. */
const alike = ({ payload, ...row }: ReplayRow) => ({
  ...row,
  payload:
    row.kind === 'event'
      ? payload
      : JSON.stringify(decodeCheckpoint(payload).node).replace(/"id":-\d{4,}/g, '"id":-1'),
});

/** The file with a text of its footer exchanged for another as long. */
function withFooter(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const buffer = Buffer.from(bytes);
  const at = buffer.indexOf(from, buffer.length - 8 - buffer.readUInt32LE(buffer.length - 8));
  expect(at).toBeGreaterThan(0);
  expect(to).toHaveLength(from.length);
  const changed = Uint8Array.from(bytes);
  changed.set(Buffer.from(to), at);
  return changed;
}
/** As it was before row groups told their assets, so that it is decoded. */
const older = (bytes: Uint8Array): Uint8Array =>
  withFooter(bytes, GROUP_ASSETS_KEY, GROUP_ASSETS_KEY.replace('group', 'GROUP'));
const groupsIn = (bytes: Uint8Array): Promise<SpliceableGroup[] | undefined> =>
  decodeSpliceableGroups(bytes.length, readerOf(bytes));
/** What is the same wherever a row group lies. */
const content = (groups: readonly SpliceableGroup[] | undefined) =>
  groups?.map(({ session, firstRid, firstSeq, lastSeq, minMs, maxMs, rows, snapshot, assets }) => ({
    ...{ session, firstRid, firstSeq, lastSeq, minMs, maxMs, rows, snapshot },
    assets: [...assets].sort(),
  }));

let directory: string;
let store: Store;
let files = 0;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'splice-'));
  store = await openStore(directory);
});
afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

const newKey = (): string => paths.file('r30', 'replay', 'shop', date, `f${files++}`);
const seal = async (rows: readonly ReplayRow[]): Promise<LakeFile> =>
  (await putSealed(store, { ...place, key: newKey() }, wholeRows(rows.toSorted(compareRows))))!.file;
const putPlain = async (rows: ReplayRow[]): Promise<LakeFile> => {
  const { file, bytes } = await encodeReplayFile(newKey(), 'r30', rows);
  await store.put(file.key, bytes);
  return file;
};
const putOlder = async (file: LakeFile): Promise<LakeFile> => {
  const whole = await store.get(file.key);
  const bytes = file.sealed ? older(whole) : whole;
  const copy = { ...file, key: newKey(), sha256: sha256Of(bytes) };
  await store.put(copy.key, bytes);
  return copy;
};
const merge = async (
  some: readonly LakeFile[],
  others: readonly LakeFile[] = [],
  skips = (_: string) => false,
  from = store,
): Promise<LakeFile> => {
  return (await putMerged(from, { ...place, key: newKey() }, some, others, skips))!.file;
};
const rowsIn = async ({ key }: LakeFile): Promise<ReplayRow[]> => decodeFile('replay', await store.get(key));
const eventsIn = async (file: LakeFile): Promise<ReplayRow[]> =>
  (await createAssetReader(store).joinAll(await rowsIn(file), file)).filter(({ kind }) => kind === 'event');

/** What is told of a file, and of each of its row groups, is what its rows say. */
async function expectTold(file: LakeFile): Promise<void> {
  const bytes = await store.get(file.key);
  const { rows, problems } = await inspectFile('replay', bytes);
  expect(problems).toEqual([]);
  expect(await compareLine(file, bytes, rows)).toEqual([]);
  const groups = (await groupsIn(bytes))!;
  let end = 0;
  for (const { rows: count, session, assets, snapshot } of groups) {
    const own = rows.slice(end, (end += count)) as ReplayRow[];
    expect(new Set(own.map((row) => row.session_id))).toEqual(new Set([session]));
    expect(new Set(assets)).toEqual(new Set(own.flatMap(({ payload }) => assetsIn(payload))));
    expect(snapshot).toBe(own[0]!.kind === 'checkpoint' || [2, 4].includes(own[0]!.type));
  }
  expect(end).toBe(rows.length);
  const names = (rows as ReplayRow[]).flatMap(({ payload }) => assetsIn(payload));
  expect(new Set(await namesIn(store, file))).toEqual(new Set(names));
}

describe('a merge', () => {
  test('has the rows, checkpoints, assets and row groups that it has when all is decoded', async () => {
    for (let round = 0; round < 6; round++) {
      const loads = sampleLoads();
      const contents: ReplayRow[][] = Array.from({ length: 4 }, () => []);
      for (const rows of loads) {
        const [one, two] = [contents[int(4)]!, contents[int(4)]!];
        const cut = random() < 0.6 ? rows.length : 1 + int(rows.length);
        one.push(...rows.slice(0, cut));
        if (one !== two) two.push(...rows.slice(Math.max(0, cut - int(30))));
        else one.push(...rows.slice(cut));
      }
      const sealed: LakeFile[] = [];
      for (const rows of contents.filter(({ length }) => length > 0))
        sealed.push(random() < 0.8 ? await seal(rows) : await putPlain(rows));
      const others = random() < 0.3 ? sealed.splice(0, 1) : [];
      const gone = random() < 0.3 ? sessionAt(START_MS, 1 + int(4)) : undefined;
      const skips = (session: string): boolean => session === gone;
      if ((await Promise.all(sealed.map(rowsIn))).flat().every((row) => skips(row.session_id))) continue;

      const spliced = await merge(sealed, others, skips);
      const decoded = await merge(await Promise.all(sealed.map(putOlder)), others, skips);
      expect((await rowsIn(spliced)).map(alike)).toEqual((await rowsIn(decoded)).map(alike));
      if (!others.length) expect(await rowsIn(spliced)).toEqual(await rowsIn(decoded));
      const bytes = await store.get(spliced.key);
      expect(content(await groupsIn(bytes))).toEqual(content(await groupsIn(await store.get(decoded.key))));
      await expectTold(spliced);
      if (!others.length)
        expect(await eventsIn(spliced)).toEqual(
          loads
            .flat()
            .sort(compareRows)
            .filter((row) => row.session_id !== gone),
        );
      // Once more it is the same to the byte.
      const again = await merge([spliced], others);
      if (!others.length) expect(again.sha256).toBe(spliced.sha256);
      else expect((await rowsIn(again)).map(alike)).toEqual((await rowsIn(spliced)).map(alike));
    }
  });

  test('asks for no asset and writes none, where each page load lies in one file alone', async () => {
    const loads = sampleLoads();
    const sealed = await Promise.all([0, 1, 2].map((n) => seal(loads.filter((_, i) => i % 3 === n).flat())));
    const asked: string[] = [];
    const counting = withMethods(store, {
      get: (key: string, ...more: unknown[]) => {
        asked.push(`get ${key}`);
        return (store.get as (...args: unknown[]) => Promise<Uint8Array>)(key, ...more);
      },
      put: (key: string, ...more: unknown[]) => {
        asked.push(`put ${key}`);
        return (store.put as (...args: unknown[]) => Promise<void>)(key, ...more);
      },
    });
    const merged = await merge(sealed, [], undefined, counting);
    expect(asked).toEqual([...sealed.map(({ key }) => `get ${key}`), `put ${merged.key}`]);
    // Only the page loads that go on in a further file are decoded.
    asked.length = 0;
    const [more] = loads.map((rows) => rows.slice(-5));
    await merge([merged, await putPlain(more!)], [], undefined, counting);
    expect(asked.filter((one) => one.includes('/assets/'))).not.toEqual([]);
  });
});

describe('no row group is spliced', () => {
  test.each([
    ['that does not tell their assets', GROUP_ASSETS_KEY, GROUP_ASSETS_KEY.replace('group', 'GROUP')],
    ['that is not sealed', ASSETS_KEY, ASSETS_KEY.replace('assets', 'ASSETS')],
    ['by another writer', '\x18\x09mutoscope', '\x18\x09mutoskope'],
    ['of another layout', `${LAYOUT_VERSION_KEY}\x18\x011`, `${LAYOUT_VERSION_KEY}\x18\x012`],
    ['with another column', '\x18\x04kind', '\x18\x04kynd'],
  ])('of a file %s', async (_, from, to) => {
    const bytes = await store.get((await seal(sampleLoads()[0]!)).key);
    expect(await groupsIn(bytes)).toBeDefined();
    expect(await groupsIn(withFooter(bytes, from, to))).toBeUndefined();
  });

  test('of a file where one holds more than one page load, or which tells of fewer than it has', async () => {
    const rows = await rowsIn(await seal(sampleLoads().flat()));
    const one = rows.filter(({ rid, session_id }) => rid === 'a' && session_id === rows[0]!.session_id);
    const encode = (some: ReplayRow[], sizes: number[]): Promise<Uint8Array> =>
      encodeFile('replay', some, sizes, { [ASSETS_KEY]: '[]', [GROUP_ASSETS_KEY]: '[[]]' });
    expect(await groupsIn(await encode(one, [one.length]))).toHaveLength(1);
    expect(await groupsIn(await encode(rows, [rows.length]))).toBeUndefined();
    expect(await groupsIn(await encode(one, [4, one.length - 4]))).toBeUndefined();
  });
});

test('fsck sees a row group that refers to another asset than it tells', async () => {
  const rows = await rowsIn(await seal(replayRows(sessionAt(START_MS, 1), 'a', 9, int(2 ** 31))));
  const [one, two] = new Set(rows.flatMap(({ payload }) => assetsIn(payload)));
  const sizes = planReplayGroups(rows).sizes;
  const problems = async (places: number[]) => {
    const groups = sizes.map((_, i) => (i === sizes.length - 1 ? places : []));
    const lists = { [ASSETS_KEY]: JSON.stringify([one, two]), [GROUP_ASSETS_KEY]: JSON.stringify(groups) };
    return (await inspectFile('replay', await encodeFile('replay', rows, sizes, lists))).problems;
  };
  expect(await problems([0, 1])).toEqual([]);
  for (const places of [[0], []]) expect(await problems(places)).toMatchObject([{ code: 'wrong_seal' }]);
});

describe('a file that is parted by session', () => {
  const parted = async <K>(file: LakeFile, keyOf: (session: string) => K) => {
    const bytes = await store.get(file.key);
    const parts = await partFile(file, readerOf(bytes), keyOf);
    const put = new Map<K, LakeFile>();
    for (const [key, part] of parts) {
      const made = await part.put({ store, nonce: () => `p${files++}` }, place);
      expect(made.rows).toBe(part.rows);
      expect(new Set(await namesIn(store, made))).toEqual(part.assets);
      put.set(key, made);
    }
    return put;
  };

  test('has in each part the rows of its sessions and the names of their assets, and nothing of others', async () => {
    for (let round = 0; round < 4; round++) {
      const file = await seal(sampleLoads().flat());
      const rows = await rowsIn(file);
      const groups = (await groupsIn(await store.get(file.key)))!;
      const chosen = new Map([1, 2, 3, 4].map((n) => [sessionAt(START_MS, n), int(3)]));
      const ofPart = (key: number) => (session: string) => chosen.get(session) === key;
      const parts = await parted(file, (session) => chosen.get(session)!);
      expect(new Set(parts.keys())).toEqual(new Set(chosen.values()));
      for (const [key, part] of parts) {
        const isOwn = ofPart(key);
        expect(await rowsIn(part)).toEqual(rows.filter((row) => isOwn(row.session_id)));
        await expectTold(part);
        const bytes = await store.get(part.key);
        expect(content(await groupsIn(bytes))).toEqual(
          content(groups.filter(({ session }) => isOwn(session))),
        );
        const foreign = [...chosen.keys()].filter((session) => !isOwn(session));
        expect(findIn([bytes], foreign).size).toBe(0);
      }
      // What was sealed before row groups told their assets is decoded, and comes out the same.
      const old = await putOlder(file);
      const fromOld = await parted(old, (session) => chosen.get(session)!);
      for (const [key, part] of fromOld) expect(await rowsIn(part)).toEqual(await rowsIn(parts.get(key)!));
    }
  });

  test('is read but where the row groups of a part lie', async () => {
    const file = await seal(sampleLoads().flat());
    const bytes = await store.get(file.key);
    const ranges: [number, number][] = [];
    const read = (start: number, end: number) => {
      ranges.push([start, end]);
      return readerOf(bytes)(start, end);
    };
    const wanted = sessionAt(START_MS, 3);
    const part = (await partFile(file, read, (session) => session === wanted)).get(true)!;
    const footers = ranges.splice(0).length;
    expect(footers).toBeLessThan(3);
    await part.put({ store, nonce: () => `p${files++}` }, place);
    const own = (await groupsIn(bytes))!.filter(({ session }) => session === wanted);
    expect(ranges).toEqual([[own[0]!.start, own.at(-1)!.end]]);
  });
});

test('DuckDB reads a spliced file, and passes over row groups by their bounds', async () => {
  const loads = sampleLoads();
  const merged = await merge([await seal(loads.slice(0, 4).flat()), await seal(loads.slice(4).flat())]);
  const path = join(directory, 'spliced.parquet');
  await writeFile(path, await store.get(merged.key));
  const duckdb = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await duckdb.connect();
  const ask = async (sql: string): Promise<unknown[][]> =>
    (await connection.runAndReadAll(sql)).getRowsJson() as unknown[][];
  const rows = await rowsIn(merged);
  expect(
    await ask(`SELECT session_id, rid, seq, epoch_us(ts)::varchar, kind, payload FROM '${path}'`),
  ).toEqual(rows.map((row) => [row.session_id, row.rid, row.seq, String(row.ts), row.kind, row.payload]));
  const bounds = await ask(
    `SELECT row_group_id, stats_min_value, stats_max_value, row_group_num_rows FROM parquet_metadata('${path}')
     WHERE path_in_schema = 'session_id' ORDER BY row_group_id`,
  );
  const groups = (await groupsIn(await store.get(merged.key)))!;
  expect(bounds.map(([, min, max]) => [min, max])).toEqual(groups.map(({ session }) => [session, session]));
  const wanted = groups.at(-1)!.session;
  const sql = `SELECT payload FROM '${path}' WHERE session_id = '${wanted}'`;
  expect(await ask(sql)).toHaveLength(rows.filter((row) => row.session_id === wanted).length);
  connection.closeSync();
  duckdb.closeSync();
});
