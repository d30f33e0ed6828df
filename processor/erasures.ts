import { encodeJson } from './lake-reader.ts';
import { paths, type Erasure } from './layout.ts';
import { isStoreError, type Store } from './store.ts';

/** Sessions that are erased or to be erased, over all projects. */
export interface Erasures {
  has(project: string, session: string): boolean;
  /** Looks into the store, unless it was looked into less than `maxAgeMs` ago. @throws StoreError */
  refresh(maxAgeMs?: number): Promise<void>;
}

export function createErasures(store: Store, now: () => number): Erasures {
  let held = new Set<string>();
  let atMs = -Infinity;
  return {
    has: (project, session) => held.has(paths.erasure(project, session)),
    async refresh(maxAgeMs = 0) {
      const startMs = now();
      if (startMs - atMs < maxAgeMs) return;
      const keys = new Set<string>();
      for await (const { key } of store.list(paths.erasuresPrefix)) keys.add(key);
      held = keys;
      atMs = startMs;
    },
  };
}

/**
 * Asks for a session's erasure. The one place where that is done, whatever asked for it: what forbids it is to be refused
 * here. False when it was asked for before. @throws StoreError
 */
export async function putTombstone(
  store: Store,
  project: string,
  session: string,
  requestedMs: number,
): Promise<boolean> {
  const tombstone: Erasure = { v: 1, project, session, requestedMs };
  try {
    await store.put(paths.erasure(project, session), encodeJson(tombstone), { ifAbsent: true });
    return true;
  } catch (error) {
    // Another was faster: what it asked for counts.
    if (!isStoreError(error, 'already_exists')) throw error;
    return false;
  }
}
