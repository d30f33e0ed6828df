import { FRAME_BYTES_MAX } from '#protocol';
import { createLoneMember } from './lone-member.ts';

export { createLoneMember };

/**
 * The stream: what makes batches durable and hands them to processors, in the order in which they came.
 * Subjects are words joined by dots; a filter may hold `*` for one word and end in `>` for one or more, as in NATS.
 *
 * Two adapters under one contract (`stream.contract.ts`): JetStream (`x-nats.ts`) and a segment-file log (`log-stream.ts`).
 */
export interface Stream {
  /**
   * Resolves once the message is durable. The same `id` within DUPLICATE_WINDOW_MS is stored once: the answer then
   * has the first one's `seq` and `duplicate: true`.
   * @throws StreamError `stream_full`, `stream_unavailable`, `message_too_large`
   */
  append(subject: string, bytes: Uint8Array, id: string): Promise<{ seq: number; duplicate: boolean }>;
  /**
   * Messages with `seq >= fromSeq` whose subject the filter matches, in order. Without `live` it ends at what was
   * last when it was called; with it, it goes on until `signal` aborts, which ends it without an error.
   */
  read(
    fromSeq: number,
    filter: string,
    options?: { live?: boolean; signal?: AbortSignal },
  ): AsyncIterable<StreamMessage>;
  /** The newest message that the filter matches. */
  last(filter: string): Promise<StreamMessage | undefined>;
  /** Removes every message with `seq < beforeSeq`. Numbers are never given twice, nor by a stream in the place of this one. */
  trim(beforeSeq: number): Promise<void>;
  /** Removes every message that the filter matches, so that its bytes can be read no more. Returns how many. */
  erase(filter: string): Promise<number>;
  state(): Promise<StreamState>;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface StreamMessage {
  /** Ascending, with gaps where messages were removed. */
  seq: number;
  subject: string;
  bytes: Uint8Array;
  appendedMs: number;
}

export interface StreamState {
  /** Of the oldest message kept; lastSeq + 1 when there is none. */
  firstSeq: number;
  /** Of the newest message ever appended; before the first the number below the one that it will have. */
  lastSeq: number;
  messages: number;
  bytes: number;
}

export type StreamErrorCode =
  'stream_full' | 'stream_unavailable' | 'message_too_large' | 'bad_subject' | 'bad_record';
export class StreamError extends Error {
  readonly code: StreamErrorCode;
  constructor(code: StreamErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StreamError';
    this.code = code;
  }
}

export const DUPLICATE_WINDOW_MS = 60_000;
export const MESSAGE_BYTES_MAX = 512 * 1024;
export const SHARDS = 16;

export interface StreamOptions {
  /** What the stream may hold; past it append fails with `stream_full`. */
  bytesMax: number;
  /** Number of the first message, where the stream is made by this. Default: `firstSeqAt` now. */
  firstSeq?: number;
  /** Hears what an operator should look at, as a log does: a torn tail that was cut off, a connection that was lost. */
  warn?: (fields: Record<string, unknown>, message: string) => void;
}

/**
 * Where a stream begins that is made at this instant: the microsecond, and so beyond all of one that was lost, in whose
 * place it is. Who knows numbers of that one reads on here and misses nothing, and removes nothing by them. Holds for a
 * million messages a second and until the year 2255.
 */
export const firstSeqAt = (nowMs: number): number => nowMs * 1000;

/**
 * `nats://host:port[/STREAM][?replicas=3]` (JetStream; credentials in the address, `tls://` for TLS) or a directory
 * (embedded log). @throws StreamError `stream_unavailable`, `bad_record`
 */
export async function openStream(location: string, options: StreamOptions): Promise<Stream> {
  if (isNats(location)) return (await import('./x-nats.ts')).openNatsStream(location, options);
  return (await import('./log-stream.ts')).openLogStream(location, options);
}
const isNats = (location: string): boolean => /^(nats|tls):\/\//.test(location);

/**
 * Processes that share the work on one stream tell each other that they live. Efficiency only: nothing is lost or done
 * twice where they know different things of each other, or nothing.
 *
 * Two adapters under one contract (`members.contract.ts`): JetStream's key-value store (`x-nats-kv.ts`), and for the
 * embedded log, which has one process, one who is always alone (`lone-member.ts`).
 */
export interface Members {
  /** This process's own. */
  readonly id: string;
  /** Who has not announced himself for so long is taken for dead. */
  readonly ttlMs: number;
  /**
   * Tells the others that this one lives, and a note for them to read. Then `list` knows all who announced themselves
   * before. @throws StreamError `stream_unavailable`
   */
  announce(note: string): Promise<void>;
  /** The notes of those who live, by id, as far as was heard: this one is among them once it announced itself. */
  list(): ReadonlyMap<string, string>;
  /** Calls whenever `list` may answer something else than before. */
  onNews(hear: () => void): void;
  /** So that the others need not wait for `ttlMs`. Idempotent. */
  leave(): Promise<void>;
}

export const MEMBER_TTL_MS = 15_000;

export interface MembersOptions {
  /** Where the process runs, as machine and port: who comes there takes the place of one who left it without a word. */
  place: string;
  ttlMs?: number;
}

/** @param location as of `openStream`. Cannot fail: where the others cannot be reached, `announce` says so. */
export async function openMembers(
  location: string,
  { place, ttlMs = MEMBER_TTL_MS }: MembersOptions,
): Promise<Members> {
  if (isNats(location)) return (await import('./x-nats-kv.ts')).openNatsMembers(location, place, ttlMs);
  return createLoneMember(ttlMs);
}

/** Stable over versions and machines (FNV-1a), for the shard stands in subjects and in the lake. */
export function shardOf(session: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < session.length; i++) hash = Math.imul(hash ^ session.charCodeAt(i), 0x01000193) >>> 0;
  return hash % SHARDS;
}

export const shardName = (shard: number): string => String(shard).padStart(2, '0');

/** `rec.<project>.<shard>.<session>.<f|i>`; f: the batch begins with a full snapshot. */
export function subjectOf(project: string, session: string, fullSnapshot: boolean): string {
  return `rec.${project}.${shardName(shardOf(session))}.${session}.${fullSnapshot ? 'f' : 'i'}`;
}
export const shardFilter = (shard: number): string => `rec.*.${shardName(shard)}.>`;
export const sessionFilter = (project: string, session: string): string =>
  `rec.${project}.${shardName(shardOf(session))}.${session}.>`;
/** @throws StreamError `bad_subject` */
export function parseSubject(subject: string): {
  project: string;
  shard: number;
  session: string;
  fullSnapshot: boolean;
} {
  const [rec, project, shard, session, kind, ...rest] = subject.split('.');
  if (rec !== 'rec' || !project || !shard || !session || (kind !== 'f' && kind !== 'i') || rest.length)
    throw new StreamError(
      'bad_subject',
      `subject ${JSON.stringify(subject)} is not rec.<project>.<shard>.<session>.<f|i>`,
    );
  return { project, shard: Number(shard), session, fullSnapshot: kind === 'f' };
}

/** What `append` deduplicates by. */
export const messageId = (rid: string, frame: number): string => `${rid}.${frame}`;

/**
 * What the collector appends: the recorder's frame, unopened, behind what only the collector knows.
 *
 *   ┌────────────────┬──────────────────┬─────────────────────────────┐
 *   │ length n (u16) │ envelope, n bytes│ rr1 frame: header + payload │
 *   └────────────────┴──────────────────┴─────────────────────────────┘
 *
 * Version history: 1 — first.
 */
export interface Envelope {
  v: 1;
  rid: string;
  /** Retention class of the session in days, fixed when it started. */
  retentionDays: number;
  /** Add to an event's timestamp to get server time. */
  offsetMs: number;
  receivedMs: number;
  /** All frames of the rid up to this one were durable when this record was made. Absent: nothing is known. */
  ackedFrame?: number;
}
export const RECORD_BYTES_MAX = 2 + 1024 + FRAME_BYTES_MAX;

export function encodeRecord(envelope: Envelope, frame: Uint8Array): Uint8Array {
  const head = new TextEncoder().encode(JSON.stringify(envelope));
  const bytes = new Uint8Array(2 + head.length + frame.length);
  new DataView(bytes.buffer).setUint16(0, head.length);
  bytes.set(head, 2);
  bytes.set(frame, 2 + head.length);
  return bytes;
}

/** The frame is a view into `bytes`. @throws StreamError `bad_record`. */
export function decodeRecord(bytes: Uint8Array): { envelope: Envelope; frame: Uint8Array } {
  const length = bytes.length < 2 ? Infinity : new DataView(bytes.buffer, bytes.byteOffset).getUint16(0);
  if (2 + length > bytes.length)
    throw new StreamError('bad_record', `record of ${bytes.length} bytes has no envelope`);
  const envelope = JSON.parse(new TextDecoder().decode(bytes.subarray(2, 2 + length))) as Envelope;
  return { envelope, frame: bytes.subarray(2 + length) };
}
