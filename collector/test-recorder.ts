import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { WebSocket } from 'ws';
import {
  decodeFrame,
  decodeFrames,
  decodeJsonPayload,
  encodeFrame,
  encodeFrames,
  encodeJsonFrame,
  FrameFlag,
  FrameType,
  RR1_PATH,
  type Credit,
  type Frame,
  type Hello,
  type Welcome,
  type WireError,
} from '#protocol';
import { createCollector, type CollectorParts } from './collector.ts';
import { openLogStream } from './log-stream.ts';
import type { ProjectsDocument } from './projects.ts';
import { createHttp, createLog, createMetrics, listen, readConfig, type Service } from './service.ts';
import { StreamError, type Stream, type StreamErrorCode, type StreamMessage } from './stream.ts';

export const KEY = 'wk_demo';
export const OTHER_KEY = 'wk_other';
export const ORIGIN = 'https://shop.example';
export const PROJECTS: ProjectsDocument = {
  v: 1,
  secret: 'a secret of tests',
  projects: [
    {
      id: 'demo',
      retentionDays: 30,
      writeKeys: [{ key: KEY, origins: [ORIGIN] }],
      apiKeys: [],
    },
    { id: 'other', retentionDays: 90, writeKeys: [{ key: OTHER_KEY, origins: ['*'] }], apiKeys: [] },
  ],
};

/** A stream whose appends can be held back and made to fail: it stands for disks and servers that do. */
export class FaultyStream {
  readonly stream: Stream;
  /** While set every append fails with it. */
  failWith: StreamErrorCode | undefined;
  holds = false;
  /** What waits to be let through, by message id. */
  readonly held = new Map<string, () => void>();
  appends = 0;
  #onHeld: (() => void) | undefined;

  constructor(stream: Stream) {
    this.stream = {
      append: async (subject, bytes, id) => {
        this.appends++;
        if (this.failWith) throw new StreamError(this.failWith, 'made to fail');
        if (this.holds)
          await new Promise<void>((resolve) => {
            this.held.set(id, resolve);
            this.#onHeld?.();
          });
        return stream.append(subject, bytes, id);
      },
      read: (fromSeq, filter, options) => stream.read(fromSeq, filter, options),
      last: (filter) => stream.last(filter),
      trim: (beforeSeq) => stream.trim(beforeSeq),
      erase: (filter) => stream.erase(filter),
      state: () => stream.state(),
      close: () => stream.close(),
    };
  }

  async untilHeld(count: number): Promise<void> {
    while (this.held.size < count) await new Promise<void>((resolve) => (this.#onHeld = resolve));
  }
  release(id: string): void {
    this.held.get(id)!();
    this.held.delete(id);
  }
  releaseAll(): void {
    this.holds = false;
    for (const id of [...this.held.keys()]) this.release(id);
  }
}

export interface Bench {
  collector: Service;
  /** `http://127.0.0.1:…` */
  url: string;
  stream: Stream;
  faults: FaultyStream;
  clock: { nowMs: number };
  logged: unknown[];
  metrics(): Promise<string>;
  stop(): Promise<void>;
}

/** A collector on a real log in a directory of its own, or on a stream that is there. */
export async function startCollector(
  options: Partial<CollectorParts> & { bytesMax?: number } = {},
): Promise<Bench> {
  const dir = options.stream ? undefined : await mkdtemp(join(tmpdir(), 'collector-'));
  const stream = options.stream ?? (await openLogStream(dir!, { bytesMax: options.bytesMax ?? 2 ** 26 }));
  const faults = new FaultyStream(stream);
  const clock = { nowMs: Date.UTC(2026, 0, 15, 12) };
  const logged: unknown[] = [];
  const write = (...args: unknown[]): void => void logged.push(args);
  const log = Object.assign(createLog('silent'), { debug: write, info: write, warn: write, error: write });
  const metrics = createMetrics({ process: false });
  const http = createHttp(createLog('silent'), metrics, () => collector.problems());
  const context = { config: readConfig({}), log, metrics, http, now: () => clock.nowMs };
  const collector: Service = createCollector(context, {
    projects: { current: () => PROJECTS },
    ...options,
    stream: faults.stream,
  });
  const url = await listen(http, '127.0.0.1:0');
  return {
    ...{ collector, url, stream, faults, clock, logged },
    metrics: () => metrics.text(),
    async stop() {
      faults.releaseAll();
      await collector.stop();
      await http.close();
      if (!dir) return;
      await stream.close();
      await rm(dir, { recursive: true });
    },
  };
}

let rids = 0;
export const newRid = (): string => `rid-${String(++rids).padStart(6, '0')}`;

export const helloFrame = (hello: Partial<Hello> = {}): Uint8Array<ArrayBuffer> =>
  encodeJsonFrame(FrameType.hello, {
    ...{ version: 1, key: KEY, rid: 'rid-default', nowMs: Date.UTC(2026, 0, 15, 12) },
    ...{ url: `${ORIGIN}/`, recorder: 'test' },
    ...hello,
  } satisfies Hello);

export const batchFrame = (
  frame: number,
  payload: Uint8Array | string = `[${frame}]`,
  flags = 0,
): Uint8Array<ArrayBuffer> =>
  encodeFrame(
    { type: FrameType.batch, frame, firstSeq: frame, flags },
    typeof payload === 'string' ? new TextEncoder().encode(payload) : payload,
  );
export const FULL_SNAPSHOT = FrameFlag.fullSnapshot;

/** The far end of a socket, frame by frame. */
export class TestRecorder {
  readonly ws: WebSocket;
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly frames: Frame[] = [];
  #waiting: (() => void) | undefined;

  constructor(url: string, { origin = ORIGIN as string | null, path = RR1_PATH } = {}) {
    this.ws = new WebSocket(url.replace('http', 'ws') + path, origin === null ? {} : { origin });
    this.ws.on('message', (data) => {
      this.frames.push(decodeFrame(new Uint8Array(data as Buffer)));
      this.#waiting?.();
    });
    this.closed = new Promise((resolve) =>
      this.ws.on('close', (code, reason) => {
        resolve({ code, reason: reason.toString() });
        this.#waiting?.();
      }),
    );
    this.ws.on('error', () => undefined);
  }

  async open(): Promise<this> {
    await new Promise<void>((resolve, reject) => this.ws.once('open', resolve).once('error', reject));
    return this;
  }

  send(...frames: Uint8Array[]): this {
    for (const frame of frames) this.ws.send(frame);
    return this;
  }

  /** Says HELLO and waits for WELCOME. */
  async hello(hello: Partial<Hello> = {}): Promise<Welcome> {
    this.send(helloFrame(hello));
    return this.welcome();
  }
  async welcome(): Promise<Welcome> {
    return decodeJsonPayload(await this.next(FrameType.welcome)) as Welcome;
  }
  async error(): Promise<WireError> {
    return decodeJsonPayload(await this.next(FrameType.err)) as WireError;
  }
  /** The number of the ACK that comes next. */
  async ack(): Promise<number> {
    return (await this.next(FrameType.ack)).frame;
  }
  /** Waits until everything up to the frame is acked. */
  async acked(frame: number): Promise<void> {
    while ((await this.ack()) < frame);
  }
  /** What is acked now: all that was sent before has been taken in when the answer comes. */
  async ping(): Promise<number> {
    this.send(encodeFrame({ type: FrameType.ping }));
    return this.ack();
  }

  /** The next frame, of that type; one of another type is an error. */
  async next(type: FrameType): Promise<Frame> {
    while (!this.frames.length) {
      if (this.ws.readyState >= WebSocket.CLOSING) throw new Error('the socket closed');
      await new Promise<void>((resolve) => (this.#waiting = resolve));
    }
    const frame = this.frames.shift()!;
    if (frame.type !== type)
      throw new Error(`frame of type ${frame.type}: ${new TextDecoder().decode(frame.payload)}`);
    return frame;
  }
}

const benches: Bench[] = [];
/** A collector until the test ends. */
export const start = async (options: Parameters<typeof startCollector>[0] = {}): Promise<Bench> => {
  const bench = await startCollector(options);
  benches.push(bench);
  return bench;
};
/** A recorder that was welcomed. */
export const admitted = async (bench: Bench, rid = newRid()) => {
  const recorder = await new TestRecorder(bench.url).open();
  return { recorder, rid, welcome: await recorder.hello({ rid }) };
};
export const stored = async (stream: Stream, filter = 'rec.>'): Promise<StreamMessage[]> => {
  const messages: StreamMessage[] = [];
  for await (const message of stream.read(1, filter)) messages.push(message);
  return messages;
};
export const credit = async (recorder: TestRecorder): Promise<Credit> =>
  decodeJsonPayload(await recorder.next(FrameType.credit)) as Credit;

/** The test's own time-out bounds it. */
export const until = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 2));
};

afterEach(async () => {
  for (const bench of benches.splice(0).reverse()) await bench.stop();
});

export async function post(
  bench: Bench,
  frames: Uint8Array[],
  { origin = ORIGIN, type = 'text/plain' as string | null } = {},
) {
  const response = await fetch(`${bench.url}/v1/rr1`, {
    method: 'POST',
    headers: { ...(type !== null && { 'content-type': type }), origin },
    body: encodeFrames(frames),
  });
  const body = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, frames: decodeFrames(body) };
}
