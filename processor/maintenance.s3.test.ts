import { randomUUID } from 'node:crypto';
import { describe, inject } from 'vitest';
import { maintenanceContract } from './maintenance.contract.ts';
import { openStore } from './store.ts';

const s3 = inject('s3');

describe.skipIf(!s3)('on an S3 server', () => {
  process.env.AWS_ACCESS_KEY_ID = s3?.accessKey;
  process.env.AWS_SECRET_ACCESS_KEY = s3?.secretKey;
  maintenanceContract('the lake in a bucket', async () => {
    const store = await openStore(`s3://lake-${randomUUID()}?endpoint=${s3?.endpoint}`);
    return { store, close: () => store.close() };
  });
});
