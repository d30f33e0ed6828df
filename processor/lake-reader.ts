import {
  paths,
  shardIn,
  visibleFiles,
  type Commit,
  type KnownCommit,
  type DayManifest,
  type LakeFile,
  type ReplayRow,
  type RootManifest,
  type Table,
} from './layout.ts';
import { damage, decoded, getFile, getNamed, unlessDamaged } from './damage.ts';
import { eventsFileOf } from './lake-file.ts';
import { isStoreError, type Store, type StoreError } from './store.ts';
import { createUnlistedFinder } from './unlisted.ts';
import { decodeReplayGroup, decodeReplayGroups, type ReplayGroup } from './parquet-groups.ts';
import { decodeFile, type RowOf } from './x-hyparquet.ts';

/** What of a project can be seen at one moment. */
export interface LakeView {
  project: string;
  /** Of the root manifest; 0 before the first. Files also come between versions, with commits. */
  version: number;
  /** All that was committed by then is in it. Epoch milliseconds. */
  asOfMs: number;
  /** The same array as in the view before when nothing changed. Files under `paths.l0Prefix` hold other projects' rows too. */
  files: LakeFile[];
  /** Sessions of which nothing may be shown, though their rows may still be there. */
  erased: ReadonlySet<string>;
}
export interface LakeReader {
  /** Three lists, and a get of each object that is new. @throws StoreError */
  view(project: string): Promise<LakeView>;
}

export function openLakeReader(store: Store, now: () => number): LakeReader {
  const commits = createCommitCache(store);
  const days = new Map<string, DayManifest>();
  const roots = new Map<string, RootManifest>();
  const last = new Map<string, LakeView>();

  const look = async (project: string): Promise<LakeView> => {
    const asOfMs = now();
    // Commits first: one that is removed meanwhile has been taken in by the manifest, which is read after it.
    const live = await commits.list();
    const root = await newestRoot(store, project, roots.get(project));
    if (root) roots.set(project, root);
    const held: DayManifest[] = [];
    for (const key of Object.values(root?.days ?? {})) {
      const day = days.get(key) ?? (await getJson<DayManifest>(store, key));
      days.set(key, day);
      held.push(day);
    }
    const named = new Set(Object.values(root?.days ?? {}));
    for (const [key, day] of days) if (day.project === project && !named.has(key)) days.delete(key);
    const erased = await listErased(store, project);
    const before = last.get(project);
    const files = visibleFiles(project, root, held, live);
    const view = {
      project,
      version: root?.version ?? 0,
      asOfMs,
      files: before && sameKeys(before.files, files) ? before.files : files,
      erased: before && sameSet(before.erased, erased) ? before.erased : erased,
    };
    last.set(project, view);
    return view;
  };
  return {
    async view(project) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await look(project);
        } catch (error) {
          // A manifest that was replaced between its listing and its reading; the next look finds its successor.
          if (!isStoreError(error, 'not_found') || attempt === LOOKS_MAX) throw error;
        }
      }
    },
  };
}
const LOOKS_MAX = 5;

export interface CommitCache {
  /** @throws StoreError also `damaged`, of any of them */
  list(): Promise<KnownCommit[]>;
  /**
   * Those of shards of which every commit can be read: what lies beside one that is damaged, nobody can tell.
   * `onDamage` hears of each that is.
   */
  listWhole(onDamage: (error: StoreError) => void): Promise<{ commits: KnownCommit[]; broken: Set<number> }>;
}

/** Commits in the store, each read once. Those removed while they are being read have been taken in and are left out. */
export function createCommitCache(store: Store): CommitCache {
  const read = createImmutableReader<Commit, KnownCommit>(store, known);
  const withUnlisted = createUnlistedFinder(async (key) => {
    const commit = await getJsonIfThere<Commit>(store, key);
    return commit && known(commit);
  });
  const keysOf = async (): Promise<string[]> => {
    const keys: string[] = [];
    for await (const { key } of store.list(paths.l0Prefix)) if (key.endsWith('.json')) keys.push(key);
    return keys;
  };
  return {
    list: async () => withUnlisted(await read(await keysOf())),
    async listWhole(onDamage) {
      const broken = new Set<number>();
      const commits = await read(await keysOf(), (error) => {
        broken.add(shardIn(error.key!));
        onDamage(error);
      });
      return { commits: await withUnlisted(commits.filter(({ shard }) => !broken.has(shard))), broken };
    },
  };
}

const known = ({ sessions, ...commit }: Commit): KnownCommit => ({
  ...commit,
  sessions: sessions.map(({ project, session, class: cls, rows }) => ({
    project,
    session,
    class: cls,
    rows,
  })),
});

/**
 * Reads JSON objects that never change, each once for as long as it is asked for every time, and keeps of each what `keep`
 * does. What is not there is left out of the answer, which is otherwise in the order of the keys; so is what is damaged, where
 * someone wants to hear of it.
 */
export function createImmutableReader<T, K = T>(
  store: Store,
  keep: (value: T) => K = (value) => value as unknown as K,
): (keys: readonly string[], onDamage?: (error: StoreError) => void) => Promise<K[]> {
  let held = new Map<string, K>();
  return async (keys, onDamage) => {
    const next = new Map<string, K>();
    const read = async (key: string): Promise<K | undefined> => {
      const value = await getJsonIfThere<T>(store, key);
      return value === undefined ? undefined : keep(value);
    };
    for (let at = 0; at < keys.length; at += READS_AT_ONCE)
      await Promise.all(
        keys.slice(at, at + READS_AT_ONCE).map(async (key) => {
          const found =
            held.get(key) ?? (await (onDamage ? unlessDamaged(onDamage, () => read(key)) : read(key)));
          if (found !== undefined) next.set(key, found);
        }),
      );
    held = next;
    return keys.filter((key) => next.has(key)).map((key) => next.get(key)!);
  };
}
const READS_AT_ONCE = 8;

/** @param held the newest that is known: is not read again when it still is. */
export async function newestRoot(
  store: Store,
  project: string,
  held?: RootManifest,
): Promise<RootManifest | undefined> {
  const versions = await rootKeys(store, project);
  const newest = versions.at(-1);
  if (!newest) return undefined;
  if (held && newest === paths.manifest(project, held.version)) return held;
  return getJson<RootManifest>(store, newest);
}

/** Keys of the root manifests kept, oldest first. */
export async function rootKeys(store: Store, project: string): Promise<string[]> {
  const prefix = paths.projectManifestPrefix(project);
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) {
    // Digits sort before `day/`.
    if (key.startsWith('day/', prefix.length)) break;
    keys.push(key);
  }
  return keys;
}

/** Sessions with a tombstone or a receipt. */
export async function listErased(store: Store, project: string): Promise<Set<string>> {
  const prefix = paths.projectErasuresPrefix(project);
  const sessions = new Set<string>();
  for await (const { key } of store.list(prefix)) sessions.add(key.slice(prefix.length, -'.json'.length));
  return sessions;
}

/** All rows of a data file as it was written, or of each the columns. @throws StoreError `damaged` when it is not that any more */
export async function readRows<T extends Table>(
  store: Store,
  table: T,
  file: LakeFile,
  columns?: (keyof RowOf<T> & string)[],
): Promise<RowOf<T>[]> {
  const bytes = await getFile(store, file);
  return decoded(file.key, () => decodeFile(table, bytes, columns));
}

/** Row groups of a `replay` file, by its footer alone. @throws StoreError */
export function readReplayGroups(store: Store, { key, bytes }: LakeFile): Promise<ReplayGroup[]> {
  return decoded(key, () => decodeReplayGroups(bytes, (start, end) => store.get(key, { start, end })));
}

/** One ranged get. @throws StoreError */
export async function readReplayRows(
  store: Store,
  { key }: LakeFile,
  group: ReplayGroup,
): Promise<ReplayRow[]> {
  const { start, end } = group;
  return decoded(key, async () => decodeReplayGroup(group, await store.get(key, { start, end })));
}

/** An `events` file with this project's rows alone, out of one that holds several projects'; undefined when it has none. */
export async function splitEvents(
  { key }: LakeFile,
  bytes: Uint8Array,
  project: string,
): Promise<Uint8Array | undefined> {
  const rows = (await decoded(key, () => decodeFile('events', bytes))).filter(
    (row) => row.project === project,
  );
  return rows.length ? eventsFileOf(rows) : undefined;
}

export async function getJson<T>(store: Store, key: string): Promise<T> {
  return decodeJson<T>(key, await getNamed(store, key));
}
export async function getJsonIfThere<T>(store: Store, key: string): Promise<T | undefined> {
  const bytes = await getIfThere(store, key);
  return bytes && decodeJson<T>(key, bytes);
}
/** @throws StoreError `damaged` */
export function decodeJson<T>(key: string, bytes: Uint8Array): T {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as T;
  } catch {
    // Whose message would repeat some of the content.
    throw damage(key, 'is not JSON');
  }
}
export async function getIfThere(store: Store, key: string): Promise<Uint8Array | undefined> {
  try {
    return await store.get(key);
  } catch (error) {
    if (isStoreError(error, 'not_found')) return undefined;
    throw error;
  }
}
export const encodeJson = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

const sameKeys = (a: LakeFile[], b: LakeFile[]): boolean =>
  a.length === b.length && a.every((file, i) => file.key === b[i]?.key);
const sameSet = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
  a.size === b.size && [...a].every((value) => b.has(value));
