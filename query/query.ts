import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ProjectSource } from '#projects';
import type { Service, ServiceContext } from '#service';
import { openLakeReader, type Store } from '#store';
import { addApp } from './app-files.ts';
import { createErasing } from './erasure.ts';
import { openLakeCache } from './lake-cache.ts';
import { createLake } from './lake.ts';
import { createPlayback } from './playback.ts';
import { addRoutes } from './routes.ts';
import { createSessions } from './sessions.ts';
import { createSql } from './sql.ts';
import { readRetention } from './retention.ts';
import { createStatements } from './statements.ts';

export { VIEWS } from './views.ts';

export interface QueryParts {
  store: Store;
  projects: ProjectSource;
  /** The built app; without it, or where it was not built, only the API is served. */
  appDir?: string;
}

const UPKEEP_INTERVAL_MS = 10_000;

/** SQL, sessions and playback over the lake. Adds its routes to `context.http`, which must not listen yet. */
export function createQuery(context: ServiceContext, { store, projects, appDir }: QueryParts): Service {
  const { config, log, metrics, http, now } = context;
  const lake = createLake(openLakeReader(store, now), { refreshMs: config.REFRESH_INTERVAL_MS, now });
  const cache = openLakeCache({ dir: config.CACHE_DIR, bytesMax: config.CACHE_BYTES_MAX, store });
  cache.catch(() => {
    // `run` says it.
  });
  const sql = createSql({
    dirOf: (project) => join(config.CACHE_DIR, project),
    spillDir: join(config.CACHE_DIR, '.spill'),
    processesMax: config.SQL_CHILDREN_MAX,
    timeoutMs: config.SQL_TIMEOUT_MS,
    memoryBytes: config.SQL_MEMORY_BYTES_MAX,
  });
  const statements = createStatements({
    ...{ lake, cache, sql, metrics, now },
    retention: (project) => readRetention(store, project),
  });
  const sessions = createSessions(statements);
  const playback = createPlayback({ store, lake, sessions, now });
  const erasing = createErasing({ store, lake, statements, playback, rowsMax: config.SQL_ROWS_MAX });
  addRoutes(http, { config, log, projects, statements, sessions, playback, erasing, now });
  if (appDir && existsSync(join(appDir, 'index.html'))) addApp(http, appDir);
  else log.warn({ appDir }, 'the app is not built; only the API is served');

  let draining = false;
  const stopped = new AbortController();
  return {
    name: 'query',
    async run() {
      const copies = await cache;
      const timer = setInterval(() => {
        copies
          .dropIdle(now())
          .catch((error: unknown) => log.warn({ err: error }, 'idle copies were not removed'));
        // What failed is tried again here, for no request may come while this is why we are not ready.
        lake.recheck().catch((error: unknown) => log.warn({ err: error }, 'the store does not answer'));
      }, UPKEEP_INTERVAL_MS);
      if (!stopped.signal.aborted) await once(stopped.signal, 'abort');
      clearInterval(timer);
    },
    async drain() {
      draining = true;
      await sql.drain();
    },
    async stop() {
      draining = true;
      await sql.close();
      stopped.abort();
    },
    problems: () => [
      ...(draining ? ['query is going down'] : []),
      ...(lake.problem() ? [lake.problem()!] : []),
    ],
  };
}
