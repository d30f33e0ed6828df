import type { RetentionLine } from '#layout';
import type { View } from './views.ts';

type ViewColumn = View['columns'][number];
const column = (name: string, type: string, sentence: string): ViewColumn => ({ name, type, sentence });
const quote = (value: string): string => `'${value.replaceAll("'", "''")}'`;

const STATUS: readonly (readonly [ViewColumn, keyof RetentionLine])[] = [
  [column('retention_days', 'INTEGER', 'retention class'), 'retentionDays'],
  [column('date', 'DATE', 'UTC day on which the sessions started'), 'date'],
  [column('rows', 'BIGINT', 'events'), 'rows'],
  [column('bytes', 'BIGINT', 'all that is stored, also assets and files that were replaced'), 'bytes'],
  [column('files', 'BIGINT', 'as many objects'), 'files'],
  [column('due_at', 'TIMESTAMP WITH TIME ZONE', 'when all of it has expired'), 'dueMs'],
  [column('overdue_rows', 'BIGINT', 'still stored past that, though nobody sees them'), 'overdueRows'],
  [column('overdue_bytes', 'BIGINT', 'still stored past that'), 'overdueBytes'],
];
export const RETENTION_COLUMNS: ViewColumn[] = STATUS.map(([c]) => c);

/** What the last sweep told. @throws Error when a line is not one: it becomes part of a statement */
export function retentionSql(lines: readonly RetentionLine[]): string {
  const selected = STATUS.map(
    ([{ name, type }], i) =>
      `${name === 'due_at' ? `make_timestamptz(c${i} * 1000)` : `c${i}::${type}`} AS ${name}`,
  ).join(', ');
  const rows = lines.map((line) => {
    const cells = STATUS.map(([, key]) => line[key]);
    if (cells.some((cell) => !(Number.isSafeInteger(cell) || /^\d{4}-\d{2}-\d{2}$/.test(String(cell)))))
      throw new Error('a line of the retention report is malformed');
    return `(${cells.map((cell) => (typeof cell === 'number' ? `${cell}::BIGINT` : quote(cell))).join(', ')})`;
  });
  const none = `(${STATUS.map(([, key]) => (key === 'date' ? 'NULL::VARCHAR' : 'NULL::BIGINT')).join(', ')})`;
  const names = STATUS.map((_, i) => `c${i}`).join(', ');
  return `SELECT ${selected} FROM (VALUES ${[...rows, none].join(', ')}) AS t(${names}) WHERE c0 IS NOT NULL`;
}
