import { isHeld, paths, SESSION_ID, type Erasure, type Hold } from '#layout';
import { isStoreError, type Store } from '#store';
import { ApiError, type ErasureAnswer } from './api.ts';
import type { Lake } from './lake.ts';
import { unknownSession } from './sessions.ts';

/**
 * Asks for a session's erasure: puts its tombstone, which every reader obeys at its next look and this process at once.
 * The processor then removes the bytes and writes the receipt in the tombstone's place. Asked again, tells how far it is.
 * @throws ApiError `unknown_session`, `on_hold`; StoreError
 */
export async function eraseSession(
  parts: { store: Store; lake: Lake; exists(project: string, session: string): Promise<boolean> },
  project: string,
  session: string,
  nowMs: number,
): Promise<ErasureAnswer> {
  if (!SESSION_ID.test(session)) throw unknownSession(session);
  const key = paths.erasure(project, session);
  if (isHeld(await holdOf(parts.store, project, session)))
    throw new ApiError('on_hold', `session ${session} is held; it can be erased once it is released`);
  if (await parts.exists(project, session)) {
    const tombstone: Erasure = { v: 1, project, session, requestedMs: nowMs };
    try {
      await parts.store.put(key, new TextEncoder().encode(JSON.stringify(tombstone)), { ifAbsent: true });
      parts.lake.hide(project, session);
      return { session, requestedMs: nowMs, done: false };
    } catch (error) {
      // Another was faster: what it asked for counts.
      if (!isStoreError(error, 'already_exists')) throw error;
    }
  }
  try {
    const erasure = JSON.parse(new TextDecoder().decode(await parts.store.get(key))) as Erasure;
    parts.lake.hide(project, session);
    return { session, requestedMs: erasure.requestedMs, done: erasure.done !== undefined };
  } catch (error) {
    if (isStoreError(error, 'not_found')) throw unknownSession(session);
    throw error;
  }
}

async function holdOf(store: Store, project: string, session: string): Promise<Hold | undefined> {
  try {
    return JSON.parse(new TextDecoder().decode(await store.get(paths.hold(project, session)))) as Hold;
  } catch (error) {
    if (isStoreError(error, 'not_found')) return undefined;
    throw error;
  }
}
