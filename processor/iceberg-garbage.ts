import { isDamage } from './damage.ts';
import { decodeManifestList, keyOf } from './iceberg-manifest.ts';
import type { Metadata } from './iceberg-plan.ts';
import { getJson } from './lake-reader.ts';
import { paths, type Table } from './layout.ts';
import { isStoreError, StoreError, type Store, type StoreObject } from './store.ts';

/**
 * Which of a table's objects go: metadata that no reader can be using, and manifests that no other metadata leads to.
 * The name of a manifest says with which version it came. One that came with a version that is there, or with an older
 * one, and is not named, never will be; one of a newer version may be just before it.
 */
export interface IcebergGarbage {
  /** All that the table's newest metadata does not name, also what a reader may be using. @throws StoreError */
  superseded(project: string, table: Table): Promise<string[]>;
  /** Of any tables' objects those that no metadata names that a reader may be using. @throws StoreError */
  unused(
    objects: readonly StoreObject[],
    nowMs: number,
    graceMs: number,
    /** Whether it is too old for someone to be about to name it. */
    isLeft: (object: StoreObject) => boolean,
  ): Promise<string[]>;
}

const VERSION = /\/metadata\/(?:v(\d+)\.metadata\.json|(\d+)-[^/]*\.avro)$/;
const isMetadata = (key: string): boolean => key.endsWith('.metadata.json');
/** NaN of what has none, as the hint. */
const versionOf = (key: string): number => {
  const [, metadata, avro] = VERSION.exec(key) ?? [];
  return Number(metadata ?? avro ?? NaN);
};
const versionsIn = (keys: readonly string[]): number[] =>
  keys
    .filter(isMetadata)
    .map(versionOf)
    .filter(Number.isFinite)
    .sort((a, b) => a - b);

/** @param tablePath as of `paths.icebergTable`. @returns 0 when the table was never published. @throws StoreError */
export async function newestVersion(store: Store, tablePath: string): Promise<number> {
  return versionsIn(await keysUnder(store, `${tablePath}/metadata/v`)).at(-1) ?? 0;
}

export function createIcebergGarbage(store: Store): IcebergGarbage {
  /** What each metadata and manifest list names; they never change. */
  let held = new Map<string, string[]>();

  async function namedBy(key: string, seen: Map<string, string[]>): Promise<string[]> {
    const known =
      held.get(key) ?? (isMetadata(key) ? await listsOf(store, key) : await manifestsOf(store, key));
    seen.set(key, known);
    return known;
  }
  /** Of one table; `inUse` are versions of its metadata. Throws when these went since `keys` were listed. */
  async function deadOf(
    keys: readonly string[],
    inUse: readonly number[],
    seen: Map<string, string[]>,
  ): Promise<string[]> {
    const newest = versionsIn(keys).at(-1) ?? 0;
    const live = new Set<string>();
    for (const key of keys)
      if (isMetadata(key) && inUse.includes(versionOf(key))) {
        live.add(key);
        for (const list of await namedBy(key, seen))
          for (const named of [list, ...(await namedBy(list, seen))]) live.add(named);
      }
    return keys.filter((key) => versionOf(key) <= newest && !live.has(key));
  }

  return {
    async superseded(project, table) {
      for (let attempt = 1; ; attempt++) {
        const keys = await keysUnder(store, `${paths.icebergTable(project, table)}/metadata/`);
        try {
          return await deadOf(keys, versionsIn(keys).slice(-1), new Map());
        } catch (error) {
          if (!isStoreError(error, 'not_found') || attempt === LOOKS_MAX) throw error;
        }
      }
    },
    async unused(objects, nowMs, graceMs, isLeft) {
      const gone: string[] = [];
      const seen = new Map<string, string[]>();
      for (const ofTable of byFolder(objects)) {
        const keys = ofTable.map(({ key }) => key);
        const versions = versionsIn(keys);
        const madeMs = new Map(
          ofTable
            .filter(({ key }) => isMetadata(key))
            .map(({ key, modifiedMs }) => [versionOf(key), modifiedMs]),
        );
        const inUse = versions.filter((_, i) => {
          const next = versions[i + 1];
          return next === undefined || madeMs.get(next)! > nowMs - graceMs;
        });
        try {
          for (const key of await deadOf(keys, inUse, seen)) gone.push(key);
        } catch (error) {
          // Of what went since it was listed, and of what cannot be read until it is published anew, nothing is known.
          if (error instanceof StoreError && !isDamage(error)) throw error;
        }
        const newest = versions.at(-1) ?? 0;
        for (const object of ofTable)
          if (versionOf(object.key) > newest && isLeft(object)) gone.push(object.key);
      }
      held = seen;
      return gone;
    },
  };
}

function byFolder(objects: readonly StoreObject[]): StoreObject[][] {
  const folders = new Map<string, StoreObject[]>();
  for (const object of objects) {
    const folder = object.key.slice(0, object.key.lastIndexOf('/'));
    const held = folders.get(folder);
    if (held) held.push(object);
    else folders.set(folder, [object]);
  }
  return [...folders.values()];
}

async function keysUnder(store: Store, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

const LOOKS_MAX = 5;

async function listsOf(store: Store, key: string): Promise<string[]> {
  const { snapshots } = await getJson<Metadata>(store, key);
  return snapshots.map((snapshot) => keyOf(store.location, snapshot['manifest-list']));
}

const manifestsOf = async (store: Store, key: string): Promise<string[]> =>
  decodeManifestList(store.location, await store.get(key)).map((manifest) => manifest.key);
