import { describe, expect, test } from 'vitest';
import {
  encodeFrame,
  encodeJsonFrame,
  FRAME_BYTES_MAX,
  FrameFlag,
  FrameType,
  PAYLOAD_BYTES_MAX,
  SESSION_MAX_MS,
  WIRE_ERRORS,
  type WireErrorCode,
} from '#protocol';
import {
  batchFrame,
  helloFrame,
  KEY,
  OTHER_KEY,
  TestRecorder,
  type Bench,
  start,
  admitted,
  stored,
  credit,
} from './test-recorder.ts';
import { sessionStartMs } from './x-uuidv7.ts';

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
