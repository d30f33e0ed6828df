import { BATCH_BYTES_MAX, BATCH_FRAMES_MAX, decodeFrame, FrameFlag, FrameType, type Frame } from '#protocol';
import { isRetentionDays } from '#projects';
import { decodeRecord, parseSubject, type Envelope, type StreamMessage } from '#stream';
import type { QuarantineReason } from './decode-batch.ts';
import { className, SESSION_ID, type ClassName } from './layout.ts';

/**
 * Frames of one shard → batches. A batch is the frames of one recorder instance with one `firstSeq`: consecutive, all
 * but the last with `more`. They may come in any order and may come again. Payloads stay compressed.
 */
export interface PendingFrame {
  seq: number;
  project: string;
  session: string;
  envelope: Envelope;
  frame: Frame;
  /** By the processor's clock. */
  bufferedMs: number;
}

export interface Batch {
  project: string;
  session: string;
  rid: string;
  class: ClassName;
  offsetMs: number;
  receivedMs: number;
  /** In order; at least one. */
  frames: PendingFrame[];
  /** The wait for missing frames is over: it is read as it is, and if that fails the reason is `incomplete`. */
  stale: boolean;
}

/** What goes to quarantine, with all that is known of it. */
export interface Rejected {
  reason: QuarantineReason;
  message: string;
  seq: number;
  project?: string;
  session?: string;
  rid?: string;
  frames: number[];
  firstSeq?: number;
  receivedMs?: number;
  bytes: Uint8Array;
}

export const INCOMPLETE_MS_MAX = 60_000;

/** @returns what cannot belong to any batch as `Rejected`. */
export function openMessage(message: StreamMessage, nowMs: number): PendingFrame | Rejected {
  try {
    const { project, session } = parseSubject(message.subject);
    const { envelope, frame: bytes } = decodeRecord(message.bytes);
    const frame = decodeFrame(bytes);
    const wrong = check(session, envelope, frame);
    if (!wrong) return { seq: message.seq, project, session, envelope, frame, bufferedMs: nowMs };
    return { ...refuse(message, wrong), project, session };
  } catch (error) {
    return refuse(message, (error as Error).message);
  }
}
export const isRejected = (opened: PendingFrame | Rejected): opened is Rejected => 'reason' in opened;

const refuse = (message: StreamMessage, why: string): Rejected => ({
  reason: 'bad_record',
  message: why,
  seq: message.seq,
  frames: [],
  bytes: message.bytes,
});

/** A batch holds less than a million events, and their numbers are of 31 bits. */
const FIRST_SEQ_MAX = 2 ** 30;

function check(session: string, envelope: Envelope, frame: Frame): string | undefined {
  if (!SESSION_ID.test(session)) return `session ${JSON.stringify(session)} is no UUIDv7`;
  if (envelope.v !== 1) return `envelope of version ${String(envelope.v)}`;
  if (typeof envelope.rid !== 'string' || !/^[A-Za-z0-9_-]{1,64}$/.test(envelope.rid))
    return 'envelope without rid';
  if (!isRetentionDays(envelope.retentionDays)) return `retention of ${String(envelope.retentionDays)} days`;
  if (!Number.isFinite(envelope.offsetMs) || !Number.isFinite(envelope.receivedMs))
    return 'envelope without times';
  if (frame.type !== FrameType.batch) return `frame of type ${frame.type}`;
  if (frame.frame < 1 || frame.firstSeq < 1 || frame.firstSeq > FIRST_SEQ_MAX) return 'frame without numbers';
  return undefined;
}

const ridOf = ({ session, envelope }: PendingFrame): string => `${session}/${envelope.rid}`;
const goesOn = ({ frame }: PendingFrame): boolean => (frame.flags & FrameFlag.more) !== 0;
const isGzip = ({ frame }: PendingFrame): boolean => (frame.flags & FrameFlag.gzip) !== 0;

/**
 * Sorts what has come into batches that can be read, batches that are over the bound, and frames that wait for others.
 * `known` tells whether a frame was dealt with before; `isStale` whether a frame has waited long enough.
 */
export function assemble(
  frames: readonly PendingFrame[],
  known: (session: string, rid: string, frame: number) => boolean,
  isStale: (frame: PendingFrame) => boolean,
): { batches: Batch[]; rejected: Rejected[]; waiting: PendingFrame[] } {
  const out = { batches: [] as Batch[], rejected: [] as Rejected[], waiting: [] as PendingFrame[] };
  for (const ofRid of Map.groupBy(frames, ridOf).values()) {
    ofRid.sort((a, b) => a.frame.frame - b.frame.frame);
    for (const run of runs(ofRid)) {
      const first = run[0]!;
      const whole = !goesOn(run.at(-1)!) && begins(run, ofRid, known);
      const stale = !whole && run.some(isStale);
      if (!whole && !stale) for (const frame of run) out.waiting.push(frame);
      else if (isTooLarge(run))
        out.rejected.push(
          rejectBatch(
            run,
            'too_large',
            `batch of more than ${BATCH_BYTES_MAX} bytes or ${BATCH_FRAMES_MAX} frames`,
          ),
        );
      else
        out.batches.push({
          project: first.project,
          session: first.session,
          rid: first.envelope.rid,
          class: className(first.envelope.retentionDays),
          offsetMs: first.envelope.offsetMs,
          receivedMs: first.envelope.receivedMs,
          frames: run,
          stale,
        });
    }
  }
  return out;
}

/**
 * Which of the frames to give up waiting for the rest of, so that those that go on waiting are not more than `bytesMax`:
 * all of the recorder instances that hold the most. None while they are not more. Pure.
 */
export function tooMuchToHold(waiting: readonly PendingFrame[], bytesMax: number): Set<PendingFrame> {
  const sizeOf = (frames: readonly PendingFrame[]): number =>
    frames.reduce((sum, { frame }) => sum + FRAME_BYTES + frame.payload.length, 0);
  const given = new Set<PendingFrame>();
  let left = sizeOf(waiting);
  const byRid = [...Map.groupBy(waiting, ridOf).values()].map((frames) => ({
    frames,
    bytes: sizeOf(frames),
  }));
  for (const { frames, bytes } of byRid.sort((a, b) => b.bytes - a.bytes)) {
    if (left <= bytesMax) break;
    for (const frame of frames) given.add(frame);
    left -= bytes;
  }
  return given;
}
/** What one weighs in memory beside its payload, roughly. */
const FRAME_BYTES = 1024;

const isTooLarge = (run: readonly PendingFrame[]): boolean =>
  run.length > BATCH_FRAMES_MAX ||
  run.reduce((sum, { frame }) => sum + frame.payload.length, 0) > BATCH_BYTES_MAX;

export function rejectBatch(
  frames: readonly PendingFrame[],
  reason: QuarantineReason,
  message: string,
): Rejected {
  const first = frames[0]!;
  return {
    reason,
    message,
    seq: frames.reduce((least, { seq }) => Math.min(least, seq), Infinity),
    project: first.project,
    session: first.session,
    rid: first.envelope.rid,
    frames: frames.map(({ frame }) => frame.frame),
    firstSeq: first.frame.firstSeq,
    receivedMs: first.envelope.receivedMs,
    bytes: Buffer.concat(frames.map(({ frame }) => frame.payload)),
  };
}

/** Cuts one rid's frames, sorted by number, where a batch ends, another begins, or a frame is missing. */
function* runs(frames: readonly PendingFrame[]): Generator<PendingFrame[]> {
  let run: PendingFrame[] = [];
  for (const one of frames) {
    const last = run.at(-1);
    const follows =
      last !== undefined &&
      goesOn(last) &&
      one.frame.frame === last.frame.frame + 1 &&
      one.frame.firstSeq === last.frame.firstSeq;
    if (last && !follows) {
      yield run;
      run = [];
    }
    run.push(one);
  }
  if (run.length) yield run;
}

/** Whether the run's first frame is its batch's first: by its number, by what came before it, or by gzip's magic. */
function begins(
  run: readonly PendingFrame[],
  ofRid: readonly PendingFrame[],
  known: (session: string, rid: string, frame: number) => boolean,
): boolean {
  const first = run[0]!;
  const { frame, payload } = first.frame;
  if (frame === 1 || known(first.session, first.envelope.rid, frame - 1)) return true;
  const before = ofRid.find((one) => one.frame.frame === frame - 1);
  if (before) return before.frame.firstSeq !== first.frame.firstSeq;
  return isGzip(first) && payload[0] === 0x1f && payload[1] === 0x8b && payload[2] === 0x08;
}
