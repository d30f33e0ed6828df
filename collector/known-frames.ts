import { decodeFrame } from '#protocol';
import { decodeRecord, sessionFilter, type Stream } from './stream.ts';

/** Enough for the recorders that come back within minutes; an entry takes some 200 bytes. */
const KNOWN_MAX = 20_000;

/**
 * Up to which frame a recorder instance's frames are known to be durable: from memory for those this process served,
 * else from the stream.
 */
export class KnownFrames {
  readonly #frames = new Map<string, number>();

  get(session: string, rid: string): number | undefined {
    return this.#frames.get(`${session}/${rid}`);
  }

  raise(session: string, rid: string, frame: number): void {
    const key = `${session}/${rid}`;
    const known = Math.max(frame, this.#frames.get(key) ?? 0);
    this.#frames.delete(key);
    this.#frames.set(key, known);
    if (this.#frames.size > KNOWN_MAX) this.#frames.delete(this.#frames.keys().next().value!);
  }
}

/** 0 when the stream knows nothing of the rid (any more). @throws StreamError `stream_unavailable` */
export async function findDurableFrame(
  stream: Stream,
  project: string,
  session: string,
  rid: string,
): Promise<number> {
  const filter = sessionFilter(project, session);
  const newest = await stream.last(filter);
  if (!newest) return 0;
  const { envelope, frame } = decodeRecord(newest.bytes);
  if (envelope.rid !== rid) return 0;
  const number = decodeFrame(frame).frame;
  const acked = envelope.ackedFrame ?? 0;
  if (number <= acked + 1) return Math.max(number, acked);
  // Frames before it were under way when it was appended; whether they came to be durable, the stream must say.
  const durable = new Set<number>();
  for await (const message of stream.read(1, filter)) {
    const record = decodeRecord(message.bytes);
    if (record.envelope.rid === rid) durable.add(decodeFrame(record.frame).frame);
  }
  let upTo = acked;
  while (durable.has(upTo + 1)) upTo++;
  return upTo;
}
