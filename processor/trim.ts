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

export interface Trimmer {
  /**
   * Removes what every shard has in the lake, but for the tail.
   * @param resumeSeq of a shard: all of its messages below this are in the lake.
   * @returns how far behind the stream's end the slowest shard is, in messages of the whole stream. @throws StreamError
   */
  trim(resumeSeq: (shard: number) => number, nowMs: number): Promise<{ lag: number }>;
}

export function createTrimmer(stream: Stream): Trimmer {
  /** By shard: none of its messages that are not in the lake lies below this. */
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
    async trim(resumeSeq, nowMs) {
      // The end is sampled before the shards are looked at, so that what comes meanwhile is above it.
      const { lastSeq, firstSeq } = await stream.state();
      let slowest = lastSeq + 1;
      for (let shard = 0; shard < SHARDS; shard++)
        slowest = Math.min(slowest, await floor(shard, resumeSeq(shard), lastSeq));
      samples ??= await sampleTail(firstSeq, lastSeq);
      samples.push({ atMs: nowMs, lastSeq });
      const oldest = samples.findLastIndex(({ atMs }) => atMs <= nowMs - TAIL_MS_MAX);
      if (oldest > 0) samples.splice(0, oldest);
      const beforeSeq = Math.min(slowest, tailStart(samples, lastSeq, nowMs));
      if (beforeSeq > Math.max(firstSeq, trimmed)) {
        await stream.trim(beforeSeq);
        trimmed = beforeSeq;
      }
      return { lag: lastSeq + 1 - slowest };
    },
  };
}
