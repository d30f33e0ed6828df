import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  BATCH_CHARS_MAX,
  BATCH_INTERVAL_MS,
  BULK_CHARS_MAX,
  createBatcher,
  type Batcher,
  type ClosedBatch,
} from './batcher.ts';
import { EventType } from './protocol.ts';

let closed: ClosedBatch[];
let batcher: Batcher;
const event = (type: number, data: unknown = {}): Parameters<Batcher['add']>[0] => ({
  type,
  data,
  timestamp: 1,
});
const incremental = (chars = 0): ReturnType<typeof event> =>
  event(EventType.incrementalSnapshot, 'x'.repeat(chars));
const types = (): number[][] =>
  closed.map(({ json }) => (JSON.parse(json) as { type: number }[]).map(({ type }) => type));

beforeEach(() => {
  vi.useFakeTimers();
  closed = [];
  batcher = createBatcher((batch) => closed.push(batch));
});
afterEach(() => void vi.useRealTimers());

test('a batch closes an interval after its first event', () => {
  batcher.add(incremental());
  vi.advanceTimersByTime(BATCH_INTERVAL_MS - 1);
  batcher.add(incremental());
  expect(closed).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(closed.map(({ events, fullSnapshot, final }) => [events, fullSnapshot, final])).toEqual([
    [2, false, false],
  ]);
  vi.advanceTimersByTime(10 * BATCH_INTERVAL_MS);
  expect(closed.length).toBe(1);
});

test('a batch closes before an event that would make it too large, and after one that fills it alone', () => {
  for (let n = 0; n < 5; n++) batcher.add(incremental(BATCH_CHARS_MAX / 4.5));
  expect(types()).toEqual([[3, 3, 3, 3]]);
  batcher.add(incremental(BULK_CHARS_MAX));
  expect(types()).toEqual([[3, 3, 3, 3], [3], [3]]);
  expect(batcher.eventsRecorded).toBe(6);
});

test('large events that come one after another share a larger batch', () => {
  for (let n = 0; n < 3; n++) batcher.add(incremental(BULK_CHARS_MAX * 0.4));
  expect(types()).toEqual([[3, 3]]);
  batcher.add(incremental());
  expect(types()).toEqual([[3, 3], [3]]);
});

test('a full snapshot closes its batch when the task is over, with what came before and with it', () => {
  for (const type of [EventType.custom, EventType.meta]) batcher.add(event(type));
  batcher.add(event(EventType.fullSnapshot, 'x'.repeat(2 * BATCH_CHARS_MAX)));
  batcher.add(incremental());
  vi.advanceTimersByTime(0);
  expect(types()).toEqual([[5, 4, 2, 3]]);
  expect(closed[0]!.fullSnapshot).toBe(true);
});

test('a later snapshot begins a batch of its own', () => {
  batcher.add(event(EventType.meta));
  batcher.add(event(EventType.fullSnapshot));
  vi.advanceTimersByTime(0);
  batcher.add(incremental());
  batcher.add(event(EventType.meta));
  batcher.add(event(EventType.fullSnapshot));
  vi.advanceTimersByTime(0);
  expect(types()).toEqual([[4, 2], [3], [4, 2]]);
});

test('an event that cannot be serialised is refused and leaves no trace', () => {
  batcher.add(incremental());
  expect(() => batcher.add(event(5, 1n))).toThrow(TypeError);
  batcher.close();
  batcher.close();
  expect(types()).toEqual([[3]]);
  expect(batcher.eventsRecorded).toBe(1);
});

test('the last batch can be marked final', () => {
  batcher.add(incremental());
  batcher.close(true);
  expect(closed[0]!.final).toBe(true);
});
