import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GetBucketLifecycleConfigurationCommand, S3Client } from '@aws-sdk/client-s3';
import { describe, expect, inject, it } from 'vitest';
import { expiryRules } from './processor.ts';
import { openStore } from './store.ts';
import { storeContract } from './store.contract.ts';

const s3 = inject('s3');

describe.skipIf(!s3)('on an S3 server', () => {
  process.env.AWS_ACCESS_KEY_ID = s3?.accessKey;
  process.env.AWS_SECRET_ACCESS_KEY = s3?.secretKey;
  const locate = (bucket: string): string => `s3://${bucket}/some/prefix?endpoint=${s3?.endpoint}`;

  storeContract('a bucket as store', async () => {
    const location = locate(`contract-${randomUUID()}`);
    const store = await openStore(location);
    return { store, reopen: () => openStore(location), close: () => store.close() };
  });

  it('retention classes become lifecycle rules of the bucket', async () => {
    const bucket = `rules-${randomUUID()}`;
    const store = await openStore(locate(bucket));
    expect(await store.expireByAge(expiryRules())).toEqual({ installed: true });
    const client = new S3Client({ region: 'us-east-1', endpoint: s3!.endpoint, forcePathStyle: true });
    const { Rules } = await client.send(new GetBucketLifecycleConfigurationCommand({ Bucket: bucket }));
    expect(Rules?.map((rule) => [rule.Filter?.Prefix, rule.Expiration?.Days])).toEqual(
      expect.arrayContaining([
        ['some/prefix/v1/r30/', 32],
        ['some/prefix/v1/r90/', 92],
        ['some/prefix/v1/r180/', 182],
        ['some/prefix/v1/r365/', 367],
        ['some/prefix/v1/quarantine/', 30],
      ]),
    );
    client.destroy();
    await store.close();
  });

  it('a server that ignores conditional puts is refused by name', async () => {
    const { endpoint, server } = await serve((_request, answer) => answer.writeHead(200).end());
    await expect(openStore(`s3://bucket?endpoint=${endpoint}`)).rejects.toMatchObject({
      code: 'store_refused',
      message: expect.stringContaining(endpoint),
    });
    server.close();
  });

  it('a wrong key is refused', async () => {
    const { AWS_SECRET_ACCESS_KEY } = process.env;
    process.env.AWS_SECRET_ACCESS_KEY = 'not the key';
    await expect(openStore(locate('any'))).rejects.toMatchObject({ code: 'store_refused' });
    process.env.AWS_SECRET_ACCESS_KEY = AWS_SECRET_ACCESS_KEY;
  });

  it('a request that fails for the moment is made again', async () => {
    let failures = 2;
    const { endpoint, server } = await serve((request, answer) => {
      const isPut = request.method === 'PUT';
      if (isPut && failures-- > 0) return void answer.writeHead(503).end();
      answer.writeHead(isPut && failures < -1 ? 412 : 200).end();
    });
    await (await openStore(`s3://bucket?endpoint=${endpoint}`)).close();
    expect(failures).toBe(-2);
    server.close();
  });
});

async function serve(
  answer: Parameters<typeof createServer>[1],
): Promise<{ endpoint: string; server: Server }> {
  const server = createServer(answer as never).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}
