import { createHash } from 'node:crypto';
import type { RetentionDays } from '#projects';
import { assetName } from '#protocol';
import type { RecordedEvent } from './decode-batch.ts';
import { classDays, className, cutoffMs, paths, sessionDate, type LakeFile } from './layout.ts';
import type { QuarantineNote } from './flush.ts';
import { getJson } from './lake-reader.ts';
import { createSender, type Sent } from './samples.ts';
import { isStoreError, openLakeReader, type Store } from './store.ts';
import { decodeFile } from './x-hyparquet.ts';

/** What stands in a row, as far as the model knows it. */
interface Told {
  ts: bigint;
  payload: string;
}
interface Expected extends Told {
  session: string;
  project: string;
  days: RetentionDays;
}

/** What must be visible: all that is durable in the stream, not past its class and not erased, once. */
export interface Model {
  /** By `table key`. */
  readonly rows: ReadonlyMap<string, Expected>;
  readonly erased: ReadonlySet<string>;
  /** Batches that cannot be read, as `session rid frame`. */
  readonly bad: ReadonlyMap<string, { session: string; atMs: number }>;
  acked(sender: ModelSender, firstSeq: number, events: readonly RecordedEvent[]): void;
  rejected(sender: ModelSender, frame: number, atMs: number): void;
  erase(session: string): void;
  isDue(key: string, nowMs: number): boolean;
}
export interface ModelSender {
  project: string;
  session: string;
  rid: string;
  days: RetentionDays;
}

export function createModel(): Model {
  const rows = new Map<string, Expected>();
  const erased = new Set<string>();
  const bad = new Map<string, { session: string; atMs: number }>();
  return {
    rows,
    erased,
    bad,
    acked({ project, session, rid, days }, firstSeq, events) {
      events.forEach((event, i) => {
        const key = `${session} ${rid} ${firstSeq + i}`;
        const one = { project, session, days, ts: BigInt(event.timestamp) * 1000n };
        const { tag, payload } = (event.data ?? {}) as { tag?: string; payload?: { name: string } };
        const isAsset = tag === 'asset';
        rows.set(`events ${key}`, { ...one, payload: isAsset ? payload!.name : '' });
        if (!isAsset) rows.set(`replay ${key}`, { ...one, payload: JSON.stringify(event.data) });
      });
    },
    rejected: ({ session, rid }, frame, atMs) =>
      void bad.set(`${session} ${rid} ${frame}`, { session, atMs }),
    erase: (session) => void erased.add(session),
    isDue(key, nowMs) {
      const row = rows.get(key)!;
      return !erased.has(row.session) && Number(row.ts / 1000n) >= cutoffMs(row.days, nowMs);
    },
  };
}

/** A recorder of the model's: sends batches, and can send what it sent once more. */
export function createModelSender(model: Model, sender: ModelSender) {
  const { project, session, rid, days } = sender;
  const given = { project, session, rid, retentionDays: days, receivedMs: 0 };
  const inner = createSender(given);
  const sent: Sent[] = [];
  let seq = 1;
  return {
    sender,
    sent,
    /** @param ack is called once all of it is durable */
    batch(
      events: readonly RecordedEvent[],
      nowMs: number,
      how: { frameBytes?: number; bad?: boolean } = {},
    ): { sent: Sent[]; ack: () => void } {
      given.receivedMs = nowMs;
      const payload = how.bad ? { payload: Buffer.from(`{ ${markOf(session)}`), gzip: false } : {};
      const { frameBytes } = how;
      const made = inner.batch(events, { ...payload, ...(frameBytes && { frameBytes }) });
      const firstSeq = seq;
      const firstFrame = sent.length + 1;
      seq += events.length;
      sent.push(...made);
      const ack = (): void =>
        how.bad ? model.rejected(sender, firstFrame, nowMs) : model.acked(sender, firstSeq, events);
      return { sent: made, ack };
    },
  };
}

/** Text that stands in all that a session records. */
export const markOf = (session: string): string => `mark${Number(`0x${session.slice(-12)}`)}x`;

export function assetEvent(content: string, timestamp: number): RecordedEvent {
  const name = assetName(createHash('sha256').update(content).digest('hex'), 'image/png');
  const base64 = Buffer.from(content).toString('base64');
  const data = { tag: 'asset', payload: { name, url: 'https://shop.example/a.png', base64 } };
  return { type: 5, timestamp, data };
}

/** What is wrong with what can be seen: sentences by kind. */
export interface Differences {
  lost: string[];
  duplicated: string[];
  /** Visible though erased, past its class, never acked, or not as it was sent. */
  wrong: string[];
}
export const isNone = ({ lost, duplicated, wrong }: Differences): boolean =>
  !lost.length && !duplicated.length && !wrong.length;

/** Reads as query does, and compares with the model. What was seen once must stay. */
export function createWatcher(
  model: Model,
  store: Store,
  projects: readonly string[],
  now: () => number,
): { look(how: { whole: boolean }): Promise<Differences> } {
  const seen = new Set<string>();
  const decoded = new Map<string, Row[]>();
  interface Row extends Told {
    project: string;
    session: string;
    key: string;
  }

  async function rowsOf(file: LakeFile): Promise<Row[]> {
    const known = decoded.get(file.key);
    if (known) return known;
    const all = await decodeFile(file.table, await store.get(file.key));
    const rows = all.flatMap((row): Row[] => {
      if ('started_at' in row) {
        const { project, session_id: session, started_at: ts } = row;
        return [{ project, session, ts, payload: String(row.events), key: `${file.table} ${session}` }];
      }
      if ('kind' in row && row.kind !== 'event') return [];
      const { project, session_id: session, ts } = row;
      const payload = 'payload' in row ? row.payload : row.type === 'asset' ? (row.name ?? '') : '';
      return [{ project, session, ts, payload, key: `${file.table} ${session} ${row.rid} ${row.seq}` }];
    });
    decoded.set(file.key, rows);
    return rows;
  }

  async function visible(found: Differences): Promise<Map<string, Row>> {
    const nowMs = now();
    const rows = new Map<string, Row>();
    for (const project of projects) {
      const view = await openLakeReader(store, now).view(project);
      const compacted = createCounts();
      for (const file of view.files) {
        const read = await rowsOf(file).catch((error: unknown) => {
          if (!isStoreError(error, 'not_found')) throw error;
          found.lost.push(`${file.key}, which is to be read`);
          return [];
        });
        if (!file.key.startsWith(paths.l0Prefix)) compacted.add(file, read);
        if (file.table === 'sessions') continue;
        for (const row of read) {
          const isHidden =
            view.erased.has(row.session) || Number(row.ts / 1000n) < cutoffMs(classDays(file.class), nowMs);
          if (row.project !== project || isHidden) continue;
          if (rows.has(row.key)) found.duplicated.push(row.key);
          rows.set(row.key, row);
        }
      }
      found.wrong.push(...compacted.differences(view.erased));
    }
    return rows;
  }

  return {
    async look({ whole }) {
      const found: Differences = { lost: [], duplicated: [], wrong: [] };
      const nowMs = now();
      const rows = await visible(found);
      for (const [key, row] of rows) {
        const told = model.rows.get(key);
        if (!told) found.wrong.push(`${key} was never acked`);
        else if (!model.isDue(key, nowMs)) found.wrong.push(`${key} is back`);
        else if (told.ts !== row.ts || told.payload !== row.payload || told.project !== row.project)
          found.wrong.push(`${key} is not as it was sent`);
        seen.add(key);
      }
      for (const key of whole ? model.rows.keys() : seen)
        if (!rows.has(key) && model.rows.has(key) && model.isDue(key, nowMs)) found.lost.push(key);
      if (whole) await missingAssets(rows.values(), found);
      if (whole) await missingFromQuarantine(nowMs, found);
      return found;
    },
  };

  async function missingAssets(rows: Iterable<Row>, found: Differences): Promise<void> {
    const needed = new Set<string>();
    for (const { key, session, project, payload } of rows) {
      if (!key.startsWith('events ') || !payload) continue;
      const { days } = model.rows.get(key)!;
      needed.add(paths.asset(className(days), project, sessionDate(session), payload));
    }
    const there = await keysUnder(store, '');
    for (const key of needed) if (!there.has(key)) found.lost.push(`${key}, of which a row tells`);
  }

  async function missingFromQuarantine(nowMs: number, found: Differences): Promise<void> {
    const there = await keysUnder(store, paths.quarantinePrefix);
    const noted: string[] = [];
    for (const key of there) {
      if (!key.endsWith('.json')) continue;
      const { session, rid, frames } = await getJson<QuarantineNote>(store, key);
      for (const frame of frames) noted.push(`${session} ${rid} ${frame}`);
      const isErased = session !== undefined && model.erased.has(session);
      if (!isErased && !there.has(key.replace(/json$/, 'bin'))) found.lost.push(`the bytes of ${key}`);
    }
    for (const key of noted) if (!model.bad.has(key)) found.wrong.push(`${key} is in quarantine`);
    for (const [key, { session, atMs }] of model.bad) {
      const count = noted.filter((one) => one === key).length;
      if (count > 1) found.duplicated.push(`${key} in quarantine`);
      if (!count && !model.erased.has(session) && nowMs - atMs < QUARANTINE_MS_MIN)
        found.lost.push(`${key} from quarantine`);
    }
  }
}

/** Whether of each class `sessions` has one row a session, which tells as many events as were compacted. */
function createCounts() {
  const events = new Map<string, number>();
  const told = new Map<string, string[]>();
  return {
    add({ table, class: cls }: LakeFile, rows: readonly { session: string; payload: string }[]): void {
      for (const { session, payload } of rows) {
        const key = `${cls} ${session}`;
        if (table === 'events') events.set(key, (events.get(key) ?? 0) + 1);
        if (table === 'sessions') told.set(key, [...(told.get(key) ?? []), payload]);
      }
    },
    differences: (erased: ReadonlySet<string>): string[] =>
      [...new Set([...events.keys(), ...told.keys()])].flatMap((key) => {
        if (erased.has(key.split(' ')[1]!)) return [];
        const [is, should] = [(told.get(key) ?? []).join(', '), String(events.get(key) ?? '')];
        return is === should
          ? []
          : [`sessions of ${key} tell ${is || 'nothing'} where ${should || 'nothing'} is`];
      }),
  };
}
const QUARANTINE_MS_MIN = 29 * 86_400_000;

export async function keysUnder(store: Store, prefix: string): Promise<Set<string>> {
  const keys = new Set<string>();
  for await (const { key } of store.list(prefix)) keys.add(key);
  return keys;
}
