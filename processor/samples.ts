import { gzipSync } from 'node:zlib';
import { encodeFrame, FrameFlag, FrameType, PAYLOAD_BYTES_MAX } from '#protocol';
import type { RetentionDays } from '#projects';
import { encodeRecord, messageId, subjectOf, type Stream } from '#stream';
import type { RecordedEvent } from './decode-batch.ts';

/** What tests record: made by seed, in the shape of real recordings. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A UUIDv7 of that time; `n` tells those of one time apart. */
export function sessionAt(ms: number, n: number): string {
  const time = ms.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${n.toString(16).padStart(12, '0')}`;
}

/** A page load: environment, navigation, meta, full snapshot, then `count - 4` changes, moves and clicks 100 ms apart. */
export function pageLoad(count: number, startMs: number, mark = 'page'): RecordedEvent[] {
  const url = `https://shop.example/${mark}`;
  const begin: Omit<RecordedEvent, 'timestamp'>[] = [
    { type: 5, data: { tag: 'environment', payload: { userAgent: 'Mozilla/5.0', language: 'en' } } },
    { type: 5, data: { tag: 'navigation', payload: { kind: 'load', url, title: mark } } },
    { type: 4, data: { href: url, width: 1280, height: 800 } },
    { type: 2, data: { node: { type: 0, id: 1, childNodes: [{ type: 2, id: 2, tagName: 'html' }] } } },
  ];
  return Array.from({ length: count }, (_, i) => ({
    ...(begin[i] ?? change(i, mark)),
    timestamp: startMs + i * 100,
  }));
}

function change(i: number, mark: string): Omit<RecordedEvent, 'timestamp'> {
  if (i % 5 === 0)
    return {
      type: 5,
      data: {
        tag: 'click',
        payload: {
          id: i,
          selector: '#go',
          tag: 'button',
          role: 'button',
          text: `Go ${mark}`,
          disabled: i % 2 === 0,
          x: i,
          y: 7,
        },
      },
    };
  if (i % 5 === 1) return { type: 3, data: { source: 1, positions: [{ x: i, y: i, id: 2, timeOffset: 0 }] } };
  return {
    type: 3,
    data: {
      source: 0,
      adds: [{ parentId: 2, node: { id: 100 + i, text: `${mark} ${i}` } }],
      removes: [],
      attributes: [],
      texts: [],
    },
  };
}

export interface Sent {
  subject: string;
  bytes: Uint8Array;
  id: string;
}
export interface Sender {
  project: string;
  session: string;
  rid: string;
  retentionDays?: RetentionDays;
  offsetMs?: number;
  receivedMs?: number;
}

/** What a collector appends for one recorder instance. Frames and events are numbered on from batch to batch. */
export function createSender(sender: Sender): {
  batch(
    events: readonly unknown[],
    options?: { payload?: Uint8Array; gzip?: boolean; frameBytes?: number },
  ): Sent[];
} {
  let frame = 1;
  let firstSeq = 1;
  return {
    batch(events, { gzip = true, frameBytes = PAYLOAD_BYTES_MAX, ...given } = {}) {
      const json = Buffer.from(JSON.stringify(events));
      const payload = given.payload ?? (gzip ? gzipSync(json) : json);
      const envelope = {
        v: 1 as const,
        rid: sender.rid,
        retentionDays: sender.retentionDays ?? 30,
        offsetMs: sender.offsetMs ?? 0,
        receivedMs: sender.receivedMs ?? Date.now(),
      };
      const sent: Sent[] = [];
      for (let at = 0; at === 0 || at < payload.length; at += frameBytes) {
        const more = at + frameBytes < payload.length;
        const flags = (gzip ? FrameFlag.gzip : 0) | (more ? FrameFlag.more : 0);
        const bytes = encodeFrame(
          { type: FrameType.batch, flags, frame, firstSeq },
          payload.subarray(at, at + frameBytes),
        );
        sent.push({
          subject: subjectOf(sender.project, sender.session, false),
          bytes: encodeRecord(envelope, bytes),
          id: messageId(sender.rid, frame++),
        });
      }
      firstSeq += events.length;
      return sent;
    },
  };
}

export async function append(stream: Stream, sent: readonly Sent[]): Promise<void> {
  for (const { subject, bytes, id } of sent) await stream.append(subject, bytes, id);
}

/** The port with some of its methods replaced, for tests that watch or fault it. */
export function withMethods<T extends object>(inner: T, methods: Partial<T>): T {
  return new Proxy(inner, {
    get(target, name) {
      const owner = name in methods ? methods : target;
      const value: unknown = Reflect.get(owner, name, owner);
      return typeof value === 'function' ? (value.bind(owner) as unknown) : value;
    },
  });
}
