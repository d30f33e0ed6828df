/** What a statement gives, on its way from the child that ran it to the format that the client asked for. */
export interface ResultColumn {
  name: string;
  /** As DuckDB names it. */
  type: string;
  kind: Kind;
}
/**
 * How a column's cells look: `instant` bigint microseconds since the epoch, or `infinity`/`-infinity`; `integer` number, or bigint
 * past 2^53; `number` finite or not; `json` lists and structs as JSON has them; a cell of any kind may be null.
 */
export type Kind = 'boolean' | 'integer' | 'number' | 'text' | 'instant' | 'json';
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Cell = bigint | Json;
export interface Rows {
  columns: ResultColumn[];
  /** One array a column. */
  cells: Cell[][];
  /** There were more rows than were asked for. */
  truncated: boolean;
}
export const rowCount = (rows: Rows): number => rows.cells[0]?.length ?? 0;

/** ISO 8601 in UTC, with milliseconds, or microseconds where there are any. */
export function isoInstant(micros: bigint): string {
  const ms = micros / 1000n - (micros < 0n && micros % 1000n !== 0n ? 1n : 0n);
  const rest = Number(micros - ms * 1000n);
  const date = new Date(Number(ms));
  if (Number.isNaN(date.getTime())) return `${micros} µs`;
  const iso = date.toISOString();
  return rest ? `${iso.slice(0, -1)}${String(rest).padStart(3, '0')}Z` : iso;
}

/** As JSON can say it: integers past 2^53 and what is not finite become texts. */
export function jsonCell(cell: Cell, kind: Kind): Json {
  if (typeof cell === 'bigint') return kind === 'instant' ? isoInstant(cell) : cell.toString();
  return typeof cell === 'number' && !Number.isFinite(cell) ? String(cell) : cell;
}

/** Rows in JSON's order: one array a row. */
export function jsonRows({ columns, cells, ...rest }: Rows): Json[][] {
  return Array.from({ length: rowCount({ columns, cells, ...rest }) }, (_, row) =>
    columns.map((column, i) => jsonCell(cells[i]?.[row] ?? null, column.kind)),
  );
}

/** One object a row, for our own statements, whose columns we know. */
export function rowObjects(rows: Rows): Record<string, Cell>[] {
  return Array.from({ length: rowCount(rows) }, (_, row) =>
    Object.fromEntries(rows.columns.map(({ name }, i) => [name, rows.cells[i]?.[row] ?? null])),
  );
}

/** RFC 4180, with a header line. A null is empty, a text of no length `""`. Formulas are not defused: the data stays as it is. */
export function csv(rows: Rows): string {
  const lines = [rows.columns.map(({ name }) => csvField(name))];
  for (const row of jsonRows(rows))
    lines.push(
      row.map((value) =>
        value === null ? '' : csvField(typeof value === 'object' ? JSON.stringify(value) : String(value)),
      ),
    );
  return lines.map((fields) => `${fields.join(',')}\r\n`).join('');
}
const csvField = (text: string): string =>
  text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
