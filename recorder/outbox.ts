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
export class Outbox {
  eventsAcked = 0;
  #nextSeq = 1;
  #nextFrame = 1;
  #ackedFrame = 0;
  /** Highest frame that went out on the present connection. */
  #sentFrame = 0;
  /** Highest frame of a farewell since then. */
  #postedFrame = 0;
  #credit = DEFAULT_CREDIT;
  #frames: NumberedFrame[] = [];
  #waiting: WaitingBatch[] = [];

  enqueue(batch: Batch): void {
    this.#waiting.push({ ...batch, firstSeq: this.#nextSeq, numberedBytes: 0 });
    this.#nextSeq += batch.events;
  }

  /** Events that cannot be sent keep their numbers, so that they show as a gap. */
  skip(events: number): void {
    this.#nextSeq += events;
  }

  get bytes(): number {
    const waiting = this.#waiting.reduce((sum, batch) => sum + batch.payload.length - batch.numberedBytes, 0);
    return waiting + this.bytesUnacked;
  }
  get bytesUnacked(): number {
    return this.#frames.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }
  get framesUnacked(): number {
    return this.#frames.length;
  }
  get isEmpty(): boolean {
    return this.#frames.length + this.#waiting.length === 0;
  }
  /** Up to which frame all were acked; 0 when none was. */
  get ackedFrame(): number {
    return this.#ackedFrame;
  }
  /** For BYE. */
  get last(): { frame: number; event: number } {
    return { frame: this.#nextFrame - 1, event: this.#nextSeq - 1 };
  }

  /**
   * A connection was welcomed: everything after `lastFrame` goes out again.
   * @returns false when the collector does not know what it acked before, or knows more than was sent: these numbers
   * are of no use any more
   */
  welcome(lastFrame: number): boolean {
    if (lastFrame < this.#ackedFrame || lastFrame >= this.#nextFrame) return false;
    this.ack(lastFrame);
    this.#sentFrame = this.#postedFrame = lastFrame;
    this.#credit = DEFAULT_CREDIT;
    return true;
  }

  /** What the connection carried and nobody acked counts as unsent. */
  disconnected(): void {
    this.#sentFrame = this.#ackedFrame;
  }

  setCredit(credit: Credit): void {
    this.#credit = credit;
  }

  /** The collector wants nothing for now. */
  get isHeld(): boolean {
    return this.#credit.frames <= 0;
  }

  /** Cumulative. A number that was never given is ignored. */
  ack(frame: number): void {
    if (frame >= this.#nextFrame) return;
    this.#ackedFrame = Math.max(this.#ackedFrame, frame);
    while (this.#frames[0] && this.#frames[0].frame <= frame)
      this.eventsAcked = this.#frames.shift()!.lastSeq;
  }

  /** The frame to send now; undefined when there is none or the window is full. */
  next(clientMs: number): Uint8Array<ArrayBuffer> | undefined {
    const inFlight = this.#frames.filter(({ frame }) => frame <= this.#sentFrame);
    const frame =
      this.#frames[inFlight.length] ?? this.#number(clientMs, inFlight.length < this.#credit.frames);
    if (!frame || inFlight.length >= this.#credit.frames || this.#credit.bytes <= 0) return undefined;
    const bytes = inFlight.reduce((sum, sent) => sum + sent.bytes.length, frame.bytes.length);
    // One frame may always travel: a window narrower than a frame would be a standstill.
    if (inFlight.length && bytes > this.#credit.bytes) return undefined;
    this.#sentFrame = frame.frame;
    return frame.bytes;
  }

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
    const all = this.#frames.reduce((sum, { bytes }) => sum + 4 + bytes.length, 0);
    const rest = this.#waiting.reduce((sum, batch) => sum + sizeOfRest(batch), 0);
    let at = 0;
    if (isFarewell && all + rest > bytesMax) {
      const carried = Math.max(this.#sentFrame, this.#postedFrame);
      while (
        this.#frames[at] &&
        (this.#frames[at]!.frame <= carried || !fits(this.#frames[at]!.bytes.length))
      )
        at++;
    }
    for (; ; at++) {
      if (at === this.#frames.length && isFarewell && !this.#waiting[0]?.numberedBytes) {
        const next = this.#waiting.findIndex((batch) => fits(sizeOfRest(batch)));
        if (next > 0) this.#waiting.unshift(...this.#waiting.splice(next, 1));
      }
      const next = this.#waiting[0];
      const frame =
        this.#frames[at] ??
        this.#number(clientMs, !!next && fits(Math.min(sizeOfRest(next), FRAME_BYTES_MAX)));
      if (!frame || !fits(frame.bytes.length)) break;
      run.push(frame.bytes);
      left -= 4 + frame.bytes.length;
      if (isFarewell) this.#postedFrame = Math.max(this.#postedFrame, frame.frame);
    }
    return run;
  }

  /** Whether all of it went out on the present connection, or by a farewell. */
  get isSent(): boolean {
    return this.#waiting.length === 0 && Math.max(this.#sentFrame, this.#postedFrame) === this.#nextFrame - 1;
  }

  /**
   * Frees memory down to half the bound, so that it is not needed again at once: first incremental batches, oldest
   * first, then full snapshots that a later one replaces. Numbered frames are never dropped.
   * @returns what was dropped, if anything
   */
  trim(bytesMax: number): { events: number; bytes: number } | undefined {
    if (this.bytes <= bytesMax) return undefined;
    const excess = this.bytes - bytesMax / 2;
    const dropped = planDrop(
      this.#waiting.map((batch) => ({
        bytes: batch.payload.length,
        fullSnapshot: batch.fullSnapshot,
        begun: batch.numberedBytes > 0,
      })),
      excess,
    );
    const lost = { events: 0, bytes: 0 };
    this.#waiting = this.#waiting.filter((batch, index) => {
      if (!dropped.has(index)) return true;
      lost.events += batch.events;
      lost.bytes += batch.payload.length;
      return false;
    });
    return lost.events ? lost : undefined;
  }

  /** Takes away what was never sent, for another instance to send. What was sent may be stored, and stays. */
  carry(): Batch[] {
    const carried = this.#waiting.filter((batch) => batch.numberedBytes === 0);
    this.#waiting = [];
    return carried;
  }

  #number(clientMs: number, allowed: boolean): NumberedFrame | undefined {
    const batch = this.#waiting[0];
    if (!batch || !allowed) return undefined;
    const from = batch.numberedBytes;
    const to = Math.min(from + PAYLOAD_BYTES_MAX, batch.payload.length);
    const more = to < batch.payload.length;
    const flags =
      (batch.gzip ? FrameFlag.gzip : 0) |
      (batch.fullSnapshot ? FrameFlag.fullSnapshot : 0) |
      (more ? FrameFlag.more : 0) |
      (batch.final ? FrameFlag.final : 0);
    const frame = this.#nextFrame++;
    const { firstSeq } = batch;
    const header = { type: FrameType.batch, flags, frame, firstSeq, clientMs };
    const numbered = {
      frame,
      bytes: encodeFrame(header, batch.payload.subarray(from, to)),
      lastSeq: more ? firstSeq - 1 : firstSeq + batch.events - 1,
    };
    this.#frames.push(numbered);
    batch.numberedBytes = to;
    if (!more) this.#waiting.shift();
    return numbered;
  }
}

/** As one frame, when that is enough. */
const sizeOfRest = ({ payload, numberedBytes }: WaitingBatch): number =>
  HEADER_BYTES + payload.length - numberedBytes;

/** Which of the waiting batches to drop to free `excess` bytes. Pure. */
export function planDrop(
  waiting: { bytes: number; fullSnapshot: boolean; begun: boolean }[],
  excess: number,
): Set<number> {
  const dropped = new Set<number>();
  const newestSnapshot = waiting.map((batch) => batch.fullSnapshot).lastIndexOf(true);
  for (const snapshots of [false, true])
    waiting.forEach((batch, index) => {
      if (excess <= 0 || batch.begun || batch.fullSnapshot !== snapshots || index === newestSnapshot) return;
      dropped.add(index);
      excess -= batch.bytes;
    });
  return dropped;
}
