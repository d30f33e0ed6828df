import {
  paths,
  placeOf,
  TABLES,
  type Commit,
  type DayManifest,
  type RootManifest,
  type Table,
} from './layout.ts';
import { isStoreError, type Store, type StoreObject } from './store.ts';

/** What lies in the store, read as far as it can be read, for who may not trust it. */
export interface LakeScan {
  /** Ascending by key; `undefined` cannot be read. */
  commits: Map<string, Commit | undefined>;
  /** By project, ascending by version. */
  roots: Map<string, Map<number, RootManifest | undefined>>;
  /** Every day manifest that lies there, named or not. */
  days: Map<string, DayManifest | undefined>;
  /** Data files and assets of the classes. */
  files: Map<string, StoreObject>;
  l0: Map<string, StoreObject>;
  manifests: StoreObject[];
  /** With anything in the lake. */
  projects: Set<string>;
}

/**
 * Commits first, then manifests, then the data files: what is committed and published meanwhile then has files that
 * nothing read so far names, and never a name without its file. @throws StoreError
 */
export async function scanLake(store: Store, only?: string): Promise<LakeScan> {
  const commits = new Map<string, Commit | undefined>();
  for (const { key } of await listAll(store, paths.l0Prefix))
    if (key.endsWith('.json')) {
      const commit = await readJson<Commit>(store, key, (value) => Array.isArray(value.files));
      if (commit !== 'missing') commits.set(key, commit);
    }
  const manifests = await listAll(store, only ? paths.projectManifestPrefix(only) : paths.manifestPrefix);
  const roots: LakeScan['roots'] = new Map();
  const days: LakeScan['days'] = new Map();
  for (const { key } of manifests) {
    const project = projectOf(key)!;
    if (key.includes('/day/')) {
      const day = await readJson<DayManifest>(store, key, (value) => Array.isArray(value.files));
      if (day !== 'missing') days.set(key, day);
      continue;
    }
    const root = await readJson<RootManifest>(store, key, (value) => typeof value.days === 'object');
    if (root === 'missing') continue;
    const version = Number(/(\d+)\.json$/.exec(key)?.[1]);
    roots.set(
      project,
      (roots.get(project) ?? new Map<number, RootManifest | undefined>()).set(version, root),
    );
  }
  const isOurs = (key: string): boolean => !only || projectOf(key) === only;
  const files = (await listAll(store, paths.classesPrefix)).filter(({ key }) => placeOf(key) && isOurs(key));
  const l0 = await listAll(store, paths.l0Prefix);
  const projects = new Set<string>([...roots.keys()]);
  for (const { key } of [...files, ...manifests, ...(await listAll(store, paths.icebergPrefix))])
    if (isOurs(key)) projects.add(projectOf(key)!);
  for (const commit of commits.values())
    for (const { project, rows } of commit?.sessions ?? [])
      if (rows > 0 && (!only || project === only)) projects.add(project);
  const byKey = (objects: readonly StoreObject[]): Map<string, StoreObject> =>
    new Map(objects.map((object) => [object.key, object]));
  return { commits, roots, days, files: byKey(files), l0: byKey(l0), manifests, projects };
}

export const projectOf = (key: string): string | undefined => /\/project=([^/]+)\//.exec(key)?.[1];
/** Of a data file's key, also of L0. */
export const tableOf = (key: string): Table =>
  TABLES.find((table) => key.includes(`/${table}/project=`) || key.endsWith(`.${table}.parquet`)) ?? 'replay';

export async function listAll(store: Store, prefix: string): Promise<StoreObject[]> {
  const objects: StoreObject[] = [];
  for await (const object of store.list(prefix)) objects.push(object);
  return objects;
}

/** Undefined for what is there and is not what it should be. */
async function readJson<T extends { v: 1 }>(
  store: Store,
  key: string,
  isWhole: (value: T) => boolean,
): Promise<T | undefined | 'missing'> {
  try {
    const value = JSON.parse(new TextDecoder().decode(await store.get(key))) as T;
    return value?.v === 1 && isWhole(value) ? value : undefined;
  } catch (error) {
    if (isStoreError(error, 'not_found')) return 'missing';
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
