import { SESSION_ID } from '#layout';
import {
  ApiError,
  type AssetRef,
  type SessionsAnswer,
  type SessionsQuery,
  type SessionSummary,
} from './api.ts';
import { rowObjects, type Cell, type Rows } from './rows.ts';
import type { Statements } from './statements.ts';
import { encodeArrow, type ArrowType } from './x-arrow.ts';
import { sessionsSql } from './views.ts';
import type { MARKER_COLUMNS } from './api.ts';
import type { Param } from './x-duckdb.ts';

/** What the app asks about sessions: our own statements, run as anybody's are. */
export interface Sessions {
  list(project: string, query: SessionsQuery): Promise<SessionsAnswer>;
  /** @throws ApiError `unknown_session` */
  summary(project: string, session: string): Promise<SessionSummary>;
  /** What of the session's pages is kept, in the order in which it was found. */
  assets(project: string, session: string): Promise<AssetRef[]>;
  /** Arrow IPC stream of MARKER_COLUMNS. @throws ApiError `unknown_session` */
  markers(project: string, session: string): Promise<Uint8Array>;
}

export const unknownSession = (session: string): ApiError =>
  new ApiError('unknown_session', `no session ${JSON.stringify(session.slice(0, 64))} in this project`);
export const SESSIONS_LIMIT = 50;
export const SESSIONS_LIMIT_MAX = 200;
/** More cannot be told apart on a timeline. */
const MARKERS_MAX = 20_000;
/** Of some hundred pages. */
const ASSETS_MAX = 5000;
const TENTHS = Array.from({ length: 10 }, (_, i) => i);

export function createSessions(statements: Statements): Sessions {
  return {
    async list(project, query) {
      const limit = query.limit ?? SESSIONS_LIMIT;
      const { sql, params } = listSql({ ...query, limit: limit + 1 });
      const { rows, freshness } = await statements.run(project, {
        sql,
        params,
        lane: 'app',
        rowsMax: limit + 1,
      });
      const sessions = summaries(rows);
      const more = sessions.length > limit;
      const shown = sessions.slice(0, limit);
      return { sessions: shown, ...(more ? { cursor: shown.at(-1)!.id } : {}), freshness };
    },
    async summary(project, session) {
      if (!SESSION_ID.test(session)) throw unknownSession(session);
      const sql = summarySql('SELECT $1::VARCHAR AS session_id');
      const { rows } = await statements.run(project, { sql, params: [session], lane: 'app', rowsMax: 1 });
      const [summary] = summaries(rows);
      if (!summary) throw unknownSession(session);
      return summary;
    },
    async assets(project, session) {
      const { rows } = await statements.run(project, {
        sql: ASSETS_SQL,
        params: [session],
        lane: 'app',
        rowsMax: ASSETS_MAX,
      });
      return rowObjects(rows).flatMap((row) => assetRefOf(text(row.name), text(row.props), Number(row.ts)));
    },
    async markers(project, session) {
      if (!SESSION_ID.test(session)) throw unknownSession(session);
      const { rows } = await statements.run(project, {
        sql: MARKERS_SQL,
        params: [session],
        lane: 'app',
        rowsMax: MARKERS_MAX,
      });
      // The first row stands for the session itself: without it there is none.
      if (!rows.cells[0]?.length) throw unknownSession(session);
      const columns = MARKER_TYPES.map(([name, type], i) => ({ name, type, cells: rows.cells[i]!.slice(1) }));
      return encodeArrow(columns, rows.cells[0].length - 1);
    },
  };
}

/** Sessions by id, newest first: an id sorts by its start, so that a page is found without reading all sessions. */
export function listSql(query: SessionsQuery & { limit: number }): { sql: string; params: Param[] } {
  const params: Param[] = [];
  const $ = (value: Param): string => `$${params.push(value)}`;
  const where = ['true'];
  if (query.cursor !== undefined) where.push(`session_id < ${$(query.cursor)}`);
  if (query.fromMs !== undefined) where.push(`session_id >= ${$(idBound(query.fromMs))}`);
  if (query.toMs !== undefined) where.push(`session_id < ${$(idBound(query.toMs))}`);
  if (query.signal !== undefined)
    where.push(`session_id IN (SELECT session_id FROM events WHERE ${SIGNAL_SQL[query.signal]})`);
  if (query.search) {
    const text = `${$(query.search.toLowerCase())}::VARCHAR`;
    where.push(`session_id IN (SELECT session_id FROM events
      WHERE contains(lower(url), ${text}) OR (type = 'click' AND contains(lower(text), ${text})))`);
  }
  const picked = `SELECT DISTINCT session_id FROM events WHERE ${where.join(' AND ')}
    ORDER BY session_id DESC LIMIT ${$(query.limit)}`;
  return { sql: summarySql(picked), params };
}
const SIGNAL_SQL = {
  rage: "type = 'rage'",
  dead: "type = 'dead'",
  disabled: "type = 'click' AND disabled",
  error: "type IN ('error', 'unhandledrejection')",
};

/** An id has 48 bits for its time. */
const ID_MS_MAX = 2 ** 48 - 1;
/** The least session id of that time; of a time past all ids the greatest. */
function idBound(ms: number): string {
  const hex = Math.min(ID_MS_MAX, Math.max(0, Math.floor(ms)))
    .toString(16)
    .padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}`;
}

const summarySql = (picked: string): string => `
  WITH picked AS (${picked}),
  own AS (
    SELECT session_id, ts, type, name, url, disabled, x, y, props, retention_days
    FROM events WHERE session_id IN (SELECT session_id FROM picked)
  ),
  tenths AS (
    SELECT session_id, [${TENTHS.map((i) => `count(*) FILTER (tenth = ${i})`).join(', ')}] AS activity
    FROM (
      SELECT session_id,
        least(9, (10 * (epoch_ms(ts) - epoch_ms(min(ts) OVER own_session)))
          // greatest(1, epoch_ms(max(ts) OVER own_session) - epoch_ms(min(ts) OVER own_session))) AS tenth
      FROM own WINDOW own_session AS (PARTITION BY session_id)
    ) GROUP BY session_id
  )
  SELECT * FROM (${sessionsSql('own')}) JOIN tenths USING (session_id) ORDER BY session_id DESC`;

function summaries(rows: Rows): SessionSummary[] {
  return rowObjects(rows).map((row) => ({
    id: text(row.session_id),
    startMs: instantMs(row.started_at),
    endMs: instantMs(row.ended_at),
    events: Number(row.events),
    pages: Number(row.pages),
    clicks: Number(row.clicks),
    inputs: Number(row.inputs),
    rageClicks: Number(row.rage_clicks),
    deadClicks: Number(row.dead_clicks),
    disabledClicks: Number(row.disabled_clicks),
    errors: Number(row.errors),
    firstUrl: text(row.first_url),
    lastUrl: text(row.last_url),
    browser: text(row.browser),
    os: text(row.os),
    ...(row.viewport_w && row.viewport_h
      ? { viewport: [Number(row.viewport_w), Number(row.viewport_h)] satisfies [number, number] }
      : {}),
    expiresMs: instantMs(row.expires_at),
    activity: (row.activity as number[]).map(Number),
  }));
}
const text = (cell: Cell | undefined): string => (typeof cell === 'string' ? cell : '');
const instantMs = (cell: Cell | undefined): number => (typeof cell === 'bigint' ? Number(cell / 1000n) : NaN);

const ASSETS_SQL = `
  SELECT name, props, epoch_us(ts) / 1000.0 AS ts FROM events
  WHERE session_id = $1 AND type = 'asset_ref' AND name IS NOT NULL ORDER BY events.ts, rid, seq`;

/** None when the row is not what a recorder of ours would have told. */
function assetRefOf(name: string, props: string, ts: number): AssetRef[] {
  const { url, ids } = JSON.parse(props || '{}') as { url?: unknown; ids?: unknown };
  if (typeof url !== 'string') return [];
  return [{ name, url, ts, ...(Array.isArray(ids) && { ids: ids.filter(Number.isInteger) as number[] }) }];
}

const MARKER_TYPES: [(typeof MARKER_COLUMNS)[number], ArrowType][] = [
  ['ts', 'float64'],
  ['type', 'utf8'],
  ['label', 'utf8'],
  ['url', 'utf8'],
  ['node_id', 'int32'],
];
/** Typing into one field is one marker, at its first change. A dead click stands where it was clicked. */
const MARKERS_SQL = `
  SELECT ts, type, label, url, node_id FROM (
    SELECT -1::DOUBLE AS ts, 'session' AS type, '' AS label, '' AS url, NULL::INTEGER AS node_id, '' AS rid, 0 AS seq
    WHERE EXISTS (SELECT 1 FROM events WHERE session_id = $1)
    UNION ALL
    SELECT epoch_us(ts) / 1000.0 - CASE WHEN type = 'dead' THEN coalesce(duration_ms, 0) ELSE 0 END,
      CASE
        WHEN type = 'click' AND disabled THEN 'disabled'
        WHEN type = 'unhandledrejection' THEN 'error'
        WHEN type = 'web-vital' THEN 'vital'
        ELSE type END,
      coalesce(CASE
        WHEN type = 'navigation' THEN url
        WHEN type IN ('error', 'unhandledrejection', 'track') THEN name
        WHEN type = 'web-vital' THEN concat_ws(' ', name, round(TRY_CAST(value AS DOUBLE), 3), props->>'$.rating')
        WHEN type = 'network' THEN concat_ws(' ', nullif(name, ''), value, CASE WHEN status > 0 THEN status END)
        WHEN type = 'console' THEN value
        WHEN type = 'form' THEN concat_ws(': ', name, coalesce(nullif(text, ''), selector))
        ELSE coalesce(nullif(text, ''), selector, tag) END, ''),
      coalesce(url, ''), node_id, rid, seq
    FROM (
      SELECT *, lag(type) OVER in_order AS type_before, lag(node_id) OVER in_order AS node_before
      FROM events
      WHERE session_id = $1 AND (
        type IN ('navigation', 'click', 'rage', 'dead', 'error', 'unhandledrejection', 'input', 'track', 'web-vital')
        OR (type = 'form' AND name IN ('blank', 'invalid', 'submitted'))
        OR (type = 'network' AND (status >= 400 OR (status = 0 AND (props->>'$.kind') <> 'beacon')))
        OR (type = 'console' AND name IN ('warn', 'error')))
      WINDOW in_order AS (
        PARTITION BY type IN ('dead', 'web-vital', 'form', 'network', 'console') ORDER BY ts, rid, seq)
    )
    WHERE NOT (type = 'input' AND type_before = 'input' AND node_before IS NOT DISTINCT FROM node_id)
  ) ORDER BY ts, rid, seq`;
