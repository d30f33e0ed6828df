import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jsonRows, type Rows } from './rows.ts';
import { openEngine, type Engine, type Param } from './x-duckdb.ts';

let dir: string;
let engine: Engine;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mutoscope-duckdb-'));
  for (const project of ['one', 'one-more', 'two']) {
    await mkdir(join(dir, project));
    await writeFile(join(dir, project, 'own.csv'), `name\n${project}\n`);
  }
  await symlink(join(dir, 'two', 'own.csv'), join(dir, 'one', 'link.csv'));
  engine = await openEngine({
    dir: join(dir, 'one'),
    spillDir: join(dir, 'spill'),
    memoryBytes: 128e6,
    threads: 1,
  });
});
afterAll(async () => {
  engine.close();
  await rm(dir, { recursive: true, force: true });
});

async function run(sql: string, params: Param[] = []): Promise<Rows> {
  const { columns, chunks } = await engine.select(sql, params);
  const cells: Rows['cells'] = columns.map(() => []);
  for await (const chunk of chunks) chunk.forEach((column, i) => cells[i]!.push(...column));
  return { columns, cells, truncated: false };
}

describe('a SELECT', () => {
  const LATE = `SELECT CASE WHEN i = 500000 THEN CAST(error('late') AS BIGINT) ELSE i END FROM range(1000000) r(i)`;
  it('that fails after many rows fails, and is not a part of them', async () => {
    await expect(run(LATE)).rejects.toThrow(/late/);
  });
  it('that is interrupted fails, whenever that is', async () => {
    const endless = run(
      'SELECT count(*) FROM range(100000000000) a(i), range(100000000000) b(j) WHERE i + j = -1',
    );
    const interrupting = setInterval(() => engine.interrupt(), 20);
    await expect(endless).rejects.toThrow(/INTERRUPT/);
    clearInterval(interrupting);
    expect(jsonRows(await run('SELECT 1'))).toEqual([[1]]);
  });
  it.each([
    ['SELECT 1;', [[1]]],
    ['SELECT 1 -- one', [[1]]],
    ['SELECT 1; -- one; two', [[1]]],
    ['SELECT 1; /* ) */ ;', [[1]]],
    ["SELECT ';'", [[';']]],
    ["SELECT 'a) LIMIT 0 --'", [['a) LIMIT 0 --']]],
    ['FROM range(3) r(i) ORDER BY i DESC', [[2], [1], [0]]],
    ['SELECT i FROM range(5) r(i) ORDER BY i DESC LIMIT 2 OFFSET 1', [[3], [2]]],
    ['WITH x AS (SELECT 1 AS a) SELECT a FROM x UNION ALL SELECT 2 ORDER BY a DESC', [[2], [1]]],
    ['VALUES (1), (2)', [[1], [2]]],
  ])('%s answers all of its rows, in order', async (sql, rows) => {
    expect(jsonRows(await run(sql))).toEqual(rows);
  });
  it('keeps the names of its columns, also where two are alike', async () => {
    const { columns } = await run('SELECT 1 AS a, 2 AS a, 3');
    expect(columns.map(({ name }) => name)).toEqual(['a', 'a', '3']);
  });
  it('makes no more rows than are wanted', async () => {
    const { chunks } = await engine.select('SELECT * FROM range(100000000000)', [], 10);
    let rows = 0;
    for await (const [column] of chunks) rows += column!.length;
    expect(rows).toBe(10);
  });
});

describe('the engine, with no guard before it', () => {
  it('reads its own directory', async () => {
    expect(jsonRows(await run(`SELECT * FROM read_csv('${dir}/one/own.csv')`))).toEqual([['one']]);
  });
  it.each([
    `SELECT * FROM read_text('/etc/passwd')`,
    `SELECT * FROM read_csv('DIR/two/own.csv')`,
    `SELECT * FROM read_csv('DIR/one-more/own.csv')`,
    `SELECT * FROM read_csv('DIR/one/../two/own.csv')`,
    `SELECT * FROM read_csv('DIR/one/link.csv')`,
    `SELECT * FROM read_csv('file://DIR/two/own.csv')`,
    `SELECT * FROM read_csv('https://example.com/x.csv')`,
    `SELECT * FROM read_text('/proc/self/environ')`,
    `FROM 'DIR/two/own.csv'`,
    `SELECT * FROM glob('DIR/two/*')`,
    `COPY (SELECT 1) TO 'DIR/x.csv'`,
    `COPY (SELECT 1) TO 'DIR/one/x.csv'`,
    `ATTACH 'DIR/x.db'`,
    `ATTACH ':memory:' AS more`,
    `INSTALL httpfs`,
    `LOAD httpfs`,
    `SET enable_external_access = true`,
    `SET lock_configuration = false`,
    `SET memory_limit = '64GB'`,
    `RESET allowed_directories`,
    `PRAGMA enable_profiling`,
    `CALL enable_logging(storage = 'file')`,
    `CREATE TABLE x AS SELECT 1`,
    `DROP VIEW IF EXISTS events`,
    `EXPLAIN ANALYZE SELECT 1`,
    `SELECT 1; SELECT 2`,
  ])('refuses %s', async (sql) => {
    await expect(run(sql.replaceAll('DIR', dir))).rejects.toThrow(
      /^(Permission|Parser|Catalog|IO|Invalid Configuration|Invalid Input) Error|No files found/,
    );
  });
  it('is locked for our own statements too', async () => {
    for (const sql of [`SET threads = 8`, `COPY (SELECT 1) TO '${dir}/x.csv'`, `ATTACH '${dir}/x.db'`])
      await expect(engine.define([sql])).rejects.toThrow();
  });
});

describe('values', () => {
  it.each<[string, unknown]>([
    ['1', 1],
    ['9007199254740991', 9007199254740991],
    ['9007199254740993', '9007199254740993'],
    ['sum(i) FROM range(3) r(i)', 3],
    ['170141183460469231731687303715884105727', '170141183460469231731687303715884105727'],
    ['1.5', 1.5],
    ['1.5::DECIMAL(30, 4)', '1.5000'],
    ["'nan'::DOUBLE", 'NaN'],
    ['1e308 * 10', 'Infinity'],
    ['true', true],
    ['NULL', null],
    ["'é😀'", 'é😀'],
    ["DATE '2026-03-10'", '2026-03-10'],
    ["TIMESTAMPTZ '2026-03-10 12:00:00.123456+02'", '2026-03-10T10:00:00.123456Z'],
    ["TIMESTAMP '1969-12-31 23:59:59.999'", '1969-12-31T23:59:59.999Z'],
    ["'infinity'::TIMESTAMPTZ", 'infinity'],
    ["date_trunc('day', TIMESTAMPTZ '2026-03-10 23:30:00Z')", '2026-03-10T00:00:00.000Z'],
    ['INTERVAL 36 HOUR', '36:00:00'],
    ['\'{"a": 1}\'::JSON', '{"a": 1}'],
    ['[1, NULL, 9007199254740993]', [1, null, '9007199254740993']],
    ["{'a': TIMESTAMPTZ '2026-03-10 10:00:00Z', 'b': [1.5]}", { a: '2026-03-10T10:00:00.000Z', b: [1.5] }],
    ["map {'k': 1}", [{ key: 'k', value: 1 }]],
  ])('%s', async (sql, value) => {
    expect(jsonRows(await run(`SELECT ${sql}`))).toEqual([[value]]);
  });
  it('parameters keep their kinds, and instants compare with texts', async () => {
    const sql = `SELECT $1, $2, $3, $4, $5, TIMESTAMPTZ '2026-03-10' > $6 FROM range(9) LIMIT $1`;
    expect(jsonRows(await run(sql, [1, 'x', true, null, 1.5, '2026-01-01']))).toEqual([
      [1, 'x', true, null, 1.5, true],
    ]);
  });
  it.each([`row(1, 2)`, `[(1, 'x')]`, `map {'k': (1, 2)}`, `{'a': {'__proto__': 1}}`])(
    'refuses %s, of whose fields some would be lost',
    async (sql) => {
      await expect(run(`SELECT ${sql}`)).rejects.toThrow(/^Binder Error: the fields of STRUCT/);
    },
  );
  it('takes structs without names inside a statement', async () => {
    const sql = `SELECT count(DISTINCT (a, b)) FROM (VALUES (1, 2), (1, 3), (1, 2)) v(a, b)`;
    expect(jsonRows(await run(sql))).toEqual([[2]]);
  });
  it('wants as many values as there are parameters', async () => {
    await expect(run('SELECT $1', [])).rejects.toThrow('has 1 parameters, 0 values were given');
    await expect(run('SELECT 1', ['x'])).rejects.toThrow('has 0 parameters, 1 values were given');
  });
});
