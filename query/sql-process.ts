import { fork, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError } from './api.ts';
import type { Cell, ResultColumn, Rows } from './rows.ts';
import { readFromChild, type FromChild, type Lake, type ToChild } from './sql-messages.ts';
import type { Param } from './x-duckdb.ts';

export interface Statement {
  sql: string;
  params: readonly Param[];
  lake: Lake;
  rowsMax: number;
  bytesMax: number;
}
export interface SqlLimits {
  timeoutMs: number;
  /** Of the engine; the process may have PROCESS_BYTES more. */
  memoryBytes: number;
}
/** One child, one statement at a time, under a watchdog: what an interrupt does not stop, SIGKILL does. */
export interface SqlProcess {
  /** @throws ApiError `sql_…` */
  run(statement: Statement, signal?: AbortSignal): Promise<Rows>;
  readonly alive: boolean;
  /** Resolves when it is gone, and what it spilled. */
  kill(): Promise<void>;
}

const KILL_AFTER_MS = 1000;
const START_MS_MAX = 15_000;
const WATCH_EVERY_MS = 25;
/** Node, DuckDB's code and the rows on their way stand beside what `memory_limit` counts. */
const PROCESS_BYTES = 512 * 1024 * 1024;

interface Running {
  id: number;
  columns: ResultColumn[];
  cells: Cell[][];
  rowsMax: number;
  finish(outcome: Rows | ApiError): void;
}

export async function startSqlProcess(dir: string, spillDir: string, limits: SqlLimits): Promise<SqlProcess> {
  await mkdir(dir, { recursive: true });
  await rm(spillDir, { recursive: true, force: true });
  await mkdir(spillDir, { recursive: true });
  const child = fork(join(import.meta.dirname, 'sql-child.ts'), [dir, spillDir, String(limits.memoryBytes)], {
    // No credentials, no proxy, no options meant for this process.
    env: { PATH: process.env.PATH ?? '', TZ: 'UTC' },
    execArgv: ['--max-old-space-size=256'],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  let running: Running | undefined;
  let ids = 0;
  let killedFor: ApiError | undefined;
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const fail = (reason: ApiError): void => {
    killedFor ??= reason;
    child.kill('SIGKILL');
  };
  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      fail(new ApiError('internal', `the SQL process did not start within ${START_MS_MAX} ms`));
    }, START_MS_MAX);
    void ended.then(() => {
      clearTimeout(timer);
      reject(killedFor ?? new ApiError('internal', 'the SQL process did not start'));
    });
    child.on('message', (raw: unknown) => {
      const message = readFromChild(raw);
      if (message?.type === 'ready') {
        clearTimeout(timer);
        resolve();
      } else if (!message) fail(new ApiError('internal', 'the SQL process sent what cannot be read'));
      else if (running?.id === message.id) receive(running, message, fail);
    });
  });
  const removed = ended.then(async () => {
    running?.finish(killedFor ?? new ApiError('sql_failed', 'the SQL process ended while the statement ran'));
    await rm(spillDir, { recursive: true, force: true }).catch(() => {});
  });
  await ready;

  return {
    get alive() {
      return !child.killed && child.exitCode === null && child.signalCode === null && child.connected;
    },
    run: (statement, signal) =>
      new Promise((resolve, reject) => {
        const id = ++ids;
        const timers = watch(child, limits, fail, () => tell(child, { type: 'cancel', id }), signal);
        running = {
          id,
          columns: [],
          cells: [],
          rowsMax: statement.rowsMax,
          finish(outcome) {
            running = undefined;
            timers.stop();
            // The next statement would be killed for what this one left.
            if (rssBytes(child.pid) > PROCESS_BYTES) child.kill('SIGKILL');
            if (outcome instanceof ApiError) reject(timers.late(outcome));
            else resolve(outcome);
          },
        };
        tell(child, { type: 'run', id, ...statement });
      }),
    async kill() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await removed;
    },
  };
}

/** A child that is gone says so by its exit. */
const tell = (child: ChildProcess, message: ToChild): void => {
  if (child.connected) child.send(message, () => {});
};

function receive(running: Running, message: FromChild, fail: (reason: ApiError) => void): void {
  if (message.type === 'columns') {
    running.columns = message.columns;
    running.cells = message.columns.map(() => []);
  } else if (message.type === 'rows') {
    if (message.cells.length !== running.cells.length || rowsOf(running) + rowsOf(message) > running.rowsMax)
      return fail(new ApiError('internal', 'the SQL process sent rows that were not asked for'));
    for (const [i, column] of running.cells.entries())
      for (const cell of message.cells[i] ?? []) column.push(cell);
  } else if (message.type === 'end')
    running.finish({ columns: running.columns, cells: running.cells, truncated: message.truncated });
  else if (message.type === 'error') running.finish(new ApiError(message.code, message.message));
}
const rowsOf = ({ cells }: { cells: Cell[][] }): number => cells[0]?.length ?? 0;

/** Interrupts at the time limit or when the client left, kills a second later, and kills at once over the memory cap. */
function watch(
  child: ChildProcess,
  { timeoutMs, memoryBytes }: SqlLimits,
  fail: (reason: ApiError) => void,
  interrupt: () => void,
  signal: AbortSignal | undefined,
): { stop(): void; late(error: ApiError): ApiError } {
  const timeout = new ApiError(
    'sql_timeout',
    `the statement ran longer than ${timeoutMs} ms and was stopped`,
  );
  let killTimer: NodeJS.Timeout | undefined;
  let late = false;
  const end = (): void => {
    late = true;
    interrupt();
    killTimer ??= setTimeout(() => fail(timeout), KILL_AFTER_MS);
  };
  const deadline = setTimeout(end, timeoutMs);
  signal?.addEventListener('abort', end, { once: true });
  if (signal?.aborted) end();
  const cap = memoryBytes + PROCESS_BYTES;
  const watcher = setInterval(() => {
    const bytes = rssBytes(child.pid);
    if (bytes > cap)
      fail(new ApiError('sql_memory', `the statement needed more than ${memoryBytes} bytes of memory`));
  }, WATCH_EVERY_MS);
  return {
    stop() {
      clearTimeout(deadline);
      clearTimeout(killTimer);
      clearInterval(watcher);
      signal?.removeEventListener('abort', end);
    },
    // An interrupt shows as one of several errors of the engine.
    late: (error) => (late && error.code !== 'sql_memory' ? timeout : error),
  };
}

/** Zero where there is no /proc: there `memory_limit` alone holds. */
function rssBytes(pid: number | undefined): number {
  try {
    const kb = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kb ?? 0) * 1024;
  } catch {
    return 0;
  }
}
