import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  className,
  paths,
  sessionDate,
  type Commit,
  type CommitSession,
  type EventRow,
  type LakeFile,
  type RecordedTable,
  type ReplayRow,
  type SessionRow,
  type Table,
} from '#layout';
import { hashApiKey, type Project, type ProjectsDocument, type Scope } from '#projects';
import { createHttp, createLog, createMetrics, readConfig, type Config, type Http } from '#service';
import {
  encodeEventsFile,
  encodeReplayFile,
  encodeSessionsFile,
  openStore,
  sessionRows,
  type Store,
} from '#store';
import { createQuery } from './query.ts';

/** For tests: a lake in a temporary directory, made with the processor's own writers, and the service over it. */
export interface FixtureLake {
  dir: string;
  store: Store;
  /** As the processor's flush: one commit, rows of any projects. */
  flush(sessions: FixtureSession[], days?: number): Promise<void>;
  /** As its compaction: one day's files of one project, alone in its manifest. All commits so far are taken in. */
  compact(project: string, sessions: FixtureSession[], days?: number): Promise<LakeFile[]>;
  close(): Promise<void>;
}
export interface FixtureSession {
  project: string;
  id: string;
  events: FixtureEvent[];
  rid?: string;
  firstSeq?: number;
}
export interface FixtureEvent extends Partial<Omit<EventRow, 'ts'>> {
  /** Epoch milliseconds. */
  tsMs: number;
  type: string;
  replayType?: number;
  payload?: string;
}

/** A UUIDv7 that begins at `startMs`. */
export function sessionId(startMs: number, n: number): string {
  const hex = startMs.toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${n.toString(16).padStart(12, '0')}`;
}

/** In a directory, or where `location` says. */
export async function openFixtureLake(location?: string): Promise<FixtureLake> {
  const dir = await mkdtemp(join(tmpdir(), 'mutoscope-query-'));
  const store = await openStore(location ?? join(dir, 'lake'));
  let commits = 0;
  let versions = 0;
  const put = async (key: string, bytes: Uint8Array): Promise<void> => store.put(key, bytes);
  const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
  return {
    dir,
    store,
    async flush(sessions, days = 30) {
      const fromSeq = ++commits * 100;
      const cls = className(days);
      const key = (table: RecordedTable): string => paths.l0File(0, fromSeq, 'nonce', cls, table);
      const events = await encodeEventsFile(key('events'), cls, sessions.flatMap(eventRows));
      const replay = await encodeReplayFile(key('replay'), cls, sessions.flatMap(replayRows));
      for (const { file, bytes } of [events, replay]) await put(file.key, bytes);
      const commit: Commit = {
        v: 1,
        shard: 0,
        fromSeq,
        lastSeq: fromSeq + 99,
        resumeSeq: fromSeq + 100,
        committedMs: 0,
        files: [events.file, replay.file],
        sessions: sessions.map(({ project, id, rid = 'rid-1', events: own }): CommitSession => ({
          project,
          session: id,
          rid,
          class: cls,
          frames: [[1, 1]],
          seqs: [[1, own.length]],
          startMs: own[0]!.tsMs,
          endMs: own.at(-1)!.tsMs,
          rows: own.length,
        })),
      };
      await put(paths.commit(0, fromSeq), json(commit));
    },
    async compact(project, sessions, days = 30) {
      const version = ++versions;
      const cls = className(days);
      const date = sessionDate(sessions[0]!.id);
      const key = (table: Table): string => paths.file(cls, table, project, date, `file-${version}`);
      // Sorted by it.
      const rows = sessions.flatMap(eventRows);
      const events = await encodeEventsFile(key('events'), cls, rows);
      const replay = await encodeReplayFile(key('replay'), cls, sessions.flatMap(replayRows));
      const made: SessionRow[] = [];
      for await (const row of sessionRows(rows)) made.push(row);
      const encoded = [events, replay, await encodeSessionsFile(key('sessions'), cls, made)];
      for (const { file, bytes } of encoded) await put(file.key, bytes);
      const files = encoded.map(({ file }) => file);
      const dayKey = paths.dayManifest(project, date, `nonce-${version}`);
      await put(dayKey, json({ v: 1, project, date, files }));
      const root = {
        v: 1,
        project,
        version,
        createdMs: 0,
        l0: { 0: commits * 100 },
        days: { [date]: dayKey },
      };
      await put(paths.manifest(project, version), json(root));
      return files;
    },
    async close() {
      await store.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

const eventRows = ({ project, id, events, rid = 'rid-1', firstSeq = 1 }: FixtureSession): EventRow[] =>
  events.map(({ tsMs, replayType: _type, payload: _payload, ...rest }, i) => ({
    project,
    session_id: id,
    rid,
    seq: firstSeq + i,
    ts: BigInt(Math.round(tsMs * 1000)),
    ...rest,
  }));
const replayRows = ({ project, id, events, rid = 'rid-1', firstSeq = 1 }: FixtureSession): ReplayRow[] =>
  events.map(({ tsMs, type, replayType, payload }, i) => ({
    project,
    session_id: id,
    rid,
    seq: firstSeq + i,
    ts: BigInt(Math.round(tsMs * 1000)),
    type: replayType ?? { meta: 4, snapshot: 2 }[type] ?? 3,
    kind: 'event',
    payload: payload ?? JSON.stringify({ of: type, i }),
  }));

export interface FixtureServer {
  http: Http;
  /** Answers as `fetch` would, without a socket. */
  get(path: string, key?: string, headers?: Record<string, string>): Promise<FixtureReply>;
  send(
    method: 'POST' | 'DELETE' | 'OPTIONS',
    path: string,
    body?: unknown,
    key?: string,
  ): Promise<FixtureReply>;
  /** Moves the clock. */
  setNow(ms: number): void;
  problems(): string[];
  drain(): Promise<void>;
  close(): Promise<void>;
}
export interface FixtureReply {
  status: number;
  headers: Record<string, unknown>;
  bytes: Buffer;
  text: string;
  // What a route answers is what its test says it is.
  json<T>(): T;
}

export const fixtureProject = (id: string, keys: Record<string, Scope[]>): Project => ({
  id,
  retentionDays: 30,
  writeKeys: [],
  apiKeys: Object.entries(keys).map(([key, scopes]) => ({ name: key, hash: hashApiKey(key), scopes })),
});

/** The service over `lake.store`, or over `store` where a test wants another. */
export async function startQuery(
  lake: FixtureLake,
  projects: Project[],
  options: { config?: Partial<Config>; appDir?: string; nowMs: number; store?: Store },
): Promise<FixtureServer> {
  let nowMs = options.nowMs;
  const config = {
    ...readConfig({ DATA_DIR: lake.dir, REFRESH_INTERVAL_MS: '50', LOG_LEVEL: 'silent' }),
    ...options.config,
  };
  const log = createLog('silent');
  const metrics = createMetrics({ process: false });
  const doc: ProjectsDocument = { v: 1, secret: '', projects };
  let problems = (): string[] => [];
  const http = createHttp(log, metrics, () => problems());
  const service = createQuery(
    { config, log, metrics, http, now: () => nowMs },
    { store: options.store ?? lake.store, projects: { current: () => doc }, appDir: options.appDir },
  );
  problems = () => service.problems();
  const running = service.run();
  await http.ready();
  const reply = (response: Awaited<ReturnType<Http['inject']>>): FixtureReply => ({
    status: response.statusCode,
    headers: response.headers,
    bytes: response.rawPayload,
    text: response.payload,
    json: <T>() => JSON.parse(response.payload) as T,
  });
  const bearer = (key?: string): Record<string, string> => (key ? { authorization: `Bearer ${key}` } : {});
  return {
    http,
    get: async (url, key, headers = {}) =>
      reply(await http.inject({ method: 'GET', url, headers: { ...headers, ...bearer(key) } })),
    send: async (method, url, body, key) =>
      reply(await http.inject({ method, url, headers: bearer(key), payload: body as object })),
    setNow: (ms) => {
      nowMs = ms;
    },
    problems: () => service.problems(),
    drain: () => service.drain(),
    async close() {
      await service.drain();
      await service.stop();
      await running;
      await http.close();
    },
  };
}
