import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketLifecycleConfigurationCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  type GetObjectCommandOutput,
  type LifecycleRule,
  type S3ServiceException,
} from '@aws-sdk/client-s3';
import { StoreError, type StoreObject } from './store.ts';

export type { LifecycleRule };

export interface S3Place {
  bucket: string;
  endpoint: string | undefined;
  region: string;
}
export interface S3Limits {
  /** A request that carries nothing is given up after this. */
  answerMsMax: number;
  /** What a request carries, either way, gives it more time: as much as this rate needs. */
  bytesPerMsMin: number;
}
export interface S3Version {
  key: string;
  version: string;
  latest: boolean;
}

/**
 * One request to a bucket each, bounded in time and never repeated, with errors of the port. Keys are whole keys of
 * the bucket. What can have happened although it failed is `store_unavailable`.
 */
export interface S3Requests {
  /** @param mark with it only what is absent is created, and bears the mark. */
  put(key: string, bytes: Uint8Array, mark?: string): Promise<void>;
  /** The mark that the object was put with, if there is one. */
  markOf(key: string): Promise<string | undefined>;
  get(key: string, range?: { start: number; end: number }): Promise<Uint8Array>;
  list(prefix: string, after?: string): Promise<{ objects: StoreObject[]; next: string | undefined }>;
  /** At most 1000. Gives back the keys that the store only hid, for it keeps their versions. */
  remove(objects: { key: string; version?: string }[]): Promise<{ hidden: string[] }>;
  keepsVersions(): Promise<boolean>;
  /** Versions and the markers that hide them, of all keys that begin so, in order. */
  versions(prefix: string, after?: VersionPage['next']): Promise<VersionPage>;

  beginUpload(key: string, mark?: string): Promise<string>;
  putPart(key: string, upload: string, number: number, bytes: Uint8Array): Promise<string>;
  /** `not_found`: the upload is no more, or must begin anew. */
  completeUpload(key: string, upload: string, etags: string[], ifAbsent: boolean): Promise<void>;
  abortUpload(key: string, upload: string): Promise<void>;
  uploads(prefix: string): Promise<{ key: string; upload: string; begunMs: number }[]>;

  /** The bucket's rules for deletion by age, whoever set them. */
  rules(): Promise<LifecycleRule[]>;
  setRules(rules: LifecycleRule[]): Promise<void>;
  makeBucket(): Promise<void>;
  close(): Promise<void>;
}
interface VersionPage {
  versions: S3Version[];
  next: { key: string | undefined; version: string | undefined } | undefined;
}

const CONNECT_MS_MAX = 5_000;
const MARK = 'mutoscope-put';
/** Refusals that are none: what was asked for can go through the next time. */
const PASSING = [
  'BadDigest',
  'ConditionalRequestConflict',
  'IncompleteBody',
  'InternalError',
  'OperationAborted',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'SlowDown',
];
const ABSENT = ['NoSuchKey', 'NoSuchUpload'];

/** Opens no connection yet. */
export function connectS3({ bucket: Bucket, endpoint, region }: S3Place, limits: S3Limits): S3Requests {
  const client = new S3Client({
    region,
    ...(endpoint ? { endpoint, forcePathStyle: true } : {}),
    // Repeating is for the wrapper, which also reads the answer's body.
    maxAttempts: 1,
    // Servers other than AWS's do not all know the newer checksums.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_MS_MAX },
  });

  /** Runs one request and reads its answer; `allow` gives it the time that so many bytes need, from now on. */
  async function ask<T>(
    what: string,
    act: (signal: AbortSignal, allow: (bytes: number) => void) => Promise<T>,
    sentBytes = 0,
  ): Promise<T> {
    const ended = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    let late: (error: StoreError) => void;
    const tooLate = new Promise<never>((_, reject) => (late = reject));
    const allow = (bytes: number): void => {
      const ms = Math.ceil(limits.answerMsMax + bytes / limits.bytesPerMsMin);
      clearTimeout(timer);
      timer = setTimeout(() => {
        late(new StoreError('store_unavailable', `${what}: no whole answer within ${ms} ms`));
        ended.abort();
      }, ms);
    };
    allow(sentBytes);
    try {
      return await Promise.race([act(ended.signal, allow), tooLate]);
    } catch (error) {
      throw error instanceof StoreError ? error : storeError(error, what);
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    put: (Key, bytes, mark) =>
      ask(
        Key,
        async (abortSignal) => {
          const command = new PutObjectCommand({
            Bucket,
            Key,
            Body: bytes,
            ContentLength: bytes.length,
            ...(mark ? { IfNoneMatch: '*', Metadata: { [MARK]: mark } } : {}),
          });
          await client.send(command, { abortSignal });
        },
        bytes.length,
      ),
    markOf: (Key) =>
      ask(Key, async (abortSignal) => {
        const { Metadata } = await client
          .send(new HeadObjectCommand({ Bucket, Key }), { abortSignal })
          .catch((error: unknown) => {
            if (statusOf(error) !== 404) throw error;
            return { Metadata: undefined };
          });
        return Metadata?.[MARK];
      }),
    get: (Key, range) =>
      ask(Key, async (abortSignal, allow) => {
        const Range = range && `bytes=${range.start}-${range.end - 1}`;
        const answer = await client.send(new GetObjectCommand({ Bucket, Key, Range }), { abortSignal });
        allow(answer.ContentLength ?? 0);
        return readBody(Key, answer, range, abortSignal);
      }),
    list: (Prefix, ContinuationToken) =>
      ask(Prefix, async (abortSignal) => {
        const command = new ListObjectsV2Command({ Bucket, Prefix, ContinuationToken });
        const {
          Contents = [],
          KeyCount,
          IsTruncated,
          NextContinuationToken,
        } = await client.send(command, {
          abortSignal,
        });
        // What is read of an answer that was cut off would else pass for all there is.
        if (IsTruncated === undefined || (KeyCount ?? Contents.length) !== Contents.length)
          throw new StoreError('store_unavailable', `${Prefix}: the listing is not whole`);
        const objects = Contents.map(({ Key, Size, LastModified }) => ({
          key: Key!,
          bytes: Size ?? 0,
          modifiedMs: LastModified?.getTime() ?? 0,
        }));
        return { objects, next: IsTruncated ? NextContinuationToken : undefined };
      }),
    remove: (objects) =>
      ask(`${objects.length} keys`, async (abortSignal) => {
        const Objects = objects.map(({ key, version }) => ({ Key: key, VersionId: version }));
        const command = new DeleteObjectsCommand({ Bucket, Delete: { Objects } });
        const { Deleted = [], Errors = [] } = await client.send(command, { abortSignal });
        const failed = Errors.find(({ Code }) => Code !== 'NoSuchKey' && Code !== 'NoSuchVersion');
        if (failed)
          throw new StoreError(
            failed.Code === 'AccessDenied' ? 'store_refused' : 'store_unavailable',
            `${failed.Key} was not removed: ${failed.Code} ${failed.Message}`,
          );
        if (Deleted.length + Errors.length < objects.length)
          throw new StoreError('store_unavailable', `${objects.length} keys: the answer is not whole`);
        const isHidden = (i: (typeof Deleted)[0]): boolean => Boolean(i.DeleteMarker && !i.VersionId);
        return { hidden: Deleted.filter(isHidden).map(({ Key }) => Key!) };
      }),
    keepsVersions: () =>
      ask(Bucket, async (abortSignal) => {
        const { Status } = await client.send(new GetBucketVersioningCommand({ Bucket }), { abortSignal });
        return Status !== undefined;
      }),
    versions: (Prefix, after) =>
      ask(Prefix, async (abortSignal) => {
        const page = { Bucket, Prefix, KeyMarker: after?.key, VersionIdMarker: after?.version };
        const answer = await client.send(new ListObjectVersionsCommand(page), { abortSignal });
        const versions = [...(answer.Versions ?? []), ...(answer.DeleteMarkers ?? [])].map(
          ({ Key, VersionId, IsLatest }) => ({ key: Key!, version: VersionId!, latest: Boolean(IsLatest) }),
        );
        if (answer.IsTruncated === undefined)
          throw new StoreError('store_unavailable', `${Prefix}: the listing is not whole`);
        return {
          versions,
          next: answer.IsTruncated
            ? { key: answer.NextKeyMarker, version: answer.NextVersionIdMarker }
            : undefined,
        };
      }),

    beginUpload: (Key, mark) =>
      ask(Key, async (abortSignal) => {
        const command = new CreateMultipartUploadCommand({
          Bucket,
          Key,
          ...(mark ? { Metadata: { [MARK]: mark } } : {}),
        });
        return (await client.send(command, { abortSignal })).UploadId!;
      }),
    putPart: (Key, UploadId, PartNumber, bytes) =>
      ask(
        Key,
        async (abortSignal) => {
          const part = { Bucket, Key, UploadId, PartNumber, Body: bytes, ContentLength: bytes.length };
          return (await client.send(new UploadPartCommand(part), { abortSignal })).ETag!;
        },
        bytes.length,
      ),
    completeUpload: (Key, UploadId, etags, ifAbsent) =>
      ask(Key, async (abortSignal) => {
        const Parts = etags.map((ETag, i) => ({ ETag, PartNumber: i + 1 }));
        const command = new CompleteMultipartUploadCommand({
          Bucket,
          Key,
          UploadId,
          MultipartUpload: { Parts },
          ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
        });
        await client.send(command, { abortSignal }).catch((error: unknown) => {
          if (statusOf(error) !== 409) throw error;
          throw new StoreError('not_found', `${Key}: another write was in the way`, { cause: error });
        });
      }),
    abortUpload: (Key, UploadId) =>
      ask(Key, async (abortSignal) => {
        await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }), { abortSignal });
      }),
    uploads: (Prefix) =>
      ask(Prefix, async (abortSignal) => {
        const command = new ListMultipartUploadsCommand({ Bucket, Prefix });
        const { Uploads = [] } = await client.send(command, { abortSignal });
        return Uploads.map(({ Key, UploadId, Initiated }) => ({
          key: Key!,
          upload: UploadId!,
          begunMs: Initiated?.getTime() ?? 0,
        }));
      }),

    rules: () =>
      ask(Bucket, async (abortSignal) => {
        const command = new GetBucketLifecycleConfigurationCommand({ Bucket });
        const answer = await client.send(command, { abortSignal }).catch((error: Error) => {
          if (error.name === 'NoSuchLifecycleConfiguration') return { Rules: [] };
          throw error;
        });
        return answer.Rules ?? [];
      }),
    setRules: (Rules) =>
      ask(Bucket, async (abortSignal) => {
        const command = { Bucket, LifecycleConfiguration: { Rules } };
        await client.send(new PutBucketLifecycleConfigurationCommand(command), { abortSignal });
      }),
    makeBucket: () =>
      ask(Bucket, async (abortSignal) => {
        try {
          await client.send(new HeadBucketCommand({ Bucket }), { abortSignal });
        } catch (error) {
          if (statusOf(error) !== 404) throw error;
          await client.send(new CreateBucketCommand({ Bucket }), { abortSignal }).catch((failed: unknown) => {
            // Another process was quicker.
            if (!['BucketAlreadyOwnedByYou', 'BucketAlreadyExists'].includes((failed as Error).name))
              throw failed;
          });
        }
      }),
    close: async () => client.destroy(),
  };
}

/** The body, whole or not at all: an answer that breaks off, or that does not tell its length, is none. */
async function readBody(
  key: string,
  { Body, ContentLength, ContentRange }: GetObjectCommandOutput,
  range: { start: number; end: number } | undefined,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const stream = Body as NodeJS.ReadableStream & { destroy(error?: Error): void };
  const drop = (): void => stream.destroy();
  signal.addEventListener('abort', drop, { once: true });
  try {
    if (ContentLength === undefined)
      throw new StoreError('store_unavailable', `${key}: the answer does not tell its length`);
    const [, first, last] = /^bytes (\d+)-(\d+)/.exec(ContentRange ?? '') ?? [];
    if (range && (Number(first) !== range.start || Number(last) - range.start + 1 !== ContentLength))
      throw new StoreError('store_unavailable', `${key}: ${ContentRange} is not what was asked for`);
    if (range && ContentLength < range.end - range.start)
      throw new StoreError('bad_range', `${key} ends before byte ${range.end}`);
    const bytes = new Uint8Array(ContentLength);
    let at = 0;
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    if (at !== ContentLength)
      throw new StoreError('store_unavailable', `${key}: ${at} of ${ContentLength} bytes came`);
    return bytes;
  } catch (error) {
    drop();
    throw error;
  }
}

const statusOf = (error: unknown): number | undefined =>
  (error as Partial<S3ServiceException> | undefined)?.$metadata?.httpStatusCode;

function storeError(error: unknown, what: string): StoreError {
  const status = statusOf(error);
  const { name } = error as Error;
  const because = (code: StoreError['code']): StoreError =>
    new StoreError(code, `${what}: ${name} ${(error as Error).message}`, { cause: error });
  if (PASSING.includes(name)) return because('store_unavailable');
  // Any other 404 tells of the bucket, or comes from something that stands before the store.
  if (ABSENT.includes(name)) return because('not_found');
  if (status === 412) return because('already_exists');
  if (status === 416) return because('bad_range');
  if (status === 400 || status === 401 || status === 403 || status === 501) return because('store_refused');
  return because('store_unavailable');
}
