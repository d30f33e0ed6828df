import type { RetentionLine } from '#layout';
import type { ApiErrorCode } from './api.ts';
import type { Cell, ResultColumn } from './rows.ts';
import type { ClassFiles } from './views.ts';
import type { Param } from './x-duckdb.ts';

/** What the parent and a project's SQL child say to each other. One statement at a time. */
export interface Lake {
  classes: ClassFiles[];
  erased: string[];
  /** For statements that ask for it. */
  retention?: RetentionLine[];
}
export type ToChild =
  | {
      type: 'run';
      id: number;
      sql: string;
      params: readonly Param[];
      lake: Lake;
      rowsMax: number;
      bytesMax: number;
    }
  | { type: 'cancel'; id: number };
export type SqlErrorCode = Extract<ApiErrorCode, `sql_${string}`>;
export type FromChild =
  | { type: 'ready' }
  | { type: 'columns'; id: number; columns: ResultColumn[] }
  | { type: 'rows'; id: number; cells: Cell[][] }
  | { type: 'end'; id: number; truncated: boolean }
  | { type: 'error'; id: number; code: SqlErrorCode; message: string };

/** Undefined for what no honest child sends: it has run a stranger's statement, so nothing it says is believed unseen. */
export function readFromChild(message: unknown): FromChild | undefined {
  if (typeof message !== 'object' || message === null) return undefined;
  const m = message as Record<string, unknown>;
  const arrays = (value: unknown): boolean => Array.isArray(value) && value.every(Array.isArray);
  const column = (value: unknown): boolean =>
    typeof value === 'object' && value !== null && 'name' in value && 'type' in value && 'kind' in value;
  if (m.type === 'ready') return message as FromChild;
  if (typeof m.id !== 'number') return undefined;
  const honest =
    (m.type === 'columns' && Array.isArray(m.columns) && m.columns.every(column)) ||
    (m.type === 'rows' && arrays(m.cells)) ||
    (m.type === 'end' && typeof m.truncated === 'boolean') ||
    (m.type === 'error' && typeof m.message === 'string' && /^sql_[a-z_]+$/.test(String(m.code)));
  return honest ? (message as FromChild) : undefined;
}
