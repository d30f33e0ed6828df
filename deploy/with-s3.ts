/**
 * Runs a command with an S3 server beside it, if one can be had, given in the variables that tests take one from:
 * node deploy/with-s3.ts COMMAND [ARGUMENT...]
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { startMinio } from './servers.ts';

const [command, ...args] = process.argv.slice(2);
if (!command) throw new Error('with-s3.ts needs a command');
const s3 = await startMinio().catch((error: unknown) =>
  console.error(`no S3 server: ${(error as Error).message}`),
);
const given = s3 && {
  TEST_S3_ENDPOINT: s3.value.endpoint,
  AWS_ACCESS_KEY_ID: s3.value.accessKey,
  AWS_SECRET_ACCESS_KEY: s3.value.secretKey,
};
const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, ...given } });
const [code] = (await once(child, 'exit')) as [number | null];
await s3?.stop();
process.exit(code ?? 1);
