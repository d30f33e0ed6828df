import { judge } from './guard.ts';
import type { Cell } from './rows.ts';
import type { FromChild, Lake, SqlErrorCode, ToChild } from './sql-messages.ts';
import { retentionSql } from './retention-sql.ts';
import { eventsSql, MACRO_SQL, VIEW_NAMES, VIEWS } from './views.ts';
import { openEngine } from './x-duckdb.ts';

/**
 * A project's SQL process: the file that `sql.ts` forks. It has no credentials, reads one directory, and may die at
 * any moment. Arguments: directory, spill directory, memory in bytes.
 */
const [dir = '', spillDir = '', memoryBytes = '0'] = process.argv.slice(2);
const engine = await openEngine({ dir, spillDir, memoryBytes: Number(memoryBytes), threads: 2 });
await engine.define([MACRO_SQL, ...VIEWS.map(({ name, sql }) => `CREATE VIEW ${name} AS ${sql}`)]);
let eventsNow = '';
let runningId = 0;
let cancelledId = 0;

/** Resolves once the parent has taken it, so that a long answer does not pile up here. */
const send = (message: FromChild): Promise<void> =>
  new Promise((resolve, reject) =>
    process.send
      ? process.send(message, undefined, {}, (error) => (error ? reject(error) : resolve()))
      : resolve(),
  );

async function showLake(lake: Lake): Promise<void> {
  if (lake.retention)
    await engine.define([`CREATE OR REPLACE VIEW retention_status AS ${retentionSql(lake.retention)}`]);
  const sql = eventsSql(lake.classes, lake.erased);
  if (sql === eventsNow) return;
  await engine.define([`CREATE OR REPLACE VIEW events AS ${sql}`]);
  eventsNow = sql;
}

async function run(request: Extract<ToChild, { type: 'run' }>): Promise<FromChild> {
  const { id, sql, params, lake, rowsMax, bytesMax } = request;
  runningId = id;
  // The engine would run what stands before it and say nothing of the rest.
  if (sql.includes('\0'))
    return {
      type: 'error',
      id,
      code: 'sql_syntax',
      message: 'Parser Error: there is a NUL in the statement',
    };
  const refusal = judge(await engine.parse(sql), VIEW_NAMES);
  if (refusal) return { type: 'error', id, ...refusal };
  await showLake(lake);
  if (cancelledId === id) throw new Error('INTERRUPT Error: cancelled');
  const { columns, chunks } = await engine.select(sql, params, rowsMax + 1);
  let rows = 0;
  let bytes = columns.reduce((sum, { name, type }) => sum + name.length + type.length, 0);
  if (bytes > bytesMax)
    return {
      type: 'error',
      id,
      code: 'sql_failed',
      message: `the columns’ names and types are over ${bytesMax} bytes`,
    };
  await send({ type: 'columns', id, columns });
  for await (const chunk of chunks) {
    const taken = Math.min(chunk[0]?.length ?? 0, rowsMax - rows);
    const cells = chunk.map((column) => column.slice(0, taken));
    rows += taken;
    bytes += weigh(cells);
    if (bytes > bytesMax) return { type: 'end', id, truncated: true };
    if (taken) await send({ type: 'rows', id, cells });
    if (taken < (chunk[0]?.length ?? 0)) return { type: 'end', id, truncated: true };
  }
  return { type: 'end', id, truncated: false };
}

/** About what the cells weigh in an answer. */
function weigh(cells: Cell[][]): number {
  let bytes = 0;
  for (const column of cells)
    for (const cell of column)
      bytes +=
        typeof cell === 'string'
          ? cell.length
          : typeof cell === 'object' && cell
            ? JSON.stringify(cell).length
            : 8;
  return bytes;
}

/** DuckDB says what went wrong by how the message begins. Of our directories a client need not know. */
function failure(id: number, error: unknown): FromChild {
  const message = String((error as Error).message)
    .replaceAll(dir, '')
    .replaceAll(spillDir, '');
  const codes: [RegExp, SqlErrorCode][] = [
    [/^(Parser|Binder|Catalog|Syntax) Error/, 'sql_syntax'],
    [/^Permission Error/, 'sql_not_allowed'],
    [/^INTERRUPT Error/, 'sql_timeout'],
    [/Out of Memory|failed to allocate|bad_alloc/i, 'sql_memory'],
  ];
  const code = codes.find(([pattern]) => pattern.test(message))?.[1] ?? 'sql_failed';
  return { type: 'error', id, code, message: message.slice(0, 2000) };
}

process.on('message', (message: ToChild) => {
  if (message.type === 'cancel') {
    cancelledId = message.id;
    if (runningId === message.id) engine.interrupt();
    return;
  }
  run(message)
    .catch((error: unknown) => failure(message.id, error))
    .then((last) => {
      runningId = 0;
      return send(last);
    })
    .catch(() => process.exit(1));
});
// Not `exit`, which would wait for what the engine is at.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
await send({ type: 'ready' });
