import { createServer, request as send, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * What can go wrong with one request. `…After`: the store has carried it out by then.
 * - `error`, `slowDown`, `conflict`: 500, 503, 409
 * - `reset`: the connection breaks before a byte of the answer
 * - `hang`: no answer, ever
 * - `cut`: the connection breaks in the midst of the answer's body
 * - `cutClean`: the same, made to look like a whole answer, as by a proxy that lost its upstream
 * - `trickle`: the body comes byte by byte, without an end
 * - `lie`: 200, whatever the store said
 */
export type Fault =
  | 'error'
  | 'errorAfter'
  | 'slowDown'
  | 'conflict'
  | 'reset'
  | 'resetAfter'
  | 'hang'
  | 'hangAfter'
  | 'cut'
  | 'cutClean'
  | 'trickle'
  | 'lie';

export interface FaultyS3 {
  endpoint: string;
  /**
   * Asked once for each request, which is told as `PUT /bucket/key?query`, with the body of a removal, for the keys stand
   * there; set by the test.
   */
  fault: (request: string) => Fault | undefined | Promise<Fault>;
  /** What the request must wait for on its way to the store, also when its sender has gone by then. */
  hold: (request: string) => Promise<void> | undefined;
  /** Keys that no listing tells of. */
  unlisted: Set<string>;
  /** Every request that came, in order. */
  readonly seen: string[];
  close(): Promise<void>;
}

const TRICKLE_MS = 50;
const REFUSALS: Partial<Record<Fault, [status: number, code: string]>> = {
  error: [500, 'InternalError'],
  errorAfter: [500, 'InternalError'],
  slowDown: [503, 'SlowDown'],
  conflict: [409, 'ConditionalRequestConflict'],
};

/** A proxy on loopback before a real S3 server. The Host header stays as it is, for it is signed. */
export async function openFaultyS3(upstream: string): Promise<FaultyS3> {
  const { hostname, port } = new URL(upstream);
  const seen: string[] = [];
  const faulty: FaultyS3 = {
    endpoint: '',
    fault: () => undefined,
    hold: () => undefined,
    unlisted: new Set(),
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  const server = createServer((request, answer) => {
    handle(request, answer).catch(() => request.socket.destroy());
  });
  server.keepAliveTimeout = 60_000;

  async function handle(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const body = await bodyOf(request);
    const isRemoval = /\?delete(=|&|$)/.test(request.url!);
    const name = `${request.method} ${decodeURIComponent(request.url!)}${isRemoval ? body.toString() : ''}`;
    seen.push(name);
    const fault = await faulty.fault(name);
    const refusal = fault && REFUSALS[fault];
    if (fault === 'reset') return void request.socket.destroy();
    if (fault === 'hang') return;
    if (refusal && fault !== 'errorAfter') return refuse(answer, refusal);
    await faulty.hold(name);
    const found = await forward(request, body);
    if (fault === 'resetAfter') return void request.socket.destroy();
    if (fault === 'hangAfter') return;
    if (refusal) return refuse(answer, refusal);
    if (fault === 'lie')
      return void answer.writeHead(200).end('<?xml version="1.0"?><Result><Key>any</Key></Result>');
    const { status, headers } = found;
    const isListing = request.url!.includes('list-type=2');
    const whole = isListing ? without(faulty.unlisted, found.body) : found.body;
    const half = whole.subarray(0, Math.floor(whole.length / 2));
    if (isListing) headers['content-length'] = String(whole.length);
    if (fault === 'cutClean') {
      delete headers['content-length'];
      return void answer.writeHead(status, headers).end(half);
    }
    answer.writeHead(status, headers);
    if (fault === 'cut') return void answer.write(half, () => request.socket.destroy());
    if (fault === 'trickle') {
      for (const byte of whole) {
        if (request.socket.destroyed) return;
        answer.write(Uint8Array.of(byte));
        await delay(TRICKLE_MS);
      }
      return;
    }
    answer.end(whole);
  }

  function forward(
    { method, url, headers }: IncomingMessage,
    body: Buffer,
  ): Promise<{ status: number; headers: Record<string, string>; body: Buffer }> {
    return new Promise((resolve, reject) => {
      const { expect: _, ...rest } = headers;
      const forwarded = send({ hostname, port, method, path: url, headers: rest, agent: false }, (found) => {
        bodyOf(found).then((content) => {
          const { connection: __, ...told } = found.headers;
          resolve({ status: found.statusCode!, headers: told as Record<string, string>, body: content });
        }, reject);
      });
      forwarded.once('error', reject).end(body);
    });
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  faulty.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return faulty;
}

/** The fault for the first so many requests that fit, and none for the others. */
export function first(count: number, fault: Fault, fits: (request: string) => boolean = () => true) {
  return (request: string): Fault | undefined => (fits(request) && count-- > 0 ? fault : undefined);
}

async function bodyOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function refuse(answer: ServerResponse, [status, code]: [number, string]): void {
  answer
    .writeHead(status, { 'content-type': 'application/xml' })
    .end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>made up by a test</Message></Error>`);
}

function without(keys: ReadonlySet<string>, listing: Buffer): Buffer {
  let removed = 0;
  const text = listing
    .toString()
    .replace(/<Contents>.*?<Key>(.*?)<\/Key>.*?<\/Contents>/gs, (all, key: string) => {
      if (!keys.has(key)) return all;
      removed++;
      return '';
    });
  return Buffer.from(
    text.replace(/<KeyCount>(\d+)</, (_, count: string) => `<KeyCount>${Number(count) - removed}<`),
  );
}
