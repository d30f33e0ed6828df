import { StoreError, type Store, type StoreObject } from './store.ts';

const KEY = /^(?!.*(?:^|\/)\.)[A-Za-z0-9._=,@+~-]+(?:\/[A-Za-z0-9._=,@+~-]+)*$/;
const KEY_BYTES_MAX = 1024;

export interface MemoryStore extends Store {
  readonly objects: ReadonlyMap<string, { bytes: Uint8Array; modifiedMs: number }>;
}

/** A store without a disk, under the contract, whose objects are as old as the given clock says. */
export function openMemoryStore(now: () => number): MemoryStore {
  const objects = new Map<string, { bytes: Uint8Array; modifiedMs: number }>();
  const check = (key: string): string => {
    if (!KEY.test(key) || key.length > KEY_BYTES_MAX)
      throw new StoreError('bad_key', `${JSON.stringify(key)} is no key`);
    return key;
  };
  return {
    objects,
    location: 'file:///memory',
    async put(key, bytes, { ifAbsent = false } = {}) {
      if (ifAbsent && objects.has(check(key)))
        throw new StoreError('already_exists', `${key} is there already`);
      objects.set(check(key), { bytes: Uint8Array.from(bytes), modifiedMs: now() });
    },
    async get(key, range) {
      const bytes = objects.get(check(key))?.bytes;
      if (!bytes) throw new StoreError('not_found', `${key} is not there`);
      const { start, end } = range ?? { start: 0, end: bytes.length };
      if (start < 0 || end > bytes.length || start > end)
        throw new StoreError('bad_range', `${key} has ${bytes.length} bytes, not ${start} to ${end}`);
      return bytes.slice(start, end);
    },
    // Keys are ASCII, so that code units sort as bytes.
    async *list(prefix): AsyncGenerator<StoreObject> {
      for (const key of [...objects.keys()].filter((one) => one.startsWith(prefix)).sort()) {
        const found = objects.get(key);
        if (found) yield { key, bytes: found.bytes.length, modifiedMs: found.modifiedMs };
      }
    },
    async remove(keys) {
      for (const key of keys) objects.delete(check(key));
    },
    expireByAge: async () => ({ installed: false, reason: 'memory deletes nothing by itself' }),
    expiryRules: async () => [],
    // It keeps no older versions.
    removeOlder: () => Promise.resolve(),
    close: async () => {},
  };
}
