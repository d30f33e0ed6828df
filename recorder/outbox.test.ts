import { expect, test } from 'vitest';
import { createOutbox, planDrop, type Batch, type Outbox } from './outbox.ts';
import {
  decodeFrame,
  FrameFlag,
  PAYLOAD_BYTES_MAX,
  UNACKED_BYTES_MAX,
  UNACKED_FRAMES_MAX,
} from './protocol.ts';

const batch = (bytes: number, events = 1, fullSnapshot = false): Batch => ({
  payload: new Uint8Array(bytes).fill(bytes % 251),
  events,
  gzip: true,
  fullSnapshot,
  final: false,
});
function drain(outbox: Outbox): number[] {
  const frames = [];
  for (let bytes = outbox.next(0); bytes; bytes = outbox.next(0)) frames.push(decodeFrame(bytes).frame);
  return frames;
}
function filled(count: number, bytes = 10): Outbox {
  const outbox = createOutbox();
  for (let n = 0; n < count; n++) outbox.enqueue(batch(bytes, 2));
  outbox.welcome(0);
  return outbox;
}

test('frames and events are numbered from 1, and an ack counts the events of its frames', () => {
  const outbox = filled(3);
  const frames = [outbox.next(5)!, outbox.next(6)!, outbox.next(7)!].map(decodeFrame);
  expect(frames.map(({ frame, firstSeq, clientMs }) => [frame, firstSeq, clientMs])).toEqual([
    [1, 1, 5],
    [2, 3, 6],
    [3, 5, 7],
  ]);
  outbox.ack(2);
  expect(outbox.eventsAcked).toBe(4);
  expect(outbox.framesUnacked).toBe(1);
  outbox.ack(3);
  expect(outbox.isEmpty).toBe(true);
  expect(outbox.last).toEqual({ frame: 3, event: 6 });
});

test('at most UNACKED_FRAMES_MAX frames are in flight, and each ack lets as many go', () => {
  const outbox = filled(20);
  expect(drain(outbox)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(UNACKED_FRAMES_MAX).toBe(8);
  outbox.ack(3);
  expect(drain(outbox)).toEqual([9, 10, 11]);
  outbox.ack(3);
  expect(drain(outbox)).toEqual([]);
});

test('at most UNACKED_BYTES_MAX are in flight, but one frame may always travel', () => {
  const outbox = filled(6, PAYLOAD_BYTES_MAX);
  expect(drain(outbox)).toEqual([1, 2, 3]);
  expect(3 * PAYLOAD_BYTES_MAX).toBeLessThan(UNACKED_BYTES_MAX);
  outbox.setCredit({ frames: 8, bytes: 10 });
  outbox.ack(3);
  expect(drain(outbox)).toEqual([4]);
});

test('CREDIT 0 stops, later CREDIT goes on, and a new connection begins with the default', () => {
  const outbox = filled(3);
  outbox.setCredit({ frames: 0, bytes: 0 });
  expect(drain(outbox)).toEqual([]);
  outbox.setCredit({ frames: 1, bytes: 1000 });
  expect(drain(outbox)).toEqual([1]);
  outbox.setCredit({ frames: 0, bytes: 0 });
  outbox.welcome(0);
  expect(drain(outbox)).toEqual([1, 2, 3]);
});

test('after a WELCOME what is not stored goes out again, with the same bytes', () => {
  const outbox = filled(4);
  const first = [outbox.next(1)!, outbox.next(2)!, outbox.next(3)!];
  outbox.ack(1);
  expect(outbox.welcome(2)).toBe(true);
  expect(outbox.next(99)).toBe(first[2]);
  expect(decodeFrame(outbox.next(99)!).frame).toBe(4);
});

test('numbers are void when the collector knows less than it acked, or more than was sent', () => {
  const forgot = filled(2);
  drain(forgot);
  forgot.ack(2);
  expect(forgot.welcome(1)).toBe(false);
  expect(filled(2).welcome(1)).toBe(false);
});

test('events that cannot be sent show as a gap', () => {
  const outbox = filled(1);
  outbox.skip(7);
  outbox.enqueue(batch(10));
  outbox.next(0);
  expect(decodeFrame(outbox.next(0)!)).toMatchObject({ frame: 2, firstSeq: 10 });
});

test('an ack for a frame that was never sent is ignored', () => {
  const outbox = filled(2);
  drain(outbox);
  outbox.ack(7);
  expect(outbox.framesUnacked).toBe(2);
});

test('a large batch goes on in frames that repeat its first event and its flags', () => {
  const outbox = createOutbox();
  outbox.enqueue(batch(2 * PAYLOAD_BYTES_MAX + 1, 5, true));
  outbox.enqueue(batch(1));
  const frames = [0, 0, 0, 0].map(() => decodeFrame(outbox.next(0)!));
  const same = FrameFlag.gzip | FrameFlag.fullSnapshot;
  expect(frames.map(({ firstSeq, flags, payload }) => [firstSeq, flags, payload.length])).toEqual([
    [1, same | FrameFlag.more, PAYLOAD_BYTES_MAX],
    [1, same | FrameFlag.more, PAYLOAD_BYTES_MAX],
    [1, same, 1],
    [6, FrameFlag.gzip, 1],
  ]);
  outbox.ack(2);
  expect(outbox.eventsAcked).toBe(0);
  outbox.ack(3);
  expect(outbox.eventsAcked).toBe(5);
});

test('a POST takes the run of frames from the first unacked one that fits, in the same bytes', () => {
  const outbox = filled(4, 100);
  const sent = outbox.next(0)!;
  const frames = outbox.forPost(4 * (4 + 16 + 100), 0, true);
  expect(frames[0]).toBe(sent);
  expect(frames.map((bytes) => decodeFrame(bytes).frame)).toEqual([1, 2, 3, 4]);
  // The socket still sends what only a POST carried, so that it sees no gap.
  expect(drain(outbox)).toEqual([2, 3, 4]);
});

test('a POST without room for all leaves out what the open connection carries, and only that', () => {
  const outbox = filled(4, 100);
  outbox.next(0);
  outbox.next(0);
  const numbers = (room: number): number[] =>
    outbox.forPost(room * (4 + 16 + 100), 0, true).map((bytes) => decodeFrame(bytes).frame);
  expect(numbers(1)).toEqual([3]);
  // What a farewell carried is left out by the next one, too.
  expect(numbers(1)).toEqual([4]);
  expect(numbers(4)).toEqual([1, 2, 3, 4]);
  outbox.welcome(0);
  expect(numbers(3)).toEqual([1, 2, 3]);
});

test('a farewell goes past what is too large for it, and numbers no more than it takes', () => {
  const outbox = createOutbox();
  outbox.enqueue(batch(10));
  outbox.enqueue(batch(5000, 3, true));
  outbox.enqueue(batch(20, 2));
  outbox.welcome(0);
  const run = outbox.forPost(200, 0, true).map(decodeFrame);
  expect(run.map(({ frame, firstSeq, payload }) => [frame, firstSeq, payload.length])).toEqual([
    [1, 1, 10],
    [2, 5, 20],
  ]);
  expect(outbox.isSent).toBe(false);
  // Where the page lives on, the large one still comes.
  outbox.ack(2);
  expect(decodeFrame(outbox.next(0)!)).toMatchObject({ frame: 3, firstSeq: 2 });
});

test('a standing POST takes all that fits in order, and leaves the rest where it may still be dropped', () => {
  const outbox = filled(4, 100);
  const numbers = (): number[] =>
    outbox.forPost(2 * (4 + 16 + 100) + 50, 0).map((bytes) => decodeFrame(bytes).frame);
  expect(numbers()).toEqual([1, 2]);
  expect(numbers()).toEqual([1, 2]);
  expect(outbox.framesUnacked).toBe(2);
  outbox.ack(2);
  expect(numbers()).toEqual([3, 4]);
  const large = createOutbox();
  large.enqueue(batch(PAYLOAD_BYTES_MAX + 1));
  expect(large.forPost(PAYLOAD_BYTES_MAX + 20, 0).map((bytes) => decodeFrame(bytes).payload.length)).toEqual([
    PAYLOAD_BYTES_MAX,
  ]);
});

test('over the bound unsent incremental batches go, oldest first, down to half; event numbers show the gap', () => {
  const outbox = createOutbox();
  outbox.enqueue(batch(100, 1, true));
  for (let n = 0; n < 9; n++) outbox.enqueue(batch(100, 10));
  outbox.welcome(0);
  const first = decodeFrame(outbox.next(0)!);
  expect(outbox.trim(1016)).toBeUndefined();
  expect(outbox.trim(1000)).toEqual({ events: 60, bytes: 600 });
  const second = decodeFrame(outbox.next(0)!);
  expect([first.firstSeq, first.frame, second.firstSeq, second.frame]).toEqual([1, 1, 62, 2]);
});

test('a plan keeps the newest snapshot and what is begun, and takes old snapshots last', () => {
  const of = (fullSnapshot: boolean, numberedBytes: number) => ({
    payload: new Uint8Array(10),
    fullSnapshot,
    numberedBytes,
  });
  const waiting = [of(false, 1), of(true, 0), of(false, 0), of(true, 0), of(false, 0)];
  const dropped = (excess: number): number[] =>
    Array.from(planDrop(waiting, excess), (batch) => waiting.indexOf(batch));
  expect(dropped(10)).toEqual([2]);
  expect(dropped(25)).toEqual([2, 4, 1]);
  expect(dropped(1000)).toEqual([2, 4, 1]);
  expect(dropped(0)).toEqual([]);
});

test('what was never sent can be carried to another instance, what was sent cannot', () => {
  const outbox = filled(3);
  outbox.next(0);
  expect(outbox.carry().map(({ events }) => events)).toEqual([2, 2]);
  expect(outbox.framesUnacked).toBe(1);
});

test('random sends, acks, cuts and welcomes bring every event once and in order', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e6);
  console.log(`seed ${seed}`);
  let state = seed + 1;
  const random = (below: number): number => (state = (state * 48271) % 2147483647) % below;
  const outbox = createOutbox();
  const stored: number[] = [];
  let acked = 0;
  let wire: Uint8Array[] = [];
  let enqueued = 0;
  const deliver = (bytes: Uint8Array): void => {
    const { frame, firstSeq, payload } = decodeFrame(bytes);
    expect(frame).toBeLessThanOrEqual(stored.length + 1);
    if (frame > stored.length) stored.push(firstSeq);
    else expect(stored[frame - 1]).toBe(firstSeq);
    expect(payload.length).toBe(8);
  };
  for (let step = 0; step < 5000; step++) {
    const act = random(10);
    if (act < 3) outbox.enqueue(batch(8, ++enqueued && 1));
    else if (act < 7) {
      const bytes = outbox.next(step);
      if (bytes) wire.push(bytes);
    } else if (act < 8 && wire.length) deliver(wire.shift()!);
    else if (act < 9) outbox.ack((acked = Math.max(acked, stored.length - random(3))));
    else if (random(4) === 0) {
      wire = wire.slice(0, random(wire.length + 1));
      wire.forEach(deliver);
      wire = [];
      expect(outbox.welcome(stored.length)).toBe(true);
      acked = stored.length;
    }
  }
  outbox.welcome(stored.length);
  while (!outbox.isEmpty) {
    for (let bytes = outbox.next(0); bytes; bytes = outbox.next(0)) deliver(bytes);
    outbox.ack(stored.length);
  }
  expect(stored).toEqual(Array.from({ length: enqueued }, (_, index) => index + 1));
});
