import { randomUUID } from 'node:crypto';
import {
  CreateBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListObjectsV2Command,
  PutBucketLifecycleConfigurationCommand,
  PutObjectCommand,
  S3Client,
  type S3ServiceException,
} from '@aws-sdk/client-s3';
import { isStoreError, StoreError, type Store } from './store.ts';

/** Per request; the SDK waits between them, longer each time, with jitter. */
const ATTEMPTS_MAX = 4;
const REQUEST_MS_MAX = 60_000;
const CONNECT_MS_MAX = 5_000;
/** S3's own bound on one DeleteObjects request. */
const REMOVE_KEYS_MAX = 1000;
const KEY_BYTES_MAX = 1024;
const PROBE_PREFIX = 'v1/probe/';

/**
 * `s3://bucket[/prefix][?endpoint=…&region=…]`. Makes the bucket when it is missing, and refuses a store that lets a
 * second conditional put of one key through, for commits would then overwrite each other.
 * @throws StoreError `store_refused`, `store_unavailable`
 */
export async function openS3Store(location: string): Promise<Store> {
  const { bucket, prefix, endpoint, region } = parseLocation(location);
  const client = new S3Client({
    region,
    ...(endpoint ? { endpoint, forcePathStyle: true } : {}),
    maxAttempts: ATTEMPTS_MAX,
    // Servers other than AWS's do not all know the newer checksums.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { requestTimeout: REQUEST_MS_MAX, connectionTimeout: CONNECT_MS_MAX },
  });
  const store = s3Store(client, bucket, prefix);
  const place = endpoint ?? `bucket ${bucket}`;
  try {
    await ensureBucket(client, bucket);
    await probe(store, place);
  } catch (error) {
    client.destroy();
    if (error instanceof StoreError) throw error;
    throw storeError(error, place);
  }
  return store;
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

function s3Store(client: S3Client, bucket: string, prefix: string): Store {
  const fullKey = (key: string): string => {
    if (!key || key.startsWith('/') || key.split('/').some((part) => part === '' || /^\.+$/.test(part)))
      throw new StoreError('bad_key', `${JSON.stringify(key)} is no key`);
    if (Buffer.byteLength(prefix + key) > KEY_BYTES_MAX)
      throw new StoreError('bad_key', `key of ${key.length} characters is too long`);
    return prefix + key;
  };
  return {
    location: `s3://${bucket}/${prefix}`.replace(/\/$/, ''),
    async put(key, bytes, { ifAbsent = false } = {}) {
      const Key = fullKey(key);
      await guard(key, () =>
        client.send(
          new PutObjectCommand({
            Bucket: bucket,
            Key,
            Body: bytes,
            ContentLength: bytes.length,
            ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
          }),
        ),
      );
    },
    async get(key, range) {
      const Key = fullKey(key);
      if (range && (range.start < 0 || range.start > range.end))
        throw new StoreError('bad_range', `${key}: ${range.start} to ${range.end} is no range`);
      // HTTP cannot ask for no bytes.
      if (range && range.start === range.end) return new Uint8Array(0);
      return guard(key, async () => {
        const answer = await client.send(
          new GetObjectCommand({
            Bucket: bucket,
            Key,
            ...(range ? { Range: `bytes=${range.start}-${range.end - 1}` } : {}),
          }),
        );
        const bytes = (await answer.Body?.transformToByteArray()) ?? new Uint8Array(0);
        if (range && bytes.length !== range.end - range.start)
          throw new StoreError('bad_range', `${key} ends before byte ${range.end}`);
        return bytes;
      });
    },
    async *list(from) {
      let token: string | undefined;
      do {
        const page = await guard(from, () =>
          client.send(
            new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix + from, ContinuationToken: token }),
          ),
        );
        for (const { Key, Size, LastModified } of page.Contents ?? [])
          yield {
            key: Key!.slice(prefix.length),
            bytes: Size ?? 0,
            modifiedMs: LastModified?.getTime() ?? 0,
          };
        token = page.NextContinuationToken;
      } while (token);
    },
    async remove(keys) {
      const full = keys.map(fullKey);
      for (let at = 0; at < full.length; at += REMOVE_KEYS_MAX) {
        const Objects = full.slice(at, at + REMOVE_KEYS_MAX).map((Key) => ({ Key }));
        const answer = await guard(`${Objects.length} keys`, () =>
          client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } })),
        );
        const failed = answer.Errors?.find(({ Code }) => Code !== 'NoSuchKey');
        if (failed)
          throw new StoreError(
            'store_unavailable',
            `${failed.Key} was not removed: ${failed.Code} ${failed.Message}`,
          );
      }
    },
    async expireByAge(rules) {
      const Rules = rules.map((rule) => ({
        ID: rule.id,
        Status: 'Enabled' as const,
        Filter: { Prefix: prefix + rule.prefix },
        Expiration: { Days: rule.days },
      }));
      try {
        await client.send(
          new PutBucketLifecycleConfigurationCommand({ Bucket: bucket, LifecycleConfiguration: { Rules } }),
        );
        return { installed: true };
      } catch (error) {
        return { installed: false, reason: storeError(error, bucket).message };
      }
    },
    close: async () => client.destroy(),
  };
}

async function ensureBucket(client: S3Client, bucket: string): Promise<void> {
  try {
    await client.send(new HeadBucketCommand({ Bucket: bucket }));
  } catch (error) {
    if (statusOf(error) !== 404) throw error;
    await client.send(new CreateBucketCommand({ Bucket: bucket })).catch((failed: unknown) => {
      // Another process was quicker.
      if (!['BucketAlreadyOwnedByYou', 'BucketAlreadyExists'].includes((failed as Error).name)) throw failed;
    });
  }
}

async function probe(store: Store, place: string): Promise<void> {
  const key = PROBE_PREFIX + randomUUID();
  const bytes = new TextEncoder().encode('conditional put');
  await store.put(key, bytes, { ifAbsent: true });
  const refused = await store.put(key, bytes, { ifAbsent: true }).then(
    () => false,
    (error: unknown) => {
      if (isStoreError(error, 'already_exists')) return true;
      throw error;
    },
  );
  await store.remove([key]);
  if (!refused)
    throw new StoreError(
      'store_refused',
      `${place} lets a conditional put overwrite, so commits are not safe in it`,
    );
}

const statusOf = (error: unknown): number | undefined =>
  (error as Partial<S3ServiceException> | undefined)?.$metadata?.httpStatusCode;

function storeError(error: unknown, what: string): StoreError {
  const status = statusOf(error);
  const message = `${what}: ${(error as Error).name} ${(error as Error).message}`;
  if (status === 404) return new StoreError('not_found', message, { cause: error });
  if (status === 412 || status === 409) return new StoreError('already_exists', message, { cause: error });
  if (status === 416) return new StoreError('bad_range', message, { cause: error });
  if (status === 400 || status === 401 || status === 403 || status === 501)
    return new StoreError('store_refused', message, { cause: error });
  return new StoreError('store_unavailable', message, { cause: error });
}

async function guard<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw error instanceof StoreError ? error : storeError(error, what);
  }
}
