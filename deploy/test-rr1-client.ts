import { gzipSync } from 'node:zlib';
import { WebSocket } from 'ws';
import {
  decodeFrame,
  decodeJsonPayload,
  encodeFrame,
  encodeJsonFrame,
  FrameFlag,
  FrameType,
  RR1_PATH,
  UNACKED_FRAMES_MAX,
  type Frame,
  type Hello,
  type Welcome,
  type WireError,
} from '#protocol';

/** Coming back after the collector went. */
const RETRY_MS = 100;

/**
 * A recorder without a page: says HELLO, sends batches, keeps what is not acked and sends it again over the next
 * socket, and never again what was acked. So an event that was acked and lost stays lost, and a test can see it.
 */
export class Rr1Client {
  readonly rid: string;
  /** Of the first WELCOME. */
  session: string | undefined;
  /** Events handed to `send`. */
  events = 0;
  connects = 0;
  /** Answers that no faultless recorder should get, and acks that went back. */
  readonly complaints: string[] = [];
  readonly #url: string;
  readonly #key: string;
  readonly #unacked: { frame: number; bytes: Uint8Array }[] = [];
  #frames = 0;
  #acked = 0;
  /** Highest frame sent over this socket. */
  #sent = 0;
  #token: string | undefined;
  #ws: WebSocket | undefined;
  #welcomed = false;
  #credit = UNACKED_FRAMES_MAX;
  #closed = false;
  readonly #waiting = new Set<() => void>();

  constructor(options: { url: string; key: string; rid: string }) {
    this.rid = options.rid;
    this.#url = options.url.replace('http', 'ws') + RR1_PATH;
    this.#key = options.key;
    this.#connect();
  }

  /** One batch; `payload` stands for the events' JSON, gzipped, where it is to be broken. */
  send(events: readonly unknown[], payload: Uint8Array = gzipSync(JSON.stringify(events))): void {
    const frame = ++this.#frames;
    const header = { type: FrameType.batch, flags: FrameFlag.gzip, frame, firstSeq: this.events + 1 };
    this.#unacked.push({ frame, bytes: encodeFrame(header, payload) });
    this.events += events.length;
    this.#pump();
  }

  /** Resolves once everything sent so far is acked, over however many sockets. */
  async acked(): Promise<void> {
    for (const frame = this.#frames; this.#acked < frame;)
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  close(): void {
    this.#closed = true;
    this.#ws?.terminate();
  }

  #connect(): void {
    const ws = new WebSocket(this.#url);
    this.#ws = ws;
    this.#welcomed = false;
    this.#credit = UNACKED_FRAMES_MAX;
    ws.on('open', () => {
      this.connects++;
      ws.send(encodeJsonFrame(FrameType.hello, this.#hello()));
    });
    ws.on('message', (data) => this.#onFrame(decodeFrame(new Uint8Array(data as Buffer))));
    ws.on('error', () => {
      // `close` follows.
    });
    ws.on('close', () => {
      if (!this.#closed) setTimeout(() => this.#closed || this.#connect(), RETRY_MS);
    });
  }

  #hello(): Hello {
    return {
      version: 1,
      key: this.#key,
      rid: this.rid,
      nowMs: Date.now(),
      ...(this.#token !== undefined && { token: this.#token }),
      ackedFrame: this.#acked,
      url: 'https://shop.example/',
      recorder: 'test',
    };
  }

  #onFrame(frame: Frame): void {
    if (frame.type === FrameType.welcome) this.#onWelcome(decodeJsonPayload(frame) as Welcome);
    else if (frame.type === FrameType.ack) this.#onAck(frame.frame);
    else if (frame.type === FrameType.credit)
      this.#credit = (decodeJsonPayload(frame) as { frames: number }).frames;
    else if (frame.type === FrameType.err) {
      const { code, message } = decodeJsonPayload(frame) as WireError;
      if (code !== 'draining' && code !== 'stream_unavailable') this.complaints.push(`${code}: ${message}`);
    }
    this.#pump();
  }

  #onWelcome({ session, token, lastFrame }: Welcome): void {
    this.session ??= session;
    if (session !== this.session) this.complaints.push(`session ${this.session} became ${session}`);
    this.#token = token;
    if (!this.#welcomed) this.#sent = lastFrame;
    this.#welcomed = true;
    this.#onAck(lastFrame);
  }

  #onAck(frame: number): void {
    if (frame < this.#acked) this.complaints.push(`ack of ${frame} after ${this.#acked}`);
    this.#acked = Math.max(this.#acked, frame);
    while (this.#unacked[0] && this.#unacked[0].frame <= this.#acked) this.#unacked.shift();
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  #pump(): void {
    if (!this.#welcomed || this.#ws?.readyState !== WebSocket.OPEN) return;
    for (const { frame, bytes } of this.#unacked.slice(0, this.#credit)) {
      if (frame <= this.#sent) continue;
      this.#ws.send(bytes);
      this.#sent = frame;
    }
  }
}
