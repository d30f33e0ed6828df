import {
  encodeFrame,
  FRAME_BYTES_MAX,
  FrameFlag,
  FrameType,
  HEADER_BYTES,
  PAYLOAD_BYTES_MAX,
  UNACKED_BYTES_MAX,
  UNACKED_FRAMES_MAX,
  type Credit,
} from './protocol.ts';

/** A closed and encoded batch. */
export interface Batch {
  payload: Uint8Array;
  events: number;
  gzip: boolean;
  fullSnapshot: boolean;
  final: boolean;
}
interface WaitingBatch extends Batch {
  firstSeq: number;
  /** Payload bytes that are frames already. */
  numberedBytes: number;
}
interface NumberedFrame {
  frame: number;
  bytes: Uint8Array<ArrayBuffer>;
  lastSeq: number;
}

const DEFAULT_CREDIT: Credit = { frames: UNACKED_FRAMES_MAX, bytes: UNACKED_BYTES_MAX };

/**
 * What is not yet acked, in two rows: batches that wait, and numbered frames.
 *
 *   enqueue → [waiting batches] → next / numberAll → [numbered frames] → ack
 *
 * A frame gets its number when it is first sent, and its bytes never change after that; so waiting batches may be
 * dropped without a gap in the frame numbers, and a frame may be sent again on any connection. Event numbers are
 * given on entry, so that a dropped batch shows as a gap there. No clock and no I/O in here.
 */
export type Outbox = ReturnType<typeof createOutbox>;
export function createOutbox() {
  let eventsAcked = 0;
  let nextSeq = 1;
  let nextFrame = 1;
  let ackedFrame = 0;
  /** Highest frame that went out on the present connection. */
  let sentFrame = 0;
  /** Highest frame of a farewell since then. */
  let postedFrame = 0;
  let credit = DEFAULT_CREDIT;
  const frames: NumberedFrame[] = [];
  let waiting: WaitingBatch[] = [];

  const bytesUnacked = (): number => sumOf(frames, ({ bytes }) => bytes.length);
  const bytesHeld = (): number =>
    sumOf(waiting, ({ payload, numberedBytes }) => payload.length - numberedBytes) + bytesUnacked();
  const carriedFrame = (): number => Math.max(sentFrame, postedFrame);

  /** Cumulative. A number that was never given is ignored. */
  function ack(frame: number): void {
    if (frame >= nextFrame) return;
    ackedFrame = Math.max(ackedFrame, frame);
    while (frames[0] && frames[0].frame <= frame) eventsAcked = frames.shift()!.lastSeq;
  }

  function number(clientMs: number, allowed: boolean): NumberedFrame | undefined {
    const batch = waiting[0];
    if (!batch || !allowed) return undefined;
    const { firstSeq, payload, numberedBytes: from } = batch;
    const to = Math.min(from + PAYLOAD_BYTES_MAX, payload.length);
    const more = to < payload.length;
    const flags =
      (batch.gzip ? FrameFlag.gzip : 0) |
      (batch.fullSnapshot ? FrameFlag.fullSnapshot : 0) |
      (more ? FrameFlag.more : 0) |
      (batch.final ? FrameFlag.final : 0);
    const frame = nextFrame++;
    const header = { type: FrameType.batch, flags, frame, firstSeq, clientMs };
    const numbered = {
      frame,
      bytes: encodeFrame(header, payload.subarray(from, to)),
      lastSeq: more ? firstSeq - 1 : firstSeq + batch.events - 1,
    };
    frames.push(numbered);
    batch.numberedBytes = to;
    if (!more) waiting.shift();
    return numbered;
  }

  return {
    get eventsAcked() {
      return eventsAcked;
    },
    get bytes() {
      return bytesHeld();
    },
    get bytesUnacked() {
      return bytesUnacked();
    },
    get framesUnacked() {
      return frames.length;
    },
    get isEmpty() {
      return frames.length + waiting.length === 0;
    },
    /** Up to which frame all were acked; 0 when none was. */
    get ackedFrame() {
      return ackedFrame;
    },
    /** For BYE. */
    get last() {
      return { frame: nextFrame - 1, event: nextSeq - 1 };
    },
    /** The collector wants nothing for now. */
    get isHeld() {
      return credit.frames <= 0;
    },
    /** Whether all of it went out on the present connection, or by a farewell. */
    get isSent() {
      return waiting.length === 0 && carriedFrame() === nextFrame - 1;
    },

    enqueue(batch: Batch): void {
      waiting.push({ ...batch, firstSeq: nextSeq, numberedBytes: 0 });
      nextSeq += batch.events;
    },

    /** Events that cannot be sent keep their numbers, so that they show as a gap. */
    skip(events: number): void {
      nextSeq += events;
    },

    /**
     * A connection was welcomed: everything after `lastFrame` goes out again.
     * @returns false when the collector does not know what it acked before, or knows more than was sent: these numbers
     * are of no use any more
     */
    welcome(lastFrame: number): boolean {
      if (lastFrame < ackedFrame || lastFrame >= nextFrame) return false;
      ack(lastFrame);
      sentFrame = postedFrame = lastFrame;
      credit = DEFAULT_CREDIT;
      return true;
    },

    /** What the connection carried and nobody acked counts as unsent. */
    disconnected(): void {
      sentFrame = ackedFrame;
    },

    setCredit(given: Credit): void {
      credit = given;
    },

    ack,

    /** The frame to send now; undefined when there is none or the window is full. */
    next(clientMs: number): Uint8Array<ArrayBuffer> | undefined {
      const inFlight = frames.filter(({ frame }) => frame <= sentFrame);
      const { length } = inFlight;
      const frame = frames[length] ?? number(clientMs, length < credit.frames);
      if (!frame || length >= credit.frames || credit.bytes <= 0) return undefined;
      const bytes = sumOf(inFlight, (sent) => sent.bytes.length) + frame.bytes.length;
      // One frame may always travel: a window narrower than a frame would be a standstill.
      if (length && bytes > credit.bytes) return undefined;
      sentFrame = frame.frame;
      return frame.bytes;
    },

    /**
     * For one request: a run of frames that fits, each with 4 bytes for its length, from the first unacked one on. What
     * does not fit keeps waiting, unnumbered.
     *
     * The last request of a page (`isFarewell`) is made once. When not all fits, it leaves out what the open connection
     * or a farewell before carries anyway, and what is too large for it, so that the small that came after is not lost.
     */
    forPost(bytesMax: number, clientMs: number, isFarewell = false): Uint8Array<ArrayBuffer>[] {
      const run: Uint8Array<ArrayBuffer>[] = [];
      let left = bytesMax;
      const fits = (bytes: number): boolean => bytes + 4 <= left;
      const all = sumOf(frames, ({ bytes }) => 4 + bytes.length) + sumOf(waiting, sizeOfRest);
      let at = 0;
      if (isFarewell && all > bytesMax) {
        const carried = carriedFrame();
        while (frames[at] && (frames[at]!.frame <= carried || !fits(frames[at]!.bytes.length))) at++;
      }
      for (; ; at++) {
        if (at === frames.length && isFarewell && !waiting[0]?.numberedBytes) {
          const next = waiting.findIndex((batch) => fits(sizeOfRest(batch)));
          if (next > 0) waiting.unshift(...waiting.splice(next, 1));
        }
        const next = waiting[0];
        const frame =
          frames[at] ?? number(clientMs, !!next && fits(Math.min(sizeOfRest(next), FRAME_BYTES_MAX)));
        if (!frame || !fits(frame.bytes.length)) break;
        run.push(frame.bytes);
        left -= 4 + frame.bytes.length;
        if (isFarewell) postedFrame = Math.max(postedFrame, frame.frame);
      }
      return run;
    },

    /**
     * Frees memory down to half the bound, so that it is not needed again at once: first incremental batches, oldest
     * first, then full snapshots that a later one replaces. Numbered frames are never dropped.
     * @returns what was dropped, if anything
     */
    trim(bytesMax: number): { events: number; bytes: number } | undefined {
      const bytes = bytesHeld();
      if (bytes <= bytesMax) return undefined;
      const dropped = planDrop(waiting, bytes - bytesMax / 2);
      waiting = waiting.filter((batch) => !dropped.has(batch));
      return dropped.size
        ? {
            events: sumOf([...dropped], ({ events }) => events),
            bytes: sumOf([...dropped], ({ payload }) => payload.length),
          }
        : undefined;
    },

    /** Takes away what was never sent, for another instance to send. What was sent may be stored, and stays. */
    carry(): Batch[] {
      const carried = waiting.filter(({ numberedBytes }) => !numberedBytes);
      waiting = [];
      return carried;
    },
  };
}

export const sumOf = <T>(list: readonly T[], of: (one: T) => number): number =>
  list.reduce((sum, one) => sum + of(one), 0);

/** As one frame, when that is enough. */
const sizeOfRest = ({ payload, numberedBytes }: WaitingBatch): number =>
  HEADER_BYTES + payload.length - numberedBytes;

/** Which of the waiting batches to drop to free `excess` bytes. Pure. */
export function planDrop<B extends Pick<WaitingBatch, 'payload' | 'fullSnapshot' | 'numberedBytes'>>(
  waiting: readonly B[],
  excess: number,
): Set<B> {
  const dropped = new Set<B>();
  const newestSnapshot = waiting.filter(({ fullSnapshot }) => fullSnapshot).at(-1);
  for (const snapshots of [false, true])
    for (const batch of waiting) {
      const { fullSnapshot, numberedBytes, payload } = batch;
      if (excess <= 0 || numberedBytes || fullSnapshot !== snapshots || batch === newestSnapshot) continue;
      dropped.add(batch);
      excess -= payload.length;
    }
  return dropped;
}
