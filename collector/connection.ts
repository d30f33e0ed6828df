import {
  decodeFrame,
  encodeJsonFrame,
  FrameType,
  ProtocolError,
  UNACKED_BYTES_MAX,
  UNACKED_FRAMES_MAX,
  WIRE_ERRORS,
  type Credit,
  type Frame,
  type RecorderSettings,
  type WireErrorCode,
} from '#protocol';
import { isOver, SESSION_OVER } from './admission.ts';
import { FrameLedger } from './frame-ledger.ts';
import { toRejection, type Intake, type Admitted } from './intake.ts';
import type { Log } from './service.ts';
import { TOKEN_RENEW_MS } from './tokens.ts';

/** The far end of a socket, whatever library holds it. */
export interface Peer {
  send(bytes: Uint8Array): void;
  /** Stops and resumes reading. What was read before may still come. */
  pause(): void;
  resume(): void;
  /** Says goodbye and closes once that is heard, or soon after. Idempotent. */
  close(code: number, reason: string): void;
  /** Of what was sent and not yet taken by the network. */
  readonly unsentBytes: number;
}

const CREDIT_FULL: Credit = { frames: UNACKED_FRAMES_MAX, bytes: UNACKED_BYTES_MAX };
const CREDIT_NONE: Credit = { frames: 0, bytes: 0 };

/**
 * One recorder's socket: HELLO → WELCOME, then BATCH → ACK until it closes. It is told why before it is closed, and
 * whatever it sends, nothing of it reaches further than this object and the stream.
 */
export class Connection {
  readonly #peer: Peer;
  readonly #intake: Intake;
  readonly #log: Log;
  readonly #origin: string | undefined;
  readonly #openedMs = performance.now();
  #heardMs = performance.now();
  #pausedMs: number | undefined;
  #state: 'new' | 'admitting' | 'open' | 'draining' | 'closed' = 'new';
  #admitted: Admitted | undefined;
  #ledger = new FrameLedger(0);
  #issuedMs = 0;
  #settings: RecorderSettings | undefined;
  readonly #early: Frame[] = [];
  #ackDue = false;
  #bye = false;
  #onSettled: (() => void) | undefined;

  constructor(peer: Peer, intake: Intake, log: Log, origin: string | undefined) {
    this.#peer = peer;
    this.#intake = intake;
    this.#log = log;
    this.#origin = origin;
  }

  onMessage(bytes: Uint8Array, isBinary: boolean): void {
    if (this.#state === 'closed') return;
    this.#heardMs = performance.now();
    this.#guard(() => {
      if (!isBinary) throw new ProtocolError('bad_frame', 'a text message came, and frames are binary');
      this.#onFrame(decodeFrame(bytes));
    });
  }

  onClose(): void {
    this.#state = 'closed';
    this.#onSettled?.();
  }

  #onFrame(frame: Frame): void {
    if (this.#state === 'new') {
      const admitted = this.#intake.admit(frame, this.#origin);
      this.#admitted = admitted;
      const known = this.#intake.knownFrame(admitted);
      if (known === undefined) void this.#askStream(admitted);
      else this.#welcome(admitted, known);
    } else if (this.#state === 'admitting') {
      this.#early.push(frame);
      if (this.#early.length > UNACKED_FRAMES_MAX)
        throw new ProtocolError('credit_exceeded', `${this.#early.length} frames came before WELCOME`);
    } else this.#onAdmittedFrame(frame);
  }

  async #askStream(admitted: Admitted): Promise<void> {
    this.#state = 'admitting';
    this.#peer.pause();
    try {
      this.#welcome(admitted, await this.#intake.findFrame(admitted));
    } catch (error) {
      this.#fail(error);
    }
  }

  #welcome(admitted: Admitted, lastFrame: number): void {
    if (this.#state === 'closed') return;
    this.#ledger = new FrameLedger(lastFrame);
    this.#sendWelcome(admitted, lastFrame);
    this.#log.debug(
      { project: admitted.project, session: admitted.session, lastFrame },
      'a recorder was admitted',
    );
    if (this.#state !== 'draining') this.#state = 'open';
    this.#peer.resume();
    if (this.#intake.gate.closed) this.setCredit(false);
    for (const frame of this.#early.splice(0)) this.#onAdmittedFrame(frame);
  }

  #sendWelcome(admitted: Admitted, lastFrame: number): void {
    this.#settings = this.#intake.settings(admitted);
    const { bytes, issuedMs } = this.#intake.welcome(admitted, lastFrame, this.#settings);
    this.#issuedMs = issuedMs;
    this.#peer.send(bytes);
  }

  #onAdmittedFrame(frame: Frame): void {
    this.#renew();
    if (this.#state === 'closed' || this.#bye) return;
    if (frame.type === FrameType.batch) this.#onBatch(frame);
    else if (frame.type === FrameType.ping) this.#ackSoon();
    else if (frame.type === FrameType.assets)
      this.#peer.send(this.#intake.wanted(this.#admitted!, frame, false));
    else if (frame.type === FrameType.bye) {
      this.#bye = true;
      this.#closeWhenSettled();
    } else throw new ProtocolError('bad_frame', `a frame of type ${frame.type} came`);
    if (this.#peer.unsentBytes > this.#intake.limits.unreadBytesMax)
      throw new ProtocolError('idle', 'the recorder does not read our answers');
  }

  #onBatch(frame: Frame): void {
    // It was told, and what it sent before it heard is not wanted either.
    if (!this.#settings!.record) return;
    const found = this.#ledger.receive(frame);
    if (found === 'durable') this.#ackSoon();
    if (found === 'append') this.#append(frame, this.#admitted!);
  }

  #append(frame: Frame, admitted: Admitted): void {
    const number = frame.frame;
    this.#intake.append(admitted, frame, this.#ledger.durable, this.#intake.limits.holdMs).then(
      () => {
        if (this.#ledger.settle(number)) {
          this.#intake.remember(admitted, this.#ledger.durable);
          this.#ackSoon();
        }
        this.#closeWhenSettled();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  /** One ACK for all that became durable in one sync. */
  #ackSoon(): void {
    if (this.#ackDue) return;
    this.#ackDue = true;
    queueMicrotask(() => {
      this.#ackDue = false;
      if (this.#state !== 'closed') this.#peer.send(this.#intake.encodeAck(this.#ledger.durable));
    });
  }

  /** The stream takes batches, or takes none, and then this socket is not read from either. */
  setCredit(open: boolean): void {
    if (this.#state !== 'open') return;
    if (open === (this.#pausedMs === undefined)) return;
    this.#peer.send(encodeJsonFrame(FrameType.credit, open ? CREDIT_FULL : CREDIT_NONE));
    if (open) {
      this.#pausedMs = undefined;
      this.#heardMs = performance.now();
      this.#peer.resume();
    } else {
      this.#pausedMs = performance.now();
      this.#peer.pause();
    }
  }

  /** To be called every second or so. */
  tick(): void {
    const { helloTimeoutMs, idleMs, holdMs } = this.#intake.limits;
    const nowMs = performance.now();
    this.#guard(() => {
      if (this.#state === 'new' && nowMs - this.#openedMs > helloTimeoutMs)
        throw new ProtocolError('hello_required', `HELLO did not come within ${helloTimeoutMs} ms`);
      if (this.#pausedMs !== undefined && nowMs - this.#pausedMs > holdMs)
        throw new ProtocolError('stream_unavailable', `the stream has taken no batches for ${holdMs} ms`);
      if (this.#pausedMs === undefined && nowMs - this.#heardMs > idleMs)
        throw new ProtocolError('idle', `nothing was heard for ${idleMs} ms`);
      this.#renew();
    });
  }

  /** A fresh token in good time, and settings that changed at once; no session goes on for longer than it may. */
  #renew(): void {
    if (this.#state !== 'open') return;
    const admitted = this.#admitted!;
    const nowMs = this.#intake.now();
    if (isOver(admitted.session, nowMs)) throw new ProtocolError('bad_token', SESSION_OVER);
    const { record, sampleRate } = this.#intake.settings(admitted);
    const isChanged = record !== this.#settings!.record || sampleRate !== this.#settings!.sampleRate;
    if (isChanged || nowMs - this.#issuedMs >= TOKEN_RENEW_MS)
      this.#sendWelcome(admitted, this.#ledger.durable);
  }

  /** Asks the recorder to go elsewhere. Resolves when what it sent is durable and acked, and the socket closed. */
  async drain(): Promise<void> {
    if (this.#state === 'closed') return;
    const settled = new Promise<void>((resolve) => (this.#onSettled = resolve));
    this.#peer.send(encodeJsonFrame(FrameType.credit, CREDIT_NONE));
    this.#peer.send(this.#intake.encodeRejection('draining', 'the collector is going down'));
    this.#state = 'draining';
    this.#closeWhenSettled();
    await settled;
  }

  #closeWhenSettled(): void {
    if (!this.#bye && this.#state !== 'draining') return;
    // After the ACK that may be due.
    setImmediate(() => {
      if (this.#ledger.unacked) return;
      if (this.#bye) this.#close(1000, 'bye');
      else this.#close(WIRE_ERRORS.draining.close, 'draining');
    });
  }

  /** Tells the recorder why, and closes. */
  reject(code: WireErrorCode, message: string): void {
    if (this.#state === 'closed') return;
    const { project, session } = this.#admitted ?? {};
    this.#log.debug({ code, message, project, session }, 'a recorder was turned away');
    this.#peer.send(this.#intake.encodeRejection(code, message));
    this.#close(WIRE_ERRORS[code].close, code);
  }

  #close(code: number, reason: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    // A paused socket would not hear the answer.
    this.#peer.resume();
    this.#peer.close(code, reason);
    this.#onSettled?.();
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    const { code, message } = toRejection(error, this.#log);
    this.reject(code, message);
  }
}
