import { describe, expect, test } from 'vitest';
import { decodeJsonPayload, FrameType, PAYLOAD_BYTES_MAX, WIRE_ERRORS, type WireErrorCode } from '#protocol';
import { sessionFilter } from './stream.ts';
import { batchFrame, helloFrame, newRid, ORIGIN, start, admitted, stored, post } from './test-recorder.ts';

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
