import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { parquetMetadata } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeEventsFile, encodeReplayFile } from './lake-file.ts';
import { EVENTS_COLUMNS, type EventRow, type ReplayRow } from './layout.ts';
import { createRandom, sessionAt } from './samples.ts';
import { readReplayGroups, readReplayRows, splitEvents, type Store } from './store.ts';
import { decodeFile, encodeFile } from './x-hyparquet.ts';

const startMs = Date.UTC(2026, 2, 1, 12);
const random = createRandom(7);

const events: EventRow[] = Array.from({ length: 100 }, (_, i) => ({
  project: i < 60 ? 'shop' : 'bank',
  session_id: sessionAt(startMs, Math.floor(i / 20)),
  rid: 'rid',
  seq: (i % 20) + 1,
  ts: BigInt(startMs + i) * 1000n + 7n,
  type: i % 3 ? 'click' : 'mutation',
  ...(i % 3
    ? { url: 'https://shop.example/ü', disabled: i % 2 === 0, text: `Knopf „${i}“ 🙂`, x: -i, y: i }
    : { adds: i, removes: 0, props: JSON.stringify({ n: i, s: 'ü' }) }),
}));
const replay: ReplayRow[] = Array.from({ length: 100 }, (_, i) => ({
  project: i < 60 ? 'shop' : 'bank',
  session_id: sessionAt(startMs, Math.floor(i / 20)),
  rid: 'rid',
  seq: (i % 20) + 1,
  ts: BigInt(startMs + i) * 1000n,
  type: i % 10 === 0 ? 4 : i % 10 === 1 ? 2 : 3,
  kind: 'event',
  payload: JSON.stringify({ i, noise: random(), text: 'ü'.repeat(i) }),
}));

describe('a Parquet file', () => {
  it('gives back its rows, and of them the columns asked for', async () => {
    const { bytes } = await encodeEventsFile('key', 'r30', [...events]);
    expect(await decodeFile('events', bytes)).toEqual(events);
    expect(await decodeFile('events', Buffer.from(bytes), ['seq'])).toEqual(
      events.map(({ seq }) => ({ seq })),
    );
  });

  it('is described by its bounds', async () => {
    const shuffled = events.toSorted((a, b) => ((a.seq * 7) % 13) - ((b.seq * 7) % 13));
    const { file, bytes } = await encodeEventsFile('key', 'r90', shuffled);
    expect(file).toEqual({
      key: 'key',
      table: 'events',
      class: 'r90',
      bytes: bytes.length,
      rows: 100,
      firstSession: sessionAt(startMs, 0),
      lastSession: sessionAt(startMs, 4),
      minMs: startMs,
      maxMs: startMs + 100,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    });
  });

  it('uses no encoding that other engines lack, names fields by id, and begins a row group as told', async () => {
    const many = Array.from({ length: 50 }, () => events).flat();
    const metadata = parquetMetadata(await encodeFile('events', many, [1000, 4000]));
    const encodings = metadata.row_groups.flatMap(({ columns }) =>
      columns.flatMap(({ meta_data: m }) => m!.encodings),
    );
    expect([...new Set(encodings)].sort()).toEqual(['PLAIN', 'RLE_DICTIONARY']);
    expect(metadata.row_groups.map(({ num_rows: rows }) => Number(rows))).toEqual([1000, 4000]);
    expect(metadata.schema.slice(1).map((element) => [element.name, element.field_id])).toEqual(
      EVENTS_COLUMNS.map(({ name, id }) => [name, id]),
    );
    expect(
      new Set(metadata.row_groups.flatMap(({ columns }) => columns.map((c) => c.meta_data!.codec))),
    ).toEqual(new Set(['ZSTD']));
  });

  it('of several projects is split into one', async () => {
    const { file, bytes } = await encodeEventsFile('key', 'r30', [...events]);
    const bank = await splitEvents(file, bytes, 'bank');
    expect(await decodeFile('events', bank!)).toEqual(events.filter(({ project }) => project === 'bank'));
    expect(await splitEvents(file, bytes, 'nobody')).toBeUndefined();
  });
});

describe('row groups of a replay file', () => {
  it('are found in one request and read in one more each', async () => {
    const { bytes, file } = await encodeReplayFile('key', 'r30', [...replay]);
    const requests: number[] = [];
    const store = {
      get: async (_key: string, range: { start: number; end: number }) => {
        requests.push(range.end - range.start);
        return Buffer.from(bytes).subarray(range.start, range.end);
      },
    } as unknown as Store;
    const groups = await readReplayGroups(store, file);
    expect(requests).toHaveLength(1);
    expect(groups).toHaveLength(10);
    for (const [i, group] of groups.entries()) {
      const expected = replay.slice(i * 10, i * 10 + 10);
      expect(group).toMatchObject({
        index: i,
        project: expected[0]!.project,
        session: expected[0]!.session_id,
        firstRid: 'rid',
        firstSeq: expected[0]!.seq,
        minMs: startMs + i * 10,
        maxMs: startMs + i * 10 + 9,
        rows: 10,
        bytes: group.end - group.start,
        snapshot: true,
      });
      expect(await readReplayRows(store, file, group)).toEqual(expected);
    }
    expect(requests).toHaveLength(11);
    expect(Math.max(...requests.slice(1))).toBe(Math.max(...groups.map((group) => group.bytes)));
  });

  it('of a long file are found in two requests', async () => {
    const rows = Array.from({ length: 400 }, (_, i) => ({
      ...replay[0]!,
      session_id: sessionAt(startMs, i),
    }));
    const { bytes, file } = await encodeReplayFile('key', 'r30', rows);
    let requests = 0;
    const store = {
      get: async (_key: string, { start, end }: { start: number; end: number }) => {
        requests++;
        return bytes.subarray(start, end);
      },
    } as unknown as Store;
    expect(await readReplayGroups(store, file)).toHaveLength(400);
    expect(requests).toBe(2);
  });
});

describe('DuckDB, which knows the format from elsewhere,', () => {
  let dir: string;
  let duckdb: DuckDBInstance;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'parquet-'));
    duckdb = await DuckDBInstance.create(':memory:', { threads: '1' });
  });
  afterAll(async () => {
    duckdb.closeSync();
    await rm(dir, { recursive: true, force: true });
  });
  const ask = async (sql: string): Promise<unknown[]> => {
    const connection = await duckdb.connect();
    try {
      return (await connection.runAndReadAll(sql)).getRowsJson();
    } finally {
      connection.closeSync();
    }
  };

  it('sees the types', async () => {
    const path = join(dir, 'events.parquet');
    await writeFile(path, (await encodeEventsFile('key', 'r30', [...events])).bytes);
    const described = (await ask(`DESCRIBE SELECT * FROM '${path}'`)) as string[][];
    const duckTypes = {
      string: 'VARCHAR',
      int32: 'INTEGER',
      boolean: 'BOOLEAN',
      timestamp: 'TIMESTAMP WITH TIME ZONE',
      json: 'VARCHAR',
    };
    expect(described.map(([name, type]) => [name, type])).toEqual(
      EVENTS_COLUMNS.map(({ name, type }) => [name, duckTypes[type]]),
    );
  });

  it('sees the values', async () => {
    const path = join(dir, 'values.parquet');
    await writeFile(path, (await encodeEventsFile('key', 'r30', [...events])).bytes);
    expect(
      await ask(`SELECT count(*)::int, count(*) FILTER (disabled)::int, sum(adds)::int, sum(x)::int, min(text),
        max(props->>'n'), epoch_us(min(ts))::varchar FROM '${path}' WHERE ts >= '2026-03-01 12:00:00+00'`),
    ).toEqual([
      [
        100,
        events.filter(({ disabled }) => disabled).length,
        events.reduce((sum, { adds = 0 }) => sum + adds, 0),
        events.reduce((sum, { x = 0 }) => sum + x, 0),
        'Knopf „10“ 🙂',
        '99',
        String(startMs * 1000 + 7),
      ],
    ]);
  });

  it('reads back payloads', async () => {
    const path = join(dir, 'replay.parquet');
    await writeFile(path, (await encodeReplayFile('key', 'r30', [...replay])).bytes);
    expect(await ask(`SELECT payload FROM '${path}' ORDER BY session_id, rid, seq`)).toEqual(
      replay.map(({ payload }) => [payload]),
    );
  });
});
