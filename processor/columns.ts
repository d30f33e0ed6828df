import { BROWSERS, DEVICES, namesOf, SYSTEMS } from './user-agent.ts';

/** The lake's tables: their columns, and what a row of each is. Pure. */
export const TABLES = ['events', 'replay', 'sessions'] as const;
export type Table = (typeof TABLES)[number];
/** What is recorded; `sessions` follows from it. */
export const RECORDED_TABLES = ['events', 'replay'] as const;
export type RecordedTable = (typeof RECORDED_TABLES)[number];

export type ColumnType = 'string' | 'int32' | 'boolean' | 'timestamp' | 'json';
export interface Column {
  name: string;
  /** Parquet field id, never reused. */
  id: number;
  type: ColumnType;
  required: boolean;
  sentence: string;
}
const column = (id: number, name: string, type: ColumnType, required: boolean, sentence: string): Column => ({
  name,
  id,
  type,
  required,
  sentence,
});

/** Sorted by (session_id, rid, seq), which is the key of a row. `timestamp` is INT64 microseconds, UTC. */
export const EVENTS_COLUMNS: readonly Column[] = [
  column(1, 'project', 'string', true, 'the tenant'),
  column(2, 'session_id', 'string', true, 'UUIDv7 whose time is the start of the session'),
  column(3, 'rid', 'string', true, 'recorder instance: one page load'),
  column(4, 'seq', 'int32', true, 'ordinal of the event in its rid, from 1; a gap is a loss'),
  column(5, 'ts', 'timestamp', true, "when it happened, by the server's clock"),
  column(6, 'type', 'string', true, 'what happened: click, input, navigation, mutation, …'),
  column(7, 'url', 'string', false, 'address of the page at that moment, query values dropped'),
  column(8, 'node_id', 'int32', false, "rrweb's id of the node it happened on"),
  column(9, 'tag', 'string', false, 'element name of the target'),
  column(10, 'role', 'string', false, 'ARIA role of the target'),
  column(
    11,
    'selector',
    'string',
    false,
    'CSS path of the target; after ` >>> ` it goes on inside a frame or shadow root',
  ),
  column(
    12,
    'text',
    'string',
    false,
    'accessible text of the target, at most 80 characters, masked as the page is',
  ),
  column(13, 'disabled', 'boolean', false, 'whether the clicked control was disabled'),
  column(14, 'x', 'int32', false, 'CSS pixels in the viewport; for scrolls the scroll position'),
  column(15, 'y', 'int32', false, 'CSS pixels in the viewport; for scrolls the scroll position'),
  column(
    16,
    'value',
    'string',
    false,
    'value of an input as recorded: masked; address of a request, value of a vital, line of the console',
  ),
  column(
    17,
    'name',
    'string',
    false,
    'name given to track() or identify(), message of an error, kind of a navigation or form event, method of a request, name of a vital, level of a line',
  ),
  column(18, 'status', 'int32', false, 'HTTP status of a request'),
  column(19, 'duration_ms', 'int32', false, 'how long it took; of a dead click how long was waited'),
  column(20, 'adds', 'int32', false, 'nodes added by a mutation'),
  column(21, 'removes', 'int32', false, 'nodes removed by a mutation'),
  column(22, 'attrs', 'int32', false, 'attribute changes of a mutation'),
  column(23, 'texts', 'int32', false, 'text changes of a mutation'),
  column(24, 'props', 'json', false, "a custom event's payload, as JSON"),
];

export const REPLAY_COLUMNS: readonly Column[] = [
  column(1, 'project', 'string', true, 'the tenant'),
  column(2, 'session_id', 'string', true, 'UUIDv7 whose time is the start of the session'),
  column(3, 'rid', 'string', true, 'recorder instance: one page load'),
  column(4, 'seq', 'int32', true, 'ordinal of the event in its rid'),
  column(5, 'ts', 'timestamp', true, "when it happened, by the server's clock"),
  column(6, 'type', 'int32', true, "rrweb's event type"),
  column(7, 'kind', 'string', true, '`event`, or `checkpoint` computed by the processor'),
  column(
    8,
    'payload',
    'string',
    true,
    "JSON text of rrweb's `data`; in sealed files `~asset:<name>~` stands for an asset",
  ),
];

/** Between two events of the visitor there is no pause, unless it is longer. */
export const ACTIVE_GAP_MS_MAX = 10_000;
export const UTM_PARAMETERS = ['source', 'medium', 'campaign', 'term', 'content'] as const;

/**
 * Sorted by session_id, which is the key in a class. How far down was scrolled is not told: events say the position, and
 * not how long the page is. Neither are class and expiry: the path says them, and a move must not make a row wrong.
 */
export const SESSIONS_COLUMNS: readonly Column[] = [
  column(1, 'project', 'string', true, 'the tenant'),
  column(2, 'session_id', 'string', true, 'UUIDv7 whose time is the start of the session'),
  column(
    3,
    'visitor_id',
    'string',
    false,
    "random id of the visitor's browser, where the site lets one be kept",
  ),
  column(4, 'user_id', 'string', false, 'as identify() told last'),
  column(5, 'started_at', 'timestamp', true, 'first event'),
  column(6, 'ended_at', 'timestamp', true, 'last event so far'),
  column(7, 'duration_ms', 'int32', true, 'between them'),
  column(
    8,
    'active_ms',
    'int32',
    true,
    `of that, how long the visitor moved, pressed, scrolled or typed: what lies between two such events of a page load, where it is at most ${ACTIVE_GAP_MS_MAX / 1000} s`,
  ),
  column(9, 'events', 'int32', true, 'events of any type'),
  column(10, 'pages', 'int32', true, 'addresses that were opened'),
  column(11, 'clicks', 'int32', true, 'clicks, also on disabled controls'),
  column(12, 'inputs', 'int32', true, 'changes of a field'),
  column(
    13,
    'rage_clicks',
    'int32',
    true,
    'clicks that followed each other fast on one target, from the third on',
  ),
  column(14, 'dead_clicks', 'int32', true, 'clicks on what looks clickable of which nothing came'),
  column(15, 'disabled_clicks', 'int32', true, 'clicks on a disabled control'),
  column(16, 'errors', 'int32', true, 'script errors and unhandled rejections'),
  column(
    17,
    'gaps',
    'int32',
    true,
    'events that are missing: numbers between the first and the last `seq` of a page load that no event has',
  ),
  column(18, 'first_url', 'string', true, 'address at the first event that has one; empty for none'),
  column(19, 'last_url', 'string', true, 'address at the last event that has one; empty for none'),
  column(20, 'referrer', 'string', false, 'address that led to the first page, query values dropped'),
  ...UTM_PARAMETERS.map((name, i) =>
    column(
      21 + i,
      `utm_${name}`,
      'string',
      false,
      `as it stands in \`first_url\`, where the site keeps its value`,
    ),
  ),
  column(26, 'user_agent', 'string', false, 'as the browser gave it'),
  column(27, 'browser', 'string', true, `${namesOf(BROWSERS)}, other; empty when not told`),
  column(28, 'os', 'string', true, `${namesOf(SYSTEMS)}, other; empty when not told`),
  column(29, 'device', 'string', true, `${namesOf(DEVICES)}, desktop; empty when not told`),
  column(30, 'language', 'string', false, 'of the browser'),
  column(31, 'viewport_w', 'int32', false, 'CSS pixels at the start'),
  column(32, 'viewport_h', 'int32', false, 'CSS pixels at the start'),
  column(33, 'recorder_version', 'string', false, 'name and version of the recorder, as it tells them'),
];
export const COLUMNS: Record<Table, readonly Column[]> = {
  events: EVENTS_COLUMNS,
  replay: REPLAY_COLUMNS,
  sessions: SESSIONS_COLUMNS,
};

export interface EventRow {
  project: string;
  session_id: string;
  rid: string;
  seq: number;
  /** Epoch microseconds. */
  ts: bigint;
  type: string;
  url?: string;
  node_id?: number;
  tag?: string;
  role?: string;
  selector?: string;
  text?: string;
  disabled?: boolean;
  x?: number;
  y?: number;
  value?: string;
  name?: string;
  status?: number;
  duration_ms?: number;
  adds?: number;
  removes?: number;
  attrs?: number;
  texts?: number;
  props?: string;
}
export interface ReplayRow {
  project: string;
  session_id: string;
  rid: string;
  seq: number;
  ts: bigint;
  type: number;
  kind: 'event' | 'checkpoint';
  payload: string;
}
export interface SessionRow extends Partial<Record<`utm_${(typeof UTM_PARAMETERS)[number]}`, string>> {
  project: string;
  session_id: string;
  visitor_id?: string;
  user_id?: string;
  /** Epoch microseconds. */
  started_at: bigint;
  ended_at: bigint;
  duration_ms: number;
  active_ms: number;
  events: number;
  pages: number;
  clicks: number;
  inputs: number;
  rage_clicks: number;
  dead_clicks: number;
  disabled_clicks: number;
  errors: number;
  gaps: number;
  first_url: string;
  last_url: string;
  referrer?: string;
  user_agent?: string;
  browser: string;
  os: string;
  device: string;
  language?: string;
  viewport_w?: number;
  viewport_h?: number;
  recorder_version?: string;
}
