import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { createCollector } from '#collector';
import { createProcessor } from '#processor';
import { findApiKey, hashApiKey, SCOPES, type Project, type ProjectsDocument } from '#projects';
import { createQuery } from '#query';
import {
  CONFIG,
  createHttp,
  createLog,
  createMetrics,
  listen,
  readConfig,
  runUntilKilled,
  type Config,
  type Http,
  type Log,
  type Service,
  type ServiceContext,
} from '#service';
import { openProjectStore, openStore, type ProjectStore, type Store } from '#store';
import { openMembers, openStream, type Stream } from '#stream';
import { serveDemo } from './demo/demo.ts';

/** One process with the role or roles that ROLE names: everything on a laptop, one role in a pod. */

const DIST = join(import.meta.dirname, '../dist');
const SHUTDOWN_MS_MAX = 25_000;

function readConfigOrExit(): Config {
  try {
    return readConfig(process.env);
  } catch (error) {
    console.error(`${(error as Error).message}; node deploy/all.ts --help lists every setting`);
    process.exit(2);
  }
}

async function serve(config: Config, log: Log): Promise<number> {
  const plays = (role: Config['ROLE']): boolean => config.ROLE === 'all' || config.ROLE === role;
  const metrics = createMetrics();
  const services: Service[] = [];
  const http = createHttp(log, metrics, () => services.flatMap((service) => service.problems()));
  const context: ServiceContext = { config, log, metrics, http, now: Date.now };

  const keys = await firstKeys(config);
  const store = await openStore(config.STORE);
  const projects = await openProjectStore(store, {
    refreshMs: Math.max(config.REFRESH_INTERVAL_MS, 1000),
    first: () => firstDocument(config, keys),
    onError: (error) =>
      log.warn({ err: error }, 'could not read the projects again; those read before stay in force'),
  });
  const stream =
    config.ROLE === 'query'
      ? undefined
      : await openStream(config.STREAM, {
          bytesMax: config.STREAM_BYTES_MAX,
          warn: log.warn.bind(log),
        });

  // Drained in this order, so that what the collector has acked is flushed; stopped in reverse.
  services.push(parts(projects, store, stream));
  if (stream && plays('collector'))
    services.push(createCollector(context, { stream, projects, assetsDir: join(DIST, 'recorder') }));
  if (stream && plays('processor')) {
    const members = await openMembers(config.STREAM, { place: `${hostname()} ${config.LISTEN}` });
    services.push(createProcessor(context, { stream, store, members }));
  }
  if (plays('query')) services.push(createQuery(context, { store, projects, appDir: join(DIST, 'player') }));
  const project = projects.current().projects[0];
  if (config.DEMO === 'on' && plays('collector') && project)
    serveDemo(http, { writeKey: project.writeKeys[0]?.key ?? '' });
  services.push(
    listener(
      http,
      config,
      log,
      () =>
        project && banner(config, project, findApiKey(projects.current(), keys.apiKey) ? keys.apiKey : ''),
    ),
  );

  const code = await runUntilKilled(services, log);
  // What a library left open must not hold the process: everything of ours is stopped.
  setTimeout(() => process.exit(code), 1000).unref();
  if (config.ROLE === 'all' && config.DEMO === 'on')
    console.log(code === 0 ? 'drained and stopped' : 'stopped after a failure; the log above says which');
  return code;
}

/** The parts that services share, as a service so that they are let go of last. */
function parts(projects: ProjectStore, store: Store, stream: Stream | undefined): Service {
  const stopped = new AbortController();
  return {
    name: 'parts',
    run: async () => void (stopped.signal.aborted || (await once(stopped.signal, 'abort'))),
    drain: async () => {},
    async stop() {
      if (stopped.signal.aborted) return;
      stopped.abort();
      projects.close();
      await stream?.close();
      await store.close();
    },
    problems: () => [],
  };
}

function listener(http: Http, config: Config, log: Log, onListening: () => void): Service {
  const stopped = new AbortController();
  let listening = false;
  return {
    name: 'http',
    async run() {
      const address = await listen(http, config.LISTEN).catch((cause: NodeJS.ErrnoException) => {
        if (cause.code !== 'EADDRINUSE') throw cause;
        console.error(`LISTEN=${config.LISTEN} is taken by another process; set LISTEN to another address`);
        throw cause;
      });
      listening = true;
      log.info({ address }, 'listening');
      onListening();
      if (!stopped.signal.aborted) await once(stopped.signal, 'abort');
    },
    drain: async () => {},
    async stop() {
      if (stopped.signal.aborted) return;
      stopped.abort();
      const forced = setTimeout(() => http.server.closeAllConnections(), SHUTDOWN_MS_MAX);
      await http.close();
      clearTimeout(forced);
    },
    problems: () => (listening ? [] : ['not listening yet']),
  };
}

interface FirstKeys {
  writeKey: string;
  apiKey: string;
}

/**
 * The keys of the first project: given, or random and kept beside the data with owner-only rights so that the next
 * start can print them again. Where several processes start at once there is nowhere to agree, so they must be given.
 */
async function firstKeys(config: Config): Promise<FirstKeys> {
  const given = { writeKey: config.FIRST_WRITE_KEY, apiKey: config.FIRST_API_KEY };
  if ((given.writeKey && given.apiKey) || config.ROLE !== 'all') return given;
  const file = join(config.DATA_DIR, 'keys.json');
  try {
    return { ...(JSON.parse(await readFile(file, 'utf8')) as FirstKeys), ...withoutEmpty(given) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const random = (prefix: string): string => `${prefix}_${randomBytes(18).toString('base64url')}`;
  const keys = { writeKey: random('wk'), apiKey: random('ak'), ...withoutEmpty(given) };
  await mkdir(config.DATA_DIR, { recursive: true });
  // Whole or not at all, for a half-written file would stop every later start.
  await writeFile(`${file}.draft`, JSON.stringify(keys, null, 2), { mode: 0o600 });
  await rename(`${file}.draft`, file);
  return keys;
}

const withoutEmpty = (keys: FirstKeys): Partial<FirstKeys> =>
  Object.fromEntries(Object.entries(keys).filter(([, value]) => value));

function firstDocument(config: Config, keys: FirstKeys): ProjectsDocument {
  if (!keys.writeKey || !keys.apiKey)
    throw new Error(
      `the store has no project yet: set FIRST_WRITE_KEY and FIRST_API_KEY alike for every role`,
    );
  return {
    v: 1,
    secret: randomBytes(32).toString('base64url'),
    projects: [
      {
        id: config.FIRST_PROJECT,
        retentionDays: config.FIRST_RETENTION_DAYS,
        writeKeys: [{ key: keys.writeKey, origins: config.FIRST_ORIGINS }],
        apiKeys: [{ name: 'first', hash: hashApiKey(keys.apiKey), scopes: [...SCOPES] }],
      },
    ],
  };
}

function banner(config: Config, project: Project, apiKey: string): void {
  if (config.ROLE !== 'all' || (!process.stdout.isTTY && config.DEMO === 'off')) return;
  const url = config.PUBLIC_URL;
  const lines = [
    '',
    `Mutoscope records into ${resolve(config.DATA_DIR)}; project ${project.id}, kept ${project.retentionDays} days`,
    '',
    ...(config.DEMO === 'on' ? [`  Demo site   ${url}/demo/`] : []),
    `  Sign in     ${url}/${apiKey ? `#key=${apiKey}` : ''}`,
    `  Snippet     <script async src="${url}/r/loader.js" data-key="${project.writeKeys[0]?.key}"></script>`,
    `  Pinned      ${pinnedSnippet(url, project.writeKeys[0]?.key)}`,
    `              for pages of ${project.writeKeys[0]?.origins.join(', ')}`,
    `  Ask SQL     curl -s ${url}/v1/sql -H "authorization: Bearer ${apiKey || 'ak_…'}" -H 'content-type: application/json' \\`,
    `                -d '{"sql": "SELECT type, count(*) AS events FROM events GROUP BY type ORDER BY events DESC"}'`,
    '',
    '  Ctrl-C drains and stops; what was recorded stays.',
    '',
  ];
  process.stdout.write(lines.join('\n'));
}

/** The build's own loader and no other, kept by browsers for ever. */
function pinnedSnippet(url: string, key = ''): string {
  const { pinned, integrity } = JSON.parse(readFileSync(join(DIST, 'recorder/integrity.json'), 'utf8')) as {
    pinned: string;
    integrity: Record<string, string>;
  };
  return `<script async src="${url}/r/${pinned}" integrity="${integrity[pinned]}" crossorigin data-key="${key}"></script>`;
}

if (process.argv.includes('--help')) {
  for (const [name, [, fallback, sentence]] of Object.entries(CONFIG))
    console.log(`${name.padEnd(24)}${sentence} [${fallback}]`);
} else {
  const config = readConfigOrExit();
  const log = createLog(config.LOG_LEVEL, { role: config.ROLE });
  try {
    process.exitCode = await serve(config, log);
  } catch (error) {
    log.fatal({ err: error }, 'could not start');
    console.error(`could not start: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
