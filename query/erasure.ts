import { randomUUID } from 'node:crypto';
import { isHeld, paths, SESSION_ID, type Erasure, type VisitorErasure } from '#layout';
import { isStoreError, putTombstone, readHold, visitorUntilMs, type Store } from '#store';
import {
  ApiError,
  ERASURES_MAX,
  ERASURES_SHOWN,
  type ErasureAnswer,
  type ErasuresAnswer,
  type ErasuresRequest,
} from './api.ts';
import type { Lake } from './lake.ts';
import type { Playback } from './playback.ts';
import { rowObjects } from './rows.ts';
import { unknownSession } from './sessions.ts';
import type { Statements } from './statements.ts';

/**
 * Asks for erasures: puts tombstones, which every reader obeys at its next look and this process at once. The processor then
 * removes the bytes and writes receipts in the tombstones' places.
 */
export interface Erasing {
  /** Asked again, tells how far it is. @throws ApiError `unknown_session`; StoreError */
  session(project: string, session: string, nowMs: number): Promise<ErasureAnswer>;
  /** @throws ApiError `bad_request`, `unknown_session`, `erasure_too_large`, those of SQL; StoreError */
  erase(project: string, request: ErasuresRequest, nowMs: number): Promise<ErasuresAnswer>;
  /** The erasure as it is stored. @throws ApiError `unknown_session`; StoreError */
  read(project: string, session: string): Promise<Uint8Array>;
}
export interface ErasingParts {
  store: Store;
  lake: Lake;
  statements: Statements;
  playback: Pick<Playback, 'exists' | 'bytesOf'>;
  /** Rows that a statement may give: sessions may come more than once. */
  rowsMax: number;
}

const PUTS_AT_ONCE = 8;
const OF_VISITOR = `SELECT DISTINCT session_id FROM events
  WHERE (type = 'identify' AND name = $1) OR (type = 'environment' AND (props->>'$.visitor') = $1)`;
const COUNTED = `SELECT session_id, count(*) AS held FROM events
  WHERE session_id IN (SELECT unnest(string_split($1, ','))) GROUP BY session_id ORDER BY session_id`;

export function createErasing({ store, lake, statements, playback, rowsMax }: ErasingParts): Erasing {
  async function ask(project: string, session: string, nowMs: number): Promise<boolean> {
    const isFirst = await putTombstone(store, project, session, nowMs);
    lake.hide(project, session);
    return isFirst;
  }

  async function read(project: string, session: string): Promise<Uint8Array> {
    if (!SESSION_ID.test(session)) throw unknownSession(session);
    try {
      return await store.get(paths.erasure(project, session));
    } catch (error) {
      if (isStoreError(error, 'not_found')) throw unknownSession(session);
      throw error;
    }
  }

  async function eraseSession(project: string, session: string, nowMs: number): Promise<ErasureAnswer> {
    if (!SESSION_ID.test(session)) throw unknownSession(session);
    if (isHeld(await readHold(store, project, session)))
      throw new ApiError('on_hold', `session ${session} is held; it can be erased once it is released`);
    if ((await playback.exists(project, session)) && (await ask(project, session, nowMs)))
      return { session, requestedMs: nowMs, done: false };
    const erasure = JSON.parse(new TextDecoder().decode(await read(project, session))) as Erasure;
    lake.hide(project, session);
    return { session, requestedMs: erasure.requestedMs, done: erasure.done !== undefined };
  }

  /** Ids that a statement gives. */
  async function select(project: string, sql: string, params?: string[]): Promise<string[]> {
    const { rows } = await statements.run(project, { sql, params, lane: 'sql', rowsMax });
    const column = rows.columns.findIndex(({ name }) => name === 'session_id');
    if (column < 0) throw new ApiError('bad_request', 'the statement has no column session_id');
    const ids = new Set<string>();
    for (const cell of rows.cells[column]!)
      if (typeof cell === 'string' && SESSION_ID.test(cell)) ids.add(cell);
    if (rows.truncated || ids.size > ERASURES_MAX)
      throw new ApiError(
        'erasure_too_large',
        rows.truncated
          ? `the statement gives more than ${rowsMax} rows; select DISTINCT session_id, or narrow it`
          : `${ids.size} sessions are more than the ${ERASURES_MAX} that one request may erase`,
      );
    return [...ids];
  }

  /** Of the ids, those with rows in the project. */
  async function count(project: string, ids: readonly string[]): Promise<{ found: string[]; rows: number }> {
    if (!ids.length) return { found: [], rows: 0 };
    const statement = { sql: COUNTED, params: [ids.join()], lane: 'app', rowsMax: ERASURES_MAX } as const;
    const counted = rowObjects((await statements.run(project, statement)).rows);
    return {
      found: counted.map((row) => String(row.session_id)),
      rows: counted.reduce((sum, { held }) => sum + Number(held), 0),
    };
  }

  return {
    session: eraseSession,
    read,
    async erase(project, { session, visitor, sql, dryRun = false }, nowMs) {
      if ([session, visitor, sql].filter((one) => one !== undefined).length !== 1)
        throw new ApiError('bad_request', 'the body has not exactly one of session, visitor and sql');
      let untilMs: number | undefined;
      let ids: string[];
      if (session !== undefined) {
        if (dryRun && !(await playback.exists(project, session))) throw unknownSession(session);
        ids = [session];
      } else if (sql !== undefined) ids = await select(project, sql);
      else {
        // Before anything is put: what is too much is refused whole. After it: what was flushed meanwhile is found by the processor.
        ids = await select(project, OF_VISITOR, [visitor!]);
        untilMs = visitorUntilMs(nowMs);
        const request: VisitorErasure = { v: 1, project, visitor, requestedMs: nowMs, untilMs };
        if (!dryRun)
          await store.put(paths.visitorErasure(project, randomUUID()), json(request), { ifAbsent: true });
      }
      const { found, rows } = await count(project, ids);
      const bytes = await playback.bytesOf(project, new Set(found));
      if (!dryRun && session !== undefined) await eraseSession(project, session, nowMs);
      else if (!dryRun)
        for (let at = 0; at < found.length; at += PUTS_AT_ONCE)
          await Promise.all(found.slice(at, at + PUTS_AT_ONCE).map((one) => ask(project, one, nowMs)));
      const sessions = session === undefined ? found.length : 1;
      const first = found.slice(0, ERASURES_SHOWN);
      return { dryRun, requestedMs: nowMs, sessions, rows, bytes, first, ...(untilMs && { untilMs }) };
    },
  };
}

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
