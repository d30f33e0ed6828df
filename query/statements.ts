import type { RetentionLine } from '#layout';
import type { Counter, Histogram, Metrics } from '#service';
import type { LakeView } from '#store';
import { ApiError, type Freshness } from './api.ts';
import type { Lake } from './lake.ts';
import type { LakeCache, Lease } from './lake-cache.ts';
import type { Rows } from './rows.ts';
import type { Lane, Sql } from './sql.ts';
import type { Param } from './x-duckdb.ts';

/** Runs statements over a project's lake as it is now: looks, copies, runs, lets go. */
export interface Statements {
  /** @throws ApiError, StoreError */
  run(project: string, statement: OneStatement, signal?: AbortSignal): Promise<Answer>;
}
export interface OneStatement {
  sql: string;
  params?: readonly Param[];
  lane: Lane;
  rowsMax: number;
}
export interface Answer {
  rows: Rows;
  freshness: Freshness;
  elapsedMs: number;
}
export interface StatementParts {
  lake: Lake;
  cache: Promise<LakeCache>;
  sql: Sql;
  metrics: Metrics;
  now: () => number;
  /** The project's retention report. @throws StoreError */
  retention: (project: string) => Promise<RetentionLine[]>;
}

/** What one answer may weigh before it is cut: it stands in this process's memory until it is sent. */
export const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

export function createStatements(parts: StatementParts): Statements {
  const { lake, cache, sql, metrics, now } = parts;
  const meters = metersOf(metrics);
  const lease = (project: string): Promise<{ view: LakeView; lease: Lease }> =>
    lake.read(project, async (view) => ({ view, lease: await (await cache).lease(view, now()) }));
  return {
    async run(project, { sql: text, params = [], lane, rowsMax }, signal) {
      const startedMs = performance.now();
      let outcome = 'ok';
      try {
        const { view, lease: leased } = await lease(project);
        try {
          const retention = /retention_status/i.test(text) ? await parts.retention(project) : undefined;
          const shown = { classes: leased.classes, erased: [...view.erased], retention };
          const statement = { sql: text, params, lake: shown, rowsMax, bytesMax: ANSWER_BYTES_MAX };
          const rows = await sql.run(project, lane, statement, signal);
          meters.freshness.set(now() - view.asOfMs);
          const freshness = { asOfMs: view.asOfMs, files: leased.files };
          return { rows, freshness, elapsedMs: Math.round((performance.now() - startedMs) * 10) / 10 };
        } finally {
          leased.release();
        }
      } catch (error) {
        outcome = signal?.aborted ? 'cancelled' : error instanceof ApiError ? error.code : 'internal';
        throw error;
      } finally {
        meters.statements.inc({ lane, outcome });
        meters.duration.observe({ lane }, (performance.now() - startedMs) / 1000);
        meters.processes.set(sql.processes());
        meters.cacheBytes.set((await cache.catch(() => undefined))?.bytes() ?? 0);
      }
    },
  };
}

function metersOf(metrics: Metrics) {
  const statements: Counter<'lane' | 'outcome'> = metrics.counter(
    'query_statements_total',
    'statements run, by who asked and how they ended',
    ['lane', 'outcome'],
  );
  const duration: Histogram<'lane'> = metrics.histogram(
    'query_statement_seconds',
    'time of a statement with what it waited for',
    [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30],
    ['lane'],
  );
  return {
    statements,
    duration,
    processes: metrics.gauge('query_sql_processes', 'SQL processes that live'),
    cacheBytes: metrics.gauge('query_cache_bytes', 'local copies of lake files'),
    freshness: metrics.gauge('query_freshness_age_ms', 'age of what the last answer was made from'),
  };
}
