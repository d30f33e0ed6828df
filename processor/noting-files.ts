import { placeOf } from './layout.ts';
import type { Store } from './store.ts';

/**
 * The store, which notes the keys of data files that are put: who fails before anything names them removes them, for an
 * erasure that is done meanwhile would not look for them again for an hour.
 */
export const notingFiles = (store: Store, keys: Set<string>): Store => ({
  ...store,
  put(key, ...rest) {
    if (placeOf(key)?.isAsset === false) keys.add(key);
    return store.put(key, ...rest);
  },
});
