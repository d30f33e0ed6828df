import { randomUUID } from 'node:crypto';
import {
  GetObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { describe, expect, inject } from 'vitest';
import { eraseContract } from './erase.contract.ts';
import { openStore } from './store.ts';

const s3 = inject('s3');

describe.skipIf(!s3)('on an S3 server', () => {
  process.env.AWS_ACCESS_KEY_ID = s3?.accessKey;
  process.env.AWS_SECRET_ACCESS_KEY = s3?.secretKey;

  eraseContract(
    'erasure in a bucket that keeps versions',
    async () => {
      const Bucket = `erase-${randomUUID()}`;
      const location = `s3://${Bucket}?endpoint=${s3?.endpoint}`;
      await (await openStore(location)).close();
      const client = new S3Client({ region: 'us-east-1', endpoint: s3?.endpoint, forcePathStyle: true });
      const VersioningConfiguration = { Status: 'Enabled' } as const;
      await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
      const store = await openStore(location);
      const older = async (): Promise<Map<string, Uint8Array>> => {
        const { Versions = [], IsTruncated } = await client.send(new ListObjectVersionsCommand({ Bucket }));
        expect(IsTruncated).toBe(false);
        const found = new Map<string, Uint8Array>();
        for (const { Key, VersionId, IsLatest } of Versions) {
          if (IsLatest) continue;
          const { Body } = await client.send(new GetObjectCommand({ Bucket, Key, VersionId }));
          found.set(`${Key}?${VersionId}`, await Body!.transformToByteArray());
        }
        return found;
      };
      const close = async (): Promise<void> => {
        client.destroy();
        await store.close();
      };
      return { store, close, older };
    },
    25,
  );
});
