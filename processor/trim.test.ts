import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStream, shardName, type Stream } from '#stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withMethods } from './samples.ts';
import { createTrimmer, TAIL_MESSAGES, TAIL_MS_MAX, TAIL_MS_MIN } from './trim.ts';

let dir: string;
let stream: Stream;
let trims: number[];
let inner: Stream;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'trim-'));
  inner = await openStream(dir, { bytesMax: 64 * 1024 * 1024 });
  trims = [];
  stream = withMethods(inner, { trim: async (seq) => void trims.push(seq) });
});
afterEach(async () => {
  await inner.close();
  await rm(dir, { recursive: true, force: true });
});
const append = async (shard: number, count: number): Promise<void> => {
  for (let i = 0; i < count; i++)
    await inner.append(
      `rec.shop.${shardName(shard)}.session.i`,
      new Uint8Array(1),
      `${shard} ${Math.random()}`,
    );
};
/** All messages are old: only what is not in the lake holds the trimmer back. */
const LATER_MS = 2 * TAIL_MS_MAX;

describe('the stream is trimmed', () => {
  it('behind the slowest shard, whose idle neighbours do not count', async () => {
    await append(1, 3);
    await append(2, 3);
    const committed: Record<number, number> = { 1: 4, 2: 5 };
    const trimmer = createTrimmer(stream);
    await trimmer.trim((shard) => committed[shard] ?? 1, 0);
    expect(await trimmer.trim((shard) => committed[shard] ?? 1, LATER_MS)).toEqual({ lag: 2 });
    expect(trims).toEqual([5]);
    committed[2] = 7;
    expect(await trimmer.trim((shard) => committed[shard] ?? 1, 2 * LATER_MS)).toEqual({ lag: 0 });
    expect(trims).toEqual([5, 7]);
  });

  it('never beyond a message of a shard that was idle before', async () => {
    await append(1, 3);
    const trimmer = createTrimmer(stream);
    await trimmer.trim((shard) => (shard === 1 ? 4 : 1), 0);
    await append(9, 1);
    await append(1, 3);
    await trimmer.trim((shard) => (shard === 1 ? 8 : 1), 1);
    await trimmer.trim((shard) => (shard === 1 ? 8 : 1), LATER_MS);
    expect(trims).toEqual([4]);
  });

  it('not at all while nothing is in the lake, nor what came while it looked', async () => {
    await append(1, 2);
    const trimmer = createTrimmer(
      withMethods(stream, {
        state: async () => {
          const state = await inner.state();
          await append(3, 1);
          return state;
        },
      }),
    );
    await trimmer.trim(() => 1, 0);
    await trimmer.trim(() => 1, LATER_MS);
    expect(trims).toEqual([]);
  });

  it('but for a tail of a minute, or of a thousand messages of an hour', async () => {
    await append(1, TAIL_MESSAGES + 10);
    const trimmer = createTrimmer(stream);
    const done = (): number => 10_000;
    await trimmer.trim(done, 0);
    await trimmer.trim(done, TAIL_MS_MIN - 1);
    expect(trims).toEqual([]);
    await trimmer.trim(done, TAIL_MS_MIN);
    expect(trims).toEqual([11]);
    await trimmer.trim(done, TAIL_MS_MAX);
    expect(trims).toEqual([11, TAIL_MESSAGES + 11]);
  });

  it('of what grew old before the process began, at once', async () => {
    await append(1, 3);
    const appendedMs = (await inner.last('rec.>'))!.appendedMs;
    const begin = (nowMs: number): Promise<unknown> => createTrimmer(stream).trim(() => 4, nowMs);
    await begin(appendedMs + TAIL_MS_MIN);
    expect(trims).toEqual([]);
    await begin(appendedMs + TAIL_MS_MAX);
    expect(trims).toEqual([4]);
  });
});
