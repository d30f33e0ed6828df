import { expect, test } from 'vitest';
import { idleBands, isVisitorAct, mergeSorted, silhouette, skipTarget } from './activity.ts';

const SPAN = { startMs: 1000, endMs: 61_000 };

test('idle is every span of five seconds and more without an act, at both ends too', () => {
  expect(idleBands([10_000, 12_000, 30_000], SPAN)).toEqual([
    { startMs: 1000, endMs: 10_000 },
    { startMs: 12_000, endMs: 30_000 },
    { startMs: 30_000, endMs: 61_000 },
  ]);
  expect(idleBands([], SPAN)).toEqual([SPAN]);
  expect(idleBands([4000, 8000, 12_000], { startMs: 0, endMs: 14_000 })).toEqual([]);
});

test('acts outside the session bound no band', () => {
  expect(idleBands([0, 500, 99_000], SPAN)).toEqual([SPAN]);
});

test('skipping leads shortly before the next act, and nowhere when that is near or has passed', () => {
  const bands = idleBands([1000, 31_000], SPAN);
  expect(skipTarget(bands, 5000)).toBe(30_300);
  expect(skipTarget(bands, 30_300)).toBeUndefined();
  expect(skipTarget(bands, 30_900)).toBeUndefined();
  expect(skipTarget(bands, 1200), 'the last act is still looked at').toBeUndefined();
  expect(skipTarget([], 5000)).toBeUndefined();
});

test('what the visitor did is told from the beginning of a payload', () => {
  expect(isVisitorAct(3, '{"source":1,"positions":[]}')).toBe(true);
  expect(isVisitorAct(3, '{"type":2,"id":5,"source":2}')).toBe(true);
  expect(isVisitorAct(3, '{"source":0,"texts":[]}')).toBe(false);
  expect(isVisitorAct(3, '{"source":13}')).toBe(false);
  expect(isVisitorAct(2, '{"source":1}')).toBe(false);
});

test('the silhouette is 1 where most happened and 0 where nothing did', () => {
  const bars = silhouette([1000, 1001, 1002, 1003, 40_000], SPAN, 60);
  expect(bars).toHaveLength(60);
  expect(bars[0]).toBe(1);
  expect(bars[39]).toBeCloseTo(0.5);
  expect(bars[20]).toBe(0);
  expect(silhouette([], SPAN, 3)).toEqual([0, 0, 0]);
});

test('sorted lists merge sorted', () => {
  expect(mergeSorted([1, 4, 9], [2, 4, 10])).toEqual([1, 2, 4, 4, 9, 10]);
  expect(mergeSorted([], [1])).toEqual([1]);
});
