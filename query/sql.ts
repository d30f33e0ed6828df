import { join } from 'node:path';
import { ApiError } from './api.ts';
import type { Rows } from './rows.ts';
import { startSqlProcess, type SqlLimits, type SqlProcess, type Statement } from './sql-process.ts';

/**
 * Runs statements in SQL processes: one a project, and a second one for what the app asks (`app`) only while the first
 * is busy with an analyst's statement (`sql`), so that a slow query holds up no session list.
 */
export interface Sql {
  /** @throws ApiError `sql_…` */
  run(project: string, lane: Lane, statement: Statement, signal?: AbortSignal): Promise<Rows>;
  /** Processes that live now. */
  processes(): number;
  /** Refuses new statements and waits for those that run or wait. */
  drain(): Promise<void>;
  close(): Promise<void>;
}
export type Lane = 'sql' | 'app';
export interface SqlOptions extends SqlLimits {
  dirOf(project: string): string;
  spillDir: string;
  processesMax: number;
  /** A process without work is closed after this. */
  idleMs?: number;
}

/** Statements that may wait for a project's process. */
export const WAITING_MAX = 16;
const IDLE_MS = 120_000;

interface Slot {
  project: string;
  name: string;
  process?: SqlProcess;
  /** The last of the statements in line; they run one after the other. */
  tail: Promise<unknown>;
  /** Running and waiting. */
  statements: number;
  usedMs: number;
}

export function createSql(options: SqlOptions): Sql {
  const { idleMs = IDLE_MS } = options;
  const slots = new Map<string, Slot>();
  let draining = false;
  let closed = false;
  const live = (): Slot[] => [...slots.values()].filter((slot) => slot.process?.alive || slot.statements > 0);
  const retire = async (slot: Slot): Promise<void> => {
    slots.delete(slot.name);
    await slot.process?.kill();
  };
  const idleTimer = setInterval(
    () => {
      for (const slot of slots.values())
        if (slot.statements === 0 && Date.now() - slot.usedMs >= idleMs) void retire(slot);
    },
    Math.min(idleMs, 10_000),
  );
  idleTimer.unref();

  const busy = (message: string): never => {
    throw new ApiError('sql_busy', message);
  };
  const slotNamed = (project: string, name: string): Slot => {
    const slot = slots.get(name) ?? {
      project,
      name,
      tail: Promise.resolve(),
      statements: 0,
      usedMs: Date.now(),
    };
    slots.set(name, slot);
    return slot;
  };
  const hasRoom = (): boolean =>
    live().length < options.processesMax || live().some(({ statements }) => statements === 0);
  const choose = (project: string, lane: Lane): Slot => {
    const first = slots.get(project);
    if (lane === 'sql' || !first || first.statements === 0) return slotNamed(project, project);
    const second = slots.get(`${project}.app`);
    return second || hasRoom() ? slotNamed(project, `${project}.app`) : first;
  };
  const processOf = async (slot: Slot): Promise<SqlProcess> => {
    if (closed) return busy('the server is going down');
    if (slot.process?.alive) return slot.process;
    // Its successor spills to the same place.
    await slot.process?.kill();
    const others = live().filter((other) => other !== slot);
    if (others.length >= options.processesMax) {
      const idle = others.filter(({ statements }) => statements === 0).sort((a, b) => a.usedMs - b.usedMs)[0];
      if (!idle) return busy(`all ${options.processesMax} SQL processes are at work`);
      await retire(idle);
    }
    const spillDir = join(options.spillDir, slot.name);
    const started = await startSqlProcess(options.dirOf(slot.project), spillDir, options);
    if (closed) {
      await started.kill();
      return busy('the server is going down');
    }
    return (slot.process = started);
  };

  return {
    async run(project, lane, statement, signal) {
      if (draining) busy('the server is going down');
      const slot = choose(project, lane);
      if (slot.statements > WAITING_MAX) busy(`${WAITING_MAX} statements of this project wait already`);
      slot.statements++;
      const turn = slot.tail.then(async () => {
        if (signal?.aborted) throw new ApiError('sql_timeout', 'the client left before the statement ran');
        return (await processOf(slot)).run(statement, signal);
      });
      slot.tail = turn.catch(() => {});
      try {
        return await turn;
      } finally {
        slot.statements--;
        slot.usedMs = Date.now();
      }
    },
    processes: () => [...slots.values()].filter((slot) => slot.process?.alive).length,
    async drain() {
      draining = true;
      await Promise.all([...slots.values()].map(({ tail }) => tail));
    },
    async close() {
      draining = true;
      closed = true;
      clearInterval(idleTimer);
      const all = [...slots.values()];
      await Promise.all(all.map(retire));
      await Promise.all(all.map(({ tail }) => tail));
    },
  };
}
