/**
 * The store: where the lake's files are. Two adapters under one contract (`store.contract.ts`): a directory
 * (`directory-store.ts`) and S3 (`s3-store.ts`).
 */
export interface Store {
  /** Where other programs find the objects: `file:///directory` or `s3://bucket/prefix`; a key follows after a slash. */
  readonly location: string;
  /**
   * Whole object or nothing; durable once it resolves.
   * With `ifAbsent` the first of any number of racing writers wins and the others get `already_exists`.
   * After `store_unavailable` the object may be there, whole, or come to be there later.
   * @throws StoreError
   */
  put(key: string, bytes: Uint8Array, options?: { ifAbsent?: boolean }): Promise<void>;
  /** Bytes `[start, end)` of the object, or all of it. @throws StoreError `not_found`, `bad_range` */
  get(key: string, range?: { start: number; end: number }): Promise<Uint8Array>;
  /** Every object whose key starts with `prefix`, in the order of their keys (by UTF-8 bytes). */
  list(prefix: string): AsyncIterable<StoreObject>;
  /** What is not there is no error. Once it resolves nothing is left, older versions neither. */
  remove(keys: string[]): Promise<void>;
  /** Removes the older versions of what was put more than once, where the store keeps any; what is there stays. */
  removeOlder(keys: string[]): Promise<void>;
  /**
   * Asks the store to delete objects by age, where it can: the backstop of retention. Replaces the rules set before;
   * `installed` once the store has told them back.
   */
  expireByAge(rules: ExpiryRule[]): Promise<{ installed: boolean; reason?: string }>;
  /** The rules that `expireByAge` set, as the store has them now; none where it has no such rules. */
  expiryRules(): Promise<ExpiryRule[]>;
  close(): Promise<void>;
}

export interface StoreObject {
  key: string;
  bytes: number;
  modifiedMs: number;
}

export interface ExpiryRule {
  id: string;
  prefix: string;
  days: number;
}

export type StoreErrorCode =
  | 'not_found'
  | 'already_exists'
  | 'bad_range'
  | 'bad_key'
  | 'store_unavailable'
  | 'store_refused'
  /** Of no adapter: who read `key` found that it is not what was put. See `damage.ts`. */
  | 'damaged';
export class StoreError extends Error {
  readonly code: StoreErrorCode;
  readonly key: string | undefined;
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions & { key?: string }) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
    this.key = options?.key;
  }
}
export const isStoreError = (error: unknown, code: StoreErrorCode): boolean =>
  error instanceof StoreError && error.code === code;

/**
 * `s3://bucket[/prefix][?endpoint=http://host:port&region=…]`, credentials from the environment as the AWS SDK finds
 * them (path-style addresses when an endpoint is given), or a directory.
 * An S3 store is probed once for conditional puts; one that ignores them, or lets racing ones through, is refused.
 * @throws StoreError `store_refused`, `store_unavailable`
 */
export async function openStore(location: string): Promise<Store> {
  if (location.startsWith('s3://')) return (await import('./s3-store.ts')).openS3Store(location);
  return (await import('./directory-store.ts')).openDirectoryStore(location);
}

export { openProjectStore, type ProjectStore } from './project-store.ts';
export { getFile, isDamage } from './damage.ts';
export {
  openLakeReader,
  readReplayGroups,
  readReplayRows,
  splitEvents,
  type LakeReader,
  type LakeView,
} from './lake-reader.ts';
export { encodeEventsFile, encodeReplayFile, encodeSessionsFile, type EncodedFile } from './lake-file.ts';
export { sessionRows } from './session-rows.ts';
export { createAssetReader, playedRows } from './seal.ts';
export type { ReplayGroup } from './parquet-groups.ts';
export { fsck, type FsckOptions, type FsckReport } from './fsck.ts';
export { repair } from './repair.ts';
export type { Finding } from './findings.ts';
export { openRetention, RetentionError, type Retention } from './retention.ts';
export { examine } from './doctor.ts';
export type { Check } from './doctor-judge.ts';
export { putTombstone } from './erasures.ts';
export { readHold } from './holds.ts';
export { findIn } from './readable.ts';
export {
  checkReceipt,
  createSigner,
  keyIdOf,
  readReceiptKeys,
  type Checked,
  type ReceiptKey,
} from './receipt.ts';
export { visitorUntilMs } from './visitor-erasures.ts';
