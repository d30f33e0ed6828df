import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sessionPath } from '#api';
import { eventsSql, MACRO_SQL, VIEWS } from './views.ts';
import { openEngine, type Engine } from './x-duckdb.ts';

let dir: string;
let engine: Engine;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mutoscope-views-'));
  engine = await openEngine({ dir, spillDir: join(dir, 'spill'), memoryBytes: 128e6, threads: 1 });
  await engine.define([MACRO_SQL, ...VIEWS.map(({ name, sql }) => `CREATE VIEW ${name} AS ${sql}`)]);
});
afterAll(async () => {
  engine.close();
  await rm(dir, { recursive: true, force: true });
});

it.each(VIEWS.map(({ name, columns }) => ({ name, columns })))(
  'the view $name has, also over an empty lake, the columns that the schema tells',
  async ({ name, columns }) => {
    const selection = await engine.select(`FROM ${name}`, []);
    for await (const chunk of selection.chunks) expect(chunk[0]).toEqual([]);
    expect(selection.columns.map((c) => `${c.name} ${c.type}`)).toEqual(
      columns.map((c) => `${c.name} ${c.type}`),
    );
  },
);

it('replay_url says what the app calls the address of a moment', async () => {
  const { chunks } = await engine.select(
    `SELECT replay_url('abc', TIMESTAMPTZ '2026-03-10 10:00:00.1239Z')`,
    [],
  );
  for await (const chunk of chunks)
    expect(chunk).toEqual([[sessionPath('abc', Date.parse('2026-03-10T10:00:00.123Z'))]]);
});

it.each([
  [
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/150.0.0.0 Safari/537.36',
    'Chrome',
    'Windows',
  ],
  [
    'Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/150.0 Safari/537.36 Edg/150.0',
    'Edge',
    'Windows',
  ],
  [
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1 Version/19.0 Safari/605.1',
    'Safari',
    'macOS',
  ],
  ['Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0', 'Firefox', 'Linux'],
  [
    'Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Chrome/150.0 Mobile Safari/537.36',
    'Chrome',
    'Android',
  ],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1 Version/19 Safari/604.1',
    'Safari',
    'iOS',
  ],
  ['curl/8', 'other', 'other'],
])('tells browser and system of %s', async (userAgent, browser, os) => {
  const { sessionsSql } = await import('./views.ts');
  const source = `(SELECT 's' AS session_id, now() AS ts, 'environment' AS type, '' AS url, '' AS name, true AS disabled,
    1 AS x, 1 AS y, 30 AS retention_days, json_object('userAgent', $1::VARCHAR) AS props)`;
  const { chunks } = await engine.select(`SELECT browser, os FROM (${sessionsSql(source)})`, [userAgent]);
  for await (const chunk of chunks) expect(chunk).toEqual([[browser], [os]]);
});

it('takes into a statement only session ids that are some', () => {
  expect(() => eventsSql([{ days: 30, paths: ['x'], cutoffMs: 0 }], ["x') OR true --"])).toThrow(
    'is malformed',
  );
  expect(eventsSql([{ days: 30, paths: ["it's"], cutoffMs: 0 }], [])).toContain("'it''s'");
});
