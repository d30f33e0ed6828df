import { backoffMs } from './backoff.ts';
import type { ClosedBatch } from './batcher.ts';
import { Encoder, encodeRaw } from './compress.ts';
import { Outbox, type Batch } from './outbox.ts';
import { postFrames, type PostError } from './post.ts';
import {
  BATCH_BYTES_MAX,
  decodeFrame,
  decodeJsonPayload,
  encodeFrame,
  encodeJsonFrame,
  FrameType,
  POST_BYTES_MAX,
  PROTOCOL_VERSION,
  RR1_PATH,
  STANDING_POST_BYTES_MAX,
  type Credit,
  type CustomPayloads,
  type Frame,
  type Hello,
  type Welcome,
  type WireError,
  type WireErrorCode,
} from './protocol.ts';
import type { TransportOptions } from './transport-options.ts';

/** Beyond this, unsent incremental batches are dropped and a new full snapshot taken. */
export const BUFFER_BYTES_MAX = 5 * 1000 * 1000;
const PING_INTERVAL_MS = 20_000;
/** A socket that is silent from one PING to the next is dead; unless it carries more than this, and so on. */
const PING_INTERVAL_BYTES = 200 * 1000;
/** Of a socket that neither opens nor is welcomed. */
const CONNECT_TIMEOUT_MS = 8_000;
/** So many sockets in a row that were not welcomed, a silent one counting twice, and batches go by POST. */
const SOCKET_MISSES_MAX = 2;
/** Then a socket is tried again: after this, twice this, and so on up to an hour. */
const PROBE_MIN_MS = 30_000;
const PROBE_MAX_MS = 3600_000;
/** The errors that a new connection heals although they bear no retryAfterMs. */
const HEALED_BY_RECONNECT: WireErrorCode[] = ['frame_gap', 'idle', 'credit_exceeded', 'hello_required'];

/**
 * Brings one recorder instance's batches to the collector: over a WebSocket that is opened again when it closes; where
 * none can be had, by POST, while a socket is tried now and then; and by keepalive POST when the page goes.
 */
export class Transport {
  readonly outbox = new Outbox();
  state: 'connecting' | 'recording' | 'offline' | 'stopped' = 'offline';
  isPost: boolean;
  eventsDropped = 0;
  /** Frames with their headers, also when sent again. */
  bytesSent = 0;
  /** Times that the collector answered a connection. */
  welcomes = 0;
  readonly #options: TransportOptions;
  readonly #startedMs = Date.now();
  #socket: WebSocket | undefined;
  /** PINGs since anything was heard. */
  #silent = 0;
  /** A request is under way that is not a farewell. */
  #isPosting = false;
  /** A farewell went without a token: under which session its events are, only its answer can tell. */
  #isLoose = false;
  #misses = 0;
  #probes = 0;
  #attempt = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #probeTimer: ReturnType<typeof setTimeout> | undefined;
  #pingTimer: ReturnType<typeof setInterval> | undefined;
  readonly #encoder = new Encoder(
    (batch) => this.#encoded(batch),
    () => this.#settle(),
  );
  #waiters: (() => void)[] = [];
  /** Bytes of keepalive requests under way, which share one bound. */
  #farewellBytes = 0;
  #gap: CustomPayloads['gap'] | undefined;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.isPost = options.isPost;
  }

  get #isAdmitting(): boolean {
    return this.state === 'connecting';
  }
  get #isOn(): boolean {
    return this.state === 'recording';
  }
  get bytesBuffered(): number {
    return this.#encoder.bytes + this.outbox.bytes;
  }

  send(batch: ClosedBatch | Batch): void {
    this.#encoder.add(batch);
  }

  connect(): void {
    if (this.state !== 'offline') return;
    clearTimeout(this.#retryTimer);
    if (this.#isLoose) return this.#options.onVoid();
    this.state = 'connecting';
    if (!this.isPost) return this.#open();
    this.#probe();
    void this.#post();
  }

  #open(): void {
    if (this.#socket || this.state === 'stopped') return;
    let socket: WebSocket | undefined;
    let isWelcomed = false;
    let ackedFrame: number;
    const drop = (misses: number): void => {
      clearTimeout(timeout);
      socket?.close();
      if (this.#socket !== socket) return;
      this.#missed(isWelcomed ? 0 : misses);
    };
    const timeout = setTimeout(() => drop(SOCKET_MISSES_MAX), CONNECT_TIMEOUT_MS);
    try {
      this.#socket = socket = new WebSocket(this.#options.url.replace(/^http/, 'ws') + RR1_PATH);
    } catch (error) {
      this.#options.onError(`socket_refused: ${String(error)}`);
      return drop(SOCKET_MISSES_MAX);
    }
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      ({ ackedFrame } = this.outbox);
      socket.send(this.#encodeHello());
    };
    socket.onmessage = ({ data }) => {
      if (this.#socket !== socket) return;
      this.#silent = 0;
      try {
        const frame = decodeFrame(new Uint8Array(data as ArrayBuffer));
        const isFirst = !isWelcomed;
        if (frame.type === FrameType.welcome) {
          // What POST had acked since HELLO, this connection would still wait for.
          if (isFirst && this.outbox.ackedFrame !== ackedFrame) return drop(1);
          clearTimeout(timeout);
          isWelcomed = true;
          this.#misses = this.#probes = 0;
          if (isFirst) this.isPost = false;
        } else if (this.isPost) return drop(1);
        this.#receive(frame, isFirst);
      } catch (error) {
        this.#options.onError(`bad_frame: ${String(error)}`);
        drop(1);
      }
    };
    socket.onerror = socket.onclose = () => drop(1);
    this.#pingTimer = setInterval(() => {
      if (!isWelcomed) return;
      const { isHeld, bytesUnacked } = this.outbox;
      if (!isHeld && ++this.#silent > 1 + bytesUnacked / PING_INTERVAL_BYTES) return drop(0);
      this.#write(encodeFrame({ type: FrameType.ping, clientMs: this.#clientMs }));
    }, PING_INTERVAL_MS);
  }

  /** The socket is gone, or could not be had. */
  #missed(misses: number): void {
    if (this.isPost) {
      this.#closeSocket();
      return this.#probe();
    }
    this.#disconnect();
    this.#misses += misses;
    if (this.#misses < SOCKET_MISSES_MAX) return this.#retry();
    this.isPost = true;
    this.connect();
  }

  #probe(): void {
    clearTimeout(this.#probeTimer);
    const waitMs = Math.min(PROBE_MAX_MS, PROBE_MIN_MS * 2 ** this.#probes++);
    this.#probeTimer = setTimeout(() => this.isPost && this.#open(), waitMs);
  }

  /** Request by request, until nothing is left. The socket may take over at any moment. */
  async #post(): Promise<void> {
    if (this.#isPosting) return;
    this.#isPosting = true;
    try {
      while (this.isPost && (this.#isAdmitting || this.#isOn)) {
        const hello = this.#encodeHello();
        const room =
          this.#options.hello().token === undefined ? 0 : STANDING_POST_BYTES_MAX - hello.length - 4;
        const frames = this.outbox.forPost(room, this.#clientMs);
        if (!frames.length && this.#isOn) break;
        const { ackedFrame } = this.outbox;
        const answer = await this.#postFrames([hello, ...frames]);
        if (!this.isPost) break;
        // A farewell was faster: this answer is of before.
        if (this.outbox.ackedFrame !== ackedFrame) continue;
        for (const frame of answer) this.#receive(frame, true);
        if (this.#isAdmitting || (frames.length && this.outbox.ackedFrame === ackedFrame && this.#isOn))
          throw new Error('no ack');
      }
    } catch (error) {
      this.#options.onError(`post_failed: ${String(error)}`);
      // A collector that is down refuses both: next time a socket is asked first.
      if (this.isPost && this.state !== 'offline') {
        this.isPost = false;
        this.#misses = SOCKET_MISSES_MAX - 1;
        this.#disconnect();
        this.#retry((error as PostError).retryAfterMs);
      }
    }
    this.#isPosting = false;
  }

  /** Resolves when all that was sent so far is acked, or nothing more will be. */
  async drained(): Promise<void> {
    if (this.state === 'stopped' || (this.outbox.isEmpty && this.#encoder.isEmpty)) return;
    await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /**
   * The page is hidden or goes away: no time to compress, no time to wait. What an open socket takes goes there; the
   * rest, and at the end all that is unacked once more, by POST, for a socket may be cut with its page.
   */
  farewell(isEnd: boolean): void {
    if (this.state === 'stopped') return;
    if (isEnd || this.#encoder.bytes <= POST_BYTES_MAX)
      for (const batch of this.#encoder.take()) this.#enqueue('json' in batch ? encodeRaw(batch) : batch);
    if (!this.isPost) this.#pump();
    this.#sayFarewell(isEnd);
    // A page with an open socket is not kept for the back button.
    if (isEnd) this.#disconnect();
  }

  #sayFarewell(isEnd: boolean): void {
    const hello = this.#encodeHello();
    const isLoose = this.#options.hello().token === undefined;
    // Hidden before it is welcomed, the page may still be.
    if (!isEnd && (isLoose || this.outbox.isSent)) return;
    const room = POST_BYTES_MAX - this.#farewellBytes - hello.length - 4;
    const frames = this.outbox.forPost(room, this.#clientMs, true);
    if (!frames.length) return;
    this.#isLoose ||= isLoose;
    const bytes = frames.reduce((sum, frame) => sum + 4 + frame.length, hello.length + 4);
    this.#farewellBytes += bytes;
    this.#postFrames([hello, ...frames], true)
      .then((answer) => this.#answered(answer))
      .catch((error: unknown) => this.#options.onError(`post_failed: ${String(error)}`))
      .finally(() => (this.#farewellBytes -= bytes));
  }

  /** On an open socket its own acks count: its frames must follow each other without a gap. */
  #answered(answer: Frame[]): void {
    if (this.state === 'stopped') return;
    for (const frame of answer) {
      if (frame.type === FrameType.welcome) {
        this.#isLoose = false;
        this.#options.onWelcome(decodeJsonPayload(frame) as Welcome);
      }
      if (frame.type === FrameType.ack && !this.#socket) this.outbox.ack(frame.frame);
    }
    this.#settle();
  }

  /** No more is sent. @returns what was never sent, in order */
  retire(): (ClosedBatch | Batch)[] {
    const carried = [...this.outbox.carry(), ...this.#encoder.take()];
    this.#write(encodeJsonFrame(FrameType.bye, this.outbox.last, { clientMs: this.#clientMs }));
    this.#disconnect();
    this.state = 'stopped';
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

  #encoded(batch: Batch): void {
    this.#enqueue(batch);
    const lost = this.outbox.trim(BUFFER_BYTES_MAX);
    if (lost) {
      this.#lose(lost.events, lost.bytes, 'buffer_full');
      this.#options.onSnapshotWanted();
    }
    this.#pump();
  }

  /** A page too large for the collector cannot be recorded: its events are then a gap. */
  #enqueue(batch: Batch): void {
    const { length } = batch.payload;
    if (length <= BATCH_BYTES_MAX) return this.outbox.enqueue(batch);
    this.outbox.skip(batch.events);
    this.#lose(batch.events, length, 'batch_too_large');
  }

  #lose(events: number, bytes: number, reason: CustomPayloads['gap']['reason']): void {
    this.eventsDropped += events;
    this.#gap = { events: events + (this.#gap?.events ?? 0), bytes: bytes + (this.#gap?.bytes ?? 0), reason };
    this.#options.onError(reason);
  }

  /** `isFirst`: of a connection, or in an answer. */
  #receive(frame: Frame, isFirst: boolean): void {
    switch (frame.type) {
      case FrameType.welcome:
        return this.#welcome(decodeJsonPayload(frame) as Welcome, isFirst);
      case FrameType.ack: {
        this.#attempt = 0;
        this.outbox.ack(frame.frame);
        const gap = this.#gap;
        this.#gap = undefined;
        if (gap) this.#options.onGap(gap);
        this.#settle();
        return this.#pump();
      }
      case FrameType.credit:
        this.outbox.setCredit(decodeJsonPayload(frame) as Credit);
        return this.#pump();
      case FrameType.snap:
        return this.#options.onSnapshotWanted();
      case FrameType.err:
        return this.#refused(decodeJsonPayload(frame) as WireError);
    }
  }

  #welcome(welcome: Welcome, isFirst: boolean): void {
    this.#options.onWelcome(welcome);
    // A later one on the same connection tells token and settings, no more; and who heard it may have stopped us.
    if (!isFirst || this.state === 'stopped' || this.state === 'offline') return;
    this.state = 'recording';
    this.welcomes++;
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
    this.#disconnect();
    this.#retry(retryAfterMs);
  }

  #retry(afterMs?: number): void {
    if (this.state === 'stopped') return;
    clearTimeout(this.#retryTimer);
    const waitMs = Math.max(afterMs ?? 0, backoffMs(this.#attempt++, Math.random()));
    this.#retryTimer = setTimeout(() => this.connect(), waitMs);
  }

  #closeSocket(): void {
    clearInterval(this.#pingTimer);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close(1000);
  }

  #disconnect(): void {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#probeTimer);
    this.#closeSocket();
    this.outbox.disconnected();
    if (this.state !== 'stopped') this.state = 'offline';
  }

  #pump(): void {
    if (!this.#isOn) return;
    if (this.isPost) return void this.#post();
    for (let bytes = this.outbox.next(this.#clientMs); bytes; bytes = this.outbox.next(this.#clientMs))
      this.#write(bytes);
  }

  #write(bytes: Uint8Array<ArrayBuffer>): void {
    if (!this.#isOn || this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(bytes);
    this.bytesSent += bytes.length;
  }

  #postFrames(frames: Uint8Array[], keepalive = false): Promise<Frame[]> {
    for (const { length } of frames) this.bytesSent += length;
    return postFrames(this.#options.url, frames, keepalive);
  }

  #settle(): void {
    if (this.state !== 'stopped' && !(this.outbox.isEmpty && this.#encoder.isEmpty)) return;
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}
