import { createLog } from '#service';
import { SHARDS, StreamError } from '#stream';
import { createErasures } from './erasures.ts';
import { createMaintenance } from './maintenance.ts';
import { createShardWorker } from './shard-worker.ts';
import { StoreError } from './store.ts';
import type { ProcessPlace, World } from './test-crash-world.ts';
import { createTrimmer } from './trim.ts';

export const FLUSH_INTERVAL_MS = 10_000;
export const GRACE_MS = 600_000;

/** A processor as `processor.ts` puts it together, but that its acts are asked for one by one. */
export interface CrashProcess {
  readonly place: ProcessPlace;
  /** Begins it, unless the one before is still at work. */
  begin(act: 'compact' | 'sweep' | 'trim'): void;
  /** Of what was begun last: whether it is done. */
  readonly done: boolean;
  /** Errors that waiting does not cure. */
  readonly errors: unknown[];
  stop(): void;
}

export function startProcess(world: World, name: string, shards: readonly number[]): CrashProcess {
  const place = world.begin(name);
  const { store, stream } = place;
  const log = createLog('silent');
  const now = (): number => world.nowMs;
  let nonces = 0;
  const nonce = (): string => `${name}${String(nonces++).padStart(5, '0')}`;
  const errors: unknown[] = [];
  const erasures = createErasures(store, now);
  const workers = shards.map((shard) =>
    createShardWorker(shard, {
      stream,
      store,
      erasures,
      log,
      now,
      nonce,
      limit: place.job,
      flushIntervalMs: FLUSH_INTERVAL_MS,
      flushBytesMax: 64 * 1024 * 1024,
      onFlushed: () => {},
      onConflict: () => {},
      onTrouble: () => {},
    }),
  );
  for (const worker of workers)
    place.background(() => worker.run().catch((error: unknown) => void errors.push(error)));
  const maintenance = createMaintenance({
    store,
    stream,
    erasures,
    nonce,
    log,
    now,
    compactIntervalMs: 1,
    sweepIntervalMs: 1,
    graceMs: GRACE_MS,
    onSwept: () => {},
    onTrouble: () => {},
  });
  const trimmer = createTrimmer(stream);
  const resumeSeq = (shard: number): number =>
    workers.find((worker) => worker.shard === shard)?.resumeSeq() ?? 1;
  const acts = {
    compact: () => maintenance.compact(now()),
    sweep: () => maintenance.sweep(now()),
    trim: async () => {
      await trimmer.look([...Array(SHARDS).keys()], resumeSeq);
      await trimmer.trim(new Map(), now());
    },
  };
  let busy = false;
  let done = false;
  return {
    place,
    errors,
    get done() {
      return done;
    },
    begin(act) {
      if (busy || place.state === 'dead') return;
      busy = true;
      done = false;
      void place.job(acts[act]).then(
        () => {
          busy = false;
          done = true;
        },
        (error: unknown) => {
          busy = false;
          if (!(error instanceof StoreError || error instanceof StreamError)) errors.push(error);
        },
      );
    },
    stop() {
      for (const worker of workers) worker.stop();
    },
  };
}
