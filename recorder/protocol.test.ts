import { expect, test } from 'vitest';
import {
  decodeFrame,
  decodeFrames,
  decodeJsonPayload,
  encodeFrame,
  encodeFrames,
  encodeJsonFrame,
  FRAME_BYTES_MAX,
  FrameFlag,
  FrameType,
  HEADER_BYTES,
  POST_BYTES_MAX,
  ProtocolError,
  WIRE_ERRORS,
} from './protocol.ts';

const bad = expect.objectContaining({ code: 'bad_frame' }) as ProtocolError;

test('a frame survives encoding and decoding, at the ends of every field', () => {
  for (const number of [0, 1, 0xffff_ffff]) {
    const header = {
      type: FrameType.batch,
      flags: FrameFlag.gzip | FrameFlag.more,
      frame: number,
      firstSeq: number,
      clientMs: number,
    };
    const payload = Uint8Array.of(1, 2, 255);
    const bytes = encodeFrame(header, payload);
    expect(bytes.length).toBe(HEADER_BYTES + 3);
    expect(decodeFrame(bytes)).toEqual({ ...header, payload });
  }
});

test('the bytes stand where the picture says', () => {
  const bytes = encodeFrame(
    { type: FrameType.batch, flags: 3, frame: 0x01020304, firstSeq: 5, clientMs: 6 },
    Uint8Array.of(9),
  );
  expect([...bytes]).toEqual([2, 3, 0, 0, 1, 2, 3, 4, 0, 0, 0, 5, 0, 0, 0, 6, 9]);
});

test('a frame in the middle of a larger buffer is decoded without a copy', () => {
  const outer = new Uint8Array(40);
  outer.set(encodeFrame({ type: FrameType.ack, frame: 7 }, Uint8Array.of(8)), 10);
  const frame = decodeFrame(outer.subarray(10, 10 + HEADER_BYTES + 1));
  expect(frame.frame).toBe(7);
  expect(frame.payload.buffer).toBe(outer.buffer);
});

test('a frame shorter than its header is refused', () => {
  for (let length = 0; length < HEADER_BYTES; length++)
    expect(() => decodeFrame(new Uint8Array(length))).toThrow(bad);
});

test('JSON survives, and a payload that is not JSON or not UTF-8 is refused', () => {
  const value = { text: 'Grüße \u{1f600}', list: [1, null] };
  expect(decodeJsonPayload(decodeFrame(encodeJsonFrame(FrameType.hello, value)))).toEqual(value);
  for (const payload of [Uint8Array.of(), Uint8Array.of(0x7b), Uint8Array.of(0x22, 0xff, 0x22)])
    expect(() => decodeJsonPayload(decodeFrame(encodeFrame({ type: FrameType.hello }, payload)))).toThrow(
      bad,
    );
});

test('frames in one body come apart again, and a body cut anywhere else is refused', () => {
  const frames = [1, 2, 3].map((frame) =>
    encodeFrame({ type: FrameType.batch, frame }, new Uint8Array(frame)),
  );
  const body = encodeFrames(frames);
  expect(decodeFrames(body).map(({ frame, payload }) => [frame, payload.length])).toEqual([
    [1, 1],
    [2, 2],
    [3, 3],
  ]);
  expect(decodeFrames(new Uint8Array(0))).toEqual([]);
  const ends = new Set([0, 21, 43]);
  for (let length = 0; length < body.length; length++)
    if (ends.has(length)) expect(decodeFrames(body.subarray(0, length)).length).toBeLessThan(3);
    else expect(() => decodeFrames(body.subarray(0, length))).toThrow(bad);
});

test('close codes differ, and limits fit into each other', () => {
  const closes = Object.values(WIRE_ERRORS).map(({ close }) => close);
  expect(new Set(closes).size).toBe(closes.length);
  expect(FRAME_BYTES_MAX).toBe(262_160);
  expect(WIRE_ERRORS.frame_too_large.sentence).toContain(FRAME_BYTES_MAX.toLocaleString('en'));
  expect(POST_BYTES_MAX).toBeLessThan(64 * 1024);
});
