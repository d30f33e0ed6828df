import { sessionPath, type SqlAnswer } from '#api';

/** Pure: how a result is read and shown. */
export type Cell = SqlAnswer['rows'][number][number];

export type Alignment = 'number' | 'text';
const NUMERIC = /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL|FLOAT|DOUBLE|REAL)\b/i;

export const alignmentOf = (type: string): Alignment => (NUMERIC.test(type) ? 'number' : 'text');
const isInstant = (type: string): boolean => /^TIMESTAMP/i.test(type);

/** An instant reads without `T` and `Z`; the column's head says that it is UTC. */
export function formatCell(value: Cell, type: string): string {
  if (value === null) return 'NULL';
  if (typeof value === 'object') return JSON.stringify(value);
  if (isInstant(type) && typeof value === 'string') return value.replace('T', ' ').replace(/Z$/, '');
  return String(value);
}

const SESSION = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const REPLAY_URL = /^\/sessions\/[0-9a-f-]{36}(\?at=\d+)?$/;
/** What `replay_url` gave, under whatever name. */
export const isReplayUrl = (value: Cell): value is string =>
  typeof value === 'string' && REPLAY_URL.test(value);

/**
 * How a row's session is opened at its moment: by its `replay_url`, else by its `session_id` and its first instant.
 * Undefined when the result names no sessions.
 */
export function linkColumn(
  columns: SqlAnswer['columns'],
): ((row: readonly Cell[]) => string | undefined) | undefined {
  const url = columns.findIndex(({ name }) => name === 'replay_url');
  if (url >= 0)
    return (row) => {
      const value = row[url];
      return isReplayUrl(value ?? null) ? (value as string) : undefined;
    };
  const session = columns.findIndex(({ name }) => name === 'session_id');
  if (session < 0) return undefined;
  const named = columns.findIndex(({ name, type }) => name === 'ts' && isInstant(type));
  const instant = named >= 0 ? named : columns.findIndex(({ type }) => isInstant(type));
  return (row) => {
    const id = row[session];
    if (typeof id !== 'string' || !SESSION.test(id)) return undefined;
    const ms = instant >= 0 ? Date.parse(String(row[instant])) : NaN;
    return sessionPath(id, Number.isNaN(ms) ? undefined : ms);
  };
}

export interface RowWindow {
  first: number;
  /** Exclusive. */
  end: number;
}
/** Rows up to this number are all in the document. */
export const ROWS_PLAIN_MAX = 500;
const ROWS_OVERSCAN = 12;

/** Which rows must be in the document for what can be seen of them. */
export function visibleRows(count: number, rowPx: number, scrollPx: number, viewPx: number): RowWindow {
  if (count <= ROWS_PLAIN_MAX) return { first: 0, end: count };
  const first = Math.max(0, Math.floor(scrollPx / rowPx) - ROWS_OVERSCAN);
  const end = Math.min(count, Math.ceil((scrollPx + viewPx) / rowPx) + ROWS_OVERSCAN);
  return { first: Math.min(first, count), end };
}
