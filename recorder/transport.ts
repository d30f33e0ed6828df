import { backoffMs } from './backoff.ts';
import type { ClosedBatch } from './batcher.ts';
import { createEncoder, encodeRaw } from './compress.ts';
import { createOutbox, sumOf, type Batch } from './outbox.ts';
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
  type RecorderHealth,
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

export type Transport = ReturnType<typeof createTransport>;

/**
 * Brings one recorder instance's batches to the collector: over a WebSocket that is opened again when it closes; where
 * none can be had, by POST, while a socket is tried now and then; and by keepalive POST when the page goes.
 */
export function createTransport(options: TransportOptions) {
  const { onError } = options;
  const startedMs = Date.now();
  const outbox = createOutbox();
  const encoder = createEncoder(encoded, settle);
  let state: RecorderHealth['state'] = 'offline';
  let { isPost } = options;
  let eventsDropped = 0;
  /** Frames with their headers, also when sent again. */
  let bytesSent = 0;
  /** Times that the collector answered a connection. */
  let welcomes = 0;
  let socket: WebSocket | undefined;
  /** PINGs since anything was heard. */
  let silent = 0;
  /** A request is under way that is not a farewell. */
  let isPosting = false;
  /** A farewell went without a token: under which session its events are, only its answer can tell. */
  let isLoose = false;
  let misses = 0;
  let probes = 0;
  let attempt = 0;
  let retryTimer: ReturnType<typeof setTimeout> | undefined;
  let probeTimer: ReturnType<typeof setTimeout> | undefined;
  let pingTimer: ReturnType<typeof setInterval> | undefined;
  const waiters: (() => void)[] = [];
  /** Bytes of keepalive requests under way, which share one bound. */
  let farewellBytes = 0;
  let gap: CustomPayloads['gap'] | undefined;

  const isStopped = (): boolean => state === 'stopped';
  const isAdmitting = (): boolean => state === 'connecting';
  const isOn = (): boolean => state === 'recording';
  const isDone = (): boolean => isStopped() || (outbox.isEmpty && encoder.isEmpty);
  const clientMs = (): number => Math.max(0, Date.now() - startedMs) >>> 0;

  function connect(): void {
    if (state !== 'offline') return;
    clearTimeout(retryTimer);
    if (isLoose) return options.onVoid();
    state = 'connecting';
    if (!isPost) return open();
    probe();
    void post();
  }

  function open(): void {
    if (socket || isStopped()) return;
    let opened: WebSocket | undefined;
    let isWelcomed = false;
    let ackedFrame: number;
    const drop = (count: number): void => {
      clearTimeout(timeout);
      opened?.close();
      if (socket === opened) missed(isWelcomed ? 0 : count);
    };
    const timeout = setTimeout(drop, CONNECT_TIMEOUT_MS, SOCKET_MISSES_MAX);
    try {
      socket = opened = new WebSocket(options.url.replace(/^http/, 'ws') + RR1_PATH);
    } catch (error) {
      onError(`socket_refused: ${String(error)}`);
      return drop(SOCKET_MISSES_MAX);
    }
    opened.binaryType = 'arraybuffer';
    opened.onopen = () => {
      ({ ackedFrame } = outbox);
      opened.send(encodeHello());
    };
    opened.onmessage = ({ data }) => {
      if (socket !== opened) return;
      silent = 0;
      try {
        const frame = decodeFrame(new Uint8Array(data as ArrayBuffer));
        const isFirst = !isWelcomed;
        if (frame.type === FrameType.welcome) {
          // What POST had acked since HELLO, this connection would still wait for.
          if (isFirst && outbox.ackedFrame !== ackedFrame) return drop(1);
          clearTimeout(timeout);
          isWelcomed = true;
          misses = probes = 0;
          if (isFirst) isPost = false;
        } else if (isPost) return drop(1);
        receive(frame, isFirst);
      } catch (error) {
        onError(`bad_frame: ${String(error)}`);
        drop(1);
      }
    };
    opened.onerror = opened.onclose = () => drop(1);
    pingTimer = setInterval(() => {
      if (!isWelcomed) return;
      const { isHeld, bytesUnacked } = outbox;
      if (!isHeld && ++silent > 1 + bytesUnacked / PING_INTERVAL_BYTES) return drop(0);
      write(encodeFrame({ type: FrameType.ping, clientMs: clientMs() }));
    }, PING_INTERVAL_MS);
  }

  /** The socket is gone, or could not be had. */
  function missed(count: number): void {
    if (isPost) {
      closeSocket();
      return probe();
    }
    disconnect();
    misses += count;
    if (misses < SOCKET_MISSES_MAX) return retry();
    isPost = true;
    connect();
  }

  function probe(): void {
    clearTimeout(probeTimer);
    const waitMs = Math.min(PROBE_MAX_MS, PROBE_MIN_MS * 2 ** probes++);
    probeTimer = setTimeout(() => isPost && open(), waitMs);
  }

  /** Request by request, until nothing is left. The socket may take over at any moment. */
  async function post(): Promise<void> {
    if (isPosting) return;
    isPosting = true;
    try {
      while (isPost && (isAdmitting() || isOn())) {
        const hello = encodeHello();
        const room = hasToken() ? STANDING_POST_BYTES_MAX - hello.length - 4 : 0;
        const frames = outbox.forPost(room, clientMs());
        if (!frames.length && isOn()) break;
        const { ackedFrame } = outbox;
        const answer = await send([hello, ...frames]);
        if (!isPost) break;
        // A farewell was faster: this answer is of before.
        if (outbox.ackedFrame !== ackedFrame) continue;
        for (const frame of answer) receive(frame, true);
        if (isAdmitting() || (frames.length && outbox.ackedFrame === ackedFrame && isOn()))
          throw new Error('no ack');
      }
    } catch (error) {
      postFailed(error);
      // A collector that is down refuses both: next time a socket is asked first.
      if (isPost && state !== 'offline') {
        isPost = false;
        misses = SOCKET_MISSES_MAX - 1;
        disconnect();
        retry((error as PostError).retryAfterMs);
      }
    }
    isPosting = false;
  }
  const postFailed = (error: unknown): void => onError(`post_failed: ${String(error)}`);

  function sayFarewell(isEnd: boolean): void {
    const hello = encodeHello();
    const isWithout = !hasToken();
    // Hidden before it is welcomed, the page may still be.
    if (!isEnd && (isWithout || outbox.isSent)) return;
    const run = outbox.forPost(POST_BYTES_MAX - farewellBytes - hello.length - 4, clientMs(), true);
    if (!run.length) return;
    isLoose ||= isWithout;
    const frames = [hello, ...run];
    const bytes = sumOf(frames, ({ length }) => 4 + length);
    farewellBytes += bytes;
    send(frames, true)
      .then(answered)
      .catch(postFailed)
      .finally(() => (farewellBytes -= bytes));
  }

  /** On an open socket its own acks count: its frames must follow each other without a gap. */
  function answered(answer: Frame[]): void {
    if (isStopped()) return;
    for (const frame of answer) {
      if (frame.type === FrameType.welcome) {
        isLoose = false;
        options.onWelcome(decodeJsonPayload(frame) as Welcome);
      }
      if (frame.type === FrameType.ack && !socket) outbox.ack(frame.frame);
    }
    settle();
  }

  const hasToken = (): boolean => options.hello().token !== undefined;
  function encodeHello(): Uint8Array<ArrayBuffer> {
    return encodeJsonFrame(FrameType.hello, {
      version: PROTOCOL_VERSION,
      nowMs: Date.now(),
      ackedFrame: outbox.ackedFrame,
      ...options.hello(),
    } satisfies Hello);
  }

  function encoded(batch: Batch): void {
    enqueue(batch);
    const lost = outbox.trim(BUFFER_BYTES_MAX);
    if (lost) {
      lose(lost.events, lost.bytes, 'buffer_full');
      options.onSnapshotWanted();
    }
    pump();
  }

  /** A page too large for the collector cannot be recorded: its events are then a gap. */
  function enqueue(batch: Batch): void {
    const { events, payload } = batch;
    if (payload.length <= BATCH_BYTES_MAX) return outbox.enqueue(batch);
    outbox.skip(events);
    lose(events, payload.length, 'batch_too_large');
  }

  function lose(events: number, bytes: number, reason: CustomPayloads['gap']['reason']): void {
    eventsDropped += events;
    gap = { events: events + (gap?.events ?? 0), bytes: bytes + (gap?.bytes ?? 0), reason };
    onError(reason);
  }

  /** `isFirst`: of a connection, or in an answer. */
  function receive(frame: Frame, isFirst: boolean): void {
    switch (frame.type) {
      case FrameType.welcome:
        return welcomed(decodeJsonPayload(frame) as Welcome, isFirst);
      case FrameType.ack: {
        attempt = 0;
        outbox.ack(frame.frame);
        const lost = gap;
        gap = undefined;
        if (lost) options.onGap(lost);
        settle();
        return pump();
      }
      case FrameType.credit:
        outbox.setCredit(decodeJsonPayload(frame) as Credit);
        return pump();
      case FrameType.snap:
        return options.onSnapshotWanted();
      case FrameType.err:
        return refused(decodeJsonPayload(frame) as WireError);
    }
  }

  function welcomed(welcome: Welcome, isFirst: boolean): void {
    options.onWelcome(welcome);
    // A later one on the same connection tells token and settings, no more; and who heard it may have stopped us.
    if (!isFirst || isStopped() || state === 'offline') return;
    state = 'recording';
    welcomes++;
    if (!outbox.welcome(welcome.lastFrame)) return options.onVoid();
    settle();
    pump();
  }

  function refused({ code, retryAfterMs }: WireError): void {
    onError(code);
    if (code === 'bad_token') {
      options.onSessionLost();
      // What the old session acked would be missing in the new one.
      if (outbox.ackedFrame > 0) return options.onVoid();
    } else if (retryAfterMs === undefined && !HEALED_BY_RECONNECT.includes(code))
      return options.onRefused(code);
    disconnect();
    retry(retryAfterMs);
  }

  function retry(afterMs = 0): void {
    if (isStopped()) return;
    clearTimeout(retryTimer);
    retryTimer = setTimeout(connect, Math.max(afterMs, backoffMs(attempt++, Math.random())));
  }

  function closeSocket(): void {
    clearInterval(pingTimer);
    const closed = socket;
    socket = undefined;
    closed?.close(1000);
  }

  function disconnect(): void {
    clearTimeout(retryTimer);
    clearTimeout(probeTimer);
    closeSocket();
    outbox.disconnected();
    if (!isStopped()) state = 'offline';
  }

  function pump(): void {
    if (!isOn()) return;
    if (isPost) return void post();
    for (let bytes; (bytes = outbox.next(clientMs()));) write(bytes);
  }

  function write(bytes: Uint8Array<ArrayBuffer>): void {
    if (!isOn() || socket?.readyState !== WebSocket.OPEN) return;
    socket.send(bytes);
    bytesSent += bytes.length;
  }

  function send(frames: Uint8Array[], keepalive = false): Promise<Frame[]> {
    bytesSent += sumOf(frames, ({ length }) => length);
    return postFrames(options.url, frames, keepalive);
  }

  function settle(): void {
    if (!isDone()) return;
    for (const resolve of waiters.splice(0)) resolve();
  }

  return {
    get isPost() {
      return isPost;
    },
    /** What it knows of itself. */
    health: () => ({
      state,
      transport: isPost ? ('post' as const) : ('socket' as const),
      eventsAcked: outbox.eventsAcked,
      eventsDropped,
      framesUnacked: outbox.framesUnacked,
      bytesBuffered: encoder.bytes + outbox.bytes,
      bytesSent,
      reconnects: Math.max(0, welcomes - 1),
    }),
    send: encoder.add,
    connect,

    /** Resolves when all that was sent so far is acked, or nothing more will be. */
    async drained(): Promise<void> {
      if (!isDone()) await new Promise<void>((resolve) => waiters.push(resolve));
    },

    /**
     * The page is hidden or goes away: no time to compress, no time to wait. What an open socket takes goes there; the
     * rest, and at the end all that is unacked once more, by POST, for a socket may be cut with its page.
     */
    farewell(isEnd: boolean): void {
      if (isStopped()) return;
      if (isEnd || encoder.bytes <= POST_BYTES_MAX)
        for (const batch of encoder.take()) enqueue('json' in batch ? encodeRaw(batch) : batch);
      if (!isPost) pump();
      sayFarewell(isEnd);
      // A page with an open socket is not kept for the back button.
      if (isEnd) disconnect();
    },

    /** No more is sent. @returns what was never sent, in order */
    retire(): (ClosedBatch | Batch)[] {
      const carried = [...outbox.carry(), ...encoder.take()];
      write(encodeJsonFrame(FrameType.bye, outbox.last, { clientMs: clientMs() }));
      disconnect();
      state = 'stopped';
      settle();
      return carried;
    },
  };
}
