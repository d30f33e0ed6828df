import {
  decodeFrames,
  encodeFrames,
  FRAME_BYTES_MAX,
  FrameType,
  HEADER_BYTES,
  ProtocolError,
  WIRE_ERRORS,
  type Frame,
  type WireErrorCode,
} from '#protocol';
import { toRejection, type Intake } from './intake.ts';
import type { Log } from './service.ts';

export interface PostAnswer {
  status: number;
  /** WELCOME and ACK, or what there is of them and ERR. */
  body: Uint8Array<ArrayBuffer>;
}

/** A body of HELLO and batches: a session shorter than a handshake, or what is left when a page goes away. */
export async function takePost(
  intake: Intake,
  body: Uint8Array,
  origin: string | undefined,
  log: Log,
): Promise<PostAnswer> {
  const answer: Uint8Array[] = [];
  try {
    const [hello, ...rest] = decodeFrames(body);
    if (!hello) throw new ProtocolError('hello_required', 'the body is empty');
    const admitted = intake.admit(hello, origin);
    const batches = checkBatches(rest);
    const questions = rest.filter(({ type }) => type === FrameType.assets);
    const known = intake.knownFrame(admitted) ?? (await intake.findFrame(admitted));
    const settings = intake.settings(admitted);
    answer.push(intake.welcome(admitted, known, settings).bytes);
    // A page that goes before it is welcomed cannot know that its session is not wanted.
    if (!settings.record || (admitted.isNew && admitted.draw >= (settings.sampleRate ?? 1)))
      return { status: 200, body: encodeFrames(answer) };
    const { postHoldMs } = intake.limits;
    const outcomes = await Promise.allSettled(
      batches.map((frame) => intake.append(admitted, frame, known, postHoldMs)),
    );
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason;
    const durable = durableAfter(known, batches);
    intake.remember(admitted, durable);
    answer.push(intake.encodeAck(durable));
    for (const frame of questions) answer.push(intake.wanted(admitted, frame, batches.length > 0));
    return { status: 200, body: encodeFrames(answer) };
  } catch (error) {
    const { code, message } = toRejection(error, log);
    answer.push(intake.encodeRejection(code, message));
    return { status: WIRE_ERRORS[code].status, body: encodeFrames(answer) };
  }
}

export function refusePost(intake: Intake, code: WireErrorCode, message: string): PostAnswer {
  return { status: WIRE_ERRORS[code].status, body: encodeFrames([intake.encodeRejection(code, message)]) };
}

const TAKEN: FrameType[] = [FrameType.batch, FrameType.ping, FrameType.bye, FrameType.assets];

/** @throws ProtocolError `bad_frame`, `frame_too_large`, `frame_gap` */
function checkBatches(frames: Frame[]): Frame[] {
  const batches = frames.filter(({ type }) => type === FrameType.batch);
  for (const { type } of frames)
    if (!TAKEN.includes(type)) throw new ProtocolError('bad_frame', `a frame of type ${type} came`);
  for (const [i, { frame, firstSeq, payload }] of batches.entries()) {
    if (frame < 1 || firstSeq < 1)
      throw new ProtocolError('bad_frame', `frame ${frame} with first event ${firstSeq}: both count from 1`);
    if (HEADER_BYTES + payload.length > FRAME_BYTES_MAX)
      throw new ProtocolError(
        'frame_too_large',
        `frame of ${HEADER_BYTES + payload.length} bytes is over ${FRAME_BYTES_MAX}`,
      );
    const before = batches[i - 1]?.frame;
    if (before !== undefined && frame !== before + 1)
      throw new ProtocolError('frame_gap', `frame ${frame} came where ${before + 1} was next`);
  }
  return batches;
}

/**
 * What may be acked once these frames are durable. Those before them may still be under way by the socket that the
 * page had, so a hole below the first leaves the ack where it was.
 */
export function durableAfter(known: number, batches: { frame: number }[]): number {
  const first = batches[0]?.frame ?? Infinity;
  return first <= known + 1 ? Math.max(known, batches.at(-1)!.frame) : known;
}
