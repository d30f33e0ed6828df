import type { Store } from '../store.ts';

export interface Counted {
  put: number;
  get: number;
  list: number;
  /** Objects that removals named, not requests: a store takes up to 1,000 in one. */
  removed: number;
  putBytes: number;
  getBytes: number;
}
export interface CountingStore extends Store {
  /** What was counted since the last call. */
  take(): Counted;
}

const none = (): Counted => ({ put: 0, get: 0, list: 0, removed: 0, putBytes: 0, getBytes: 0 });

/** Counts what is asked of a store, also what fails. A list of many pages counts once. */
export function countRequests(inner: Store): CountingStore {
  let counted = none();
  return {
    location: inner.location,
    put(key, bytes, options) {
      counted.put++;
      counted.putBytes += bytes.length;
      return inner.put(key, bytes, options);
    },
    async get(key, range) {
      counted.get++;
      const bytes = await inner.get(key, range);
      counted.getBytes += bytes.length;
      return bytes;
    },
    list(prefix) {
      counted.list++;
      return inner.list(prefix);
    },
    remove(keys) {
      counted.removed += keys.length;
      return inner.remove(keys);
    },
    removeOlder: (keys) => inner.removeOlder(keys),
    expireByAge: (rules) => inner.expireByAge(rules),
    expiryRules: () => inner.expiryRules(),
    close: () => inner.close(),
    take() {
      const taken = counted;
      counted = none();
      return taken;
    },
  };
}
