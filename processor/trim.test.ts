import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStream, shardName, SHARDS, type Stream } from '#stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withMethods } from './samples.ts';
import { createTrimmer, TAIL_MESSAGES, TAIL_MS_MAX, TAIL_MS_MIN, type Trimmer } from './trim.ts';

let dir: string;
let stream: Stream;
let trims: number[];
let inner: Stream;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'trim-'));
  inner = await openStream(dir, { bytesMax: 64 * 1024 * 1024, firstSeq: 1 });
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
const every = [...Array(SHARDS).keys()];
async function trimAlone(
  trimmer: Trimmer,
  resumeSeq: (shard: number) => number,
  nowMs: number,
): Promise<{ lag: number }> {
  const looked = await trimmer.look(every, resumeSeq);
  await trimmer.trim(new Map(), nowMs);
  return looked;
}
/** All messages are old: only what is not in the lake holds the trimmer back. */
const LATER_MS = 2 * TAIL_MS_MAX;

describe('the stream is trimmed', () => {
  it('behind the slowest shard, whose idle neighbours do not count', async () => {
    await append(1, 3);
    await append(2, 3);
    const committed: Record<number, number> = { 1: 4, 2: 5 };
    const trimmer = createTrimmer(stream);
    await trimAlone(trimmer, (shard) => committed[shard] ?? 1, 0);
    expect(await trimAlone(trimmer, (shard) => committed[shard] ?? 1, LATER_MS)).toEqual({ lag: 2 });
    expect(trims).toEqual([5]);
    committed[2] = 7;
    expect(await trimAlone(trimmer, (shard) => committed[shard] ?? 1, 2 * LATER_MS)).toEqual({ lag: 0 });
    expect(trims).toEqual([5, 7]);
  });

  it('never beyond a message of a shard that was idle before', async () => {
    await append(1, 3);
    const trimmer = createTrimmer(stream);
    await trimAlone(trimmer, (shard) => (shard === 1 ? 4 : 1), 0);
    await append(9, 1);
    await append(1, 3);
    await trimAlone(trimmer, (shard) => (shard === 1 ? 8 : 1), 1);
    await trimAlone(trimmer, (shard) => (shard === 1 ? 8 : 1), LATER_MS);
    expect(trims).toEqual([4]);
  });

  it('not by what is known of a stream that was lost, in whose place there is another', async () => {
    await append(1, 3);
    const replaced = withMethods(inner, {
      state: () => inner.state(),
      read: (...args) => inner.read(...args),
      trim: async (seq) => void trims.push(seq),
    });
    const trimmer = createTrimmer(replaced);
    const resumeSeq = (shard: number): number => (shard === 1 ? 4 : 1);
    await trimAlone(trimmer, resumeSeq, 0);
    await trimAlone(trimmer, resumeSeq, LATER_MS);
    expect(trims).toEqual([4]);
    await inner.close();
    await rm(dir, { recursive: true });
    inner = await openStream(dir, { bytesMax: 64 * 1024 * 1024 });
    const { firstSeq } = await inner.state();
    await append(1, 5);
    expect(await trimAlone(trimmer, resumeSeq, 2 * LATER_MS)).toEqual({ lag: 5 });
    await trimmer.trim(new Map([[1, 4]]), 3 * LATER_MS);
    expect(Math.max(...trims)).toBeLessThanOrEqual(firstSeq);
    await trimAlone(trimmer, (shard) => (shard === 1 ? firstSeq + 2 : 1), 4 * LATER_MS);
    expect(trims.at(-1)).toBe(firstSeq + 2);
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
    await trimAlone(trimmer, () => 1, 0);
    await trimAlone(trimmer, () => 1, LATER_MS);
    expect(trims).toEqual([]);
  });

  it('but for a tail of a minute, or of a thousand messages of an hour', async () => {
    await append(1, TAIL_MESSAGES + 10);
    const trimmer = createTrimmer(stream);
    const done = (): number => 10_000;
    await trimAlone(trimmer, done, 0);
    await trimAlone(trimmer, done, TAIL_MS_MIN - 1);
    expect(trims).toEqual([]);
    await trimAlone(trimmer, done, TAIL_MS_MIN);
    expect(trims).toEqual([11]);
    await trimAlone(trimmer, done, TAIL_MS_MAX);
    expect(trims).toEqual([11, TAIL_MESSAGES + 11]);
  });

  it('of what grew old before the process began, at once', async () => {
    await append(1, 3);
    const appendedMs = (await inner.last('rec.>'))!.appendedMs;
    const begin = (nowMs: number): Promise<unknown> => trimAlone(createTrimmer(stream), () => 4, nowMs);
    await begin(appendedMs + TAIL_MS_MIN);
    expect(trims).toEqual([]);
    await begin(appendedMs + TAIL_MS_MAX);
    expect(trims).toEqual([4]);
  });

  it('by several owners no further than each of them is', async () => {
    const [one, other] = [createTrimmer(stream), createTrimmer(stream)];
    const [low, high] = [every.filter((shard) => shard < 5), every.filter((shard) => shard >= 5)];
    await append(1, 3);
    await append(9, 3);
    const trimBoth = async (committed: number, nowMs: number): Promise<void> => {
      await one.look(low, () => 7);
      await other.look(high, () => committed);
      await one.trim(other.clear(), nowMs);
    };
    // Before anything is heard of the other, it may have committed nothing.
    await one.look(low, () => 7);
    await one.trim(new Map(), 0);
    await one.trim(new Map(), LATER_MS);
    expect(trims).toEqual([]);
    await trimBoth(5, LATER_MS);
    expect(trims).toEqual([5]);
    await trimBoth(6, LATER_MS);
    // What was heard before, and is heard no more, was true all the same; but the dead tell no more.
    await one.trim(new Map([...other.clear()].filter(([shard]) => shard !== 9)), 2 * LATER_MS);
    expect(trims).toEqual([5, 6]);
    await trimBoth(7, 2 * LATER_MS);
    expect(trims).toEqual([5, 6, 7]);
  });

  it('also after a shard came over from another, which knows of it from the lake', async () => {
    const [one, other] = [createTrimmer(stream), createTrimmer(stream)];
    await append(1, 3);
    await append(9, 3);
    await one.look(every, (shard) => (shard === 1 ? 4 : 1));
    await one.trim(new Map(), 0);
    await other.look([9], () => 6);
    await one.look(every.slice(0, 9), () => 4);
    await one.trim(other.clear(), LATER_MS);
    expect(trims).toEqual([6]);
  });

  it('never by numbers of another stream, in whose place this one is', async () => {
    const trimmer = createTrimmer(stream);
    await append(1, 3);
    await append(9, 3);
    await trimmer.look(every.slice(0, 9), () => 7);
    const heard = new Map(every.slice(9).map((shard) => [shard, shard === 9 ? 5000 : 7]));
    await trimmer.trim(heard, 0);
    await trimmer.trim(heard, LATER_MS);
    expect(trims).toEqual([]);
  });
});
