import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';

/**
 * The real parts that tests run against: a NATS server, S3 servers, Chromium, other programs' readers. Each is looked for in this order:
 * an address given in the environment, a container, a program on the PATH or from `make servers`. What cannot be had
 * is provided as `undefined` with the reason, so that its tier is skipped, aloud; with CI set that is an error instead.
 */
declare module 'vitest' {
  export interface ProvidedContext {
    natsUrl: string | undefined;
    /** MinIO. */
    s3: S3Server | undefined;
    /** Another maker's, with its objects in a directory. */
    versitygw: S3Server | undefined;
    /** One that knows conditional puts and yet lets several of those that race through: it must be refused. */
    s3proxy: S3Server | undefined;
    chromium: string | undefined;
    /** A Python that has the packages of `deploy/readers`. */
    readers: string | undefined;
  }
}
export interface S3Server {
  endpoint: string;
  accessKey: string;
  secretKey: string;
}
interface Started<T> {
  value: T;
  stop(): Promise<void>;
}

export const NATS_IMAGE = process.env.NATS_IMAGE ?? 'nats:2.15.2';
export const MINIO_IMAGE = process.env.MINIO_IMAGE ?? 'minio/minio:RELEASE.2025-09-07T16-13-09Z';
const S3_KEY = 'mutoscope-test';
const S3_KEYS = { accessKey: S3_KEY, secretKey: S3_KEY };
const run = promisify(execFile);

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const started: Started<unknown>[] = [];
  const skipped: string[] = [];
  const get = async <T>(what: string, start: () => Promise<Started<T>>): Promise<T | undefined> => {
    try {
      const server = await start();
      started.push(server);
      return server.value;
    } catch (error) {
      skipped.push(`${what}: ${(error as Error).message}`);
      return undefined;
    }
  };
  const [natsUrl, s3, versitygw, s3proxy, chromium, readers] = await Promise.all([
    get('nats', startNats),
    get('s3', startMinio),
    get('s3, second server', startVersitygw),
    get('s3, server to refuse', startS3proxy),
    get('browser', findChromium),
    get('readers', findReaders),
  ]);
  project.provide('natsUrl', natsUrl);
  project.provide('s3', s3);
  project.provide('versitygw', versitygw);
  project.provide('s3proxy', s3proxy);
  project.provide('chromium', chromium);
  project.provide('readers', readers);
  const stop = async (): Promise<void> =>
    void (await Promise.allSettled(started.map((server) => server.stop())));
  for (const reason of skipped) process.stderr.write(`SKIPPED TIER ${reason}\n`);
  if (skipped.length && process.env.CI) {
    await stop();
    throw new Error(`in CI no tier may be skipped: ${skipped.join('; ')}`);
  }
  return stop;
}

export async function startNats(): Promise<Started<string>> {
  if (process.env.TEST_NATS_URL) return { value: process.env.TEST_NATS_URL, stop: async () => {} };
  return containerOr(
    async () => {
      const { GenericContainer, Wait } = await import('testcontainers');
      const container = await new GenericContainer(NATS_IMAGE)
        .withCommand(['-js', '-sd', '/data', '-m', '8222'])
        .withExposedPorts(4222)
        .withWaitStrategy(Wait.forLogMessage('Server is ready'))
        .start();
      const value = `nats://${container.getHost()}:${container.getMappedPort(4222)}`;
      return { value, stop: async () => void (await container.stop({ timeout: 1000 })) };
    },
    async () => {
      const { port, stop } = await startProgram(findProgram('nats-server'), (dir, port) => ({
        args: ['-js', '-sd', dir, '-a', '127.0.0.1', '-p', String(port)],
      }));
      return { value: `nats://127.0.0.1:${port}`, stop };
    },
  );
}

export async function startMinio(): Promise<Started<S3Server>> {
  if (process.env.TEST_S3_ENDPOINT) {
    const { AWS_ACCESS_KEY_ID: accessKey = S3_KEY, AWS_SECRET_ACCESS_KEY: secretKey = S3_KEY } = process.env;
    return { value: { endpoint: process.env.TEST_S3_ENDPOINT, accessKey, secretKey }, stop: async () => {} };
  }
  const env = { MINIO_ROOT_USER: S3_KEY, MINIO_ROOT_PASSWORD: S3_KEY };
  return containerOr(
    async () => {
      const { GenericContainer, Wait } = await import('testcontainers');
      const container = await new GenericContainer(MINIO_IMAGE)
        .withCommand(['server', '/data'])
        .withEnvironment(env)
        .withExposedPorts(9000)
        .withWaitStrategy(Wait.forHttp('/minio/health/ready', 9000))
        .start();
      const endpoint = `http://${container.getHost()}:${container.getMappedPort(9000)}`;
      return {
        value: { endpoint, ...S3_KEYS },
        stop: async () => void (await container.stop({ timeout: 1000 })),
      };
    },
    async () => {
      const { port, stop } = await startProgram(findProgram('minio'), (dir, port) => ({
        args: ['server', dir, '--address', `127.0.0.1:${port}`],
        env,
      }));
      return { value: onLoopback(port), stop };
    },
  );
}

export async function startVersitygw(): Promise<Started<S3Server>> {
  const { port, stop } = await startProgram(findProgram('versitygw'), (dir, port) => ({
    args: ['--quiet', '--port', `127.0.0.1:${port}`, 'posix', dir],
    env: { ROOT_ACCESS_KEY: S3_KEY, ROOT_SECRET_KEY: S3_KEY },
  }));
  return { value: onLoopback(port), stop };
}

export async function startS3proxy(): Promise<Started<S3Server>> {
  const jar = findProgram('s3proxy.jar');
  const { port, stop } = await startProgram(findProgram('java'), async (dir, port) => {
    const settings = {
      's3proxy.endpoint': `http://127.0.0.1:${port}`,
      's3proxy.authorization': 'aws-v2-or-v4',
      's3proxy.identity': S3_KEY,
      's3proxy.credential': S3_KEY,
      'jclouds.provider': 'filesystem-nio2',
      'jclouds.filesystem.basedir': dir,
    };
    const file = join(dir, 's3proxy.properties');
    await writeFile(
      file,
      Object.entries(settings).map((setting) => `${setting.join('=')}\n`),
    );
    return { args: ['-Xmx128m', '-jar', jar, '--properties', file] };
  });
  return { value: onLoopback(port), stop };
}

const onLoopback = (port: number): S3Server => ({ endpoint: `http://127.0.0.1:${port}`, ...S3_KEYS });

export async function findChromium(): Promise<Started<string>> {
  const value =
    process.env.CHROMIUM_PATH ??
    findProgram('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable');
  return { value, stop: async () => {} };
}

export async function findReaders(): Promise<Started<string>> {
  const value = process.env.TEST_READERS_PYTHON ?? join(import.meta.dirname, '../.cache/readers/bin/python');
  if (!existsSync(value)) throw new Error('there is no .cache/readers; `make readers` makes it');
  return { value, stop: async () => {} };
}

/** A program where there is no engine, and also where the engine has no such image and cannot pull it. */
async function containerOr<T>(
  container: () => Promise<Started<T>>,
  program: () => Promise<Started<T>>,
): Promise<Started<T>> {
  let reason = 'no Docker engine answers';
  if (await dockerAnswers())
    try {
      return await container();
    } catch (error) {
      reason = `the container did not start (${(error as Error).message})`;
    }
  try {
    return await program();
  } catch (error) {
    throw new Error(`${reason}, and ${(error as Error).message}`);
  }
}

let docker: Promise<boolean> | undefined;
/** Asks the engine itself: the client alone may be there. */
function dockerAnswers(): Promise<boolean> {
  docker ??= run('docker', ['info', '--format', '{{.ServerVersion}}'], { timeout: 10_000 }).then(
    ({ stdout }) => stdout.trim() !== '',
    () => false,
  );
  return docker;
}

/** `make servers` puts programs into .cache/bin. */
function findProgram(...names: string[]): string {
  const folders = [...(process.env.PATH ?? '').split(delimiter), join(import.meta.dirname, '../.cache/bin')];
  for (const name of names)
    for (const folder of folders) if (existsSync(join(folder, name))) return join(folder, name);
  throw new Error(`there is no ${names.join(' or ')} on the PATH`);
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** With a directory and a port of its own, both given back when it is stopped. */
async function startProgram(
  program: string,
  how: (dir: string, port: number) => MaybePromise<{ args: string[]; env?: Record<string, string> }>,
): Promise<{ port: number; stop: () => Promise<void> }> {
  const port = await freePort();
  const dir = await mkdtemp(join(tmpdir(), 'server-'));
  const { args, env } = await how(dir, port);
  const child = spawn(program, args, { stdio: 'ignore', env: { ...process.env, ...env } });
  try {
    await connectable(port, child, program);
  } catch (error) {
    await kill(child, dir);
    throw error;
  }
  return { port, stop: () => kill(child, dir) };
}
type MaybePromise<T> = T | Promise<T>;

async function connectable(port: number, child: ChildProcess, program: string): Promise<void> {
  const { connect } = await import('node:net');
  for (const end = Date.now() + 15_000; Date.now() < end;) {
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`);
    const up = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => (socket.destroy(), resolve(true))).once('error', () =>
        resolve(false),
      );
    });
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${program} did not listen within 15 s`);
}

async function kill(child: ChildProcess, dir: string): Promise<void> {
  const ended =
    child.exitCode === null && child.signalCode === null
      ? new Promise((resolve) => child.once('exit', resolve))
      : undefined;
  child.kill('SIGTERM');
  await ended;
  await rm(dir, { recursive: true, force: true });
}
