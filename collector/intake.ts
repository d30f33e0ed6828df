import {
  decodeJsonPayload,
  encodeFrame,
  encodeJsonFrame,
  FrameFlag,
  FrameType,
  HEADER_BYTES,
  ProtocolError,
  type AssetsAnswer,
  type Frame,
  type RecorderSettings,
  type Welcome,
  type WireErrorCode,
} from '#protocol';
import { admit, readHello, type Admission } from './admission.ts';
import { AppendGate } from './append-gate.ts';
import { KnownAssets, readAssets } from './known-assets.ts';
import { findDurableFrame, KnownFrames } from './known-frames.ts';
import type { CollectorLimits } from './limits.ts';
import type { CollectorMetrics } from './collector-metrics.ts';
import { settingsOf, type ProjectSource } from './projects.ts';
import type { Log } from './service.ts';
import { encodeRejection } from './rejection.ts';
import { encodeRecord, messageId, StreamError, subjectOf, type Stream } from './stream.ts';
import { encodeToken } from './tokens.ts';
import { newSessionId } from './x-uuidv7.ts';

/** A recorder that was admitted. */
export interface Admitted extends Admission {
  session: string;
  isNew: boolean;
}

export interface IntakeParts {
  stream: Stream;
  projects: ProjectSource;
  limits: CollectorLimits;
  metrics: CollectorMetrics;
  now: () => number;
  random: () => number;
  /** The stream stopped taking batches, or takes them again. */
  onGate: (closed: boolean) => void;
}

/** What sockets and POSTs have in common: who may record, and how a frame becomes durable. */
export class Intake {
  readonly limits: CollectorLimits;
  readonly metrics: CollectorMetrics;
  readonly gate: AppendGate;
  readonly now: () => number;
  readonly #stream: Stream;
  readonly #projects: ProjectSource;
  readonly #random: () => number;
  readonly #known = new KnownFrames();
  readonly #assets = new KnownAssets();

  constructor({ stream, projects, limits, metrics, now, random, onGate }: IntakeParts) {
    this.limits = limits;
    this.metrics = metrics;
    this.now = now;
    this.#stream = stream;
    this.#projects = projects;
    this.#random = random;
    this.gate = new AppendGate(stream, {
      inFlightBytesMax: limits.inFlightBytesMax,
      backOffMinMs: limits.backOffMinMs,
      backOffMaxMs: limits.backOffMaxMs,
      random,
      onChange: (closed) => {
        metrics.gateClosed.set(closed ? 1 : 0);
        onGate(closed);
      },
      onFailure: (code) => metrics.streamFailures.inc({ code }),
    });
  }

  /** @throws ProtocolError for every reason why not */
  admit(frame: Frame, origin: string | undefined): Admitted {
    if (frame.type !== FrameType.hello)
      throw new ProtocolError('hello_required', `the first frame was of type ${frame.type}`);
    const nowMs = this.now();
    const projects = this.#projects.current();
    const admission = admit(readHello(decodeJsonPayload(frame)), { projects, origin, nowMs });
    const isNew = admission.session === undefined;
    if (isNew) this.metrics.sessions.inc();
    return { ...admission, session: admission.session ?? newSessionId(nowMs), isNew };
  }

  /** By the projects as they are now. */
  settings({ project }: Admitted): RecorderSettings {
    return settingsOf(this.#projects.current(), project);
  }

  /** WELCOME, whose token is good from now on. */
  welcome(
    admitted: Admitted,
    lastFrame: number,
    settings = this.settings(admitted),
  ): { bytes: Uint8Array<ArrayBuffer>; issuedMs: number } {
    const { project, session, retentionDays } = admitted;
    const issuedMs = this.now();
    const { secret } = this.#projects.current();
    const welcome: Welcome = {
      session,
      token: encodeToken(secret, { v: 1, project, session, retentionDays, issuedMs }),
      lastFrame,
      serverMs: issuedMs,
      settings,
    };
    return { bytes: encodeJsonFrame(FrameType.welcome, welcome), issuedMs };
  }

  /** Up to which frame all are durable, from memory; undefined when the stream must be asked. */
  knownFrame({ isNew, session, rid, ackedFrame }: Admitted): number | undefined {
    const known = isNew ? 0 : this.#known.get(session, rid);
    return known === undefined ? undefined : Math.max(known, ackedFrame);
  }
  /** The same from the stream. @throws StreamError `stream_unavailable` */
  async findFrame({ project, session, rid, ackedFrame }: Admitted): Promise<number> {
    return Math.max(ackedFrame, await findDurableFrame(this.#stream, project, session, rid));
  }
  /** All frames of its rid up to this one are durable. */
  remember({ session, rid }: Admitted, frame: number): void {
    this.#known.raise(session, rid, frame);
  }

  /**
   * Makes a BATCH durable as it is, unopened. Copies the frame at once and holds on to the copy alone.
   * Rejects with a StreamError.
   */
  append(admitted: Admitted, frame: Frame, ackedFrame: number, holdMs: number): Promise<void> {
    const { project, session, rid, retentionDays, offsetMs } = admitted;
    const { payload } = frame;
    const raw = new Uint8Array(
      payload.buffer,
      payload.byteOffset - HEADER_BYTES,
      HEADER_BYTES + payload.length,
    );
    const receivedMs = this.now();
    const record = encodeRecord({ v: 1, rid, retentionDays, offsetMs, receivedMs, ackedFrame }, raw);
    const subject = subjectOf(project, session, (frame.flags & FrameFlag.fullSnapshot) !== 0);
    this.metrics.frames.inc();
    this.metrics.bytes.inc(raw.length);
    const observe = this.metrics.appendSeconds.startTimer();
    return this.gate.append(subject, record, messageId(rid, frame.frame), holdMs).then(() => void observe());
  }

  /** WANT for an ASSETS. `isDurable`: what came with it is, so that its word on what is stored counts. @throws ProtocolError `bad_frame` */
  wanted(admitted: Admitted, frame: Frame, isDurable: boolean): Uint8Array<ArrayBuffer> {
    const { ask, stored } = readAssets(frame);
    if (isDurable) this.#assets.stored(admitted, stored, this.now());
    const want = this.#assets.ask(admitted, ask, this.now(), this.#random);
    return encodeJsonFrame(FrameType.want, { want } satisfies AssetsAnswer);
  }

  encodeAck(frame: number): Uint8Array<ArrayBuffer> {
    this.metrics.acks.inc();
    return encodeFrame({ type: FrameType.ack, frame });
  }

  encodeRejection(code: WireErrorCode, message: string): Uint8Array<ArrayBuffer> {
    this.metrics.rejections.inc({ code });
    return encodeRejection(code, message, this.#random());
  }
}

/** How a failure is told to the recorder. What is neither its fault nor the stream's is ours, and goes to the log. */
export function toRejection(error: unknown, log: Log): { code: WireErrorCode; message: string } {
  if (error instanceof ProtocolError) return { code: error.code, message: error.message };
  // The stream's own words may name machines.
  if (error instanceof StreamError)
    return { code: 'stream_unavailable', message: `the stream does not take batches now (${error.code})` };
  log.error({ err: error }, 'the collector failed to serve a recorder');
  return { code: 'stream_unavailable', message: 'the collector failed; its log says why' };
}
