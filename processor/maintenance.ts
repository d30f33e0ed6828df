import { setTimeout as delay } from 'node:timers/promises';
import { StreamError } from '#stream';
import { compact } from './compact.ts';
import { unexpired } from './compaction.ts';
import { unlessDamaged } from './damage.ts';
import { createDamageWatch } from './damage-watch.ts';
import { createEraser, type EraserParts } from './erase-all.ts';
import { collectGarbage, type GarbageParts } from './garbage.ts';
import { createIceberg } from './iceberg.ts';
import { createIcebergGarbage } from './iceberg-garbage.ts';
import { createCommitCache, createImmutableReader } from './lake-reader.ts';
import { createHolds } from './holds.ts';
import type { ClassName, DayManifest, LakeFile, RootManifest } from './layout.ts';
import { createLossWatch } from './lost-root.ts';
import { createManifestReader, publish } from './manifest.ts';
import { createSigner } from './receipt.ts';
import { reportRetention } from './retention-report.ts';
import { StoreError } from './store.ts';
import { createVisitorErasures } from './visitor-erasures.ts';

export interface MaintenanceParts extends Pick<
  EraserParts,
  'store' | 'stream' | 'erasures' | 'nonce' | 'log'
> {
  now: () => number;
  compactIntervalMs: number;
  sweepIntervalMs: number;
  graceMs: number;
  onSwept: (swept: { overdueBytes: number; erasuresPending: number; classes: ClassName[] }) => void;
  /** Hears after each act how many objects are damaged or gone; what did not need them was done. */
  onDamage: (objects: number) => void;
  /** Undefined when it works again. */
  onTrouble: (error: Error | undefined) => void;
}

/**
 * What is done to the lake behind the flushes. Any number of processes may do it at once, though one is enough: what counts
 * is made by a conditional put of a project's next manifest, and who loses removes what it wrote.
 */
export interface Maintenance {
  /** Moves rows out of commits into files by project and day, and publishes what is so for other programs' readers. */
  compact(nowMs: number): Promise<void>;
  /** Compacts, then removes what is expired and erased. */
  sweep(nowMs: number): Promise<void>;
  /** Compacts and sweeps at their intervals, as often as it is this process's turn, until the signal aborts. */
  run(signal: AbortSignal, isOurs: () => boolean): Promise<void>;
}

export function createMaintenance(parts: MaintenanceParts): Maintenance {
  const { store, stream, log } = parts;
  const state = createManifestReader(store);
  const damages = createDamageWatch(parts);
  const { onDamage } = damages;
  const iceberg = createIceberg({ ...parts, state });
  const shared: EraserParts = {
    ...parts,
    onDamage,
    commits: createCommitCache(store),
    state,
    forget: iceberg.forget,
    signer: createSigner(store, parts.now),
  };
  const holds = createHolds({ ...shared, forget: iceberg.forget });
  const eraser = createEraser(shared);
  const visitors = createVisitorErasures(shared);
  const garbage: GarbageParts = {
    store,
    erasures: parts.erasures,
    commits: shared.commits,
    readRoots: createImmutableReader<RootManifest>(store),
    readDays: createImmutableReader<DayManifest>(store),
    iceberg: createIcebergGarbage(store),
    isLost: createLossWatch(store),
    onDamage,
  };
  let projects = new Set<string>();
  let collectedMs = -Infinity;
  let overdueBytes = 0;
  let classes: ClassName[] = [];

  async function collect(nowMs: number): Promise<void> {
    const collected = await collectGarbage(garbage, nowMs, parts.graceMs);
    projects = new Set([...projects, ...collected.projects]);
    overdueBytes = collected.overdueBytes;
    classes = collected.classes;
    await reportRetention(store, shared.state, projects, collected.stored, nowMs, onDamage);
    collectedMs = nowMs;
    if (collected.removed) log.info({ objects: collected.removed }, 'removed objects that nothing names');
  }

  async function expire(project: string, nowMs: number): Promise<void> {
    const state = await shared.state(project);
    const days = new Map<string, LakeFile[]>();
    for (const [date, { files }] of state.days) {
      const left = unexpired(date, files, nowMs);
      if (left.length < files.length) days.set(date, left);
    }
    if (!days.size || !(await publish(store, state, { days }, nowMs, parts.nonce()))) return;
    await iceberg.publish(project, nowMs);
    log.info({ project, days: [...days.keys()] }, 'days past their retention class left the lake');
  }

  /** Each project's, but for what is damaged. */
  async function ofEach(act: (project: string) => Promise<void>): Promise<void> {
    for (const project of projects) await unlessDamaged(onDamage, () => act(project));
  }

  async function compactAll(nowMs: number): Promise<void> {
    for (const project of await compact(shared, projects, nowMs)) projects.add(project);
    await ofEach((project) => iceberg.publish(project, nowMs));
  }

  const self: Maintenance = {
    async compact(nowMs) {
      await compactAll(nowMs);
      parts.onDamage(damages.tell());
    },
    async sweep(nowMs) {
      damages.begin();
      if (collectedMs === -Infinity) await collect(nowMs);
      await visitors.look(nowMs);
      await compactAll(nowMs);
      await holds.apply(nowMs);
      await ofEach((project) => expire(project, nowMs));
      const erasuresPending = await eraser.eraseAll(nowMs);
      if (nowMs - collectedMs >= parts.graceMs) await collect(nowMs);
      parts.onDamage(await damages.report(nowMs));
      parts.onSwept({ overdueBytes, erasuresPending, classes });
    },
    async run(signal, isOurs) {
      const every = async (intervalMs: number, act: (nowMs: number) => Promise<void>): Promise<void> => {
        while (!signal.aborted) {
          await delay(intervalMs, undefined, { signal }).catch(() => {});
          if (signal.aborted) return;
          if (!isOurs()) continue;
          try {
            await oneAtATime(() => act(parts.now()));
            parts.onTrouble(undefined);
          } catch (error) {
            if (!(error instanceof StoreError || error instanceof StreamError)) throw error;
            parts.onTrouble(error);
            log.warn({ err: error }, 'the lake could not be maintained; look at the store');
          }
        }
      };
      await Promise.all([
        every(parts.compactIntervalMs, self.compact),
        every(parts.sweepIntervalMs, self.sweep),
      ]);
    },
  };
  let turn: Promise<unknown> = Promise.resolve();
  /** Compaction and sweep of one process would only lose to each other. */
  function oneAtATime(act: () => Promise<void>): Promise<void> {
    const mine = turn.then(act);
    turn = mine.catch(() => {});
    return mine;
  }
  return self;
}
