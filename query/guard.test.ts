import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DENIED, FUNCTIONS, MACROS, TABLE_FUNCTIONS } from './functions.ts';
import { judge, type Refusal } from './guard.ts';
import { VIEW_NAMES } from './views.ts';
import { openEngine, type Engine } from './x-duckdb.ts';

let dir: string;
let engine: Engine;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mutoscope-guard-'));
  engine = await openEngine({ dir, spillDir: join(dir, 'spill'), memoryBytes: 128e6, threads: 1 });
});
afterAll(async () => {
  engine.close();
  await rm(dir, { recursive: true, force: true });
});
const judged = async (sql: string): Promise<Refusal | undefined> =>
  judge(await engine.parse(sql), VIEW_NAMES);

describe('the guard refuses', () => {
  it.each([
    // files and network
    `SELECT * FROM read_text('/etc/passwd')`,
    `SELECT * FROM READ_TEXT('/etc/passwd')`,
    `SELECT * FROM read_blob('/etc/shadow')`,
    `SELECT * FROM read_csv('/etc/passwd')`,
    `SELECT * FROM read_json('x.json')`,
    `SELECT * FROM read_parquet('../two/*.parquet')`,
    `SELECT * FROM parquet_scan(['a', 'b'])`,
    `SELECT * FROM parquet_metadata('x.parquet')`,
    `SELECT * FROM sniff_csv('/etc/passwd')`,
    `SELECT * FROM glob('/**')`,
    `FROM '/etc/passwd'`,
    `FROM 'x.parquet'`,
    `FROM 'https://example.com/x.csv'`,
    `FROM "s3://bucket/x.parquet"`,
    `SELECT * FROM events, LATERAL (SELECT * FROM read_text('/proc/self/environ'))`,
    `SELECT (SELECT content FROM read_text('/etc/passwd')) FROM events`,
    `SELECT * FROM events WHERE url IN (SELECT content FROM read_text('/etc/passwd'))`,
    `SELECT * FROM events ORDER BY (SELECT 1 FROM read_text('/etc/passwd'))`,
    `SELECT 1 LIMIT (SELECT count(*) FROM read_text('/etc/passwd'))`,
    `WITH "/etc/passwd" AS (SELECT 1) SELECT * FROM events`,
    `WITH "x.csv" AS (SELECT 1) SELECT * FROM events`,
    `WITH "s3://x" AS (SELECT 1) SELECT * FROM events`,
    `WITH x AS (SELECT 1) SELECT * FROM main.x`,
    `SELECT * FROM main.sqlite_master`,
    `SELECT * FROM temp.events`,
    `SELECT * FROM system.main.events`,
    `SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) JOIN x ON true`,
    `SELECT (WITH y AS (SELECT 1) SELECT * FROM y) FROM y`,
    `DESCRIBE SELECT * FROM read_text('/etc/passwd')`,
    `SUMMARIZE '/etc/passwd'`,
    `PIVOT (SELECT * FROM read_text('/etc/passwd')) ON filename IN ('a') USING count(*)`,
    `SELECT unnest(l) FROM (SELECT list(content) AS l FROM read_text('/etc/passwd'))`,
    `SELECT list_transform([1], lambda x: (SELECT content FROM read_text('/etc/passwd')))`,
    `SELECT * FROM json_each((SELECT content FROM read_text('/etc/passwd')))`,
    // statements out of texts
    `SELECT * FROM query('SELECT 1')`,
    `SELECT * FROM query_table('duckdb_settings')`,
    `SELECT json_serialize_plan('SELECT 1')`,
    `SELECT * FROM json_execute_serialized_sql('{}')`,
    `SELECT list_aggregate([1, 2], 'bitstring_agg')`,
    `SELECT [1, 2].list_aggr('sum')`,
    // settings, catalogue, server
    `SELECT current_setting('allowed_directories')`,
    `SELECT getvariable('x')`,
    `SELECT * FROM duckdb_settings()`,
    `SELECT * FROM duckdb_settings`,
    `SELECT sql FROM duckdb_views()`,
    `SELECT sql FROM duckdb_views`,
    `WITH duckdb_views AS (SELECT * FROM duckdb_views) SELECT sql FROM duckdb_views`,
    `SELECT * FROM sqlite_master`,
    `SELECT * FROM pg_catalog.pg_views`,
    `SELECT * FROM information_schema.views`,
    `SELECT * FROM system.information_schema.columns`,
    `SELECT * FROM pragma_database_list`,
    `SELECT * FROM duckdb_secrets()`,
    `SELECT * FROM which_secret('s3://x', 's3')`,
    `SELECT * FROM duckdb_logs`,
    `SHOW DATABASES`,
    `SHOW ALL TABLES`,
    `SELECT * FROM enable_logging(storage := 'file', storage_path := '/tmp/x')`,
    `SELECT write_log('x')`,
    `SELECT nextval('x')`,
    `SELECT inet_server_addr()`,
    `SELECT pg_catalog.pg_get_viewdef(1)`,
    `SELECT current_query()`,
    `SELECT * FROM events AT (VERSION => 1)`,
    // bombs
    `SELECT repeat('x', 4000000000)`,
    `SELECT * FROM repeat('x', 4000000000)`,
    `SELECT ('x').repeat(4000000000)`,
    `SELECT lpad('x', 2000000000, 'y'), rpad('x', 2000000000, 'y')`,
    `SELECT printf('%2000000000d', 1)`,
    `SELECT format('{:2000000000d}', 1)`,
    `SELECT levenshtein(url, url) FROM events`,
    `SELECT list_resize([1], 4000000000)`,
    `SELECT bitstring('1', 4000000000)`,
    `SELECT sleep_ms(100000)`,
    `SELECT ${'('.repeat(400)}repeat('x', 5)${')'.repeat(400)}`,
  ])('%s', async (sql) => {
    expect(await judged(sql)).toMatchObject({
      code: 'sql_not_allowed',
      message: expect.stringMatching(/^[a-z]/i),
    });
  });

  it.each([
    `COPY (SELECT 1) TO '/tmp/x'`,
    `COPY events FROM '/etc/passwd'`,
    `ATTACH '/tmp/x.db'`,
    `INSTALL httpfs`,
    `LOAD httpfs`,
    `SET threads = 64`,
    `RESET threads`,
    `PRAGMA database_list`,
    `CALL pragma_version()`,
    `CREATE TABLE x AS SELECT 1`,
    `CREATE MACRO m() AS 1`,
    `DROP VIEW events`,
    `INSERT INTO events SELECT 1`,
    `DELETE FROM events`,
    `EXPORT DATABASE '/tmp/x'`,
    `EXPLAIN SELECT 1`,
    `EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1`,
    `PREPARE p AS SELECT 1`,
    `BEGIN`,
    `VACUUM`,
    `SELECT 1; SELECT 2`,
    `SELECT 1; DROP VIEW events`,
    `PIVOT events ON type USING count(*)`,
    ``,
    `-- nothing`,
  ])('what is not one SELECT: %s', async (sql) => {
    expect(await judged(sql)).toMatchObject({ code: 'sql_not_select' });
  });

  it('with the engine’s words what cannot be parsed', async () => {
    expect(await judged('SELEKT 1')).toMatchObject({
      code: 'sql_syntax',
      message: expect.stringContaining('syntax error'),
    });
  });
  it.each(['SELECT 1e400', 'SELECT -1e400', 'SELECT [1e999]'])(
    'a number that the syntax tree cannot say: %s',
    async (sql) => {
      expect(await judged(sql)).toEqual({
        code: 'sql_syntax',
        message: 'Parser Error: a number is past the range of DOUBLE',
      });
    },
  );
  it('a nesting too deep to walk, without falling', () => {
    const deep = `${'{"node":'.repeat(200_000)}1${'}'.repeat(200_000)}`;
    let outcome: unknown;
    try {
      outcome = judge(`{"error":false,"statements":[${deep}]}`, VIEW_NAMES);
    } catch (error) {
      outcome = error;
    }
    expect(outcome).toMatchObject({ code: 'sql_not_allowed' });
  });
});

describe('the guard lets pass', () => {
  it.each([
    `SELECT session_id, count(*) AS clicks, min(ts) AS first_click, replay_url(session_id, min(ts))
       FROM disabled_clicks WHERE url LIKE '%/signup/step-2%' GROUP BY session_id`,
    `FROM sessions`,
    `SELECT * FROM main.clicks JOIN "main"."pages" USING (session_id)`,
    `WITH "my clicks" AS (FROM clicks), été AS (FROM pages), 数 AS (SELECT 1) FROM "my clicks", été, 数`,
    `SELECT 1;`,
    `VALUES (1), (2)`,
    `TABLE clicks`,
    `SELECT * FROM events WHERE ts > now() - INTERVAL 1 DAY AND type = $1`,
    `SELECT date_trunc('hour', ts) AS hour, count(*) FILTER (type = 'click') FROM events GROUP BY 1 ORDER BY 1`,
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT * FROM n`,
    `WITH a AS (SELECT * FROM clicks), b AS MATERIALIZED (SELECT * FROM a) SELECT * FROM b JOIN a USING (session_id)`,
    `SELECT props->>'$.fix' AS fix, count(DISTINCT session_id) FROM custom_events WHERE name = 'variant' GROUP BY ALL`,
    `SELECT *, lag(ts) OVER (PARTITION BY session_id ORDER BY ts) FROM pages QUALIFY row_number() OVER () < 5`,
    `SELECT * FROM sessions ASOF JOIN errors ON sessions.session_id = errors.session_id AND sessions.started_at <= errors.ts`,
    `SELECT list_transform(list(url), lambda u: upper(u)), [x * 2 FOR x IN [1, 2] IF x > 1] FROM events`,
    `SELECT quantile_cont(duration_s, [0.5, 0.95]), histogram(clicks), approx_quantile(clicks, 0.5) FROM sessions`,
    `SELECT CASE WHEN clicks > 3 THEN 'many' ELSE 'few' END, coalesce(os, ''), if(clicks > 1, 1, 0) FROM sessions`,
    `SELECT * EXCLUDE (url), COLUMNS('node.*') FROM events LIMIT 10 OFFSET 5`,
    `SELECT regexp_extract(url, '/([a-z]+)$', 1), split_part(url, '/', 3), trim(text), url[1:5], substring(url from 1 for 3) FROM events`,
    `SELECT CAST(value AS INTEGER), value::DOUBLE, TRY_CAST(value AS DECIMAL(9, 2)), DATE '2026-01-01' FROM inputs`,
    `SELECT * FROM range(10) r(i), generate_series(1, 3), unnest([1, 2]), json_each('[1]')`,
    `PIVOT events ON type IN ('click', 'input') USING count(*)`,
    `DESCRIBE events`,
    `SHOW TABLES`,
    `SUMMARIZE sessions`,
    `SELECT table_name, column_name FROM information_schema.columns`,
    `SELECT 1 UNION SELECT 2 EXCEPT SELECT 3 INTERSECT SELECT 4 ORDER BY ALL`,
    `SELECT session_id FROM sessions USING SAMPLE 10`,
    `SELECT 'read_text(''/etc/passwd'')' AS text, current_date, extract(hour FROM ts) FROM events`,
    `SELECT {'function_name': 'repeat', 'type': 'nothing'}, map {'class': 'X'}`,
  ])('%s', async (sql) => {
    expect(await judged(sql)).toBeUndefined();
  });
});

it('every function of the engine is either allowed or denied by name, so that an upgrade is looked at', async () => {
  const { chunks } = await engine.select(
    `SELECT DISTINCT lower(function_name), function_type IN ('table', 'table_macro') FROM duckdb_functions()
     WHERE function_type <> 'pragma'`,
    [],
  );
  const undecided: string[] = [];
  const both: string[] = [];
  const known = new Set<string>(MACROS);
  for await (const [names = [], inFrom = []] of chunks)
    names.forEach((cell, i) => {
      const name = String(cell);
      const allowed = (inFrom[i] ? TABLE_FUNCTIONS : FUNCTIONS).has(name);
      const denied = Object.values(DENIED).some((pattern) => pattern.test(name));
      // `histogram` is an honest aggregate, and a table macro that takes the name of a table.
      if (allowed && denied && name !== 'histogram') both.push(name);
      if (!allowed && !denied) undecided.push(name);
      known.add(name);
    });
  expect({ undecided, both }).toEqual({ undecided: [], both: [] });
  // `->` and `unnest` are known to the binder alone.
  expect(
    [...FUNCTIONS, ...TABLE_FUNCTIONS].filter((name) => !known.has(name) && !/^(->|unnest)$/.test(name)),
  ).toEqual([]);
});
