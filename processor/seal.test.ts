import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkpointsOf, decodeCheckpoint } from './checkpoints.ts';
import { encodeReplayFile } from './lake-file.ts';
import { paths, sessionDate, type LakeFile, type ReplayRow } from './layout.ts';
import { compareRows } from './row-groups.ts';
import { createRandom, sessionAt } from './samples.ts';
import { createAssetReader, playedRows, putMerged, putSealed, sealRows, wholeRows } from './seal.ts';
import { openStore, type Store } from './store.ts';
import { replayRows, START_MS } from './test-replay-rows.ts';
import { decodeReplayGroups } from './parquet-groups.ts';
import { decodeFile } from './x-hyparquet.ts';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
const random = createRandom(SEED);
const int = (below: number): number => Math.floor(random() * below);
console.log(`sealing: SEED=${SEED}`);

/** Three page loads of two sessions. */
const sample = (): ReplayRow[] =>
  [
    ...replayRows(sessionAt(START_MS, 1), 'a', 500, int(2 ** 31)),
    ...replayRows(sessionAt(START_MS, 1), 'b', 300, int(2 ** 31)),
    ...replayRows(sessionAt(START_MS, 2), 'a', 400, int(2 ** 31)),
  ].sort(compareRows);
const eventsIn = (rows: readonly ReplayRow[]): ReplayRow[] => rows.filter(({ kind }) => kind === 'event');

/** Of a checkpoint its page, but for the ids that the fold gives out: how the rest is told depends on where it began. */
const alike = ({ payload, ...row }: ReplayRow) => ({
  ...row,
  payload:
    row.kind === 'event'
      ? payload
      : JSON.stringify(decodeCheckpoint(payload).node).replace(/"id":-\d{4,}/g, '"id":-1'),
});

describe('sealed files', () => {
  let directory: string;
  let store: Store;
  let files = 0;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'seal-'));
    store = await openStore(directory);
  });
  afterEach(async () => {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });

  const date = sessionDate(sessionAt(START_MS, 1));
  const to = () => ({
    ...({ class: 'r30', project: 'shop', date } as const),
    key: paths.file('r30', 'replay', 'shop', date, `f${files++}`),
  });
  const seal = async (rows: readonly ReplayRow[]): Promise<LakeFile> =>
    (await putSealed(store, to(), wholeRows(rows)))!.file;
  const merge = async (
    files: readonly LakeFile[],
    skips = (_: string) => false,
    others: LakeFile[] = [],
  ): Promise<LakeFile> => {
    return (await putMerged(store, to(), files, others, skips))!.file;
  };
  const written = async ({ key }: LakeFile): Promise<ReplayRow[]> =>
    decodeFile('replay', await store.get(key));
  const joined = async (file: LakeFile): Promise<ReplayRow[]> =>
    createAssetReader(store).joinAll(await written(file), file);
  const assetKeys = async (): Promise<string[]> => {
    const keys: string[] = [];
    for await (const { key } of store.list(paths.assetsPrefix('r30', 'shop', date))) keys.push(key);
    return keys;
  };

  test('hold every event to the byte, and a checkpoint each minute of a page load', async () => {
    const rows = sample();
    const file = await seal(rows);
    expect(file.sealed).toBe(true);
    const found = await joined(file);
    expect(eventsIn(found)).toEqual(rows);
    const expected = ['1a', '1b', '2a'].flatMap((which) => {
      const own = rows.filter((row) => `${row.session_id.at(-1)}${row.rid}` === which);
      return [
        ...checkpointsOf(
          own.map((row) => ({
            ...row,
            ...{ ts: Number(row.ts) / 1000, chars: row.payload.length },
            data: JSON.parse(row.payload) as unknown,
          })),
        ),
      ];
    });
    expect(expected.length).toBeGreaterThan(5);
    const checkpoints = found.filter(({ kind }) => kind === 'checkpoint');
    expect(checkpoints.map(({ rid, seq, payload }) => ({ rid, seq, payload }))).toEqual(
      expected.map(({ rid, seq, payload }) => ({ rid, seq, payload })),
    );
    // What all of them show is there once.
    expect(await assetKeys()).toHaveLength(2);
    expect((await store.get(file.key)).length).toBeLessThan(JSON.stringify(found, text).length / 8);
  });

  test('begin a row group at each checkpoint, from which it can be played', async () => {
    const file = await seal(sample());
    const bytes = await store.get(file.key);
    const groups = await decodeReplayGroups(bytes.length, (start, end) =>
      Promise.resolve(bytes.subarray(start, end)),
    );
    const rows = await written(file);
    let at = 0;
    for (const group of groups) {
      const first = rows[at]!;
      expect(group.snapshot).toBe(first.kind === 'checkpoint' || first.type === 4 || first.type === 2);
      at += group.rows;
    }
    expect(at).toBe(rows.length);
    expect(groups.filter(({ snapshot }) => snapshot).length).toBeGreaterThan(5);
    const checkpoint = (await joined(file)).find(({ kind }) => kind === 'checkpoint')!;
    const { node, tail } = decodeCheckpoint(checkpoint.payload);
    const played = playedRows([checkpoint]);
    expect(played.map(({ type }) => type)).toEqual([4, 2, ...tail.map(({ type }) => type)]);
    expect(JSON.parse(played[1]!.payload)).toMatchObject({ node });
    expect(played.every(({ ts, kind }) => ts === checkpoint.ts && kind === 'checkpoint')).toBe(true);
  });

  test('are the same however their rows came together', async () => {
    const rows = sample();
    const whole = await written(await seal(rows));
    for (let round = 0; round < 4; round++) {
      const parts: LakeFile[] = [];
      for (let from = 0; from < rows.length;) {
        const end = from + 1 + int(400);
        // Some come twice, and some from a file that is not sealed.
        const part = rows.slice(Math.max(0, from - int(80)), end);
        if (random() < 0.5) parts.push(await seal(part));
        else {
          const plain = await encodeReplayFile(to().key, 'r30', part);
          await store.put(plain.file.key, plain.bytes);
          parts.push(plain.file);
        }
        from = end;
      }
      const few = parts.length > 3 ? [await merge(parts.slice(1, 3)), parts[0]!, ...parts.slice(3)] : parts;
      expect(await written(await merge(few))).toEqual(whole);
    }
  });

  test('go on from what other files have of a page load', async () => {
    const rows = replayRows(sessionAt(START_MS, 1), 'a', 600, int(2 ** 31));
    const whole = await written(await seal(rows));
    const later = await seal(rows.slice(250, 400));
    const last = await seal(rows.slice(400));
    const others = [await merge([await seal(rows.slice(0, 90)), await seal(rows.slice(80, 250))])];
    const found = await written(await merge([later, last], undefined, others));
    expect(found.map(alike)).toEqual(whole.filter(({ seq }) => seq > 250).map(alike));
    expect(found.some(({ kind }) => kind === 'checkpoint')).toBe(true);
    // Where a file begins with a checkpoint, it stays.
    const at = whole.findIndex(({ kind }) => kind === 'checkpoint');
    const rest = sealRows((await joined(await seal(rows))).slice(at)).rows;
    expect(rest.map(alike)).toEqual(whole.slice(at).map(alike));
  });

  test('lose a session that is erased, and bear an asset that is lost', async () => {
    const rows = sample();
    const file = await seal(rows);
    const without = await merge([file], (session) => session === sessionAt(START_MS, 1));
    expect(new Set((await written(without)).map((row) => row.session_id))).toEqual(
      new Set([sessionAt(START_MS, 2)]),
    );
    const [lost] = await assetKeys();
    await store.remove([lost!]);
    const again = await merge([file]);
    const split = ({ kind, seq, rid, payload }: ReplayRow) => ({ kind, seq, rid, payload });
    expect(eventsIn(await written(again)).map(split)).toEqual(eventsIn(await written(file)).map(split));
  });
});
const text = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);
