import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { WebSocketServer, type WebSocket } from 'ws';
import {
  decodeFrame,
  decodeFrames,
  decodeJsonPayload,
  encodeFrame,
  encodeFrames,
  encodeJsonFrame,
  FrameFlag,
  FrameType,
  PAYLOAD_BYTES_MAX,
  RR1_PATH,
  type Credit,
  type Frame,
  type Hello,
  type RecorderSettings,
  type WireError,
} from './protocol.ts';

export interface StoredEvent {
  type: number;
  // Tests look into events of every kind.
  data: Record<string, unknown> & { tag?: string; payload?: Record<string, unknown>; source?: number };
  timestamp: number;
  seq: number;
}
const TYPES: Record<string, string> = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
};
interface Instance {
  session: string;
  hello: Hello;
  /** By number, from 1; index 0 is empty. */
  frames: Frame[];
}

/**
 * As much of a collector as the recorder's tests need: it speaks `rr1`, keeps frames in memory, checks what the
 * protocol promises (numbers without gaps, one content for a number), and can be told to misbehave.
 */
export class TestCollector {
  readonly instances = new Map<string, Instance>();
  readonly hellos: Hello[] = [];
  readonly violations: string[] = [];
  posts = 0;
  /** false: frames are kept, but not acked. */
  acks = true;
  /** false: frames are neither kept nor acked. */
  keeps = true;
  settings: RecorderSettings = { record: true };
  /** false: HELLO gets no answer, but where batches came with it. */
  welcomes = true;
  /** Whether the connection is cut instead of answering a POST that was taken in. */
  postLoss: () => boolean = () => false;
  /** Further frames of each answer to a POST. */
  postFrames: Uint8Array[] = [];
  /** Answers a POST as something that stands before a collector would. */
  intercept: (response: ServerResponse) => boolean = () => false;
  /** Answers a HELLO with an error instead of WELCOME. */
  refuse: (hello: Hello) => WireError | undefined = () => undefined;
  /** HTML by path. */
  readonly pages = new Map<string, string>();
  private readonly assetsDir: string;
  private readonly server: Server;
  private readonly sockets = new Set<WebSocket>();
  private sessions = 0;

  constructor(assetsDir: string) {
    this.assetsDir = assetsDir;
    this.server = createServer((request, response) => void this.serve(request, response));
    const wss = new WebSocketServer({ server: this.server, path: RR1_PATH });
    wss.on('connection', (socket) => this.accept(socket));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return this.url;
  }
  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }
  async close(): Promise<void> {
    this.cut();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Breaks every connection without a word. */
  cut(): void {
    for (const socket of this.sockets) socket.terminate();
  }
  get socketCount(): number {
    return this.sockets.size;
  }
  broadcast(bytes: Uint8Array): void {
    for (const socket of this.sockets) socket.send(bytes);
  }
  credit(credit: Credit): void {
    this.broadcast(encodeJsonFrame(FrameType.credit, credit));
  }

  /** Raw JSON of every batch, inflated, of one instance or of all. */
  payloads(
    instances: Iterable<Instance> = this.instances.values(),
  ): { json: string; firstSeq: number; flags: number }[] {
    const payloads = [];
    for (const { frames } of instances) {
      let parts: Uint8Array[] = [];
      for (const frame of frames.slice(1)) {
        parts.push(frame.payload);
        if (frame.flags & FrameFlag.more) continue;
        const bytes = Buffer.concat(parts);
        parts = [];
        const json = (frame.flags & FrameFlag.gzip ? gunzipSync(bytes) : bytes).toString();
        payloads.push({ json, firstSeq: frame.firstSeq, flags: frame.flags });
      }
    }
    return payloads;
  }
  events(instances?: Iterable<Instance>): StoredEvent[] {
    return this.payloads(instances).flatMap(({ json, firstSeq }) =>
      (JSON.parse(json) as Omit<StoredEvent, 'seq'>[]).map((event, index) => ({
        ...event,
        seq: firstSeq + index,
      })),
    );
  }
  custom(tag: string): Record<string, unknown>[] {
    return this.events()
      .filter((event) => event.type === 5 && event.data.tag === tag)
      .map((event) => event.data.payload!);
  }

  private accept(socket: WebSocket): void {
    this.sockets.add(socket);
    let instance: Instance | undefined;
    let expected = 0;
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('message', (data: Buffer) => {
      const frame = decodeFrame(new Uint8Array(data));
      if (frame.type === FrameType.hello) {
        if (!this.welcomes) return;
        const answer = this.welcome(decodeJsonPayload(frame) as Hello);
        socket.send(answer.bytes);
        instance = answer.instance;
        if (!instance) return socket.close(4400);
        expected = 0;
      } else if (frame.type === FrameType.batch && instance) {
        if (expected && frame.frame !== expected)
          this.violations.push(`frame ${frame.frame} after ${expected - 1}`);
        expected = frame.frame + 1;
        if (!this.keeps) return;
        this.store(instance, frame);
        if (this.acks) socket.send(encodeFrame({ type: FrameType.ack, frame: instance.frames.length - 1 }));
      }
    });
  }

  private welcome(hello: Hello): { bytes: Uint8Array; instance?: Instance } {
    this.hellos.push(hello);
    const error = this.refuse(hello);
    if (error) return { bytes: encodeJsonFrame(FrameType.err, error) };
    const session = hello.token?.split(':')[1] ?? `session-${++this.sessions}`;
    let instance = this.instances.get(hello.rid);
    if (!instance)
      this.instances.set(hello.rid, (instance = { session, hello, frames: [undefined as never] }));
    instance.session = session;
    const bytes = encodeJsonFrame(FrameType.welcome, {
      session,
      token: `token:${session}`,
      lastFrame: instance.frames.length - 1,
      serverMs: Date.now(),
      settings: this.settings,
    });
    return { bytes, instance };
  }

  private store({ frames }: Instance, frame: Frame): void {
    const known = frames[frame.frame];
    if (frame.payload.length > PAYLOAD_BYTES_MAX) this.violations.push(`frame ${frame.frame} is too large`);
    if (known && !Buffer.from(known.payload).equals(frame.payload))
      this.violations.push(`frame ${frame.frame} came again with another payload`);
    if (frame.frame > frames.length) this.violations.push(`frame ${frame.frame} after ${frames.length - 1}`);
    else frames[frame.frame] = { ...frame, payload: frame.payload.slice() };
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url!, this.url);
    if (request.method === 'POST' && pathname === RR1_PATH) {
      const chunks: Buffer[] = [];
      try {
        for await (const chunk of request) chunks.push(chunk as Buffer);
      } catch {
        // The page went in the midst of it: what did not arrive is not stored.
        return;
      }
      const [hello, ...batches] = decodeFrames(new Uint8Array(Buffer.concat(chunks)));
      this.posts++;
      if (this.intercept(response) || (!this.welcomes && !batches.length)) return;
      const { bytes, instance } = this.welcome(decodeJsonPayload(hello!) as Hello);
      if (!this.settings.record || !instance) return void response.end(encodeFrames([bytes]));
      if (this.keeps) for (const frame of batches) this.store(instance, frame);
      if (this.postLoss()) return void response.destroy();
      const ack = encodeFrame({ type: FrameType.ack, frame: instance.frames.length - 1 });
      return void response.end(encodeFrames([bytes, ack, ...this.postFrames]));
    }
    const page = this.pages.get(pathname);
    if (page !== undefined) return void response.setHeader('content-type', 'text/html').end(page);
    try {
      const file = await readFile(join(this.assetsDir, pathname.replace(/^\/r\//, '')));
      response.setHeader('access-control-allow-origin', '*');
      response.setHeader('content-type', TYPES[extname(pathname)] ?? 'text/javascript').end(file);
    } catch {
      response.writeHead(404).end();
    }
  }
}
