import { expect, test } from 'vitest';
import { AppendGate } from './append-gate.ts';
import { StreamError, type Stream, type StreamErrorCode } from './stream.ts';

function createBench({ backOffMs = 10_000, inFlightBytesMax = 1000 } = {}) {
  const tried: string[] = [];
  const changes: boolean[] = [];
  const bench = { tried, changes, failWith: undefined as StreamErrorCode | undefined };
  const append: Stream['append'] = async (_subject, _bytes, id) => {
    tried.push(id);
    if (bench.failWith) throw new StreamError(bench.failWith, 'made to fail');
    return { seq: tried.length, duplicate: false };
  };
  const gate = new AppendGate({ append } as Stream, {
    ...{ inFlightBytesMax, backOffMinMs: backOffMs, backOffMaxMs: backOffMs },
    random: () => 0.5,
    onChange: (closed) => changes.push(closed),
    onFailure: () => undefined,
  });
  const add = (id: string, holdMs = 10_000) => gate.append('rec.s', new Uint8Array(100), id, holdMs);
  return Object.assign(bench, { gate, add });
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('while it is closed new messages line up without a try of their own', async () => {
  const bench = createBench();
  bench.failWith = 'stream_full';
  const first = bench.add('a');
  await turn();
  const second = bench.add('b');
  await turn();
  expect(bench.gate.closed).toBe(true);
  expect(bench.tried).toEqual(['a']);
  bench.gate.giveUp();
  await expect(first).rejects.toMatchObject({ code: 'stream_full' });
  await expect(second).rejects.toMatchObject({ code: 'stream_full' });
});

test('one tries for all, and all follow it', async () => {
  const bench = createBench({ backOffMs: 5 });
  bench.failWith = 'stream_unavailable';
  const appends = [bench.add('a')];
  await turn();
  appends.push(bench.add('b'), bench.add('c'));
  while (bench.tried.length < 4) await turn();
  expect(new Set(bench.tried)).toEqual(new Set(['a']));
  bench.failWith = undefined;
  await Promise.all(appends);
  expect(bench.tried.slice(-3)).toEqual(['a', 'b', 'c']);
  while (bench.gate.closed) await turn();
  expect(bench.changes).toEqual([true, false]);
  expect(bench.gate.failure).toBeUndefined();
});

test('a message whose time is over fails alone', async () => {
  const bench = createBench({ backOffMs: 5 });
  bench.failWith = 'stream_full';
  const late = bench.add('late');
  await expect(bench.add('early', 0)).rejects.toMatchObject({ code: 'stream_full' });
  bench.failWith = undefined;
  await late;
});

test('what waits is bounded', async () => {
  const bench = createBench({ inFlightBytesMax: 250 });
  bench.failWith = 'stream_full';
  const held = [bench.add('a'), bench.add('b')];
  await expect(bench.add('c')).rejects.toMatchObject({ code: 'stream_unavailable' });
  bench.gate.giveUp();
  await Promise.allSettled(held);
  while (bench.gate.closed) await turn();
  bench.failWith = undefined;
  await bench.add('d');
});

test('a message that can never be stored is not held', async () => {
  const bench = createBench();
  bench.failWith = 'message_too_large';
  await expect(bench.add('a')).rejects.toMatchObject({ code: 'message_too_large' });
  expect(bench.gate.closed).toBe(false);
});
