import { EVENTS_COLUMNS, SESSION_ID, type Column } from '#layout';

/**
 * What SQL sees. `events` is made anew whenever the lake's files, the erased sessions or the cutoff changed; all other
 * views stand on it and so obey the same cutoff. Pure: the texts are made here and run by the child.
 */
export interface View {
  name: string;
  sentence: string;
  columns: { name: string; type: string; sentence: string }[];
  /** The defining SELECT; of `events` it depends on the lake and is made by `eventsSql`. */
  sql: string;
}

/** Local copies of one retention class. */
export interface ClassFiles {
  days: number;
  paths: string[];
  /** Rows with an earlier `ts` are past their class. Epoch milliseconds. */
  cutoffMs: number;
}

const SQL_TYPES: Record<Column['type'], string> = {
  string: 'VARCHAR',
  json: 'JSON',
  int32: 'INTEGER',
  boolean: 'BOOLEAN',
  timestamp: 'TIMESTAMP WITH TIME ZONE',
};
const column = (name: string, type: string, sentence: string) => ({ name, type, sentence });
const eventColumns = EVENTS_COLUMNS.map(({ name, type, sentence }) =>
  column(name, SQL_TYPES[type], sentence),
);
const of = (...names: string[]) => eventColumns.filter(({ name }) => names.includes(name));
const RETENTION = column('retention_days', 'INTEGER', 'retention class of the session');
const REPLAY_URL = column('replay_url', 'VARCHAR', 'where the app shows the session at this moment');

/** @throws Error when a session id is not one: it becomes part of a statement. */
export function eventsSql(classes: readonly ClassFiles[], erased: Iterable<string>): string {
  const gone = [...erased];
  for (const session of gone)
    if (!SESSION_ID.test(session)) throw new Error(`session id ${JSON.stringify(session)} is malformed`);
  const notErased = gone.length ? ` AND session_id NOT IN (${gone.map(quote).join(', ')})` : '';
  const parts = classes
    .filter(({ paths }) => paths.length)
    .map(
      ({ days, paths, cutoffMs }) =>
        `SELECT ${eventColumns.map(({ name }) => name).join(', ')}, ${days}::INTEGER AS retention_days
         FROM read_parquet([${paths.map(quote).join(', ')}])
         WHERE ts >= TIMESTAMPTZ '${new Date(cutoffMs).toISOString()}'${notErased}`,
    );
  const empty = [...eventColumns, RETENTION].map(({ name, type }) => `NULL::${type} AS ${name}`).join(', ');
  return parts.length ? parts.join('\nUNION ALL\n') : `SELECT ${empty} WHERE false`;
}

const quote = (value: string): string => `'${value.replaceAll("'", "''")}'`;

const AGENT = `any_value(props->>'$.userAgent') FILTER (type = 'environment')`;
const BROWSER = `CASE
    WHEN user_agent IS NULL THEN ''
    WHEN regexp_matches(user_agent, 'Edg(e|A|iOS)?/') THEN 'Edge'
    WHEN regexp_matches(user_agent, 'OPR/|Opera') THEN 'Opera'
    WHEN regexp_matches(user_agent, 'Firefox/|FxiOS/') THEN 'Firefox'
    WHEN regexp_matches(user_agent, 'Chrome/|Chromium/|CriOS/') THEN 'Chrome'
    WHEN regexp_matches(user_agent, 'Safari/') THEN 'Safari'
    ELSE 'other' END`;
const OS = `CASE
    WHEN user_agent IS NULL THEN ''
    WHEN regexp_matches(user_agent, 'Android') THEN 'Android'
    WHEN regexp_matches(user_agent, 'iPhone|iPad|iPod') THEN 'iOS'
    WHEN regexp_matches(user_agent, 'Windows') THEN 'Windows'
    WHEN regexp_matches(user_agent, 'Mac OS X|Macintosh') THEN 'macOS'
    WHEN regexp_matches(user_agent, 'CrOS') THEN 'ChromeOS'
    WHEN regexp_matches(user_agent, 'Linux|X11') THEN 'Linux'
    ELSE 'other' END`;

/** One row a session out of the rows of `source`: the view takes `events`, the session list what it looks at. */
export const sessionsSql = (source: string): string => `
  SELECT session_id, started_at, ended_at, epoch_ms(ended_at - started_at) / 1000.0 AS duration_s,
    events, pages, clicks, inputs, rage_clicks, disabled_clicks, errors, first_url, last_url,
    ${BROWSER} AS browser, ${OS} AS os, user_agent, viewport_w, viewport_h,
    ended_at + to_days(retention_days) AS expires_at,
    '/sessions/' || session_id AS replay_url
  FROM (
    SELECT session_id, min(ts) AS started_at, max(ts) AS ended_at, count(*) AS events,
      count(*) FILTER (type = 'navigation' AND name IS DISTINCT FROM 'replace') AS pages,
      count(*) FILTER (type = 'click') AS clicks,
      count(*) FILTER (type = 'input') AS inputs,
      count(*) FILTER (type = 'rage') AS rage_clicks,
      count(*) FILTER (type = 'click' AND disabled) AS disabled_clicks,
      count(*) FILTER (type = 'error') AS errors,
      coalesce(arg_min(url, ts) FILTER (url <> ''), '') AS first_url,
      coalesce(arg_max(url, ts) FILTER (url <> ''), '') AS last_url,
      ${AGENT} AS user_agent,
      arg_min(x, ts) FILTER (type IN ('meta', 'viewport') AND x > 0) AS viewport_w,
      arg_min(y, ts) FILTER (type IN ('meta', 'viewport') AND x > 0) AS viewport_h,
      max(retention_days) AS retention_days
    FROM ${source} GROUP BY session_id
  )`;

const BIGINT = 'BIGINT';
const INSTANT = 'TIMESTAMP WITH TIME ZONE';
const sessionColumns = [
  ...of('session_id'),
  column('started_at', INSTANT, 'first event'),
  column('ended_at', INSTANT, 'last event so far'),
  column('duration_s', 'DOUBLE', 'seconds between them'),
  column('events', BIGINT, 'events of any type'),
  column('pages', BIGINT, 'addresses that were opened'),
  column('clicks', BIGINT, 'clicks, also on disabled controls'),
  column('inputs', BIGINT, 'changes of a field'),
  column('rage_clicks', BIGINT, 'clicks that followed each other fast on one target, from the third on'),
  column('disabled_clicks', BIGINT, 'clicks on a disabled control'),
  column('errors', BIGINT, 'script errors and unhandled rejections'),
  column('first_url', 'VARCHAR', 'address at the first event that has one'),
  column('last_url', 'VARCHAR', 'address at the last event that has one'),
  column('browser', 'VARCHAR', 'Chrome, Edge, Firefox, Opera, Safari, other; empty when not told'),
  column('os', 'VARCHAR', 'Windows, macOS, Linux, ChromeOS, Android, iOS, other; empty when not told'),
  column('user_agent', 'VARCHAR', 'as the browser gave it'),
  column('viewport_w', 'INTEGER', 'CSS pixels at the start'),
  column('viewport_h', 'INTEGER', 'CSS pixels at the start'),
  column('expires_at', INSTANT, 'when its last event can be seen no more'),
  column('replay_url', 'VARCHAR', 'where the app shows the session'),
];

const TARGET = ['session_id', 'rid', 'seq', 'ts', 'url', 'node_id', 'tag', 'role', 'selector', 'text'];
/** Rows of one type with some of the columns of `events`, and where to see them. */
function moments(name: string, sentence: string, where: string, columns: string[]): View {
  return {
    name,
    sentence,
    columns: [...of(...columns), REPLAY_URL],
    sql: `SELECT ${of(...columns)
      .map((c) => c.name)
      .join(', ')}, replay_url(session_id, ts) AS replay_url FROM events WHERE ${where}`,
  };
}

/** In the order in which they are made: each may stand on those before. */
export const VIEWS: readonly View[] = [
  {
    name: 'events',
    sentence: 'every recorded event, typed; all other views stand on it',
    columns: [...eventColumns, RETENTION],
    sql: eventsSql([], []),
  },
  {
    name: 'sessions',
    sentence: 'one row a session',
    columns: sessionColumns,
    sql: sessionsSql('events'),
  },
  moments('clicks', 'clicks, also on disabled controls', "type = 'click'", [...TARGET, 'disabled', 'x', 'y']),
  moments('disabled_clicks', 'clicks on a disabled control', "type = 'click' AND disabled", [
    ...TARGET,
    'x',
    'y',
  ]),
  moments(
    'rage_clicks',
    'clicks that followed each other fast on one target, from the third on',
    "type = 'rage'",
    [...TARGET, 'disabled', 'x', 'y', 'props'],
  ),
  {
    name: 'pages',
    sentence: 'addresses in the order in which a session was on them',
    columns: [
      ...of('session_id', 'rid', 'seq'),
      column('entered_at', INSTANT, 'when the address became the current one'),
      column('left_at', INSTANT, 'when the next one did, or the last event of the session'),
      column('duration_s', 'DOUBLE', 'seconds between them'),
      ...of('url'),
      column('kind', 'VARCHAR', 'how it came: load, push, replace, pop or hash'),
      REPLAY_URL,
    ],
    sql: `SELECT session_id, rid, seq, ts AS entered_at, coalesce(next_at, ended_at) AS left_at,
        epoch_ms(coalesce(next_at, ended_at) - ts) / 1000.0 AS duration_s, url, name AS kind,
        replay_url(session_id, ts) AS replay_url
      FROM (
        SELECT session_id, rid, seq, ts, url, name, type,
          lead(ts) OVER (PARTITION BY session_id, type ORDER BY ts, rid, seq) AS next_at,
          max(ts) OVER (PARTITION BY session_id) AS ended_at
        FROM events
      ) WHERE type = 'navigation'`,
  },
  moments('inputs', 'changes of a field; the value is as masked as it was recorded', "type = 'input'", [
    ...TARGET,
    'value',
  ]),
  moments('errors', 'script errors and unhandled rejections', "type = 'error'", [
    ...['session_id', 'rid', 'seq', 'ts', 'url', 'name', 'props'],
  ]),
  moments('custom_events', 'what the site told by track()', "type = 'track'", [
    ...['session_id', 'rid', 'seq', 'ts', 'url', 'name', 'props'],
  ]),
];
export const VIEW_NAMES: ReadonlySet<string> = new Set(VIEWS.map(({ name }) => name));

/** The same text as `sessionPath` of the API. */
export const MACRO_SQL = `CREATE MACRO replay_url(session_id, ts) AS
  '/sessions/' || session_id || '?at=' || epoch_ms(ts::TIMESTAMP WITH TIME ZONE)`;
