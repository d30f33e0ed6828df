import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ACTIVE_GAP_MS_MAX, SESSIONS_COLUMNS } from '#layout';
import {
  openFixtureLake,
  sessionId,
  type FixtureEvent,
  type FixtureLake,
  type FixtureSession,
} from './fixture-lake.ts';
import { stuck, T0 } from './fixture-story.ts';
import { eventsSql, VIEWS } from './views.ts';
import { openEngine, type Engine } from './x-duckdb.ts';
import type { Cell } from './rows.ts';

/** Whether the lake's own table `sessions` says what the view of that name makes of `events`. */
let lake: FixtureLake;
let engine: Engine;
let table: string;
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));

const AGENTS = [
  'Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/150.0 Safari/537.36 Edg/150.0',
  'Mozilla/5.0 (Linux; Android 16; SM-X900) AppleWebKit/537.36 Chrome/150.0 Safari/537.36',
  'Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Chrome/150.0 Mobile Safari/537.36',
  'Mozilla/5.0 (iPad; CPU OS 19_0 like Mac OS X) AppleWebKit/605.1 Version/19 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0',
  'curl/8',
];
const URLS = [
  'https://shop.example/?utm_source=news&utm_medium=&utm_campaign=a%20b#utm_term=no',
  'https://shop.example/?q=&utm_content=c&utm_medium=mail&utm_term=t',
  'https://shop.example/other',
];

/** Every kind of event that a column counts or takes from, of several page loads, some numbers of which are missing. */
function randomSessions(random: () => number, count: number): FixtureSession[] {
  const below = (n: number): number => Math.floor(random() * n);
  const pick = <T>(all: readonly T[]): T => all[below(all.length)]!;
  return Array.from({ length: count }, (_, n) => n).flatMap((n) => {
    let tsMs = T0 + n;
    const id = sessionId(T0 + n, n);
    return Array.from({ length: 1 + below(3) }, (_, load): FixtureSession => {
      const environment = {
        userAgent: pick(AGENTS),
        language: 'de',
        referrer: pick(['', URLS[2]!]),
        recorder: 'r/1',
      };
      const events = Array.from({ length: below(40) }, (): FixtureEvent => {
        // Never two at one instant, of which DuckDB takes any.
        tsMs += 1 + below(pick([3, 3000, ACTIVE_GAP_MS_MAX * 2]));
        const type = pick([
          ...['click', 'input', 'rage', 'dead', 'error', 'unhandledrejection', 'navigation', 'environment'],
          ...['identify', 'move', 'scroll', 'mutation', 'meta', 'viewport', 'network', 'visibility'],
        ]);
        const of: Record<string, Partial<FixtureEvent>> = {
          click: { disabled: pick([true, false, undefined]) },
          navigation: { name: pick(['load', 'replace', undefined]) },
          identify: { name: pick(['anna', 'bob']) },
          meta: { x: below(2) * 1280, y: 800 },
          viewport: { x: 900, y: 700 },
          environment: { props: environmentProps(pick(['{', undefined, '5', 'told']), environment, n, load) },
          network: { props: '{"userAgent":"of a request"}' },
        };
        return { tsMs: tsMs + random(), type, url: pick([...URLS, '', undefined]), ...of[type] };
      });
      return { project: 'one', id, rid: `rid-${load}`, firstSeq: 1 + below(3), events };
    });
  });
}
const environmentProps = (
  kind: string | undefined,
  environment: object,
  n: number,
  load: number,
): string | undefined =>
  kind === 'told' ? JSON.stringify({ ...environment, ...(load && { visitor: `v-${n}` }) }) : kind;

beforeAll(async () => {
  process.stdout.write(`table sessions and view: SEED=${seed}\n`);
  let state = seed;
  const random = (): number => (state = (state * 48_271 + 1) % 2_147_483_647) / 2_147_483_647;
  lake = await openFixtureLake();
  const sessions = randomSessions(random, 200).filter(({ events }) => events.length);
  const halves = sessions.flatMap((one): FixtureSession[] => {
    const at = Math.floor(one.events.length / 2);
    const rest = { ...one, events: one.events.slice(at + 1), firstSeq: one.firstSeq! + at + 1 };
    return rest.events.length ? [{ ...one, events: one.events.slice(0, at) }, rest] : [one];
  });
  const more = [{ project: 'one', id: sessionId(T0 + 1000, 1000), events: stuck(T0 + 1000) }];
  const files = await lake.compact('one', [...halves.filter(({ events }) => events.length), ...more]);
  const path = (name: string): string =>
    join(lake.dir, 'lake', files.find((file) => file.table === name)!.key);
  engine = await openEngine({
    ...{ dir: lake.dir, spillDir: join(lake.dir, 'spill'), memoryBytes: 256e6, threads: 1 },
  });
  await engine.define([
    `CREATE VIEW events AS ${eventsSql([{ days: 30, paths: [path('events')], cutoffMs: 0 }], [])}`,
    `CREATE VIEW sessions AS ${VIEWS.find(({ name }) => name === 'sessions')!.sql}`,
  ]);
  table = `read_parquet('${path('sessions')}')`;
});
afterAll(async () => {
  engine.close();
  await lake.close();
});

async function rows(sql: string): Promise<Cell[][]> {
  const { chunks } = await engine.select(sql, []);
  const found: Cell[][] = [];
  for await (const columns of chunks)
    columns[0]!.forEach((_, i) => found.push(columns.map((cells) => cells[i]!)));
  return found;
}
const inView = new Set(VIEWS.find(({ name }) => name === 'sessions')!.columns.map(({ name }) => name));
const SHARED = SESSIONS_COLUMNS.map(({ name }) => name).filter((name) => inView.has(name));

it.each(SHARED)('the column %s is that of the view', async (name) => {
  const of = (from: string): string => `SELECT session_id, ${name} AS value FROM ${from} ORDER BY session_id`;
  const told = await rows(of(table));
  expect(told).toEqual(await rows(of('sessions')));
  expect(new Set(told.map(([, value]) => String(value))).size).toBeGreaterThan(1);
});

it.each([
  ['project', `SELECT session_id, any_value(project) FROM events GROUP BY ALL`],
  ['duration_ms', 'SELECT session_id, round(duration_s * 1000)::INTEGER FROM sessions'],
  [
    'active_ms',
    `SELECT session_id, (coalesce(sum(gap) FILTER (gap > 0 AND gap <= ${ACTIVE_GAP_MS_MAX * 1000}), 0) // 1000)::INTEGER
      FROM (SELECT session_id, CASE WHEN type IN ('click', 'input', 'move', 'scroll') THEN epoch_us(ts) - lag(epoch_us(ts))
          OVER (PARTITION BY session_id, rid, type IN ('click', 'input', 'move', 'scroll') ORDER BY seq) END AS gap
        FROM events) GROUP BY session_id`,
  ],
  [
    'gaps',
    `SELECT session_id, sum(missing)::INTEGER FROM (
      SELECT session_id, max(seq) - min(seq) + 1 - count(*) AS missing FROM events GROUP BY session_id, rid
    ) GROUP BY session_id`,
  ],
])('the column %s, which the view has not, is what its sentence says', async (name, sql) => {
  const told = await rows(`SELECT session_id, ${name} FROM ${table} ORDER BY session_id`);
  expect(told).toEqual(await rows(`FROM (${sql}) ORDER BY session_id`));
  expect(SHARED).not.toContain(name);
});

it('no column is left unlooked at', () => {
  expect(SHARED.length + 4).toBe(SESSIONS_COLUMNS.length);
});
