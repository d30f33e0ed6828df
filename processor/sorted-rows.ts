import { decoded } from './damage.ts';
import type { LakeFile, Table } from './layout.ts';
import { compareRows, sameKey, type RowKey } from './row-groups.ts';
import type { Store } from './store.ts';
import { openSorted, type SortedFile, type SortedGroup } from './parquet-groups.ts';
import type { RowOf } from './x-hyparquet.ts';

export interface SortedQuery<T extends Table> {
  columns?: readonly (keyof RowOf<T> & string)[];
  /** Undefined: all. */
  sessions?: ReadonlySet<string> | undefined;
  skips: (session: string) => boolean;
}

/**
 * Rows of several files of one table in the order of a file, each key once. Of each file one row group is in memory, and
 * row groups without a wanted session are not read.
 * @throws StoreError
 */
export async function* sortedRows<T extends Table>(
  store: Store,
  table: T,
  files: readonly LakeFile[],
  { columns, sessions, skips }: SortedQuery<T>,
): AsyncGenerator<RowOf<T>> {
  const wanted = sessions && [...sessions].sort();
  let open: Cursor<T>[] = [];
  for (const { key, bytes, firstSession, lastSession } of files) {
    if (!holdsOne(wanted, { firstSession, lastSession })) continue;
    const read = (start: number, end: number) => store.get(key, { start, end });
    const file = await decoded(key, () => openSorted(table, bytes, read));
    const groups = file.groups.filter((group) => holdsOne(wanted, group));
    open.push({ key, file, groups, rows: [], at: 0 });
  }
  let last: RowOf<T> | undefined;
  for (;;) {
    open = open.filter(({ groups, rows, at }) => at < rows.length || groups.length);
    const [first, ...others] = open.sort((a, b) => compareRows(nextOf(a), nextOf(b)));
    if (!first) return;
    if (first.at >= first.rows.length) {
      const group = first.groups.shift()!;
      const rows = await decoded(first.key, () => first.file.rowsOf(group, columns));
      first.rows = rows.filter(({ session_id: id }) => (!sessions || sessions.has(id)) && !skips(id));
      first.at = 0;
      continue;
    }
    const until = others[0] && nextOf(others[0]);
    for (; first.at < first.rows.length; first.at++) {
      const row = first.rows[first.at]!;
      if (until && compareRows(row, until) > 0) break;
      if (!last || !sameKey(row, last)) yield row;
      last = row;
    }
  }
}

interface Cursor<T extends Table> {
  key: string;
  file: SortedFile<T>;
  /** Not yet read. */
  groups: SortedGroup[];
  rows: RowOf<T>[];
  at: number;
}
/** The next row, or what it cannot come before. */
const nextOf = <T extends Table>({ rows, at, groups }: Cursor<T>): RowKey =>
  rows[at] ?? { session_id: groups[0]!.firstSession };

/** Whether one of the ids, which are sorted, lies in the bounds. */
export function holdsOne(
  ids: readonly string[] | undefined,
  { firstSession, lastSession }: { firstSession: string; lastSession: string },
): boolean {
  if (!ids) return true;
  let [from, to] = [0, ids.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (ids[middle]! < firstSession) from = middle + 1;
    else to = middle;
  }
  return from < ids.length && ids[from]! <= lastSession;
}
