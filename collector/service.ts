import { once } from 'node:events';
import { RETENTION_DAYS_MAX } from './projects.ts';
import { createHttp, listen, serveFiles, type Http } from './x-fastify.ts';
import { createLog, type Log } from './x-pino.ts';
import { createMetrics, type Metrics } from './x-prom-client.ts';

export type { Http, HttpReply, HttpRequest } from './x-fastify.ts';
export type { Log } from './x-pino.ts';
export type { Counter, Gauge, Histogram, Metrics } from './x-prom-client.ts';
export { createHttp, createLog, createMetrics, listen, serveFiles };

/** What every role is. */
export interface Service {
  readonly name: string;
  /** Works until `stop`; rejects when it cannot go on. */
  run(): Promise<void>;
  /** Takes on nothing new and finishes the cycle in hand. */
  drain(): Promise<void>;
  /** Lets go of everything. Idempotent. */
  stop(): Promise<void>;
  /** Why it cannot do its work now, each in a sentence; none when it can. `/readyz` says them. */
  problems(): string[];
}

/** What a role is given. Time is an argument so that tests can move it. */
export interface ServiceContext {
  config: Config;
  log: Log;
  metrics: Metrics;
  http: Http;
  now: () => number;
}

const text = (value: string): string => value;
const integer =
  (min: number, max: number) =>
  (value: string): number => {
    const n = Number(value);
    if (!Number.isSafeInteger(n) || n < min || n > max)
      throw new Error(`is not a whole number from ${min} to ${max}`);
    return n;
  };
const oneOf =
  <T extends string>(...values: T[]) =>
  (value: string): T => {
    const found = values.find((candidate) => candidate === value);
    if (found === undefined) throw new Error(`is none of ${values.join(', ')}`);
    return found;
  };
const list = (value: string): string[] =>
  value
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean);

const MB = 1024 * 1024;

/** Every setting: environment name, parser, default, sentence. The type, `--help` and the README's table come from it. */
export const CONFIG = {
  ROLE: [oneOf('all', 'collector', 'processor', 'query'), 'all', 'which roles this process takes'],
  LISTEN: [text, '127.0.0.1:8080', 'address and port of HTTP and WebSocket'],
  PUBLIC_URL: [text, '', 'address under which browsers reach this server; default: http://LISTEN'],
  DATA_DIR: [text, './data', 'directory of the embedded stream, the lake, the cache and the first keys'],
  STREAM: [text, '', 'nats://host:port, or a directory for the embedded log; default: DATA_DIR/stream'],
  STREAM_BYTES_MAX: [
    integer(16 * MB, 2 ** 50),
    String(4096 * MB),
    'what the stream may hold; past it recorders keep their batches',
  ],
  STORE: [text, '', 's3://bucket/prefix?endpoint=…, or a directory; default: DATA_DIR/lake'],
  CACHE_DIR: [text, '', 'local copies of lake files for SQL; default: DATA_DIR/cache'],
  CACHE_BYTES_MAX: [integer(64 * MB, 2 ** 50), String(10_240 * MB), 'what CACHE_DIR may hold'],
  FLUSH_INTERVAL_MS: [integer(100, 600_000), '10000', 'a batch is in the lake after this at the latest'],
  FLUSH_BYTES_MAX: [
    integer(MB, 1024 * MB),
    String(2 * MB),
    'compressed batches held by each of 16 shards before it is flushed early',
  ],
  COMPACT_INTERVAL_MS: [integer(1000, 86_400_000), '60000', 'how often small files are merged'],
  SWEEP_INTERVAL_MS: [integer(1000, 86_400_000), '60000', 'how often erased and expired bytes are removed'],
  GRACE_MS: [
    integer(0, 86_400_000),
    '600000',
    'how long a replaced file stays for readers that still use it',
  ],
  REFRESH_INTERVAL_MS: [
    integer(50, 600_000),
    '1000',
    'how often query looks for new files, and every role for changed projects',
  ],
  SQL_TIMEOUT_MS: [integer(100, 3_600_000), '30000', 'a statement is stopped after this'],
  SQL_ROWS_MAX: [integer(1, 10_000_000), '100000', 'rows that one answer may have'],
  SQL_MEMORY_BYTES_MAX: [integer(64 * MB, 2 ** 40), String(512 * MB), "memory of a project's SQL process"],
  SQL_CHILDREN_MAX: [integer(1, 1000), '16', 'SQL processes at once; the one idle longest makes room'],
  LOG_LEVEL: [
    oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
    'info',
    'least level that is logged',
  ],
  DEMO: [oneOf('on', 'off'), 'off', 'serve the demo site under /demo/ (with the collector)'],
  FIRST_PROJECT: [text, 'demo', 'project made when the store has none'],
  FIRST_RETENTION_DAYS: [
    integer(1, RETENTION_DAYS_MAX),
    '30',
    'its retention class: so many days are sessions kept',
  ],
  FIRST_WRITE_KEY: [text, '', 'its write key, wk_…; default: random'],
  FIRST_API_KEY: [text, '', 'its API key, ak_…; default: random, kept in DATA_DIR/keys.json'],
  FIRST_ORIGINS: [
    list,
    '',
    'origins that may use the write key, with commas; default: PUBLIC_URL, and on loopback every loopback port',
  ],
} as const satisfies Record<string, readonly [(value: string) => unknown, string, string]>;

export type Config = { readonly [Name in keyof typeof CONFIG]: ReturnType<(typeof CONFIG)[Name][0]> };

/** @throws Error that names the setting and its value. Settings with no value take one that others give (DATA_DIR, LISTEN). */
export function readConfig(env: Record<string, string | undefined>): Config {
  const values = Object.fromEntries(
    Object.entries(CONFIG).map(([name, [parse, fallback]]) => {
      const value = env[name] || fallback;
      try {
        return [name, parse(value)];
      } catch (error) {
        throw new Error(`${name}=${JSON.stringify(value)} ${(error as Error).message}`);
      }
    }),
  ) as { -readonly [Name in keyof Config]: Config[Name] };
  values.STREAM ||= `${values.DATA_DIR}/stream`;
  values.STORE ||= `${values.DATA_DIR}/lake`;
  values.CACHE_DIR ||= `${values.DATA_DIR}/cache`;
  values.PUBLIC_URL ||= `http://${values.LISTEN}`;
  if (!values.FIRST_ORIGINS.length) values.FIRST_ORIGINS = defaultOrigins(values.PUBLIC_URL);
  return values;
}

/** A laptop's other development servers may record too; the world's pages may not. */
function defaultOrigins(publicUrl: string): string[] {
  const loopback = ['127.0.0.1', 'localhost'].includes(new URL(publicUrl).hostname);
  return [publicUrl, ...(loopback ? ['http://localhost:*', 'http://127.0.0.1:*'] : [])];
}

/**
 * Runs the services until a signal comes or one of them fails, then drains them all in the order given, stops them in
 * reverse, and returns the exit code: 0 after SIGTERM or SIGINT, 1 after a failure. A second signal stops at once.
 */
export async function runUntilKilled(services: Service[], log: Log): Promise<number> {
  const killed = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (killed.signal.aborted) process.exit(130);
    log.info({ signal }, 'draining');
    killed.abort();
  };
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  let code = 0;
  const runs = services.map((service) =>
    service.run().catch((error: unknown) => {
      code = 1;
      log.error({ err: error, service: service.name }, 'a service failed; the process goes down');
      killed.abort();
    }),
  );
  if (!killed.signal.aborted) await Promise.race([once(killed.signal, 'abort'), Promise.all(runs)]);
  for (const service of services)
    await service
      .drain()
      .catch((error: unknown) => log.error({ err: error, service: service.name }, 'drain failed'));
  for (const service of services.toReversed())
    await service
      .stop()
      .catch((error: unknown) => log.error({ err: error, service: service.name }, 'stop failed'));
  await Promise.allSettled(runs);
  process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
  log.info({ code }, 'stopped');
  return code;
}
