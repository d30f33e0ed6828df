import type { ClosedBatch } from './batcher.ts';
import { encodeGzip, encodeRaw } from './compress.ts';
import { Outbox, type Batch } from './outbox.ts';
import {
  BATCH_BYTES_MAX,
  decodeFrame,
  decodeFrames,
  decodeJsonPayload,
  encodeFrames,
  encodeJsonFrame,
  encodeFrame,
  FrameType,
  POST_BYTES_MAX,
  PROTOCOL_VERSION,
  RR1_PATH,
  type Credit,
  type Frame,
  type Hello,
  type Welcome,
  type WireError,
  type WireErrorCode,
} from './protocol.ts';

/** Beyond this, unsent incremental batches are dropped and a new full snapshot taken. */
export const BUFFER_BYTES_MAX = 5 * 1000 * 1000;
const PING_INTERVAL_MS = 30_000;
/** Of a socket that neither opens nor is welcomed. */
const CONNECT_TIMEOUT_MS = 15_000;
const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 30_000;
/** The errors that a new connection heals although they bear no retryAfterMs. */
const HEALED_BY_RECONNECT: WireErrorCode[] = ['frame_gap', 'idle', 'credit_exceeded', 'hello_required'];

export interface TransportOptions {
  /** The collector's base address, `https://…`. */
  url: string;
  hello(): Omit<Hello, 'version' | 'nowMs'>;
  onWelcome(welcome: Welcome): void;
  /** The player or a drop needs a full snapshot. */
  onSnapshotWanted(): void;
  /** The session's token is refused: the next HELLO shall go without it. */
  onSessionLost(): void;
  /** The numbers used so far are of no use any more: go on as a new instance. */
  onVoid(): void;
  /** Turned away for good. */
  onRefused(code: string): void;
  onError(code: string): void;
}

/** Exponential with jitter: between half and all of 0.5, 1, 2 … 30 s. Pure but for the random number given. */
export function backoffMs(attempt: number, random: number): number {
  return Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** attempt) * (0.5 + random / 2);
}

/**
 * Brings one recorder instance's batches to the collector: over a WebSocket that is opened again when it closes, and
 * by one keepalive POST when the page goes.
 */
export class Transport {
  readonly outbox = new Outbox();
  state: 'connecting' | 'recording' | 'offline' | 'stopped' = 'offline';
  readonly #options: TransportOptions;
  readonly #startedMs = Date.now();
  #socket: WebSocket | undefined;
  #attempt = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #pingTimer: ReturnType<typeof setInterval> | undefined;
  /** Batches to encode, in order. The first one may be at work; who takes it away makes that work void. */
  #encoding: (ClosedBatch | Batch)[] = [];
  #isEncoding = false;
  #waiters: (() => void)[] = [];
  /** Bytes of keepalive requests under way, which share one bound. */
  #postBytes = 0;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  get bytesBuffered(): number {
    return this.#encoding.reduce((sum, batch) => sum + sizeOf(batch), this.outbox.bytes);
  }

  send(batch: ClosedBatch | Batch): void {
    this.#encoding.push(batch);
    if (!this.#isEncoding) void this.#encode();
  }

  connect(): void {
    if (this.#socket || this.state === 'stopped') return;
    clearTimeout(this.#retryTimer);
    this.state = 'connecting';
    let socket: WebSocket;
    try {
      socket = new WebSocket(this.#options.url.replace(/^http/, 'ws') + RR1_PATH);
    } catch (error) {
      this.#options.onError(`socket_refused: ${String(error)}`);
      return this.#retry();
    }
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    const timeout = setTimeout(() => socket.close(), CONNECT_TIMEOUT_MS);
    socket.onopen = () => socket.send(this.#encodeHello());
    socket.onmessage = ({ data }) => {
      clearTimeout(timeout);
      if (this.#socket !== socket) return;
      try {
        this.#receive(decodeFrame(new Uint8Array(data as ArrayBuffer)));
      } catch (error) {
        this.#options.onError(`bad_frame: ${String(error)}`);
        socket.close();
      }
    };
    socket.onclose = () => {
      clearTimeout(timeout);
      if (this.#socket !== socket) return;
      this.#disconnect();
      this.#retry();
    };
    this.#pingTimer = setInterval(() => this.#ping(), PING_INTERVAL_MS);
  }

  /** Resolves when all that was sent so far is acked, or nothing more will be. */
  async drained(): Promise<void> {
    if (this.state === 'stopped' || (this.outbox.isEmpty && !this.#encoding.length)) return;
    await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /**
   * The page is hidden or goes away: no time to compress, no time to wait. What an open socket takes goes there; the
   * rest, and at the end everything unacked once more, by POST, for a socket may be cut with its page. The collector
   * knows the frames by their numbers.
   */
  farewell(isEnd: boolean): void {
    if (this.state === 'stopped') return;
    const rawBytes = this.#encoding.reduce((sum, batch) => sum + sizeOf(batch), 0);
    if (isEnd || rawBytes <= POST_BYTES_MAX)
      for (const batch of this.#encoding.splice(0)) this.#enqueue('json' in batch ? encodeRaw(batch) : batch);
    this.#pump();
    if (isEnd || !this.outbox.isSent) this.#post();
    if (!isEnd) return;
    // A page with an open socket is not kept for the back button.
    clearTimeout(this.#retryTimer);
    this.#disconnect(true);
  }

  /** No more is sent. @returns what was never sent, in order */
  retire(): (ClosedBatch | Batch)[] {
    const carried = [...this.outbox.carry(), ...this.#encoding.splice(0)];
    if (this.state === 'recording')
      this.#write(encodeJsonFrame(FrameType.bye, this.outbox.last, { clientMs: this.#clientMs }));
    this.state = 'stopped';
    clearTimeout(this.#retryTimer);
    this.#disconnect(true);
    this.#settle();
    return carried;
  }

  get #clientMs(): number {
    return Math.max(0, Date.now() - this.#startedMs) >>> 0;
  }

  #encodeHello(): Uint8Array<ArrayBuffer> {
    return encodeJsonFrame(FrameType.hello, {
      version: PROTOCOL_VERSION,
      nowMs: Date.now(),
      ackedFrame: this.outbox.ackedFrame,
      ...this.#options.hello(),
    } satisfies Hello);
  }

  async #encode(): Promise<void> {
    this.#isEncoding = true;
    for (let head = this.#encoding[0]; head; head = this.#encoding[0]) {
      let batch: Batch | undefined;
      try {
        batch = 'json' in head ? await encodeGzip(head) : head;
      } catch {
        batch = encodeRaw(head as ClosedBatch);
      }
      // The farewell took it.
      if (this.#encoding[0] !== head) continue;
      this.#encoding.shift();
      this.#enqueue(batch);
      if (this.outbox.trim(BUFFER_BYTES_MAX)) {
        this.#options.onError('buffer_full');
        this.#options.onSnapshotWanted();
      }
      this.#pump();
    }
    this.#isEncoding = false;
    this.#settle();
  }

  /** A page too large for the collector cannot be recorded: its events are then a gap. */
  #enqueue(batch: Batch): void {
    if (batch.payload.length <= BATCH_BYTES_MAX) return this.outbox.enqueue(batch);
    this.outbox.skip(batch.events);
    this.#options.onError(`batch_too_large: ${batch.payload.length} bytes`);
  }

  #receive(frame: Frame): void {
    switch (frame.type) {
      case FrameType.welcome:
        return this.#welcome(decodeJsonPayload(frame) as Welcome);
      case FrameType.ack:
        this.#attempt = 0;
        this.outbox.ack(frame.frame);
        this.#settle();
        return this.#pump();
      case FrameType.credit:
        this.outbox.setCredit(decodeJsonPayload(frame) as Credit);
        return this.#pump();
      case FrameType.snap:
        return this.#options.onSnapshotWanted();
      case FrameType.err:
        return this.#refused(decodeJsonPayload(frame) as WireError);
    }
  }

  #welcome(welcome: Welcome): void {
    this.#options.onWelcome(welcome);
    // A later one on the same connection renews the token, no more; and who heard it may have stopped us.
    if (this.state !== 'connecting') return;
    this.state = 'recording';
    if (!this.outbox.welcome(welcome.lastFrame)) return this.#options.onVoid();
    this.#settle();
    this.#pump();
  }

  #refused({ code, retryAfterMs }: WireError): void {
    this.#options.onError(code);
    if (code === 'bad_token') {
      this.#options.onSessionLost();
      // What the old session acked would be missing in the new one.
      if (this.outbox.ackedFrame > 0) return this.#options.onVoid();
    } else if (retryAfterMs === undefined && !HEALED_BY_RECONNECT.includes(code))
      return this.#options.onRefused(code);
    this.#disconnect(true);
    this.#retry(retryAfterMs);
  }

  #retry(afterMs?: number): void {
    if (this.state === 'stopped') return;
    this.state = 'offline';
    clearTimeout(this.#retryTimer);
    const waitMs = Math.max(afterMs ?? 0, backoffMs(this.#attempt++, Math.random()));
    this.#retryTimer = setTimeout(() => this.connect(), waitMs);
  }

  #disconnect(close = false): void {
    clearInterval(this.#pingTimer);
    const socket = this.#socket;
    this.#socket = undefined;
    this.outbox.disconnected();
    if (this.state !== 'stopped') this.state = 'offline';
    if (close) socket?.close(1000);
  }

  #pump(): void {
    if (this.state !== 'recording') return;
    for (let bytes = this.outbox.next(this.#clientMs); bytes; bytes = this.outbox.next(this.#clientMs))
      this.#write(bytes);
  }

  #ping(): void {
    if (this.state === 'recording')
      this.#write(encodeFrame({ type: FrameType.ping, clientMs: this.#clientMs }));
  }

  #write(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(bytes);
  }

  #post(): void {
    const hello = this.#encodeHello();
    const frames = this.outbox.forPost(POST_BYTES_MAX - this.#postBytes - hello.length - 4, this.#clientMs);
    if (!frames.length) return;
    const body = encodeFrames([hello, ...frames]);
    this.#postBytes += body.length;
    fetch(this.#options.url + RR1_PATH, {
      method: 'POST',
      keepalive: true,
      credentials: 'omit',
      headers: { 'content-type': 'text/plain' },
      body,
    })
      .then((response) => response.arrayBuffer())
      .then((answer) => this.#posted(decodeFrames(new Uint8Array(answer))))
      .catch((error: unknown) => this.#options.onError(`post_failed: ${String(error)}`))
      .finally(() => (this.#postBytes -= body.length));
  }

  /** On an open socket its own acks count: its frames must follow each other without a gap. */
  #posted(answer: Frame[]): void {
    if (this.#socket || this.state === 'stopped') return;
    for (const frame of answer) if (frame.type === FrameType.ack) this.outbox.ack(frame.frame);
    this.#settle();
  }

  #settle(): void {
    if (this.state !== 'stopped' && (!this.outbox.isEmpty || this.#encoding.length)) return;
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}

const sizeOf = (batch: ClosedBatch | Batch): number =>
  'json' in batch ? batch.json.length : batch.payload.length;
