import {
  BROWSERS,
  DEVICES,
  EVENTS_COLUMNS,
  SESSION_ID,
  SESSIONS_COLUMNS,
  SYSTEMS,
  UTM_PARAMETERS,
  type AgentRule,
  type Column,
} from '#layout';
import { RETENTION_COLUMNS, retentionSql } from './retention-sql.ts';

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
/** In the files JSON is text. */
const SELECTED = EVENTS_COLUMNS.map(({ name, type }) =>
  type === 'json' ? `TRY_CAST(${name} AS JSON) AS ${name}` : name,
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
        `SELECT ${SELECTED.join(', ')}, ${days}::INTEGER AS retention_days
         FROM read_parquet([${paths.map(quote).join(', ')}])
         WHERE ts >= TIMESTAMPTZ '${new Date(cutoffMs).toISOString()}'${notErased}`,
    );
  const empty = [...eventColumns, RETENTION].map(({ name, type }) => `NULL::${type} AS ${name}`).join(', ');
  return parts.length ? parts.join('\nUNION ALL\n') : `SELECT ${empty} WHERE false`;
}

const quote = (value: string): string => `'${value.replaceAll("'", "''")}'`;

const told = (name: string): string => `environment->>'$.${name}'`;
/** As `nameOf`. */
const agentSql = (rules: readonly AgentRule[], other: string): string => `CASE
    WHEN user_agent IS NULL THEN ''
    ${rules.map(([pattern, name]) => `WHEN regexp_matches(user_agent, '${pattern}') THEN '${name}'`).join('\n    ')}
    ELSE '${other}' END`;

const IS_ERROR = `type IN ('error', 'unhandledrejection')`;

/**
 * One row a session out of the rows of `source`: the view takes `events`, the session list what it looks at. The lake's
 * table `sessions` says the same, as old as the last compaction (`processor/session-rows.ts`).
 */
export const sessionsSql = (source: string): string => `
  SELECT session_id, started_at, ended_at, epoch_ms(ended_at - started_at) / 1000.0 AS duration_s,
    events, pages, clicks, inputs, rage_clicks, disabled_clicks, errors, first_url, last_url,
    ${agentSql(BROWSERS, 'other')} AS browser, ${agentSql(SYSTEMS, 'other')} AS os, user_agent, viewport_w, viewport_h,
    ended_at + to_days(retention_days) AS expires_at,
    '/sessions/' || session_id AS replay_url,
    dead_clicks, visitor_id, user_id,
    ${agentSql(DEVICES, 'desktop')} AS device, ${told('language')} AS language, nullif(${told('referrer')}, '') AS referrer,
    ${UTM_PARAMETERS.map((name) => `nullif(regexp_extract(first_url, '[?&]utm_${name}=([^&#]*)', 1), '') AS utm_${name}`).join(', ')},
    ${told('recorder')} AS recorder_version
  FROM (
    SELECT *, ${told('userAgent')} AS user_agent FROM (
      SELECT session_id, min(ts) AS started_at, max(ts) AS ended_at, count(*) AS events,
        count(*) FILTER (type = 'navigation' AND name IS DISTINCT FROM 'replace') AS pages,
        count(*) FILTER (type = 'click') AS clicks,
        count(*) FILTER (type = 'input') AS inputs,
        count(*) FILTER (type = 'rage') AS rage_clicks,
        count(*) FILTER (type = 'click' AND disabled) AS disabled_clicks,
        count(*) FILTER (${IS_ERROR}) AS errors,
        count(*) FILTER (type = 'dead') AS dead_clicks,
        arg_min(props, ts) FILTER (type = 'environment') AS environment,
        arg_min(CASE WHEN type = 'environment' THEN props->>'$.visitor' END, ts) AS visitor_id,
        arg_max(name, ts) FILTER (type = 'identify') AS user_id,
        coalesce(arg_min(url, ts) FILTER (url <> ''), '') AS first_url,
        coalesce(arg_max(url, ts) FILTER (url <> ''), '') AS last_url,
        arg_min(x, ts) FILTER (type IN ('meta', 'viewport') AND x > 0) AS viewport_w,
        arg_min(y, ts) FILTER (type IN ('meta', 'viewport') AND x > 0) AS viewport_h,
        max(retention_days) AS retention_days
      FROM ${source} GROUP BY session_id
    )
  )`;

const BIGINT = 'BIGINT';
const INSTANT = 'TIMESTAMP WITH TIME ZONE';
/** Columns of the lake's table, whose counts are wider here. */
const ofTable = (...names: string[]) =>
  names.map((name) => {
    const { type, sentence } = SESSIONS_COLUMNS.find((one) => one.name === name)!;
    return column(name, type === 'int32' && !/^viewport/.test(name) ? BIGINT : SQL_TYPES[type], sentence);
  });
const sessionColumns = [
  ...ofTable('session_id', 'started_at', 'ended_at'),
  column('duration_s', 'DOUBLE', 'seconds between them'),
  ...ofTable('events', 'pages', 'clicks', 'inputs', 'rage_clicks', 'disabled_clicks', 'errors'),
  ...ofTable('first_url', 'last_url', 'browser', 'os', 'user_agent', 'viewport_w', 'viewport_h'),
  column('expires_at', INSTANT, 'when its last event can be seen no more'),
  column('replay_url', 'VARCHAR', 'where the app shows the session'),
  ...ofTable('dead_clicks', 'visitor_id', 'user_id', 'device', 'language', 'referrer'),
  ...ofTable(...UTM_PARAMETERS.map((name) => `utm_${name}`), 'recorder_version'),
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

type ViewColumn = View['columns'][number];
const asIs = (...names: string[]): [string, ViewColumn][] => of(...names).map((c) => [c.name, c]);
/** Rows of `from` with columns made by expressions, and where to see them. */
function derived(name: string, sentence: string, from: string, columns: [string, ViewColumn][]): View {
  const all: typeof columns = [...columns, ['replay_url(session_id, ts)', REPLAY_URL]];
  return {
    name,
    sentence,
    columns: all.map(([, c]) => c),
    sql: `SELECT ${all.map(([expression, c]) => `${expression} AS ${c.name}`).join(', ')} FROM ${from}`,
  };
}
const KEY = ['session_id', 'rid', 'seq', 'ts', 'url'];
const property = (name: string, type = 'VARCHAR'): string => `TRY_CAST(props->>'$.${name}' AS ${type})`;
/** Errors so long after a click count as its. */
const ERROR_CLICK_MS = 1000;

const MEANING_VIEWS: readonly View[] = [
  derived(
    'dead_clicks',
    'clicks on what looks clickable of which nothing came, at the moment of the click',
    `(SELECT * REPLACE (ts - to_milliseconds(coalesce(duration_ms, 0)) AS ts) FROM events WHERE type = 'dead')`,
    [...asIs(...TARGET, 'x', 'y'), ['duration_ms', column('waited_ms', 'INTEGER', 'how long nothing came')]],
  ),
  derived(
    'error_clicks',
    `clicks after which, and before the next one, the page had an error within ${ERROR_CLICK_MS} ms`,
    `(SELECT c.*, e.name AS error, epoch_ms(e.ts - c.ts) AS after_ms
      FROM (SELECT session_id, rid, ts, name FROM events WHERE ${IS_ERROR}) e
      ASOF JOIN (SELECT * FROM events WHERE type = 'click') c
        ON c.session_id = e.session_id AND c.rid = e.rid AND e.ts >= c.ts
      WHERE e.ts <= c.ts + to_milliseconds(${ERROR_CLICK_MS})
      QUALIFY row_number() OVER (PARTITION BY c.session_id, c.rid, c.seq ORDER BY e.ts) = 1)`,
    [
      ...asIs(...TARGET, 'disabled', 'x', 'y'),
      ['error', column('error', 'VARCHAR', 'message of the first error after it')],
      ['after_ms', column('error_after_ms', BIGINT, 'how long after the click it came')],
    ],
  ),
  derived('forms', 'what became of the fields of forms, and submissions', `events WHERE type = 'form'`, [
    ...asIs(...TARGET),
    [
      'name',
      column('event', 'VARCHAR', 'entered, changed, blank (left without a value), invalid, submitted'),
    ],
    [property('form'), column('form', 'VARCHAR', 'CSS path of the form around the field; empty for none')],
    ['duration_ms', column('spent_ms', 'INTEGER', 'since the field was entered, or for submitted the form')],
  ]),
  {
    name: 'form_abandonment',
    sentence: 'forms of which a field was entered and that were not submitted on that page load',
    columns: [
      ...of('session_id', 'rid', 'url'),
      column('form', 'VARCHAR', 'CSS path of the form'),
      column('began_at', INSTANT, 'first field entered'),
      column('left_at', INSTANT, 'last that became of a field'),
      column('fields_entered', BIGINT, 'different fields'),
      column('fields_changed', BIGINT, 'different fields'),
      column('fields_blank', BIGINT, 'different fields that were left without a value'),
      column('fields_invalid', BIGINT, 'different fields that were found invalid'),
      column('last_selector', 'VARCHAR', 'field that was entered last'),
      column('last_text', 'VARCHAR', 'its label'),
      REPLAY_URL,
    ],
    sql: `SELECT session_id, rid, url, form, min(ts) AS began_at, max(ts) AS left_at,
        ${['entered', 'changed', 'blank', 'invalid']
          .map((event) => `count(DISTINCT selector) FILTER (event = '${event}') AS fields_${event}`)
          .join(', ')},
        arg_max(selector, seq) FILTER (event = 'entered') AS last_selector,
        arg_max(text, seq) FILTER (event = 'entered') AS last_text,
        replay_url(session_id, max(ts)) AS replay_url
      FROM forms WHERE form <> '' GROUP BY session_id, rid, url, form
      HAVING bool_or(event = 'entered') AND NOT bool_or(event = 'submitted')`,
  },
  derived('network', "the page's requests, when they were answered", `events WHERE type = 'network'`, [
    ...asIs(...KEY),
    [property('kind'), column('kind', 'VARCHAR', 'fetch, xhr or beacon')],
    ['name', column('method', 'VARCHAR', 'empty when the request began before the recorder')],
    ['value', column('request_url', 'VARCHAR', 'without query values')],
    ...asIs('status', 'duration_ms'),
    [property('bytes', BIGINT), column('bytes', BIGINT, 'of the answer, where known')],
    [
      "status >= 400 OR (status = 0 AND (props->>'$.kind') <> 'beacon')",
      column('failed', 'BOOLEAN', 'no answer, one that no script may see, or a status of 400 and above'),
    ],
    ...asIs('props'),
  ]),
  derived(
    'web_vitals',
    'LCP, INP, CLS, FCP and TTFB of each page load, with their last value',
    `(SELECT * FROM events WHERE type = 'web-vital'
      QUALIFY row_number() OVER (PARTITION BY session_id, rid, name, props->>'$.id' ORDER BY seq DESC) = 1)`,
    [
      ...asIs(...KEY, 'name'),
      ['TRY_CAST(value AS DOUBLE)', column('value', 'DOUBLE', 'milliseconds; of CLS a score')],
      [property('rating'), column('rating', 'VARCHAR', 'good, needs-improvement or poor')],
    ],
  ),
  {
    name: 'identities',
    sentence: 'who identify() said that the visitor is',
    columns: [
      ...of('session_id'),
      column('user_id', 'VARCHAR', "the site's own id"),
      column('visitor_id', 'VARCHAR', "random id of the visitor's browser, where the site lets one be kept"),
      column('identified_at', INSTANT, 'when it was told first in the session'),
      REPLAY_URL,
    ],
    sql: `SELECT session_id, name AS user_id, any_value(visitor_id) AS visitor_id, min(ts) AS identified_at,
        replay_url(session_id, min(ts)) AS replay_url
      FROM (
        SELECT session_id, type, name, ts,
          max(props->>'$.visitor') FILTER (type = 'environment') OVER (PARTITION BY session_id) AS visitor_id
        FROM events WHERE type IN ('environment', 'identify')
      ) WHERE type = 'identify' GROUP BY session_id, name`,
  },
  derived(
    'recorder_health',
    'what the recorder told of itself: whether, why and how much was recorded',
    `events WHERE type = 'recorder_health'`,
    [
      ...asIs(...KEY),
      [property('state'), column('state', 'VARCHAR', 'connecting, recording, offline, …')],
      [property('lastError'), column('last_error', 'VARCHAR', 'a code, and what it is about')],
      ...(
        [
          ['eventsRecorded', 'events_recorded', 'of this page load'],
          ['eventsDropped', 'events_dropped', 'lost where the buffer was full or a batch too large'],
          ['bytesSent', 'bytes_sent', 'frames with their headers'],
          ['bytesBuffered', 'bytes_buffered', 'not yet acked'],
          ['reconnects', 'reconnects', 'connections after the first'],
          ['failures', 'failures', "the recorder's own errors"],
          ['pageErrors', 'page_errors', "the page's uncaught errors, also those that were not told"],
          ['worstTaskMs', 'worst_task_ms', "the recorder's longest script in a frame of over 50 ms"],
        ] as const
      ).map(([from, name, sentence]): [string, ViewColumn] => [
        property(from, BIGINT),
        column(name, BIGINT, sentence),
      ]),
      ...asIs('props'),
    ],
  ),
  moments('scrolls', 'positions to which was scrolled; of the page or of the node', "type = 'scroll'", [
    ...KEY,
    ...['node_id', 'x', 'y'],
  ]),
  derived('console_lines', 'what the page wrote to its console', `events WHERE type = 'console'`, [
    ...asIs(...KEY),
    ['name', column('level', 'VARCHAR', 'debug, log, info, warn or error')],
    ['value', column('line', 'VARCHAR', 'masked, at most 1,024 characters')],
  ]),
];

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
  moments('errors', 'script errors and unhandled rejections', IS_ERROR, [
    ...['session_id', 'rid', 'seq', 'ts', 'type', 'url', 'name', 'props'],
  ]),
  moments('custom_events', 'what the site told by track()', "type = 'track'", [
    ...['session_id', 'rid', 'seq', 'ts', 'url', 'name', 'props'],
  ]),
  ...MEANING_VIEWS,
  {
    name: 'retention_status',
    sentence: 'what is stored of each retention class and day, and until when, as the last sweep found it',
    columns: RETENTION_COLUMNS,
    sql: retentionSql([]),
  },
];
export const VIEW_NAMES: ReadonlySet<string> = new Set(VIEWS.map(({ name }) => name));

/** The same text as `sessionPath` of the API. */
export const MACRO_SQL = `CREATE MACRO replay_url(session_id, ts) AS
  '/sessions/' || session_id || '?at=' || epoch_ms(ts::TIMESTAMP WITH TIME ZONE)`;
