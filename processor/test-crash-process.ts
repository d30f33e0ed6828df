import { createLog } from '#service';
import { StreamError } from '#stream';
import { createErasures } from './erasures.ts';
import { quietMaintenance } from './test-maintenance.ts';
import { decodeNotes, encodeNote } from './member-note.ts';
import { createShardCrew } from './shard-crew.ts';
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
  /** Works on these shards from now on and on no others. */
  hold(shards: readonly number[]): void;
  stop(): void;
}

/**
 * @param idle shards of which no message ever comes
 * @param notes what each process told last, also those who are dead
 */
export function startProcess(
  world: World,
  name: string,
  idle: readonly number[],
  notes: Map<string, string>,
): CrashProcess {
  const place = world.begin(name);
  const { store, stream } = place;
  const log = createLog('silent');
  const now = (): number => world.nowMs;
  let nonces = 0;
  const nonce = (): string => `${name}${String(nonces++).padStart(5, '0')}`;
  const errors: unknown[] = [];
  const erasures = createErasures(store, now);
  const crew = createShardCrew((shard) => {
    const worker = createShardWorker(shard, {
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
    });
    const run = (): Promise<void> =>
      new Promise((...settle) => place.background(() => worker.run().then(...settle)));
    return { ...worker, run };
  });
  void crew.ended.catch((error: unknown) => errors.push(error));
  const maintenance = quietMaintenance({ store, stream, erasures, nonce, log, now, graceMs: GRACE_MS });
  const trimmer = createTrimmer(stream);
  const acts = {
    compact: () => maintenance.compact(now()),
    sweep: () => maintenance.sweep(now()),
    trim: async () => {
      await trimmer.look([...idle, ...crew.held()], crew.resumeSeq);
      notes.set(name, encodeNote(trimmer.clear()));
      await trimmer.trim(decodeNotes(notes.values()), now());
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
    hold: crew.hold,
    stop: () => void crew.stop(),
  };
}
