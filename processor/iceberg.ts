import type { Log } from '#service';
import { isDamage } from './damage.ts';
import { createIcebergGarbage, newestVersion } from './iceberg-garbage.ts';
import { decodeManifest, decodeManifestList, keyOf, type Manifest } from './iceberg-manifest.ts';
import {
  planPublication,
  publishedVersion,
  type Metadata,
  type Published,
  type TablePlace,
  type TableState,
} from './iceberg-plan.ts';
import { encodeJson, getJson, getJsonIfThere } from './lake-reader.ts';
import { paths, TABLES, type DayManifest, type RootManifest } from './layout.ts';
import type { ProjectState } from './manifest.ts';
import { putOnce } from './put-once.ts';
import { isStoreError, StoreError, type Store } from './store.ts';

/**
 * The lake's files as Iceberg tables, one a project and table, for programs other than ours. The manifest stays the truth;
 * this follows it. What counts is `v<N>.metadata.json`, made by a conditional put after all that it names and before the
 * hint that leads to it: a crash at any point leaves the version before, and any number of processes may publish at once.
 */
export interface Iceberg {
  /** Publishes the project's newest manifest, if that is still to be done. @throws StoreError */
  publish(project: string, nowMs: number): Promise<void>;
  /** Publishes it, and removes at once whatever leads to files that were there before. @throws StoreError */
  forget(project: string, nowMs: number): Promise<void>;
}
export interface IcebergParts {
  store: Store;
  state: (project: string) => Promise<ProjectState>;
  nonce: () => string;
  graceMs: number;
  log: Log;
}

/** Versions of the manifest looked at one by one, so that each becomes its own snapshots. */
const STATES_MAX = 20;
const ATTEMPTS_MAX = 10;

interface Held extends Published {
  /** Version of the project's manifest up to which there is nothing to publish. */
  checked: number;
  /** When snapshots are to be dropped though nothing else changes. */
  dueMs: number;
}
type StateOf = (version: number) => Promise<ProjectState | undefined>;

export function createIceberg({ store, state, nonce, graceMs, log }: IcebergParts): Iceberg {
  const { location } = store;
  const garbage = createIcebergGarbage(store);
  const held = new Map<string, Held>();
  const hold = (name: string, published: Published, checked: number): void => {
    const { snapshots = [] } = published.metadata ?? {};
    const dueMs = snapshots.length > 1 ? snapshots.at(-1)!['timestamp-ms'] + graceMs : Infinity;
    held.set(name, { ...published, checked, dueMs });
  };

  async function publishTable(
    place: TablePlace,
    newest: ProjectState,
    stateOf: StateOf,
    nowMs: number,
    forget: boolean,
  ): Promise<void> {
    const { project, table } = place;
    const name = paths.icebergTable(project, table);
    const goal = newest.root!.version;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const known = held.get(name);
      if (!forget && known && known.checked >= goal && nowMs < known.dueMs) return;
      const version = await newestVersion(store, name);
      const published = known?.version === version ? known : await readPublished(place, version, known);
      const since = Math.max(publishedVersion(published), known?.version === version ? known.checked : 0);
      const states = await statesSince(place, since, goal, stateOf);
      const plan = planPublication(place, published, states, { nowMs, graceMs, nonce: nonce(), forget });
      if (!plan) {
        if (version) await pointTo(place, version);
        return hold(name, published, goal);
      }
      for (const { key, bytes } of plan.avro) await store.put(key, bytes);
      const key = paths.icebergMetadata(project, table, plan.version);
      if (await putOnce(store, key, encodeJson(plan.metadata))) {
        await pointTo(place, plan.version);
        if ((await newestVersion(store, name)) > plan.version) {
          // Others published past it; if they forgot the version of that number, it was free again, and its bounds are not to stay.
          const dead = new Set(await garbage.superseded(project, table));
          await store.remove(
            [key, ...plan.avro.map((written) => written.key)].filter((one) => dead.has(one)),
          );
          continue;
        }
        log.debug({ project, table, version: plan.version }, 'published');
        return hold(name, plan, goal);
      }
      await store.remove(plan.avro.map((written) => written.key));
    }
    throw new StoreError('store_unavailable', `${name}: others published first, ${ATTEMPTS_MAX} times`);
  }

  /** Begins anew on what cannot be read, and where the store has moved, for addresses are absolute. */
  async function readPublished(place: TablePlace, version: number, known?: Published): Promise<Published> {
    const { project, table } = place;
    if (!version) return { version, manifests: [] };
    const manifests: Manifest[] = [];
    try {
      const metadata = await getJson<Metadata>(store, paths.icebergMetadata(project, table, version));
      const current = metadata.snapshots.find(
        (snapshot) => snapshot['snapshot-id'] === metadata['current-snapshot-id'],
      )!;
      const list = await store.get(keyOf(location, current['manifest-list']));
      for (const listed of decodeManifestList(location, list)) {
        const same = known?.manifests.find(({ key }) => key === listed.key);
        const entries = same?.entries ?? decodeManifest(table, location, await store.get(listed.key));
        manifests.push({ ...listed, entries });
      }
      return { version, metadata, manifests };
    } catch (error) {
      if (error instanceof StoreError && !isDamage(error)) throw error;
      log.warn(
        { err: error, project, table, version },
        'metadata for other readers cannot be read and is begun anew; look whether the store was moved',
      );
      return { version, manifests: [] };
    }
  }

  async function pointTo({ project, table }: TablePlace, version: number): Promise<void> {
    const key = paths.icebergHint(project, table);
    const hint = await store.get(key).catch((error: unknown) => {
      if (!isStoreError(error, 'not_found')) throw error;
    });
    if (!hint || Number(Buffer.from(hint).toString()) !== version)
      await store.put(key, Buffer.from(String(version)));
    // Of two that publish one after the other, the first may write its hint last.
    const newest = await newestVersion(store, paths.icebergTable(project, table));
    if (newest > version) await pointTo({ project, table, location }, newest);
  }

  async function publishAll(project: string, nowMs: number, forget: boolean): Promise<void> {
    const newest = await state(project);
    if (!newest.root) return;
    const stateOf = stateReader(store, newest);
    for (const table of TABLES)
      await publishTable({ project, table, location }, newest, stateOf, nowMs, forget);
  }
  return {
    publish: (project, nowMs) => publishAll(project, nowMs, false),
    async forget(project, nowMs) {
      await publishAll(project, nowMs, true);
      for (const table of TABLES) await store.remove(await garbage.superseded(project, table));
    },
  };
}

/** The states after `since`, up to `goal`, which the others may be missing from. */
async function statesSince(
  { table }: TablePlace,
  since: number,
  goal: number,
  stateOf: StateOf,
): Promise<TableState[]> {
  const states: TableState[] = [];
  // Before the first publication there is no one who could want to know how it came to be.
  const from = since ? Math.max(since + 1, goal - STATES_MAX) : goal;
  for (let version = from; version <= goal; version++) {
    const state = await stateOf(version);
    const days = [...(state?.days.values() ?? [])];
    if (state)
      states.push({
        version,
        files: days.flatMap(({ files }) => files.filter((file) => file.table === table)),
        merges: days.flatMap(({ merges = [] }) => merges.filter(({ of }) => of[0]?.table === table)),
      });
  }
  return states;
}

/** A project's state at a version, as long as its manifests are kept. */
function stateReader(store: Store, newest: ProjectState): StateOf {
  const read = new Map<number, Promise<ProjectState | undefined>>();
  const byKey = new Map(
    Object.entries(newest.root!.days).map(([date, key]) => [key, newest.days.get(date)!] as const),
  );
  const readVersion = async (version: number): Promise<ProjectState | undefined> => {
    const { project } = newest;
    const root = await getJsonIfThere<RootManifest>(store, paths.manifest(project, version));
    const days = new Map<string, DayManifest>();
    for (const [date, key] of Object.entries(root?.days ?? {})) {
      const day = byKey.get(key) ?? (await getJsonIfThere<DayManifest>(store, key));
      if (!day) return undefined;
      byKey.set(key, day);
      days.set(date, day);
    }
    return root && { project, root, days };
  };
  return (version) => {
    if (version === newest.root!.version) return Promise.resolve(newest);
    const state = read.get(version) ?? readVersion(version);
    read.set(version, state);
    return state;
  };
}
