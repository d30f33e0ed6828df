import { isStoreError, type Store } from './store.ts';

/**
 * Creates the object, or finds that it was there. True also when what is there is what was to be put: a request whose
 * answer was lost is sent again, and then meets its own object. @throws StoreError
 */
export async function putOnce(store: Store, key: string, bytes: Uint8Array): Promise<boolean> {
  try {
    await store.put(key, bytes, { ifAbsent: true });
    return true;
  } catch (error) {
    if (!isStoreError(error, 'already_exists')) throw error;
  }
  try {
    return Buffer.compare(await store.get(key), bytes) === 0;
  } catch (error) {
    if (isStoreError(error, 'not_found')) return false;
    throw error;
  }
}
