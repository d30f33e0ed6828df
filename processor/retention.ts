import { RETENTION_DAYS_MAX } from '#projects';
import type { Log } from '#service';
import { applyHold, closedDays, decide, moveRows, type HoldParts, type Moved } from './holds.ts';
import { createIceberg } from './iceberg.ts';
import { createCommitCache, getJsonIfThere } from './lake-reader.ts';
import { holdDays, isHeld, paths, SESSION_ID, type Erasure, type Hold, type HoldAct } from './layout.ts';
import { createManifestReader } from './manifest.ts';
import type { Store } from './store.ts';

/** What an operator decides about the retention of what is stored. */
export interface Retention {
  /** Keeps the session, whatever its class, until it is released. @throws RetentionError */
  hold(project: string, session: string, reason?: string): Promise<Decided>;
  /** Lets it go back to its class, which may be over. @throws RetentionError */
  release(project: string, session: string, reason?: string): Promise<Decided>;
  /** To a shorter or longer class. @throws RetentionError */
  move(project: string, session: string, retentionDays: number): Promise<Decided>;
  /** All sessions that began before the day, but for those whose retention is their own, and days that are not over. */
  moveBefore(project: string, date: string, retentionDays: number): Promise<Moved & { days: number }>;
}
export interface Decided extends Moved {
  hold: Hold;
}

export type RetentionErrorCode = 'unknown_session' | 'bad_retention' | 'erased' | 'not_held' | 'outrun';
export class RetentionError extends Error {
  readonly code: RetentionErrorCode;
  constructor(code: RetentionErrorCode, message: string) {
    super(message);
    this.name = 'RetentionError';
    this.code = code;
  }
}

const ATTEMPTS_MAX = 10;

export function openRetention(
  store: Store,
  options: { now: () => number; nonce: () => string; log: Log; graceMs: number },
): Retention {
  const { now } = options;
  const state = createManifestReader(store);
  const { forget } = createIceberg({ store, state, ...options });
  const parts: HoldParts = { store, state, commits: createCommitCache(store), nonce: options.nonce, forget };

  async function act(project: string, session: string, one: HoldAct): Promise<Decided> {
    if (!SESSION_ID.test(session))
      throw new RetentionError('unknown_session', `${JSON.stringify(session)} is no session`);
    if (await getJsonIfThere<Erasure>(store, paths.erasure(project, session)))
      throw new RetentionError('erased', `session ${session} is erased or to be erased`);
    const hold = await decide(parts, project, session, one);
    if (!hold) throw new RetentionError('unknown_session', `nothing of session ${session} is stored`);
    return { hold, ...(await untilMoved(() => applyHold(parts, hold, now()))) };
  }
  async function untilMoved(move: () => Promise<Moved | undefined>): Promise<Moved> {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const moved = await move();
      if (moved) return moved;
    }
    throw new RetentionError('outrun', `another process published first, ${ATTEMPTS_MAX} times; try again`);
  }

  return {
    hold: (project, session, reason) => act(project, session, { act: 'hold', atMs: now(), reason }),
    async release(project, session, reason) {
      if (!isHeld(await getJsonIfThere<Hold>(store, paths.hold(project, session))))
        throw new RetentionError('not_held', `session ${session} is not held`);
      return act(project, session, { act: 'release', atMs: now(), reason });
    },
    move: async (project, session, retentionDays) =>
      act(project, session, { act: 'move', atMs: now(), retentionDays: checkDays(retentionDays) }),
    async moveBefore(project, date, retentionDays) {
      checkDays(retentionDays);
      const own = await ownRetention(store, project);
      const sum = { rows: 0, files: 0, days: 0 };
      for (const day of closedDays((await state(project)).days.keys(), date, now())) {
        const daysOf = (session: string): number => own.get(session) ?? retentionDays;
        const { rows, files } = await untilMoved(() => moveRows(parts, project, day, daysOf, now()));
        sum.rows += rows;
        sum.files += files;
        sum.days++;
      }
      return sum;
    },
  };
}

function checkDays(days: number): number {
  if (Number.isInteger(days) && days >= 1 && days <= RETENTION_DAYS_MAX) return days;
  throw new RetentionError(
    'bad_retention',
    `${days} is not a whole number of days from 1 to ${RETENTION_DAYS_MAX}`,
  );
}

/** Days of the sessions whose retention is their own. */
async function ownRetention(store: Store, project: string): Promise<Map<string, number>> {
  const own = new Map<string, number>();
  for await (const { key } of store.list(paths.projectHoldsPrefix(project))) {
    const hold = await getJsonIfThere<Hold>(store, key);
    if (hold) own.set(hold.session, holdDays(hold));
  }
  return own;
}
