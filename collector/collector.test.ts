import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import {
  decodeFrames,
  decodeJsonPayload,
  encodeFrame,
  encodeFrames,
  encodeJsonFrame,
  FRAME_BYTES_MAX,
  FrameFlag,
  FrameType,
  PAYLOAD_BYTES_MAX,
  SESSION_MAX_MS,
  WIRE_ERRORS,
  type Credit,
  type WireErrorCode,
} from '#protocol';
import { decodeRecord, sessionFilter, type Stream, type StreamMessage } from './stream.ts';
import {
  batchFrame,
  FULL_SNAPSHOT,
  helloFrame,
  KEY,
  newRid,
  ORIGIN,
  OTHER_KEY,
  startCollector,
  TestRecorder,
  type Bench,
} from './test-recorder.ts';
import { decodeToken } from './tokens.ts';
import { sessionStartMs } from './x-uuidv7.ts';

const benches: Bench[] = [];
const start = async (options: Parameters<typeof startCollector>[0] = {}): Promise<Bench> => {
  const bench = await startCollector(options);
  benches.push(bench);
  return bench;
};
const admitted = async (bench: Bench, rid = newRid()) => {
  const recorder = await new TestRecorder(bench.url).open();
  return { recorder, rid, welcome: await recorder.hello({ rid }) };
};
const stored = async (stream: Stream, filter = 'rec.>'): Promise<StreamMessage[]> => {
  const messages: StreamMessage[] = [];
  for await (const message of stream.read(1, filter)) messages.push(message);
  return messages;
};
const credit = async (recorder: TestRecorder): Promise<Credit> =>
  decodeJsonPayload(await recorder.next(FrameType.credit)) as Credit;

/** The test's own time-out bounds it. */
const until = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 2));
};

afterEach(async () => {
  for (const bench of benches.splice(0).reverse()) await bench.stop();
});

describe('a session', () => {
  test('begins with WELCOME: an id that tells its start by our clock, a token, nothing stored', async () => {
    const bench = await start();
    const { welcome } = await admitted(bench);
    expect(sessionStartMs(welcome.session)).toBe(bench.clock.nowMs);
    expect(welcome).toMatchObject({
      lastFrame: 0,
      serverMs: bench.clock.nowMs,
      settings: { record: true },
    });
    expect(decodeToken('a secret of tests', welcome.token)).toEqual({
      v: 1,
      project: 'demo',
      session: welcome.session,
      retentionDays: 30,
      issuedMs: bench.clock.nowMs,
    });
    expect((await admitted(bench)).welcome.session).not.toBe(welcome.session);
  });

  test('batches are stored as they came, unopened, behind what only we know', async () => {
    const bench = await start();
    const recorder = await new TestRecorder(bench.url).open();
    const { session } = await recorder.hello({ rid: 'rid-12345', nowMs: bench.clock.nowMs - 5000.4 });
    const frames = [
      batchFrame(1, randomBytes(5000), FULL_SNAPSHOT | FrameFlag.gzip),
      batchFrame(2, 'not json'),
    ];
    recorder.send(...frames);
    await recorder.acked(2);
    const messages = await stored(bench.stream, sessionFilter('demo', session));
    expect(messages.map(({ subject }) => subject.slice(-2))).toEqual(['.f', '.i']);
    for (const [i, message] of messages.entries()) {
      const { envelope, frame } = decodeRecord(message.bytes);
      expect(envelope).toMatchObject({
        ...{ v: 1, rid: 'rid-12345', retentionDays: 30 },
        ...{ offsetMs: 5000, receivedMs: bench.clock.nowMs },
      });
      expect(Buffer.compare(frame, frames[i]!)).toBe(0);
    }
  });

  test('an ack comes only when the stream has made the batch durable', async () => {
    const bench = await start();
    const { recorder, rid } = await admitted(bench);
    bench.faults.holds = true;
    recorder.send(batchFrame(1));
    await bench.faults.untilHeld(1);
    expect(await recorder.ping()).toBe(0);
    bench.faults.release(`${rid}.1`);
    expect(await recorder.ack()).toBe(1);
    expect(await stored(bench.stream)).toHaveLength(1);
  });

  test('an ack is cumulative: it waits for the holes below it', async () => {
    const bench = await start();
    const { recorder, rid } = await admitted(bench);
    bench.faults.holds = true;
    recorder.send(batchFrame(1), batchFrame(2), batchFrame(3));
    await bench.faults.untilHeld(3);
    bench.faults.release(`${rid}.3`);
    bench.faults.release(`${rid}.2`);
    await until(async () => (await stored(bench.stream)).length === 2);
    expect(await recorder.ping()).toBe(0);
    bench.faults.release(`${rid}.1`);
    expect(await recorder.ack()).toBe(3);
  });

  test('goes on over a new socket, where a resend is acked and not stored again', async () => {
    const bench = await start();
    const first = await admitted(bench);
    first.recorder.send(batchFrame(1), batchFrame(2));
    await first.recorder.acked(2);
    first.recorder.ws.terminate();
    const again = await new TestRecorder(bench.url).open();
    const welcome = await again.hello({ rid: first.rid, token: first.welcome.token });
    expect(welcome).toMatchObject({ session: first.welcome.session, lastFrame: 2 });
    again.send(batchFrame(2));
    expect(await again.ack()).toBe(2);
    again.send(batchFrame(3));
    expect(await again.ack()).toBe(3);
    expect(await stored(bench.stream)).toHaveLength(3);
  });

  test('goes on at another collector, which learns from the stream what is stored', async () => {
    const bench = await start();
    const { recorder, rid, welcome } = await admitted(bench);
    recorder.send(batchFrame(1), batchFrame(2), batchFrame(3));
    await recorder.acked(3);
    const other = await start({ stream: bench.stream });
    const again = await new TestRecorder(other.url).open();
    expect(await again.hello({ rid, token: welcome.token })).toMatchObject({
      session: welcome.session,
      lastFrame: 3,
    });
    const nextLoad = await new TestRecorder(other.url).open();
    expect((await nextLoad.hello({ rid: newRid(), token: welcome.token })).lastFrame).toBe(0);
  });

  test('a hole that the last collector left is not taken for stored', async () => {
    const bench = await start();
    const { recorder, rid, welcome } = await admitted(bench);
    recorder.send(batchFrame(1));
    await recorder.acked(1);
    bench.faults.holds = true;
    recorder.send(batchFrame(2), batchFrame(3));
    await bench.faults.untilHeld(2);
    bench.faults.release(`${rid}.3`);
    await until(async () => (await stored(bench.stream)).length === 2);
    const other = await start({ stream: bench.stream });
    const again = await new TestRecorder(other.url).open();
    expect((await again.hello({ rid, token: welcome.token })).lastFrame).toBe(1);
    again.send(batchFrame(2), batchFrame(3));
    await again.acked(3);
    const frames = (await stored(bench.stream)).map(({ bytes }) => decodeRecord(bytes).frame[7]);
    expect(frames).toEqual([1, 3, 2]);
  });

  test('where the stream was trimmed, what the recorder says was acked counts', async () => {
    const bench = await start();
    const { recorder, rid, welcome } = await admitted(bench);
    recorder.send(batchFrame(1), batchFrame(2));
    await recorder.acked(2);
    await bench.stream.trim(100);
    const other = await start({ stream: bench.stream });
    const again = await new TestRecorder(other.url).open();
    expect((await again.hello({ rid, token: welcome.token, ackedFrame: 2 })).lastFrame).toBe(2);
    again.send(batchFrame(3));
    expect(await again.ack()).toBe(3);
  });

  test('keeps the retention class with which it began, and the next session has the new one', async () => {
    const bench = await start();
    const { welcome } = await admitted(bench);
    const changed = {
      ...{ v: 1 as const, secret: 'a secret of tests' },
      projects: [
        {
          ...{ id: 'demo', retentionDays: 45, apiKeys: [] },
          writeKeys: [{ key: KEY, origins: ['*'] }],
        },
      ],
    };
    const later = await start({ stream: bench.stream, projects: { current: () => changed } });
    const again = await new TestRecorder(later.url).open();
    await again.hello({ rid: newRid(), token: welcome.token });
    again.send(batchFrame(1));
    await again.acked(1);
    const [message] = await stored(bench.stream);
    expect(decodeRecord(message!.bytes).envelope.retentionDays).toBe(30);
    const { recorder: newcomer } = await admitted(later);
    newcomer.send(batchFrame(1));
    await newcomer.acked(1);
    const [, ofNewcomer] = await stored(bench.stream);
    expect(decodeRecord(ofNewcomer!.bytes).envelope.retentionDays).toBe(45);
  });

  test('gets a fresh token in good time, which is good when the first is not any more', async () => {
    const bench = await start();
    const { recorder, rid, welcome } = await admitted(bench);
    bench.clock.nowMs += 24 * 60_000;
    expect(await recorder.ping()).toBe(0);
    bench.clock.nowMs += 60_000;
    recorder.send(batchFrame(1));
    const renewed = await recorder.welcome();
    expect(renewed.session).toBe(welcome.session);
    expect(renewed.token).not.toBe(welcome.token);
    await recorder.acked(1);
    bench.clock.nowMs += 50 * 60_000;
    const again = await new TestRecorder(bench.url).open();
    expect((await again.hello({ rid, token: renewed.token })).lastFrame).toBe(1);
  });

  test('ends with BYE once all is acked', async () => {
    const bench = await start();
    const { recorder } = await admitted(bench);
    bench.faults.holds = true;
    recorder.send(batchFrame(1), encodeFrame({ type: FrameType.bye }));
    await bench.faults.untilHeld(1);
    bench.faults.releaseAll();
    expect(await recorder.ack()).toBe(1);
    expect(await recorder.closed).toEqual({ code: 1000, reason: 'bye' });
  });

  test('frames that come before WELCOME wait for it', async () => {
    const bench = await start();
    const { welcome, rid } = await admitted(bench);
    const other = await start({ stream: bench.stream });
    const eager = await new TestRecorder(other.url).open();
    eager.send(helloFrame({ rid, token: welcome.token }), batchFrame(1), batchFrame(2));
    expect((await eager.welcome()).lastFrame).toBe(0);
    await eager.acked(2);
  });
});

describe('who is turned away hears why', () => {
  const tested = new Set<WireErrorCode>();
  /** What the recorder hears, and that nobody else is harmed by it. */
  const expectRejection = async (
    bench: Bench,
    recorder: TestRecorder,
    code: WireErrorCode,
  ): Promise<string> => {
    tested.add(code);
    const error = await recorder.error();
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/[^.]$/);
    expect((await recorder.closed).code).toBe(WIRE_ERRORS[code].close);
    expect(await bench.metrics()).toContain(`mutoscope_collector_rejections_total{code="${code}"} 1`);
    if (code !== 'stream_unavailable' && code !== 'draining' && code !== 'credit_exceeded') {
      const { recorder: other } = await admitted(bench);
      other.send(batchFrame(1));
      await other.acked(1);
    }
    return error.message;
  };
  const rejected = async (code: WireErrorCode, ...frames: Uint8Array[]): Promise<string> => {
    const bench = await start();
    const recorder = await new TestRecorder(bench.url).open();
    return expectRejection(bench, recorder.send(...frames), code);
  };

  test.each([
    ['shorter than its header', [new Uint8Array(15)]],
    ['HELLO without JSON', [encodeFrame({ type: FrameType.hello }, new Uint8Array([0xff]))]],
    ['HELLO that is null', [encodeJsonFrame(FrameType.hello, null)]],
    ['HELLO with a bad rid', [helloFrame({ rid: 'a b' })]],
    ['HELLO with a long rid', [helloFrame({ rid: 'x'.repeat(33) })]],
    ['HELLO without a clock', [helloFrame({ nowMs: null as unknown as number })]],
    ['HELLO with a huge token', [helloFrame({ token: 'x'.repeat(5000) })]],
    ['unknown type', [helloFrame(), encodeFrame({ type: 0x77 as FrameType })]],
    ['second HELLO', [helloFrame(), helloFrame()]],
    ['frame 0', [helloFrame(), batchFrame(0)]],
  ])('bad_frame: %s', async (_what, frames) => {
    const bench = await start();
    const recorder = await new TestRecorder(bench.url).open();
    recorder.send(...frames);
    if (frames.length > 1) await recorder.welcome();
    await expectRejection(bench, recorder, 'bad_frame');
  });

  test('bad_frame: a text message', async () => {
    const bench = await start();
    const recorder = await new TestRecorder(bench.url).open();
    recorder.ws.send('hello');
    await expectRejection(bench, recorder, 'bad_frame');
  });

  test('unsupported_version', () => rejected('unsupported_version', helloFrame({ version: 2 })));
  test('unknown_key', () => rejected('unknown_key', helloFrame({ key: 'wk_nobody' })));
  test('hello_required: something else came first', () => rejected('hello_required', batchFrame(1)));
  test('bad_token: not ours', () => rejected('bad_token', helloFrame({ token: 'e30.AAAA' })));

  test('hello_required: nothing came in time', async () => {
    const bench = await start({ limits: { helloTimeoutMs: 30, tickMs: 10 } });
    await expectRejection(bench, await new TestRecorder(bench.url).open(), 'hello_required');
  });

  test.each(['https://evil.example', 'null', null])('origin_refused: %s', async (origin) => {
    const bench = await start();
    const recorder = await new TestRecorder(bench.url, { origin }).open();
    recorder.send(helloFrame());
    const message = await expectRejection(bench, recorder, 'origin_refused');
    expect(message).toContain(origin ?? 'none');
  });

  test('any origin, or none, passes where the key allows all', async () => {
    const bench = await start();
    for (const origin of ['https://evil.example', null]) {
      const recorder = await new TestRecorder(bench.url, { origin }).open();
      expect((await recorder.hello({ key: OTHER_KEY })).lastFrame).toBe(0);
    }
  });

  test('bad_token: of another project, changed, expired, or of a session that is too old', async () => {
    const bench = await start();
    const { recorder, welcome } = await admitted(bench);
    const refused = async (token: string, key = KEY): Promise<string> => {
      const intruder = await new TestRecorder(bench.url).open();
      intruder.send(helloFrame({ token, key }));
      const { code, message } = await intruder.error();
      expect(code).toBe('bad_token');
      expect((await intruder.closed).code).toBe(4419);
      return message;
    };
    expect(await refused(welcome.token, OTHER_KEY)).toContain('another project');
    const [claims, signature] = welcome.token.split('.');
    const forged = Buffer.from(
      Buffer.from(claims!, 'base64url').toString().replace('"retentionDays":30', '"retentionDays":90'),
    ).toString('base64url');
    expect(await refused(`${forged}.${signature}`)).toContain('not ours');
    bench.clock.nowMs += 60 * 60_000 + 1;
    expect(await refused(welcome.token)).toContain('older than 3600000 ms');
    let { token } = welcome;
    while (bench.clock.nowMs < sessionStartMs(welcome.session) + SESSION_MAX_MS - 30 * 60_000) {
      recorder.send(encodeFrame({ type: FrameType.ping }));
      ({ token } = await recorder.welcome());
      await recorder.ack();
      bench.clock.nowMs += 30 * 60_000;
    }
    bench.clock.nowMs = sessionStartMs(welcome.session) + SESSION_MAX_MS + 1;
    expect(await refused(token)).toContain(`older than ${SESSION_MAX_MS} ms`);
    recorder.send(batchFrame(1));
    expect((await recorder.error()).code).toBe('bad_token');
    expect((await recorder.closed).code).toBe(4419);
    expect(await stored(bench.stream)).toEqual([]);
  });

  test('frame_too_large: a message over the bound ends the socket at its header', async () => {
    const bench = await start();
    const { recorder } = await admitted(bench);
    recorder.send(new Uint8Array(FRAME_BYTES_MAX + 1));
    expect((await recorder.closed).code).toBe(1009);
    expect(await bench.metrics()).toContain('rejections_total{code="frame_too_large"} 1');
    expect(await stored(bench.stream)).toEqual([]);
  });

  test('frame_too_large: a batch over 8 MiB in all its frames', async () => {
    const bench = await start();
    const { recorder } = await admitted(bench);
    const payload = new Uint8Array(PAYLOAD_BYTES_MAX);
    for (let frame = 1; frame <= 32; frame++) {
      recorder.send(batchFrame(frame, payload, FrameFlag.more));
      await recorder.acked(frame);
    }
    recorder.send(batchFrame(33, new Uint8Array(1)));
    await expectRejection(bench, recorder, 'frame_too_large');
  });

  test('frame_gap', async () => {
    const bench = await start();
    const { recorder } = await admitted(bench);
    recorder.send(batchFrame(1));
    await recorder.acked(1);
    recorder.send(batchFrame(3));
    expect(await expectRejection(bench, recorder, 'frame_gap')).toBe('frame 3 came where 2 was next');
  });

  test('frame_gap: a new session begins with frame 1', () =>
    start().then(async (bench) => {
      const { recorder } = await admitted(bench);
      recorder.send(batchFrame(2));
      await expectRejection(bench, recorder, 'frame_gap');
    }));

  test('credit_exceeded: more frames, or more bytes, than may be unacked', async () => {
    for (const payloads of [Array<number>(10).fill(10), Array<number>(6).fill(PAYLOAD_BYTES_MAX)]) {
      const bench = await start();
      const { recorder } = await admitted(bench);
      bench.faults.holds = true;
      recorder.send(...payloads.map((size, i) => batchFrame(i + 1, new Uint8Array(size))));
      await expectRejection(bench, recorder, 'credit_exceeded');
    }
  });

  test('idle, while PING keeps a socket open', async () => {
    const bench = await start({ limits: { idleMs: 200, tickMs: 10 } });
    const { recorder: quiet } = await admitted(bench);
    const { recorder: alive } = await admitted(bench);
    let isOver = false;
    const pings = (async () => {
      while (!isOver) {
        await alive.ping();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    expect((await quiet.error()).code).toBe('idle');
    tested.add('idle');
    expect((await quiet.closed).code).toBe(WIRE_ERRORS.idle.close);
    isOver = true;
    await pings;
    expect(await alive.ping()).toBe(0);
  });

  test('stream_unavailable: a stream that takes nothing for too long', async () => {
    const bench = await start({ limits: { holdMs: 100, backOffMinMs: 5, backOffMaxMs: 10, tickMs: 10 } });
    const { recorder } = await admitted(bench);
    bench.faults.failWith = 'stream_unavailable';
    recorder.send(batchFrame(1));
    expect(await credit(recorder)).toEqual({ frames: 0, bytes: 0 });
    const error = await recorder.error();
    tested.add('stream_unavailable');
    expect(error).toMatchObject({ code: 'stream_unavailable' });
    expect(error.retryAfterMs).toBeGreaterThanOrEqual(2000);
    expect((await recorder.closed).code).toBe(1013);
    expect(bench.collector.problems()[0]).toContain('the stream has taken no batches');
  });

  test('draining: asked to go elsewhere', async () => {
    const bench = await start();
    const { recorder } = await admitted(bench);
    await bench.collector.drain();
    expect(await credit(recorder)).toEqual({ frames: 0, bytes: 0 });
    const error = await recorder.error();
    tested.add('draining');
    expect(error.code).toBe('draining');
    expect(error.retryAfterMs).toBeGreaterThanOrEqual(100);
    expect((await recorder.closed).code).toBe(1012);
  });

  test('every code of the table was seen', () => {
    expect([...tested].sort()).toEqual(Object.keys(WIRE_ERRORS).sort());
  });
});

describe('a stream that is full', () => {
  test('stops the reading with CREDIT 0 and loses nothing when it takes batches again', async () => {
    const bench = await start({ bytesMax: 400_000, limits: { backOffMinMs: 5, backOffMaxMs: 20 } });
    const { recorder } = await admitted(bench);
    const { recorder: bystander } = await admitted(bench);
    const payload = randomBytes(60_000);
    let sent = 0;
    for (; !recorder.frames.some(({ type }) => type === FrameType.credit); sent++) {
      recorder.send(batchFrame(sent + 1, payload));
      await until(() => recorder.frames.length > 0);
      if (recorder.frames[0]!.type === FrameType.ack) expect(await recorder.ack()).toBe(sent + 1);
    }
    expect(await credit(recorder)).toEqual({ frames: 0, bytes: 0 });
    expect(await credit(bystander)).toEqual({ frames: 0, bytes: 0 });
    // Not read any more, so not answered either.
    bystander.send(batchFrame(1));
    expect(bench.collector.problems()).toHaveLength(1);
    expect(await bench.metrics()).toContain('mutoscope_collector_stream_closed 1');
    const before = (await stored(bench.stream)).length;
    expect(before).toBe(sent - 1);
    await bench.stream.trim(before);
    const full: Credit = { frames: 8, bytes: 1024 * 1024 };
    const heard: number[] = [];
    for (let credits = 0, acks = 0; credits < 1 || acks < 1;) {
      await until(() => recorder.frames.length > 0);
      const frame = recorder.frames.shift()!;
      heard.push(frame.type);
      if (frame.type === FrameType.credit) {
        expect(decodeJsonPayload(frame)).toEqual(full);
        credits++;
      } else {
        expect(frame).toMatchObject({ type: FrameType.ack, frame: sent });
        acks++;
      }
    }
    expect(heard).toHaveLength(2);
    expect(await credit(bystander)).toEqual(full);
    expect(await bystander.ack()).toBe(1);
    expect(bench.collector.problems()).toEqual([]);
  });

  test('has one try for all, not one of each recorder', async () => {
    const bench = await start({ limits: { backOffMinMs: 20, backOffMaxMs: 20 } });
    const all = await Promise.all(Array.from({ length: 20 }, () => admitted(bench)));
    bench.faults.failWith = 'stream_full';
    for (const { recorder } of all) recorder.send(batchFrame(1));
    await Promise.all(all.map(({ recorder }) => credit(recorder)));
    await until(() => bench.faults.appends >= 25);
    bench.faults.failWith = undefined;
    await Promise.all(
      all.map(({ recorder }) => until(() => recorder.frames.some(({ type }) => type === FrameType.ack))),
    );
    // Each at most once before the gate closed, each once after it opened, and the tries between.
    expect(bench.faults.appends).toBeLessThan(20 + 20 + 10);
    expect(await stored(bench.stream)).toHaveLength(20);
  });
});

describe('drain', () => {
  test('refuses what is new, waits for what is under way, acks it, and closes', async () => {
    const bench = await start();
    const { recorder, rid } = await admitted(bench);
    bench.faults.holds = true;
    recorder.send(batchFrame(1));
    await bench.faults.untilHeld(1);
    let drained = false;
    const draining = bench.collector.drain().then(() => (drained = true));
    expect((await fetch(`${bench.url}/readyz`)).status).toBe(503);
    await expect(new TestRecorder(bench.url).open()).rejects.toThrow('503');
    const { status, frames } = await post(bench, [helloFrame(), batchFrame(1)]);
    expect(status).toBe(503);
    expect(decodeJsonPayload(frames[0]!)).toMatchObject({ code: 'draining' });
    expect(await credit(recorder)).toEqual({ frames: 0, bytes: 0 });
    expect((await recorder.error()).code).toBe('draining');
    expect(drained).toBe(false);
    bench.faults.release(`${rid}.1`);
    expect(await recorder.ack()).toBe(1);
    expect((await recorder.closed).code).toBe(1012);
    await draining;
    expect(await stored(bench.stream)).toHaveLength(1);
  });

  test('waits for a POST that is under way', async () => {
    const bench = await start();
    bench.faults.holds = true;
    const answer = post(bench, [helloFrame(), batchFrame(1)]);
    await bench.faults.untilHeld(1);
    let drained = false;
    const draining = bench.collector.drain().then(() => (drained = true));
    expect((await fetch(`${bench.url}/readyz`)).status).toBe(503);
    expect(drained).toBe(false);
    bench.faults.releaseAll();
    expect((await answer).status).toBe(200);
    await draining;
  });

  test('ends in time when the stream takes nothing', async () => {
    const bench = await start({ limits: { drainMs: 50, backOffMinMs: 5 } });
    const { recorder } = await admitted(bench);
    bench.faults.failWith = 'stream_unavailable';
    recorder.send(batchFrame(1));
    await credit(recorder);
    await bench.collector.drain();
    expect((await recorder.closed).code).toBe(1013);
  });

  test('stop is idempotent and ends run', async () => {
    const bench = await start();
    const { recorder } = await admitted(bench);
    const run = bench.collector.run();
    await bench.collector.stop();
    await bench.collector.stop();
    await run;
    expect((await recorder.closed).code).toBe(1012);
  });
});

async function post(
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

describe('POST', () => {
  test('HELLO and batches travel together and are acked when durable', async () => {
    const bench = await start();
    const rid = newRid();
    for (const type of ['text/plain', 'application/octet-stream', 'application/json', null]) {
      const { status, frames, headers } = await post(
        bench,
        [helloFrame({ rid }), batchFrame(1), batchFrame(2)],
        {
          type,
        },
      );
      expect(status).toBe(200);
      expect(frames.map((frame) => frame.type)).toEqual([FrameType.welcome, FrameType.ack]);
      expect(frames[1]!.frame).toBe(2);
      expect(headers.get('access-control-allow-origin')).toBe(ORIGIN);
    }
    expect(await stored(bench.stream)).toHaveLength(2);
  });

  test('goes on with the session of a socket; a hole below its first frame is not acked over', async () => {
    const bench = await start();
    const { recorder, rid, welcome } = await admitted(bench);
    bench.faults.holds = true;
    recorder.send(batchFrame(1));
    await bench.faults.untilHeld(1);
    bench.faults.holds = false;
    const { frames } = await post(bench, [helloFrame({ rid, token: welcome.token }), batchFrame(2)]);
    expect(frames[1]).toMatchObject({ type: FrameType.ack, frame: 0 });
    expect(await stored(bench.stream, sessionFilter('demo', welcome.session))).toHaveLength(1);
    bench.faults.releaseAll();
    expect(await recorder.ack()).toBe(1);
  });

  test.each<[WireErrorCode, Uint8Array[]]>([
    ['hello_required', []],
    ['hello_required', [batchFrame(1)]],
    ['unknown_key', [helloFrame({ key: 'wk_nobody' })]],
    ['bad_token', [helloFrame({ token: 'x.y' })]],
    ['frame_gap', [helloFrame(), batchFrame(1), batchFrame(3)]],
    ['bad_frame', [helloFrame(), helloFrame()]],
    ['frame_too_large', [helloFrame(), batchFrame(1, new Uint8Array(PAYLOAD_BYTES_MAX + 1))]],
    ['frame_too_large', Array<Uint8Array>(5).fill(batchFrame(1, new Uint8Array(PAYLOAD_BYTES_MAX)))],
  ])('%s is answered with its status and ERR', async (code, frames) => {
    const bench = await start();
    const answer = await post(bench, frames);
    expect(answer.status).toBe(WIRE_ERRORS[code].status);
    expect(decodeJsonPayload(answer.frames.at(-1)!)).toMatchObject({ code });
    expect(await stored(bench.stream)).toEqual([]);
  });

  test('a body that ends inside a frame is a bad frame', async () => {
    const bench = await start();
    const response = await fetch(`${bench.url}/v1/rr1`, { method: 'POST', body: new Uint8Array(7) });
    expect(response.status).toBe(400);
  });

  test('a stream that takes nothing is told, and nothing is acked', async () => {
    const bench = await start({ limits: { postHoldMs: 30, backOffMinMs: 5, backOffMaxMs: 10 } });
    bench.faults.failWith = 'stream_full';
    const { status, frames } = await post(bench, [helloFrame(), batchFrame(1)]);
    expect(status).toBe(503);
    expect(frames.map(({ type }) => type)).toEqual([FrameType.welcome, FrameType.err]);
    expect(decodeJsonPayload(frames[1]!)).toMatchObject({ code: 'stream_unavailable' });
  });

  test('a foreign page may neither ask nor post', async () => {
    const bench = await start();
    const preflight = (origin: string) =>
      fetch(`${bench.url}/v1/rr1`, { method: 'OPTIONS', headers: { origin } });
    const ours = await preflight(ORIGIN);
    expect(ours.status).toBe(204);
    expect(ours.headers.get('access-control-allow-origin')).toBe(ORIGIN);
    expect(ours.headers.get('access-control-allow-methods')).toBe('POST');
    expect((await post(bench, [helloFrame()], { origin: 'https://evil.example' })).status).toBe(403);
  });
});

describe('the server', () => {
  const upgrade = async (url: string, path: string): Promise<Socket> => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.write(
      [
        ...[`GET ${path} HTTP/1.1`, `host: ${hostname}`, 'connection: upgrade', 'upgrade: websocket'],
        ...['sec-websocket-version: 13', `sec-websocket-key: ${randomBytes(16).toString('base64')}`],
        ...[`origin: ${ORIGIN}`, '', ''],
      ].join('\r\n'),
    );
    await new Promise((resolve) => socket.once('data', resolve));
    return socket;
  };
  const ended = (socket: Socket): Promise<void> =>
    new Promise((resolve) =>
      socket
        .resume()
        .once('close', () => resolve())
        .on('error', () => undefined),
    );

  test('refuses upgrades elsewhere, and sockets over its bound', async () => {
    const bench = await start({ limits: { connectionsMax: 1 } });
    await expect(new TestRecorder(bench.url, { path: '/v1/other' }).open()).rejects.toThrow('404');
    const { recorder } = await admitted(bench);
    await expect(new TestRecorder(bench.url).open()).rejects.toThrow('503');
    recorder.ws.close();
    await recorder.closed;
    await until(async () => (await bench.metrics()).includes('mutoscope_collector_connections 0'));
    await admitted(bench);
  });

  test('closes sockets that break the protocol, and only those', async () => {
    const bench = await start({ limits: { helloTimeoutMs: 50, tickMs: 10 } });
    const { recorder } = await admitted(bench);
    const hello = helloFrame();
    const unmasked = await upgrade(bench.url, '/v1/rr1');
    unmasked.write(Buffer.concat([Buffer.from([0x82, 126, hello.length >> 8, hello.length & 255]), hello]));
    await ended(unmasked);
    const trickled = await upgrade(bench.url, '/v1/rr1');
    // A masked message of which a byte comes now and then.
    trickled.write(Buffer.from([0x82, 0x80 | 126, 1, 0, 0, 0, 0, 0]));
    const drip = setInterval(() => trickled.write('x'), 5);
    await ended(trickled);
    clearInterval(drip);
    const noise = await upgrade(bench.url, '/v1/rr1');
    noise.write(createHash('sha512').update('noise').digest());
    await ended(noise);
    recorder.send(batchFrame(1));
    await recorder.acked(1);
    expect(await stored(bench.stream)).toHaveLength(1);
  });

  test('holds no more than its bound of what is not durable yet', async () => {
    const bench = await start({ limits: { inFlightBytesMax: 1000 } });
    const { recorder } = await admitted(bench);
    recorder.send(batchFrame(1, new Uint8Array(2000)));
    expect((await recorder.error()).code).toBe('stream_unavailable');
    expect((await recorder.closed).code).toBe(1013);
  });

  test('serves the recorder to any site, names with a hash or a version for ever, the loader for a minute', async () => {
    const assetsDir = await mkdtemp(join(tmpdir(), 'assets-'));
    await writeFile(join(assetsDir, 'loader.js'), 'load()');
    await writeFile(join(assetsDir, 'core-Bx3kQ9_a.js'), 'core()');
    await mkdir(join(assetsDir, '0.1.0-1a2b3c4d5e'));
    await writeFile(join(assetsDir, '0.1.0-1a2b3c4d5e', 'loader.js'), 'load()');
    const bench = await start({ assetsDir });
    const loader = await fetch(`${bench.url}/r/loader.js`);
    expect(await loader.text()).toBe('load()');
    expect(loader.headers.get('cache-control')).toBe('public, max-age=60, must-revalidate');
    // Of itself fetch would ask for a copy past every cache.
    const headers = { 'if-none-match': loader.headers.get('etag')!, 'cache-control': 'max-age=0' };
    expect((await fetch(`${bench.url}/r/loader.js`, { headers })).status).toBe(304);
    expect(loader.headers.get('access-control-allow-origin')).toBe('*');
    expect(loader.headers.get('cross-origin-resource-policy')).toBe('cross-origin');
    const core = await fetch(`${bench.url}/r/core-Bx3kQ9_a.js`);
    expect(core.headers.get('cache-control')).toContain('immutable');
    const pinned = await fetch(`${bench.url}/r/0.1.0-1a2b3c4d5e/loader.js`);
    expect(pinned.headers.get('cache-control')).toContain('immutable');
    expect((await fetch(`${bench.url}/r/../collector.ts`)).status).toBe(404);
    await rm(assetsDir, { recursive: true });
  });

  test('a missing directory of the recorder is said at once', async () => {
    const { stream } = await start();
    await expect(startCollector({ stream, assetsDir: '/nowhere/at/all' })).rejects.toThrow('/nowhere/at/all');
  });

  test('never logs a key or a token, and counts what it did', async () => {
    const bench = await start();
    const { recorder, welcome } = await admitted(bench);
    recorder.send(batchFrame(1));
    await recorder.acked(1);
    for (const hello of [{ key: 'wk_secret_of_somebody' }, { token: `${welcome.token}x` }]) {
      const refused = await new TestRecorder(bench.url).open();
      refused.send(helloFrame(hello));
      await refused.closed;
    }
    const text = JSON.stringify(bench.logged);
    expect(text).toContain('a recorder was turned away');
    expect(text).not.toContain('wk_');
    expect(text).not.toContain(welcome.token.slice(0, 40));
    const metrics = await bench.metrics();
    expect(metrics).toContain('mutoscope_collector_frames_total 1');
    expect(metrics).toContain('mutoscope_collector_bytes_total 19');
    expect(metrics).toContain('mutoscope_collector_append_seconds_count 1');
    expect(metrics).toContain('mutoscope_collector_sessions_total 1');
  });
});
