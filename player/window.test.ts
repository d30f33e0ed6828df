import { expect, test } from 'vitest';
import type { Segment } from '#api';
import { passedEvents, planAhead, planWindow, validUntilMs } from './window.ts';

/** `S` begins with a snapshot, `.` does not; ten seconds each. */
const segments = (shape: string): Segment[] =>
  [...shape].map((kind, n) => ({
    n: n + 100,
    startMs: n * 10_000,
    endMs: n * 10_000 + 9_000,
    rows: 1,
    bytes: 1,
    snapshot: kind === 'S',
  }));

test('a window begins with the last snapshot before the moment and ends with the segment of the moment', () => {
  expect(planWindow(segments('S..S..'), 25_000)).toEqual({ first: 0, last: 2 });
  expect(planWindow(segments('S..S..'), 30_000)).toEqual({ first: 3, last: 3 });
  expect(planWindow(segments('S..S..'), 45_000)).toEqual({ first: 3, last: 4 });
  expect(planWindow(segments('SSS'), 99_999)).toEqual({ first: 2, last: 2 });
});

test('a moment in a gap belongs to the segment before it', () => {
  expect(planWindow(segments('SS'), 9_500)).toEqual({ first: 0, last: 0 });
});

test('before the first snapshot the first snapshot is shown', () => {
  expect(planWindow(segments('..S.'), 0)).toEqual({ first: 2, last: 2 });
  expect(planWindow(segments('S.'), -5_000)).toEqual({ first: 0, last: 0 });
});

test('without any snapshot there is no window', () => {
  expect(planWindow(segments('...'), 5_000)).toBeUndefined();
  expect(planWindow([], 0)).toBeUndefined();
});

test('the next segment is fetched once it is near, and none after the last', () => {
  const all = segments('S..');
  expect(planAhead(all, 0, 1_000, 5_000)).toBeUndefined();
  expect(planAhead(all, 0, 6_000, 5_000)).toBe(1);
  expect(planAhead(all, 2, 29_000, 5_000)).toBeUndefined();
});

test('events of a segment count until the next snapshot begins', () => {
  const all = segments('S..S.');
  expect([0, 2, 3, 4].map((i) => validUntilMs(all, i))).toEqual([30_000, 30_000, Infinity, Infinity]);
});

test('what came before the last page that has begun is passed, and the first event never', () => {
  const events = [1, 4, 2, 3, 3, 4, 2, 3].map((type, i) => ({ type, timestamp: i * 100 }));
  expect(passedEvents(events, 50)).toBe(1);
  expect(passedEvents(events, 499)).toBe(1);
  expect(passedEvents(events, 500)).toBe(5);
  expect(passedEvents(events, 9_999)).toBe(5);
  expect(passedEvents(events.slice(0, 1), 0)).toBe(1);
});
