/**
 * What the query service answers over HTTP, and its errors. Pure; the player and the app read it too.
 * Every request but the app's own files bears `Authorization: Bearer ak_…`. The project is the key's.
 *
 *   POST   /v1/sql                             one SELECT                               scope query
 *   GET    /v1/schema                          views and their columns                  scope query
 *   GET    /v1/sessions?…                      newest first                             scope query or play
 *   GET    /v1/sessions/:id                    one SessionSummary                       scope query or play
 *   GET    /v1/sessions/:id/manifest           SessionManifest                          scope play
 *   GET    /v1/sessions/:id/markers            Arrow IPC stream, MARKER_COLUMNS         scope play
 *   GET    /v1/sessions/:id/segments/:n        Arrow IPC stream, SEGMENT_COLUMNS        scope play
 *   GET    /v1/sessions/:id/assets/:name       an image, style sheet or font            scope play
 *   DELETE /v1/sessions/:id                    202 ErasureAnswer; unreadable at once    scope erase
 *   POST   /v1/erasures                        202 ErasuresAnswer, or 200 of a dry run      scope erase
 *   GET    /v1/erasures/:session               Erasure (#layout): how far it is, or receipt scope erase
 *   GET    /v1/me                              Me: whose key this is                    any
 */

export interface Me {
  project: string;
  retentionDays: number;
  scopes: string[];
}

export const SQL_FORMATS = ['json', 'csv', 'arrow'] as const;
export type SqlFormat = (typeof SQL_FORMATS)[number];
export interface SqlRequest {
  sql: string;
  /** Values for `$1`, `$2`, … */
  params?: (string | number | boolean | null)[];
  /** Default `json`. */
  format?: SqlFormat;
  /** At most SQL_ROWS_MAX. Rows beyond it are cut and `truncated` says so. */
  rowsMax?: number;
}
/** Format `json`. Integers past 2^53 are strings, instants ISO 8601 in UTC, JSON columns text. */
export interface SqlAnswer {
  columns: { name: string; type: string }[];
  rows: (string | number | boolean | null | unknown[] | Record<string, unknown>)[][];
  truncated: boolean;
  elapsedMs: number;
  freshness: Freshness;
}
/** Formats `csv` and `arrow` say these in headers `x-truncated`, `x-elapsed-ms`, `x-fresh-as-of`. */
export interface Freshness {
  /** Events that the stream had acked by this time, less one flush interval, are in the answer. Epoch milliseconds. */
  asOfMs: number;
  files: number;
}

export interface SchemaAnswer {
  views: { name: string; sentence: string; columns: { name: string; type: string; sentence: string }[] }[];
}

export interface SessionsQuery {
  /** Of the answer before. */
  cursor?: string;
  /** At most 200; default 50. */
  limit?: number;
  /** Part of an address or of clicked text, without case. */
  search?: string;
  /** Only sessions with at least one: `rage`, `dead`, `disabled`, `error`. */
  signal?: Signal;
  /** Epoch milliseconds, half open. */
  fromMs?: number;
  toMs?: number;
}
export const SIGNALS = ['rage', 'dead', 'disabled', 'error'] as const;
export type Signal = (typeof SIGNALS)[number];
export interface SessionsAnswer {
  sessions: SessionSummary[];
  cursor?: string;
  freshness: Freshness;
}
export interface SessionSummary {
  id: string;
  startMs: number;
  endMs: number;
  events: number;
  pages: number;
  clicks: number;
  inputs: number;
  rageClicks: number;
  deadClicks: number;
  disabledClicks: number;
  errors: number;
  firstUrl: string;
  lastUrl: string;
  browser: string;
  os: string;
  viewport?: [number, number];
  expiresMs: number;
  /** Events per tenth of the session, for a sparkline. */
  activity: number[];
}

export interface SessionManifest {
  id: string;
  startMs: number;
  endMs: number;
  /** In playing order. */
  segments: Segment[];
  summary: SessionSummary;
  /** Of what the pages showed, that which is kept. Absent: nothing. */
  assets?: AssetRef[];
}
/** That at `url` was what `name` names: `<SHA-256>.<ending>`. */
export interface AssetRef {
  name: string;
  /** Without query values. */
  url: string;
  /** When it was found there, epoch milliseconds. */
  ts: number;
  /** rrweb's ids of the elements that showed it. */
  ids?: number[];
}
export interface Segment {
  /** Names the segment in its address, for as long as the session is there. No ordinal: it does not change when files do. */
  n: number;
  startMs: number;
  endMs: number;
  rows: number;
  bytes: number;
  /** Playback can begin here. */
  snapshot: boolean;
}
/** Arrow columns of a segment, in playing order: `ts` float64 epoch ms, `type` int32 of rrweb, `kind` utf8, `payload` utf8 JSON of `data`. */
export const SEGMENT_COLUMNS = ['ts', 'type', 'kind', 'payload'] as const;
/** Arrow columns of markers: `ts` float64 epoch ms, `type` utf8 (MARKER_TYPES or a click's), `label` utf8, `url` utf8, `node_id` int32. */
export const MARKER_COLUMNS = ['ts', 'type', 'label', 'url', 'node_id'] as const;
/** Of requests those that failed, of forms what was left blank, found invalid or submitted, of the console warnings and errors. */
export const MARKER_TYPES = [
  ...(['navigation', 'click', 'disabled', 'rage', 'dead', 'error', 'input', 'track'] as const),
  ...(['form', 'network', 'vital', 'console'] as const),
] as const;
export type MarkerType = (typeof MARKER_TYPES)[number];

export interface ErasureAnswer {
  session: string;
  requestedMs: number;
  /** True once the bytes are gone. */
  done: boolean;
}

/** Exactly one of `session`, `visitor` and `sql`. */
export interface ErasuresRequest {
  session?: string;
  /** As identify() told it, or the random id of a browser: all sessions that began before now. */
  visitor?: string;
  /** One SELECT with a column `session_id`. */
  sql?: string;
  /** Only tells what would go. */
  dryRun?: boolean;
}
export interface ErasuresAnswer {
  dryRun: boolean;
  requestedMs: number;
  sessions: number;
  /** Rows of `events`. */
  rows: number;
  /** Compressed, of what the player reads. */
  bytes: number;
  /** Ids of the first ERASURES_SHOWN of them. */
  first: string[];
  /** Of a visitor: sessions that come to be known as this visitor's go too, until then. */
  untilMs?: number;
}
/** What one request may erase. */
export const ERASURES_MAX = 10_000;
export const ERASURES_SHOWN = 20;

/** Where the app shows a session at a moment: what the view `sessions` and the macro `replay_url` give. */
export const sessionPath = (session: string, tsMs?: number): string =>
  `/sessions/${session}${tsMs === undefined ? '' : `?at=${Math.floor(tsMs)}`}`;

export const API_ERRORS = {
  unauthorized: { status: 401, sentence: 'there is no API key, or nobody has it' },
  forbidden: { status: 403, sentence: 'the key lacks the scope that this route needs' },
  bad_request: { status: 400, sentence: 'the request does not fit the schema; the message says where' },
  unknown_session: {
    status: 404,
    sentence:
      'no such session in this project: never recorded, not yet flushed, erased, or past its retention class',
  },
  unknown_segment: { status: 404, sentence: 'the session has no segment of that number' },
  on_hold: { status: 409, sentence: 'the session is held, and is not erased before it is released' },
  unknown_asset: { status: 404, sentence: 'no asset of that name is kept for the session’s day' },
  erasure_too_large: {
    status: 413,
    sentence: 'so many sessions are not erased by one request; narrow the statement, or select DISTINCT ids',
  },
  sql_syntax: {
    status: 400,
    sentence: 'the statement could not be parsed or bound; the message is the engine’s',
  },
  sql_not_select: { status: 400, sentence: 'only a single SELECT is run' },
  sql_not_allowed: {
    status: 403,
    sentence: 'the statement uses a function or table that is not on the allow-list',
  },
  sql_failed: { status: 400, sentence: 'the statement failed while it ran; the message is the engine’s' },
  sql_timeout: { status: 408, sentence: 'the statement ran longer than SQL_TIMEOUT_MS and was stopped' },
  sql_memory: { status: 413, sentence: 'the statement needed more memory than SQL_MEMORY_BYTES_MAX' },
  sql_busy: {
    status: 429,
    sentence:
      'too many statements of the project wait, or too much of its answers is unread, or all SQL processes are at work; try again',
  },
  store_unavailable: { status: 503, sentence: 'the store does not answer' },
  lake_damaged: {
    status: 500,
    sentence: 'a file of the project is not what was written; who runs this asks mutoscope fsck what to do',
  },
  no_route: { status: 404, sentence: 'there is nothing at that address' },
  internal: { status: 500, sentence: 'the server failed; its log says why' },
} as const;
export type ApiErrorCode = keyof typeof API_ERRORS;

export class ApiError extends Error {
  readonly code: ApiErrorCode;
  constructor(code: ApiErrorCode, message: string) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
  }
  /** HTTP status; the server's error handler reads it. */
  get statusCode(): number {
    return API_ERRORS[this.code].status;
  }
}
