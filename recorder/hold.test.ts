import { expect, test } from 'vitest';
import type { ClosedBatch } from './batcher.ts';
import { Hold, HOLD_CHARS_MAX, HOLD_MS } from './hold.ts';

const batch = (chars: number, fullSnapshot = false): ClosedBatch => ({
  json: (fullSnapshot ? 'F' : 'i').repeat(chars),
  events: 1,
  fullSnapshot,
  final: false,
});

/** A page that gets its snapshot as soon as it is asked for. */
function page(snapshotChars: number): {
  add(chars: number, nowMs: number): void;
  hold: Hold<number>;
  asked: number;
} {
  let nowMs = 0;
  const bench = {
    asked: 0,
    hold: new Hold<number>(() => {
      bench.asked++;
      queue.push(batch(snapshotChars, true));
    }),
    add(chars: number, at: number) {
      nowMs = at;
      queue.push(batch(chars));
      for (let next = queue.shift(); next; next = queue.shift()) bench.hold.add(next, nowMs, nowMs);
    },
  };
  const queue: ClosedBatch[] = [batch(5), batch(snapshotChars, true)];
  return bench;
}

test('all of a young page is held, in order, and released once', () => {
  const { add, hold } = page(10);
  for (let second = 0; second < 59; second++) add(1, second * 1000);
  const held = hold.release()!;
  expect(held.batches.length).toBe(2 + 59);
  expect(held.batches[1]!.fullSnapshot).toBe(true);
  expect(held).not.toHaveProperty('page');
  expect(hold.release()).toBeUndefined();
});

test('of an older page the last minute is held at least, twice that at most, from a full snapshot on', () => {
  const bench = page(10);
  for (let second = 0; second <= 600; second++) {
    bench.add(1, second * 1000);
    if (second < 200 || second % 7) continue;
    // Looked at from outside: what a release would give now.
    const { batches, startMs, page: at } = structuredCloneOf(bench.hold);
    expect(batches[0]!.fullSnapshot).toBe(true);
    expect(at).toBe(startMs);
    expect(second * 1000 - startMs).toBeGreaterThanOrEqual(HOLD_MS - 1000);
    expect(second * 1000 - startMs).toBeLessThanOrEqual(2 * HOLD_MS + 1000);
  }
  // One a minute, and no more.
  expect(bench.asked).toBe(10);
});

/** Releases and puts back. */
function structuredCloneOf(hold: Hold<number>): { batches: ClosedBatch[]; startMs: number; page?: number } {
  const held = hold.release()!;
  let nowMs = held.startMs;
  for (const [index, one] of held.batches.entries()) {
    if (index && one.fullSnapshot) nowMs = held.startMs + HOLD_MS;
    hold.add(one, nowMs, nowMs);
  }
  return held;
}

test('a busy page holds no more than the bound beside its snapshots', () => {
  const bench = page(3 * HOLD_CHARS_MAX);
  for (let n = 0; n < 400; n++) {
    bench.add(HOLD_CHARS_MAX / 37, n);
    expect(bench.hold.chars).toBeLessThanOrEqual(HOLD_CHARS_MAX);
  }
  const { batches } = bench.hold.release()!;
  expect(batches[0]!.fullSnapshot).toBe(true);
  expect(batches.filter(({ fullSnapshot }) => fullSnapshot).length).toBeLessThanOrEqual(2);
  expect(batches.length).toBeGreaterThan(37 / 2);
});

test('where no snapshot comes, what cannot be replayed is let go, and nothing is held until one comes', () => {
  let asked = 0;
  const hold = new Hold<number>(() => asked++);
  hold.add(batch(10, true), 0, 0);
  for (let n = 0; n < 100; n++) hold.add(batch(HOLD_CHARS_MAX / 30), n, n);
  expect(hold.chars).toBe(0);
  expect(asked).toBeGreaterThan(0);
  expect(hold.release()).toBeUndefined();
  hold.add(batch(10, true), 200, 200);
  hold.add(batch(1), 201, 201);
  expect(hold.release()).toMatchObject({ startMs: 200, page: 200, batches: [{}, {}] });
});
