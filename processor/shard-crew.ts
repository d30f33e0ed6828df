import type { ShardWorker } from './shard-worker.ts';

/** The workers of those shards that are this process's at the time. */
export interface ShardCrew {
  /** Begins with those that are new, and drops those that are not among these: what they have in hand the next owner reads again. */
  hold(shards: readonly number[]): void;
  held(): number[];
  /** All of the shard's messages below this are in the lake, as far as this process knows. */
  resumeSeq(shard: number): number;
  /** When the oldest message in hand came, by our clock. */
  oldestMs(): number | undefined;
  /** Until drained or stopped. Rejects on errors that waiting does not cure. */
  readonly ended: Promise<void>;
  /** Reads no more and flushes what is in hand. */
  drain(): Promise<void>;
  stop(): Promise<void>;
}

export function createShardCrew(createWorker: (shard: number) => ShardWorker): ShardCrew {
  const workers = new Map<number, ShardWorker>();
  /** By shard, also of workers that were dropped and may have a flush to finish. */
  const runs = new Map<number, Promise<void>>();
  let resolve!: () => void;
  let reject!: (error: unknown) => void;
  const ended = new Promise<void>((...settle) => ([resolve, reject] = settle));
  let isOver = false;

  function begin(shard: number): void {
    const worker = createWorker(shard);
    workers.set(shard, worker);
    const before = runs.get(shard) ?? Promise.resolve();
    runs.set(shard, before.then(() => worker.run()).catch(reject));
  }

  async function end(how: 'drain' | 'stop'): Promise<void> {
    isOver = true;
    for (const worker of workers.values()) worker[how]();
    await Promise.all(runs.values());
    resolve();
  }

  return {
    hold(shards) {
      if (isOver) return;
      for (const [shard, worker] of workers)
        if (!shards.includes(shard)) {
          worker.stop();
          workers.delete(shard);
        }
      for (const shard of shards) if (!workers.has(shard)) begin(shard);
    },
    held: () => [...workers.keys()],
    resumeSeq: (shard) => workers.get(shard)?.resumeSeq() ?? 1,
    oldestMs() {
      const oldest = Math.min(...[...workers.values()].map((worker) => worker.oldestMs() ?? Infinity));
      return oldest === Infinity ? undefined : oldest;
    },
    ended,
    drain: () => end('drain'),
    stop: () => end('stop'),
  };
}
