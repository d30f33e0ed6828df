import { SHARDS, shardFilter, type Stream } from '#stream';

/** What the stream ended with at some moment. */
export interface TailSample {
  atMs: number;
  lastSeq: number;
}

/** A viewer who joins, and a recorder that comes back, find what is younger than this in the stream. */
export const TAIL_MS_MIN = 60_000;
/** Beyond that up to so many messages stay, but none longer than so. */
export const TAIL_MESSAGES = 1000;
export const TAIL_MS_MAX = 3_600_000;

/** First sequence number that is to stay for live viewers. `samples` are ascending. */
export function tailStart(samples: readonly TailSample[], lastSeq: number, nowMs: number): number {
  const endOlderThan = (ms: number): number =>
    samples.findLast(({ atMs }) => atMs <= nowMs - ms)?.lastSeq ?? 0;
  const young = endOlderThan(TAIL_MS_MIN) + 1;
  const few = Math.max(lastSeq - TAIL_MESSAGES + 1, endOlderThan(TAIL_MS_MAX) + 1);
  return Math.min(young, few);
}

/**
 * Each owner looks at its own shards; who trims hears of the others' from them. What they found stays true whoever owns a
 * shard later, so trimming needs no agreement on that: a shard of which nothing was heard holds it up, as does an old word.
 */
export interface Trimmer {
  /**
   * Finds out how far the lake has come with these shards.
   * @param resumeSeq of a shard: all of its messages below this are in the lake.
   * @returns how far behind the stream's end the slowest of them is, in messages of the whole stream. @throws StreamError
   */
  look(shards: readonly number[], resumeSeq: (shard: number) => number): Promise<{ lag: number }>;
  /** What was found, by shard: none of its messages that are not in the lake lies below this. */
  clear(): ReadonlyMap<number, number>;
  /**
   * Removes what every shard has in the lake, but for the tail.
   * @param heard the others' `clear`. @throws StreamError
   */
  trim(heard: ReadonlyMap<number, number>, nowMs: number): Promise<void>;
}

export function createTrimmer(stream: Stream): Trimmer {
  const clear = new Map<number, number>();
  let samples: TailSample[] | undefined;
  let trimmed = 0;

  /** The shard's first message that is not in the lake; for an idle shard, which has none, the stream's end. */
  async function floor(shard: number, resumeSeq: number, lastSeq: number): Promise<number> {
    const from = Math.max(resumeSeq, clear.get(shard) ?? 1);
    let first = lastSeq + 1;
    if (from <= lastSeq)
      for await (const { seq } of stream.read(from, shardFilter(shard))) {
        first = Math.min(seq, first);
        break;
      }
    clear.set(shard, first);
    return first;
  }

  /** From the messages themselves: else a process that never lives for TAIL_MS_MAX would let the tail grow old. */
  async function sampleTail(firstSeq: number, lastSeq: number): Promise<TailSample[]> {
    const found: TailSample[] = [];
    for await (const message of stream.read(Math.max(firstSeq, lastSeq - TAIL_MESSAGES), 'rec.>'))
      found.push({ atMs: message.appendedMs, lastSeq: message.seq });
    return found;
  }

  return {
    async look(shards, resumeSeq) {
      // The end is sampled before the shards are looked at, so that what comes meanwhile is above it.
      const { lastSeq } = await stream.state();
      let slowest = lastSeq + 1;
      for (const shard of shards) slowest = Math.min(slowest, await floor(shard, resumeSeq(shard), lastSeq));
      return { lag: lastSeq + 1 - slowest };
    },
    clear: () => clear,
    async trim(heard, nowMs) {
      const { lastSeq, firstSeq } = await stream.state();
      samples ??= await sampleTail(firstSeq, lastSeq);
      samples.push({ atMs: nowMs, lastSeq });
      const oldest = samples.findLastIndex(({ atMs }) => atMs <= nowMs - TAIL_MS_MAX);
      if (oldest > 0) samples.splice(0, oldest);
      let beforeSeq = tailStart(samples, lastSeq, nowMs);
      for (let shard = 0; shard < SHARDS; shard++) {
        // A number beyond the end was heard of another stream, in whose place this one is.
        const told = heard.get(shard) ?? 1;
        beforeSeq = Math.min(beforeSeq, Math.max(clear.get(shard) ?? 1, told <= lastSeq + 1 ? told : 1));
      }
      if (beforeSeq > Math.max(firstSeq, trimmed)) {
        await stream.trim(beforeSeq);
        trimmed = beforeSeq;
      }
    },
  };
}
