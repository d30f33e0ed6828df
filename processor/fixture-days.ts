import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStream } from '#stream';
import { encodeJson } from './lake-reader.ts';
import { className, paths, type Commit, type EventRow, type LakeFile, type ReplayRow } from './layout.ts';
import type { Maintenance, MaintenanceParts } from './maintenance.ts';
import { quietMaintenance } from './test-maintenance.ts';
import { sessionAt } from './samples.ts';
import { encodeEventsFile, encodeReplayFile, type Store } from './store.ts';

/** For tests of what becomes of commits: a lake of sessions on several days, written as flushes write it. */
export interface DaysLake {
  /** One commit of one session; its rows are 15 s apart, so that of a hundred the last ones may be in the next day. */
  record(session: DaysSession): Promise<EventRow[]>;
  erase(project: string, session: string, nowMs: number): Promise<void>;
  /** Rows of `events` that were recorded, without those of erased sessions. */
  rows(project: string): EventRow[];
  maintain(over?: Store, more?: Partial<MaintenanceParts>): Maintenance;
  close(): Promise<void>;
}
export interface DaysSession {
  project?: string;
  startMs: number;
  count?: number;
  days?: number;
  shard?: number;
  /** What each event has, beside its key. */
  event?: (i: number) => Partial<EventRow>;
}

const STEP_MS = 15_000;
export const GRACE_MS = 600_000;

/** Every type that a column has, and nulls of each. */
const mixed = (i: number): Partial<EventRow> => ({
  type: i % 5 ? 'mutation' : 'click',
  url: 'https://shop.example/',
  ...(i % 5 ? { adds: i } : { disabled: i % 2 === 0, x: i, y: -i, text: 'Größe', selector: '#go' }),
  ...(i % 10 ? {} : { props: '{"a":[1,null]}' }),
});

export async function createDaysLake(store: Store): Promise<DaysLake> {
  const dir = await mkdtemp(join(tmpdir(), 'days-'));
  const stream = await openStream(dir, { bytesMax: 1024 * 1024 });
  const recorded: EventRow[] = [];
  const commits = new Map<number, number>();
  let sessions = 0;
  let nonces = 0;
  return {
    async record({ project = 'shop', startMs, count = 100, days = 30, shard = 0, event = mixed }) {
      const n = ++sessions;
      const fromSeq = (commits.get(shard) ?? 0) + 1;
      commits.set(shard, fromSeq);
      const cls = className(days);
      const session = sessionAt(startMs, n);
      const key = (i: number) => ({
        project,
        session_id: session,
        rid: `rid-${n}`,
        seq: i + 1,
        ts: BigInt(startMs + i * STEP_MS) * 1000n + BigInt(n),
      });
      const indices = Array.from({ length: count }, (_, i) => i);
      const rows = indices.map((i): EventRow => ({ ...key(i), type: 'click', ...event(i) }));
      const replay = indices.map((i): ReplayRow => ({ ...key(i), type: 3, kind: 'event', payload: '{}' }));
      const files: LakeFile[] = [];
      for (const { file, bytes } of [
        await encodeEventsFile(paths.l0File(shard, fromSeq, 'nonce', cls, 'events'), cls, [...rows]),
        await encodeReplayFile(paths.l0File(shard, fromSeq, 'nonce', cls, 'replay'), cls, replay),
      ]) {
        await store.put(file.key, bytes);
        files.push(file);
      }
      const commit: Commit = {
        v: 1,
        shard,
        fromSeq,
        lastSeq: fromSeq,
        resumeSeq: fromSeq + 1,
        committedMs: startMs,
        files,
        sessions: [
          {
            project,
            session,
            rid: `rid-${n}`,
            class: cls,
            frames: [[1, 1]],
            seqs: [[1, count]],
            startMs,
            endMs: startMs + count * STEP_MS,
            rows: count,
          },
        ],
      };
      await store.put(paths.commit(shard, fromSeq), encodeJson(commit));
      recorded.push(...rows);
      return rows;
    },
    async erase(project, session, nowMs) {
      await store.put(
        paths.erasure(project, session),
        encodeJson({ v: 1, project, session, requestedMs: nowMs }),
      );
      const others = recorded.filter((row) => row.session_id !== session);
      recorded.splice(0, recorded.length, ...others);
    },
    rows: (project) => recorded.filter((row) => row.project === project),
    maintain: (over = store, more = {}) =>
      quietMaintenance({
        store: over,
        stream,
        nonce: () => `n${String(nonces++).padStart(6, '0')}`,
        graceMs: GRACE_MS,
        ...more,
      }),
    async close() {
      await stream.close();
      await store.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
