import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  createHttp,
  createLog,
  createMetrics,
  readConfig,
  type Service,
  type ServiceContext,
} from '#service';
import { createLoneMember, MEMBER_TTL_MS, openStream, type Members, type Stream } from '#stream';
import { getJson } from './lake-reader.ts';
import { paths, type Commit, type EventRow } from './layout.ts';
import { createProcessor } from './processor.ts';
import { openLakeReader, openStore, type Store } from './store.ts';
import { decodeFile } from './x-hyparquet.ts';

export const STREAM_BYTES_MAX = 256 * 1024 * 1024;

export interface Started {
  service: Service;
  context: ServiceContext;
  ran: Promise<void>;
}

/** A stream, a lake in a directory, and processors between them, for one test. */
export interface Harness {
  dir: string;
  stream: Stream;
  store: Store;
  /** A processor that flushes every 100 ms, leaves compaction and sweeps out, and takes itself for alone, unless told otherwise. */
  start(parts?: { stream?: Stream; store?: Store; members?: Members; env?: Record<string, string> }): Started;
  /** What a reader finds in `events`. */
  rows(project: string): Promise<EventRow[]>;
  commits(): Promise<Commit[]>;
  quarantine(): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
}

/** @param location of the stream; default: a log in the harness's directory. */
export async function openHarness(location?: string): Promise<Harness> {
  const dir = await mkdtemp(join(tmpdir(), 'processor-'));
  const services: Service[] = [];
  const store = await openStore(join(dir, 'lake'));
  const jsonUnder = async <T>(prefix: string): Promise<T[]> => {
    const found: T[] = [];
    for await (const { key } of store.list(prefix))
      if (key.endsWith('.json')) found.push(await getJson<T>(store, key));
    return found;
  };
  const harness: Harness = {
    dir,
    stream: await openStream(location ?? join(dir, 'stream'), { bytesMax: STREAM_BYTES_MAX, firstSeq: 1 }),
    store,
    start(parts = {}) {
      const log = createLog('silent');
      const metrics = createMetrics({ process: false });
      const rarely = '86400000';
      const context: ServiceContext = {
        config: readConfig({
          FLUSH_INTERVAL_MS: '100',
          COMPACT_INTERVAL_MS: rarely,
          SWEEP_INTERVAL_MS: rarely,
          ...parts.env,
        }),
        log,
        metrics,
        http: createHttp(log, metrics, () => []),
        now: Date.now,
      };
      const members = createLoneMember(MEMBER_TTL_MS);
      const service = createProcessor(context, { stream: harness.stream, store, members, ...parts });
      services.push(service);
      return { service, context, ran: service.run() };
    },
    async rows(project) {
      const view = await openLakeReader(store, Date.now).view(project);
      const rows: EventRow[] = [];
      for (const file of view.files)
        if (file.table === 'events') rows.push(...(await decodeFile('events', await store.get(file.key))));
      return rows.filter((row) => row.project === project && !view.erased.has(row.session_id));
    },
    commits: () => jsonUnder<Commit>(paths.l0Prefix),
    quarantine: () => jsonUnder<Record<string, unknown>>(paths.quarantinePrefix),
    async close() {
      for (const service of services) await service.stop();
      await harness.stream.close();
      await store.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return harness;
}

export const keyOf = (row: { session_id: string; rid: string; seq: number }): string =>
  `${row.session_id} ${row.rid} ${row.seq}`;
/** What the check returns once it no longer throws; what it threw last after so long. */
export async function until<T>(check: () => Promise<T>, msMax = 15_000): Promise<T> {
  for (const endMs = Date.now() + msMax; ;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > endMs) throw error;
      await delay(50);
    }
  }
}
