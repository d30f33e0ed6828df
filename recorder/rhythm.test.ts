import { expect, test } from 'vitest';
import { Rhythm } from './rhythm.ts';

test('what changed twice by itself goes on by itself, until it has been still for ten seconds', () => {
  const rhythm = new Rhythm();
  rhythm.beat('clock', 1000);
  expect(rhythm.has('clock', 1500)).toBe(false);
  rhythm.beat('clock', 2000);
  expect(rhythm.has('clock', 2500)).toBe(true);
  expect(rhythm.has('other', 2500)).toBe(false);
  expect(rhythm.has('clock', 12_000)).toBe(true);
  expect(rhythm.has('clock', 12_001)).toBe(false);
});

test('two changes at once are one beat, and two far apart none', () => {
  const rhythm = new Rhythm();
  rhythm.beat('burst', 1000);
  rhythm.beat('burst', 1000);
  expect(rhythm.has('burst', 1000)).toBe(false);
  rhythm.beat('rare', 1000);
  rhythm.beat('rare', 20_000);
  expect(rhythm.has('rare', 20_000)).toBe(false);
});

test('of very many the oldest are forgotten', () => {
  const rhythm = new Rhythm();
  for (const atMs of [0, 1]) for (let n = 0; n < 500; n++) rhythm.beat(n, atMs);
  rhythm.beat('one more', 2);
  expect([rhythm.has(0, 2), rhythm.has(1, 2), rhythm.has(499, 2)]).toEqual([false, true, true]);
});
