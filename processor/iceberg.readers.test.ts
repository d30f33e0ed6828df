import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createDaysLake, type DaysLake } from './fixture-days.ts';
import { COLUMNS, paths, sessionDate, utcDate, type EventRow, type Table } from './layout.ts';
import { openStore, type Store } from './store.ts';

const readers = inject('readers');
const s3 = inject('s3');
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** Ten minutes before midnight, so that sessions of a hundred events end on the next day. */
const t0 = Math.floor(Date.now() / DAY_MS) * DAY_MS - 600_000;
const ALL = ['pyiceberg', 'pyarrow', 'polars', 'duckdb', 'clickhouse', 'spark'] as const;
type Reader = (typeof ALL)[number];
/** Spark reads S3 with further jars, which are as large as the rest. */
const WITHOUT_S3: readonly Reader[] = ['spark'];

interface Asked {
  answer?: unknown;
  error?: string;
}
/** `readers.py`, which asks them all. */
class Readers {
  there: Reader[] = [];
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #s3: typeof s3;
  constructor(python: string, server: typeof s3) {
    this.#s3 = server;
    this.#child = spawn(python, [join(import.meta.dirname, 'readers.py')], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { ...process.env, POLARS_ICEBERG_PLANNER: 'pyiceberg' },
    });
    const lines: Interface = createInterface({ input: this.#child.stdout! });
    this.#lines = lines[Symbol.asyncIterator]();
  }
  async #next(): Promise<unknown> {
    const line = await this.#lines.next();
    if (line.done) throw new Error('readers.py ended');
    return JSON.parse(line.value);
  }
  async start(): Promise<void> {
    const found = (await this.#next()) as Reader[];
    this.there = found.filter((name) => !this.#s3 || !WITHOUT_S3.includes(name));
  }
  async ask(reader: Reader, act: string, ...args: unknown[]): Promise<Asked> {
    this.#child.stdin!.write(`${JSON.stringify({ reader, act, s3: this.#s3 ?? null, with: args })}\n`);
    return (await this.#next()) as Asked;
  }
  async answer(reader: Reader, act: string, ...args: unknown[]): Promise<unknown> {
    const { answer, error } = await this.ask(reader, act, ...args);
    if (error !== undefined) throw new Error(`${reader} ${act}: ${error}`);
    return answer;
  }
  async stop(): Promise<void> {
    this.#child.stdin!.end();
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
  }
}

/** What every reader is to say of these rows. */
function summaryOf(rows: readonly EventRow[]): Record<string, number> {
  const count = (test: (row: EventRow) => boolean): number => rows.filter(test).length;
  const ts = rows.map((row) => Number(row.ts));
  return {
    rows: rows.length,
    sessions: new Set(rows.map((row) => row.session_id)).size,
    disabled: count((row) => row.disabled === true),
    enabled: count((row) => row.disabled === false),
    ts_min: Math.min(...ts),
    ts_max: Math.max(...ts),
    micros: ts.reduce((sum, micros) => sum + (micros % 1000), 0),
    x: rows.reduce((sum, row) => sum + (row.x ?? 0), 0),
    props: rows.reduce((sum, row) => sum + (row.props?.length ?? 0), 0),
    text: count((row) => row.text === 'Größe'),
  };
}
const TYPES = {
  string: 'string',
  json: 'string',
  int32: 'int',
  boolean: 'boolean',
  timestamp: 'timestamptz',
};
const typesOf = (table: Table): Record<string, string> =>
  Object.fromEntries(COLUMNS[table].map(({ name, type }) => [name, TYPES[type]]));
/** On how many stores. */
const agreeing = new Map<Reader, number>();
afterAll(() => {
  const stores = (reader: Reader): number => (s3 && !WITHOUT_S3.includes(reader) ? 2 : 1);
  const count = ALL.filter((reader) => agreeing.get(reader) === stores(reader)).length;
  if (readers) process.stdout.write(`figure readers_agreeing ${count} readers\n`);
});

const stores = [
  { name: 'in a directory', server: undefined },
  { name: 'in a bucket', server: s3 },
];
describe.skipIf(!readers).each(stores)('other readers of the lake $name', ({ name, server }) => {
  const isThere = name === 'in a directory' || server !== undefined;
  let dir: string;
  let store: Store;
  let lake: DaysLake;
  let others: Readers;
  let events: string;
  let sessions: string;

  beforeAll(async () => {
    if (!isThere) return;
    process.env.AWS_ACCESS_KEY_ID = s3?.accessKey;
    process.env.AWS_SECRET_ACCESS_KEY = s3?.secretKey;
    dir = await mkdtemp(join(tmpdir(), 'readers-'));
    store = await openStore(
      server ? `s3://lake-${randomUUID()}/some/where?endpoint=${server.endpoint}` : join(dir, 'lake'),
    );
    lake = await createDaysLake(store);
    events = `${store.location}/${paths.icebergTable('shop', 'events')}`;
    sessions = `${store.location}/${paths.icebergTable('shop', 'sessions')}`;
    for (let day = 5; day > 0; day--) {
      await lake.record({ startMs: t0 - day * DAY_MS, days: day % 2 ? 30 : 365 });
      await lake.record({ project: 'bank', startMs: t0 - day * DAY_MS });
      await lake.maintain().compact(t0);
    }
    others = new Readers(readers!, server);
    await others.start();
  }, 120_000);
  afterAll(async () => {
    await others?.stop();
    await lake?.close();
    if (dir) await rm(dir, { recursive: true, force: true });
  });

  describe.skipIf(!isThere).each(ALL)('%s', (reader) => {
    const skipIfMissing = (skip: (note?: string) => void): void => {
      if (!others.there.includes(reader)) skip(`make readers READERS=more`);
    };
    it('sees the same rows and types', { timeout: 120_000 }, async ({ skip }) => {
      skipIfMissing(skip);
      expect(await others.answer(reader, 'summary', events)).toEqual(summaryOf(lake.rows('shop')));
      expect(await others.answer(reader, 'types', events)).toEqual(typesOf('events'));
      agreeing.set(reader, (agreeing.get(reader) ?? 0) + 1);
    });

    it('sees a row a session', { timeout: 60_000 }, async ({ skip }) => {
      skipIfMissing(skip);
      const columns = ['session_id', 'events', 'duration_ms', 'first_url'];
      const ids = [...new Set(lake.rows('shop').map((row) => row.session_id))].sort();
      const expected = ids.map((id) => [id, 100, 99 * 15_000, 'https://shop.example/']);
      expect(await others.answer(reader, 'values', sessions, columns)).toEqual(expected);
      expect(await others.answer(reader, 'types', sessions)).toEqual(typesOf('sessions'));
      const day = [-2, -1].map((days) => `${utcDate(t0 + days * DAY_MS)}T00:00:00+00:00`);
      const of = ids.find((id) => sessionDate(id) === utcDate(t0 - 2 * DAY_MS));
      const answer = await others.answer(reader, 'few', sessions, of, day, 'started_at');
      const [[files]] = answer as [[number | null, number]];
      const one = [files === null ? null : 1, 1];
      expect(answer).toEqual([one, one]);
    });

    it('reads no more files than a filter by one session or day needs', async ({ skip }) => {
      skipIfMissing(skip);
      const rows = lake.rows('shop');
      const date = utcDate(t0 - 2 * DAY_MS);
      const day = [`${date}T00:00:00+00:00`, `${utcDate(t0 - DAY_MS)}T00:00:00+00:00`];
      const { session_id: session } = rows.find((row) => sessionDate(row.session_id) === date)!;
      const ofSession = rows.filter((row) => row.session_id === session);
      const ofDay = rows.filter((row) => utcDate(Number(row.ts / 1000n)) === date);
      const answer = (await others.answer(reader, 'few', events, session, day)) as [number | null, number][];
      expect(answer.map(([, found]) => found)).toEqual([ofSession.length, ofDay.length]);
      const files = answer.map(([read]) => read);
      // A session of the evening before goes on into the day.
      expect(files).toEqual(files[0] === null ? [null, null] : [1, 2]);
    });
  });

  it.skipIf(!isThere)(
    'hears from polars and Spark what was appended, and of nothing else',
    { timeout: 60_000 },
    async () => {
      const startMs = t0 - 10 * DAY_MS;
      await lake.record({ startMs, days: 90 });
      await lake.maintain().compact(t0);
      const snapshots = (await others.answer('pyiceberg', 'snapshots', events)) as [number, string][];
      const [since] = snapshots.at(-1)!;
      for (let i = 1; i < 8; i++) {
        await lake.record({ startMs: startMs + i, days: 90 });
        await lake.maintain().compact(t0);
      }
      const after = ((await others.answer('pyiceberg', 'snapshots', events)) as [number, string][]).map(
        ([, operation]) => operation,
      );
      expect(new Set(after)).toEqual(new Set(['append', 'replace']));
      for (const reader of ['polars', 'spark'] as const)
        if (others.there.includes(reader))
          expect(await others.answer(reader, 'appended', events, since)).toBe(700);
    },
  );

  it.skipIf(!isThere)(
    'is read as it was by who opened it before a compaction',
    { timeout: 60_000 },
    async () => {
      const startMs = t0 - 20 * DAY_MS;
      for (let i = 0; i < 7; i++) {
        await lake.record({ startMs: startMs + i, days: 90 });
        await lake.maintain().compact(t0);
      }
      const before = summaryOf(lake.rows('shop'));
      for (const reader of others.there) await others.answer(reader, 'open', events, 'before');
      await lake.record({ startMs: startMs + 7, days: 90 });
      await lake.maintain().compact(t0);
      const after = summaryOf(lake.rows('shop'));
      for (const reader of others.there) {
        // ClickHouse and Spark look for the newest version at each statement.
        const opened = ['clickhouse', 'spark'].includes(reader) ? after : before;
        expect(await others.answer(reader, 'summary', events, 'before'), reader).toEqual(opened);
        expect(await others.answer(reader, 'summary', events), reader).toEqual(after);
      }
    },
  );

  it.skipIf(!isThere)(
    'is never read wrong by who opened it before an erasure',
    { timeout: 60_000 },
    async () => {
      for (const reader of others.there) await others.answer(reader, 'open', events, 'erasure');
      const [row] = lake.rows('shop');
      await lake.erase('shop', row!.session_id, t0);
      await lake.maintain().sweep(t0);
      const after = summaryOf(lake.rows('shop'));
      for (const reader of others.there)
        expect(await others.answer(reader, 'values', sessions, ['session_id']), reader).not.toContainEqual([
          row!.session_id,
        ]);
      for (const reader of others.there) {
        const opened = await others.ask(reader, 'summary', events, 'erasure');
        if (opened.error === undefined) expect(opened.answer, reader).toEqual(after);
        expect(await others.answer(reader, 'summary', events), reader).toEqual(after);
      }
    },
  );

  it.skipIf(!isThere)(
    'is plain Parquet too, which has rows twice until replaced files are removed',
    async () => {
      const folder = `${store.location}/v1/r90/events/project=shop`;
      const rows = lake.rows('shop').length - 500 + 100;
      expect(await others.answer('duckdb', 'plain', folder)).toBeGreaterThan(rows);
      for (const hours of [2, 30]) await lake.maintain().sweep(Date.now() + hours * HOUR_MS);
      for (const reader of ['duckdb', 'polars'] as const)
        expect(await others.answer(reader, 'plain', folder)).toBe(rows);
    },
  );

  it.skipIf(!isThere)('is empty once all of it is past its class', { timeout: 60_000 }, async () => {
    const past = `${store.location}/${paths.icebergTable('past', 'events')}`;
    await lake.record({ project: 'past', startMs: t0 });
    await lake.maintain().compact(t0);
    await lake.maintain().sweep(t0 + 33 * DAY_MS);
    // Of no files pyarrow by itself knows no columns.
    for (const reader of others.there.filter((name) => name !== 'pyarrow'))
      expect(await others.answer(reader, 'summary', past), reader).toMatchObject({ rows: 0, sessions: 0 });
  });
});
