import { setTimeout as delay } from 'node:timers/promises';
import { StreamError, sessionFilter } from '#stream';
import { compact } from './compact.ts';
import { unexpired } from './compaction.ts';
import { erase, type ErasedBytes, type EraseParts } from './erase.ts';
import { collectGarbage, type GarbageParts } from './garbage.ts';
import { createIceberg } from './iceberg.ts';
import { createIcebergGarbage } from './iceberg-garbage.ts';
import { createCommitCache, createImmutableReader, encodeJson, getJsonIfThere } from './lake-reader.ts';
import { createHolds, isHeld, readHold } from './holds.ts';
import { paths, type ClassName, type Erasure, type LakeFile } from './layout.ts';
import { createLossWatch } from './lost-root.ts';
import { createManifestReader, publish } from './manifest.ts';
import { reportRetention } from './retention-report.ts';
import { StoreError } from './store.ts';

export interface MaintenanceParts extends Pick<
  EraseParts,
  'store' | 'stream' | 'erasures' | 'nonce' | 'log'
> {
  now: () => number;
  compactIntervalMs: number;
  sweepIntervalMs: number;
  graceMs: number;
  onSwept: (swept: { overdueBytes: number; erasuresPending: number; classes: ClassName[] }) => void;
  /** Undefined when it works again. */
  onTrouble: (error: Error | undefined) => void;
}

/**
 * What is done to the lake behind the flushes. Any number of processes may do it at once: what counts is made by a
 * conditional put of a project's next manifest, and who loses removes what it wrote.
 */
export interface Maintenance {
  /** Moves rows out of commits into files by project and day, and publishes what is so for other programs' readers. */
  compact(nowMs: number): Promise<void>;
  /** Compacts, then removes what is expired and erased. */
  sweep(nowMs: number): Promise<void>;
  /** Compacts and sweeps at their intervals until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** A recorder whose session is erased may go on sending for as long as a session lives. */
const LATE_MS_MAX = 25 * 3_600_000;
/** Who was in the midst of a flush when its receipt was written has put what he had by then, or is dead. */
const IN_HAND_MS_MAX = 3_600_000;

export function createMaintenance(parts: MaintenanceParts): Maintenance {
  const { store, stream, log } = parts;
  /** What is already gone of sessions whose receipt is still to be written. */
  const gone = new Map<string, ErasedBytes>();
  const addGone = (key: string, more: ErasedBytes): ErasedBytes => {
    const before = gone.get(key);
    const sum = {
      rows: more.rows + (before?.rows ?? 0),
      messages: more.messages + (before?.messages ?? 0),
      filesRewritten: [...(before?.filesRewritten ?? []), ...more.filesRewritten],
    };
    gone.set(key, sum);
    return sum;
  };
  const state = createManifestReader(store);
  const iceberg = createIceberg({ ...parts, state });
  const shared: EraseParts = {
    ...parts,
    commits: createCommitCache(store),
    state,
    forget: iceberg.forget,
    onErased: (project, session, rows) =>
      void addGone(paths.erasure(project, session), { rows, messages: 0, filesRewritten: [] }),
  };
  const holds = createHolds({ ...shared, forget: iceberg.forget });
  const garbage: GarbageParts = {
    store,
    erasures: parts.erasures,
    commits: shared.commits.list,
    readRoots: createImmutableReader(store),
    readDays: createImmutableReader(store),
    iceberg: createIcebergGarbage(store),
    isLost: createLossWatch(store),
  };
  let projects = new Set<string>();
  const receipts = new Map<string, Erasure>();
  /** Of which it was looked once more whether something came after the receipt. */
  const looked = new Set<string>();
  let collectedMs = -Infinity;
  let overdueBytes = 0;
  let classes: ClassName[] = [];

  async function collect(nowMs: number): Promise<void> {
    const collected = await collectGarbage(garbage, nowMs, parts.graceMs);
    projects = new Set([...projects, ...collected.projects]);
    overdueBytes = collected.overdueBytes;
    classes = collected.classes;
    await reportRetention(store, shared.state, projects, collected.stored, nowMs);
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

  /** @returns how many are still to be done */
  async function eraseAll(nowMs: number): Promise<number> {
    let pending = 0;
    const keys: string[] = [];
    for await (const { key } of store.list(paths.erasuresPrefix)) keys.push(key);
    for (const key of keys) {
      const known = receipts.get(key);
      const erasure = known ?? (await getJsonIfThere<Erasure>(store, key));
      if (!erasure) continue;
      if (erasure.done) {
        receipts.set(key, erasure);
        const ageMs = nowMs - erasure.done.atMs;
        if (ageMs >= IN_HAND_MS_MAX && ageMs < LATE_MS_MAX && !looked.has(key)) {
          if ((await erase(shared, erasure, nowMs)).whole) looked.add(key);
        } else if (ageMs < LATE_MS_MAX) await stream.erase(sessionFilter(erasure.project, erasure.session));
        continue;
      }
      // Held after it was to be erased: what holds it says when it goes.
      if (isHeld(await readHold(store, erasure.project, erasure.session))) {
        pending++;
        continue;
      }
      const { whole, ...erased } = await erase(shared, erasure, nowMs);
      const sum = addGone(key, erased);
      if (!whole) {
        pending++;
        continue;
      }
      const receipt: Erasure = { ...erasure, done: { atMs: nowMs, ...sum } };
      await store.put(key, encodeJson(receipt));
      receipts.set(key, receipt);
      gone.delete(key);
      log.info({ project: erasure.project, session: erasure.session, rows: sum.rows }, 'a session is erased');
    }
    return pending;
  }

  const self: Maintenance = {
    async compact(nowMs) {
      for (const project of await compact(shared, projects, nowMs)) projects.add(project);
      for (const project of projects) await iceberg.publish(project, nowMs);
    },
    async sweep(nowMs) {
      if (collectedMs === -Infinity) await collect(nowMs);
      await self.compact(nowMs);
      await holds.apply(nowMs);
      for (const project of projects) await expire(project, nowMs);
      const erasuresPending = await eraseAll(nowMs);
      if (nowMs - collectedMs >= parts.graceMs) await collect(nowMs);
      parts.onSwept({ overdueBytes, erasuresPending, classes });
    },
    async run(signal) {
      const every = async (intervalMs: number, act: (nowMs: number) => Promise<void>): Promise<void> => {
        while (!signal.aborted) {
          await delay(intervalMs, undefined, { signal }).catch(() => {});
          if (signal.aborted) return;
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
