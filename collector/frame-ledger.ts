import {
  BATCH_BYTES_MAX,
  BATCH_FRAMES_MAX,
  FRAME_BYTES_MAX,
  FrameFlag,
  HEADER_BYTES,
  ProtocolError,
  UNACKED_BYTES_MAX,
  UNACKED_FRAMES_MAX,
  type Frame,
} from '#protocol';

/** A recorder may look at its credit before it adds a frame, so one more than the credit is not held against it. */
const FRAMES_MAX = UNACKED_FRAMES_MAX + 1;
const BYTES_MAX = UNACKED_BYTES_MAX + FRAME_BYTES_MAX;

/**
 * Which frames of a recorder instance came, and up to which all are durable. Appends may end out of order; only what
 * has no hole below it is acked.
 */
export class FrameLedger {
  /** Every frame up to this one is durable. */
  durable: number;
  /** The frame that comes next. */
  #expected: number;
  readonly #underway = new Map<number, number>();
  #underwayBytes = 0;
  readonly #durableAbove = new Set<number>();
  #batchBytes = 0;
  #batchFrames = 0;

  /** `durable` as WELCOME told. */
  constructor(durable: number) {
    this.durable = durable;
    this.#expected = durable + 1;
  }

  get unacked(): number {
    return this.#underway.size + this.#durableAbove.size;
  }

  /**
   * What to do with a BATCH frame: `append` it, or nothing, because it is `durable` or `underway` already.
   * @throws ProtocolError `bad_frame`, `frame_gap`, `frame_too_large`, `credit_exceeded`
   */
  receive({ frame, flags, firstSeq, payload }: Frame): 'append' | 'durable' | 'underway' {
    if (frame < 1 || firstSeq < 1)
      throw new ProtocolError('bad_frame', `frame ${frame} with first event ${firstSeq}: both count from 1`);
    if (frame <= this.durable) return 'durable';
    if (frame < this.#expected) return this.#underway.has(frame) ? 'underway' : 'durable';
    if (frame > this.#expected)
      throw new ProtocolError('frame_gap', `frame ${frame} came where ${this.#expected} was next`);
    const bytes = HEADER_BYTES + payload.length;
    if (bytes > FRAME_BYTES_MAX)
      throw new ProtocolError('frame_too_large', `frame of ${bytes} bytes is over ${FRAME_BYTES_MAX}`);
    this.#batchBytes += payload.length;
    if (this.#batchBytes > BATCH_BYTES_MAX)
      throw new ProtocolError(
        'frame_too_large',
        `batch of ${this.#batchBytes} bytes is over ${BATCH_BYTES_MAX}`,
      );
    if (++this.#batchFrames > BATCH_FRAMES_MAX)
      throw new ProtocolError('frame_too_large', `batch of more than ${BATCH_FRAMES_MAX} frames`);
    if (!(flags & FrameFlag.more)) this.#batchBytes = this.#batchFrames = 0;
    if (this.unacked >= FRAMES_MAX || this.#underwayBytes + bytes > BYTES_MAX)
      throw new ProtocolError(
        'credit_exceeded',
        `${this.unacked + 1} frames of ${this.#underwayBytes + bytes} bytes were sent without an ack`,
      );
    this.#underway.set(frame, bytes);
    this.#underwayBytes += bytes;
    this.#expected = frame + 1;
    return 'append';
  }

  /** A frame became durable. Returns whether `durable` moved. */
  settle(frame: number): boolean {
    this.#underwayBytes -= this.#underway.get(frame) ?? 0;
    this.#underway.delete(frame);
    this.#durableAbove.add(frame);
    const before = this.durable;
    while (this.#durableAbove.delete(this.durable + 1)) this.durable++;
    return this.durable > before;
  }
}
