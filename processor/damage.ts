import { createHash } from 'node:crypto';
import type { LakeFile } from './layout.ts';
import { isStoreError, StoreError, type Store } from './store.ts';

/**
 * Whether an object of the lake is not what was put there, or is gone: waiting does not help, and what does not depend on
 * it need not wait. `mutoscope fsck` tells what does help.
 */
export const isDamage = (error: unknown): error is StoreError =>
  isStoreError(error, 'damaged') || isStoreError(error, 'not_found');

export const damage = (key: string, why: string, cause?: unknown): StoreError =>
  new StoreError('damaged', `${key} ${why}`, { key, cause });

/** What `decode` makes of the object. @throws StoreError `damaged` for whatever it stumbles over; what else the store says, as it is */
export async function decoded<T>(key: string, decode: () => T | Promise<T>): Promise<T> {
  try {
    return await decode();
  } catch (error) {
    // What is shorter than was written ends before what is asked of it.
    if (error instanceof StoreError && error.code !== 'bad_range') throw error;
    throw damage(key, `cannot be read: ${(error as Error).message}`, error);
  }
}

export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Does it, unless what it needs is damaged: `onDamage` hears of that. @returns undefined then */
export async function unlessDamaged<T>(
  onDamage: (error: StoreError) => void,
  act: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (!isDamage(error)) throw error;
    onDamage(error);
    return undefined;
  }
}

/** What something names, and so should be there: an error tells the key. @throws StoreError */
export async function getNamed(store: Store, key: string): Promise<Uint8Array> {
  try {
    return await store.get(key);
  } catch (cause) {
    if (!isStoreError(cause, 'not_found')) throw cause;
    throw new StoreError('not_found', `${key} is gone`, { key, cause });
  }
}

/** All of a data file, as it was written. @throws StoreError `damaged` when it is not that any more */
export async function getFile(store: Store, { key, sha256 }: LakeFile): Promise<Uint8Array> {
  const bytes = await getNamed(store, key);
  if (sha256 !== undefined && sha256Of(bytes) !== sha256)
    throw damage(key, 'is not what was written: its SHA-256 is another');
  return bytes;
}
