import { randomUUID } from 'node:crypto';
import { retrying, type RetryLimits } from './retrying.ts';
import { isStoreError, StoreError, type ExpiryRule, type Store } from './store.ts';
import { connectS3, type LifecycleRule, type S3Limits, type S3Requests, type S3Version } from './x-s3.ts';

export interface S3StoreLimits extends S3Limits, RetryLimits {
  /** What is larger is sent in parts of this, so that a failure costs one part and not all. S3 asks for 5 MiB or more. */
  partBytes: number;
  /** Parts in flight; with `partBytes` the memory that the sending of one object needs. */
  partsAtOnce: number;
  /** An upload begun before this, and not completed, is nobody's any more. */
  uploadMsMax: number;
}
const MB = 1024 * 1024;
export const S3_LIMITS: S3StoreLimits = {
  // A store that works answers within one second, also when it is busy; one that does not is left soon.
  answerMsMax: 15_000,
  bytesPerMsMin: 1024,
  // Five times 15 s and 3 s of waits: a request is given up after 78 s at most, if it carries nothing.
  attemptsMax: 5,
  firstWaitMs: 200,
  waitMsMax: 5_000,
  partBytes: 16 * MB,
  partsAtOnce: 3,
  uploadMsMax: 86_400_000,
};
/** S3's own bounds: keys of one removal, bytes of a key. */
const REMOVE_KEYS_MAX = 1000;
const KEY_BYTES_MAX = 1024;
const VERSION_LISTINGS_AT_ONCE = 8;
const UPLOADS_MAX = 3;
const CLEAR_INTERVAL_MS = 3_600_000;
/** What the lake writes is here; the rest of the bucket may be others'. */
const LAKE_PREFIX = 'v1/';
const PROBE_PREFIX = `${LAKE_PREFIX}probe/`;
/** A server that looks first and writes later is found out by chance only; the first race also opens the connections. */
const PROBE_RACES = 3;
const PROBE_WRITERS = 3;
const PROBE_BYTES = 512;

/**
 * `s3://bucket[/prefix][?endpoint=…&region=…]`. Makes the bucket when it is missing, and refuses a store that lets more
 * than one conditional put of a key through, for commits would then overwrite each other.
 * @throws StoreError `store_refused`, `store_unavailable`
 */
export async function openS3Store(location: string, limits: S3StoreLimits = S3_LIMITS): Promise<Store> {
  const { bucket, prefix, endpoint, region } = parseLocation(location);
  const requests = retrying(connectS3({ bucket, endpoint, region }, limits), limits);
  try {
    await requests.makeBucket();
    const place = `s3://${bucket}/${prefix}`.replace(/\/$/, '');
    const versioned = await requests.keepsVersions().catch(isRefused);
    const store = createS3Store(requests, place, prefix, limits, versioned);
    const inParts = createS3Store(requests, place, prefix, { ...limits, partBytes: 0 }, false);
    await probe(store, inParts, endpoint ?? `bucket ${bucket}`);
    return store;
  } catch (error) {
    await requests.close();
    throw error;
  }
}

function parseLocation(location: string): {
  bucket: string;
  prefix: string;
  endpoint: string | undefined;
  region: string;
} {
  const url = new URL(location);
  const path = url.pathname.replace(/^\/+|\/+$/g, '');
  if (!url.hostname) throw new StoreError('store_refused', `${location} names no bucket`);
  return {
    bucket: url.hostname,
    prefix: path ? `${decodeURIComponent(path)}/` : '',
    endpoint: url.searchParams.get('endpoint') ?? undefined,
    region: url.searchParams.get('region') ?? process.env.AWS_REGION ?? 'us-east-1',
  };
}

/** The port over requests that are repeated already. @param versioned whether the bucket keeps what is removed */
function createS3Store(
  requests: S3Requests,
  location: string,
  prefix: string,
  limits: S3StoreLimits,
  versioned: boolean,
): Store {
  let clearedMs = 0;
  const fullKey = (key: string): string => {
    if (!key || key.startsWith('/') || key.split('/').some((part) => part === '' || /^\.+$/.test(part)))
      throw new StoreError('bad_key', `${JSON.stringify(key)} is no key`);
    if (Buffer.byteLength(prefix + key) > KEY_BYTES_MAX)
      throw new StoreError('bad_key', `key of ${key.length} characters is too long`);
    return prefix + key;
  };

  const isOurs = async (name: string, mark: string): Promise<boolean> =>
    (await requests.markOf(name)) === mark;

  async function putInParts(name: string, bytes: Uint8Array, mark?: string): Promise<void> {
    const count = Math.ceil(bytes.length / (limits.partBytes || bytes.length));
    for (let attempt = 1; ; attempt++) {
      const upload = await requests.beginUpload(name, mark);
      try {
        const etags = await eachOf(limits.partsAtOnce, count, (i) =>
          requests.putPart(
            name,
            upload,
            i + 1,
            count === 1 ? bytes : bytes.subarray(i * limits.partBytes, (i + 1) * limits.partBytes),
          ),
        );
        return await requests.completeUpload(name, upload, etags, mark !== undefined);
      } catch (error) {
        // What stays behind is found by clearUploads.
        await requests.abortUpload(name, upload).catch(() => {});
        // A completion that is repeated, for its answer was lost, finds no upload.
        if (!isStoreError(error, 'not_found')) throw error;
        if (mark && (await isOurs(name, mark))) return;
        if (attempt === UPLOADS_MAX)
          throw new StoreError('store_unavailable', `${name}: uploads vanish`, { cause: error });
      }
    }
  }

  /** Old versions first: until the last one is gone the key is listed, so that a crash in between is found. */
  async function removeVersions(names: string[]): Promise<void> {
    const found = await eachOf(VERSION_LISTINGS_AT_ONCE, names.length, (i) =>
      versionsOf(requests, names[i] as string),
    );
    for (const latest of [false, true]) {
      const versions = found.flat().filter((version) => version.latest === latest);
      for (let at = 0; at < versions.length; at += REMOVE_KEYS_MAX)
        await requests.remove(versions.slice(at, at + REMOVE_KEYS_MAX));
    }
  }

  /** Where it may, for a store that keeps uploads for ever; others, such as MinIO, list none and clear by themselves. */
  async function clearUploads(): Promise<void> {
    if (Date.now() - clearedMs < CLEAR_INTERVAL_MS) return;
    clearedMs = Date.now();
    const uploads = await requests.uploads(prefix + LAKE_PREFIX).catch(() => []);
    for (const { key, upload, begunMs } of uploads)
      if (Date.now() - begunMs > limits.uploadMsMax) await requests.abortUpload(key, upload).catch(() => {});
  }

  const isOurRule = ({ ID = '' }: LifecycleRule): boolean => ID.endsWith(ruleSuffix(prefix));
  const expiryRules = async (): Promise<ExpiryRule[]> =>
    (await requests.rules()).flatMap((rule) => (isOurRule(rule) ? [fromLifecycle(rule, prefix)] : []));

  return {
    location,
    async put(key, bytes, { ifAbsent = false } = {}) {
      const name = fullKey(key);
      const mark = ifAbsent ? randomUUID() : undefined;
      try {
        if (bytes.length > limits.partBytes) await putInParts(name, bytes, mark);
        else await requests.put(name, bytes, mark);
      } catch (error) {
        // What is repeated, for its answer was lost, meets its own object.
        if (mark && isStoreError(error, 'already_exists') && (await isOurs(name, mark))) return;
        throw error;
      }
    },
    async get(key, range) {
      const name = fullKey(key);
      if (range && (range.start < 0 || range.start > range.end))
        throw new StoreError('bad_range', `${key}: ${range.start} to ${range.end} is no range`);
      // HTTP cannot ask for no bytes.
      if (range && range.start === range.end) return new Uint8Array(0);
      return requests.get(name, range);
    },
    async *list(from) {
      let after: string | undefined;
      do {
        const page = await requests.list(prefix + from, after);
        for (const object of page.objects) yield { ...object, key: object.key.slice(prefix.length) };
        after = page.next;
      } while (after);
    },
    async remove(keys) {
      const names = keys.map(fullKey);
      for (let at = 0; at < names.length; at += REMOVE_KEYS_MAX) {
        const some = names.slice(at, at + REMOVE_KEYS_MAX);
        const { hidden } = versioned ? { hidden: some } : await requests.remove(some.map((key) => ({ key })));
        // The bucket may have been told to keep versions since it was opened.
        versioned ||= hidden.length > 0;
        if (hidden.length) await removeVersions(hidden);
      }
      await clearUploads();
    },
    async removeOlder(keys) {
      versioned ||= await requests.keepsVersions().catch(isRefused);
      if (!versioned) return;
      const found = await eachOf(VERSION_LISTINGS_AT_ONCE, keys.length, (i) =>
        versionsOf(requests, fullKey(keys[i]!)),
      );
      const older = found.flat().filter(({ latest }) => !latest);
      for (let at = 0; at < older.length; at += REMOVE_KEYS_MAX)
        await requests.remove(older.slice(at, at + REMOVE_KEYS_MAX));
    },
    async expireByAge(rules) {
      try {
        const others = (await requests.rules()).filter((rule) => !isOurRule(rule));
        await requests.setRules([...others, ...rules.map((rule) => toLifecycle(rule, prefix))]);
        const missing = rules.length - (await expiryRules()).length;
        return missing
          ? { installed: false, reason: `the store dropped ${missing} of ${rules.length} rules` }
          : { installed: true };
      } catch (error) {
        return { installed: false, reason: (error as Error).message };
      }
    },
    expiryRules: () => expiryRules().catch((error: unknown) => (isRefused(error), [])),
    close: () => requests.close(),
  };
}

/** A prefix may be that of longer keys too. */
async function versionsOf(requests: S3Requests, name: string): Promise<S3Version[]> {
  const found: S3Version[] = [];
  let page: Awaited<ReturnType<S3Requests['versions']>> | undefined;
  do {
    page = await requests.versions(name, page?.next);
    found.push(...page.versions.filter(({ key }) => key === name));
  } while (page.next && page.versions.at(-1)?.key === name);
  return found;
}

/** Rules of a bucket that several lakes, or others, share are told apart by their names. */
const ruleSuffix = (prefix: string): string => ` under /${prefix}`;
const toLifecycle = (rule: ExpiryRule, prefix: string): LifecycleRule => ({
  ID: rule.id + ruleSuffix(prefix),
  Status: 'Enabled',
  Filter: { Prefix: prefix + rule.prefix },
  Expiration: { Days: rule.days },
  // Where the bucket keeps versions, deletion by age only hides.
  NoncurrentVersionExpiration: { NoncurrentDays: 1 },
});
const fromLifecycle = ({ ID = '', Filter, Expiration }: LifecycleRule, prefix: string): ExpiryRule => ({
  id: ID.slice(0, -ruleSuffix(prefix).length),
  prefix: Filter?.Prefix?.slice(prefix.length) ?? '',
  days: Expiration?.Days ?? 0,
});

/** @param inParts the same store, that sends everything as a multipart upload */
async function probe(store: Store, inParts: Store, place: string): Promise<void> {
  const keys: string[] = [];
  const create = (by: Store, key: string, writer: number): Promise<boolean> =>
    by.put(key, new Uint8Array(PROBE_BYTES).fill(writer), { ifAbsent: true }).then(
      () => true,
      (error: unknown) => {
        if (isStoreError(error, 'already_exists')) return false;
        throw error;
      },
    );
  const refuse = (what: string): never => {
    throw new StoreError('store_refused', `${place} ${what}, so commits are not safe in it`);
  };
  try {
    for (let race = 0; race < PROBE_RACES; race++) {
      const key = PROBE_PREFIX + randomUUID();
      keys.push(key);
      const won = await Promise.all(Array.from({ length: PROBE_WRITERS }, (_, i) => create(store, key, i)));
      const winners = won.filter(Boolean).length;
      if (winners !== 1) refuse(`lets ${winners} of ${PROBE_WRITERS} conditional puts of one key through`);
    }
    const key = keys[0] as string;
    if (await create(store, key, PROBE_WRITERS)) refuse('lets a conditional put overwrite');
    if (await create(inParts, key, PROBE_WRITERS)) refuse('lets a conditional multipart upload overwrite');
  } finally {
    await store.remove(keys).catch(() => {});
  }
}

function isRefused(error: unknown): false {
  if (isStoreError(error, 'store_refused')) return false;
  throw error;
}

/** `act` of 0 to `count`, at most `width` at once; ends with the first failure, once all that were begun have ended. */
async function eachOf<T>(width: number, count: number, act: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const failures: unknown[] = [];
  const work = async (): Promise<void> => {
    while (next < count && !failures.length) {
      const i = next++;
      try {
        results[i] = await act(i);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, work));
  if (failures.length) throw failures[0];
  return results;
}
