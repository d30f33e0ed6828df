import { SHARDS } from '#stream';
import { classesIn, QUARANTINE_DAYS } from './classes.ts';
import type { Erasures } from './erasures.ts';
import type { IcebergGarbage } from './iceberg-garbage.ts';
import { unlessDamaged } from './damage.ts';
import { getJsonIfThere, encodeJson, type CommitCache } from './lake-reader.ts';
import { listAll, projectOf } from './lake-scan.ts';
import {
  classDays,
  dayIsPast,
  paths,
  placeOf,
  shardIn,
  type ClassName,
  type Commit,
  type CommitSession,
  type KnownCommit,
  type DayManifest,
  type RootManifest,
  type Seen,
} from './layout.ts';
import { commitIsSpent, rootsInUse } from './manifest.ts';
import { COMES_AGAIN_MS, createSeen } from './seen.ts';
import type { Store, StoreError, StoreObject } from './store.ts';

/** What is being written by someone who has not yet named it is younger than this, on top of the grace. */
const UNNAMED_MS_MAX = 3_600_000;
/** A commit's name stays so long after it was made, so that an owner that slept cannot make it again. */
const COMMIT_MS_MIN = 3_600_000;
const DAY_MS = 86_400_000;

export interface GarbageParts {
  store: Store;
  erasures: Erasures;
  commits: Pick<CommitCache, 'listWhole'>;
  readRoots: (keys: readonly string[], onDamage: OnDamage) => Promise<RootManifest[]>;
  readDays: (keys: readonly string[], onDamage: OnDamage) => Promise<DayManifest[]>;
  iceberg: IcebergGarbage;
  /** Whether a project's newest root is lost: see `createLossWatch`. */
  isLost: (project: string, version: number) => Promise<boolean>;
  onDamage: OnDamage;
}
type OnDamage = (error: StoreError) => void;

export interface Collected {
  projects: Set<string>;
  removed: number;
  /** Bytes of days past their class that are still there. */
  overdueBytes: number;
  /** Data files and assets that stay. */
  stored: StoreObject[];
  classes: ClassName[];
}

/**
 * Removes what nothing names: replaced and expired files and manifests once no reader can be using them, leftovers of
 * crashes, spent commits, old quarantine. Never what a manifest in use, a live commit or other readers' metadata in use names,
 * nor what one that is damaged may name. @throws StoreError
 */
export async function collectGarbage(
  parts: GarbageParts,
  nowMs: number,
  graceMs: number,
): Promise<Collected> {
  const { store } = parts;
  // Data files are listed first: what is named in a manifest that is written meanwhile is younger than the listing.
  const files = (await listAll(store, paths.classesPrefix)).filter(({ key }) => placeOf(key));
  const l0 = await listAll(store, paths.l0Prefix);
  const manifests = await listAll(store, paths.manifestPrefix);
  const rootKeys = keysOf(manifests).filter((key) => !isDay(key));
  const roots = byProject(await parts.readRoots(rootKeys, parts.onDamage));
  const unnamed = ({ modifiedMs }: StoreObject): boolean => modifiedMs < nowMs - graceMs - UNNAMED_MS_MAX;
  const gone: string[] = [];
  // Of a large lake there may be more than one call can take as arguments.
  const goes = (keys: readonly string[]): void => {
    for (const key of keys) gone.push(key);
  };

  const dayKeys = new Set<string>();
  for (const all of roots.values()) {
    const inUse = rootsInUse(all, nowMs, graceMs);
    for (const root of all) if (!inUse.includes(root)) gone.push(paths.manifest(root.project, root.version));
    for (const root of inUse) for (const key of Object.values(root.days)) dayKeys.add(key);
  }
  const days = await parts.readDays([...dayKeys].sort(), parts.onDamage);
  const fileKeys = new Set(days.flatMap((day) => day.files.map((file) => file.key)));
  const blind = await blindProjects(parts, { rootKeys, roots, dayKeys, days });
  const isLeft = ({ key, ...rest }: StoreObject, named: ReadonlySet<string>): boolean =>
    !named.has(key) && unnamed({ key, ...rest }) && (!blind(key) || isOverdue(key, nowMs));
  for (const object of manifests) if (isDay(object.key) && isLeft(object, dayKeys)) gone.push(object.key);
  for (const object of files)
    if (isAsset(object.key) ? isOverdue(object.key, nowMs) : isLeft(object, fileKeys)) gone.push(object.key);

  goes(await spentCommits(parts, l0, (project) => roots.get(project) ?? [], nowMs, graceMs, unnamed));
  const iceberg = await listAll(store, paths.icebergPrefix);
  goes(await parts.iceberg.unused(iceberg, nowMs, graceMs, unnamed));
  // Of sessions that began before it was written, so that nothing of theirs comes again.
  for (const object of await listAll(store, paths.seenPrefix))
    if (object.modifiedMs < nowMs - COMES_AGAIN_MS) gone.push(object.key);
  const quarantine = await listAll(store, paths.quarantinePrefix);
  const notes = new Set(keysOf(quarantine));
  // Bytes that were put while an erasure took their note away.
  const isOrphan = ({ key }: StoreObject): boolean =>
    key.endsWith('.bin') && !notes.has(key.replace(/bin$/, 'json'));
  for (const object of quarantine)
    if (object.modifiedMs < nowMs - QUARANTINE_DAYS * DAY_MS || (isOrphan(object) && unnamed(object)))
      gone.push(object.key);

  await store.remove(gone);
  const removed = new Set(gone);
  const stored = files.filter(({ key }) => !removed.has(key));
  const overdueBytes = stored
    .filter(({ key }) => isOverdue(key, nowMs))
    .reduce((sum, { bytes }) => sum + bytes, 0);
  const projects = new Set(roots.keys());
  return { projects, removed: gone.length, overdueBytes, stored, classes: classesIn(files) };
}

/**
 * Whether an object is of a project of which it cannot be told what its manifests name: one that has none, or whose newest
 * root, or a day that it names, is lost or damaged. Its files stay, but for those past their class, until it is repaired.
 */
async function blindProjects(
  { isLost }: GarbageParts,
  of: {
    rootKeys: readonly string[];
    roots: ReadonlyMap<string, readonly RootManifest[]>;
    dayKeys: ReadonlySet<string>;
    days: readonly DayManifest[];
  },
): Promise<(key: string) => boolean> {
  const read = countBy(of.days, ({ project }) => project);
  const named = countBy([...of.dayKeys], (key) => projectOf(key)!);
  const listed = countBy(of.rootKeys, (key) => projectOf(key)!);
  const whole = new Set<string>();
  for (const [project, all] of of.roots)
    if (
      all.length === listed.get(project) &&
      read.get(project) === named.get(project) &&
      !(await isLost(project, all.at(-1)!.version))
    )
      whole.add(project);
  return (key) => !whole.has(projectOf(key)!);
}

function countBy<T>(all: readonly T[], nameOf: (one: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const one of all) counts.set(nameOf(one), (counts.get(nameOf(one)) ?? 0) + 1);
  return counts;
}

/** Data files of spent commits and of none; and the commits themselves after a while, but for each shard's newest. */
async function spentCommits(
  parts: GarbageParts,
  objects: readonly StoreObject[],
  roots: (project: string) => readonly RootManifest[],
  nowMs: number,
  graceMs: number,
  unnamed: (object: StoreObject) => boolean,
): Promise<string[]> {
  const present = new Set(keysOf(objects));
  const named = new Set<string>();
  const gone: string[] = [];
  const { commits, broken } = await parts.commits.listWhole(parts.onDamage);
  for (let shard = 0; shard < SHARDS; shard++) {
    if (broken.has(shard)) continue;
    const ofShard = commits.filter((commit) => commit.shard === shard);
    const forget: KnownCommit[] = [];
    let inOrder = true;
    for (const commit of ofShard) {
      const spent = commitIsSpent(commit, roots, nowMs, graceMs);
      for (const { key } of commit.files) {
        named.add(key);
        if (spent && present.has(key)) gone.push(key);
      }
      inOrder &&= spent && commit.committedMs < nowMs - COMMIT_MS_MIN - graceMs && commit !== ofShard.at(-1);
      if (inOrder) forget.push(commit);
      else if (spent && commit.sessions.length && commit.committedMs < nowMs - COMES_AGAIN_MS)
        await forgetSessions(parts.store, commit);
    }
    if (forget.length)
      for (const key of (await unlessDamaged(parts.onDamage, () => fold(parts, shard, forget, nowMs))) ?? [])
        gone.push(key);
  }
  for (const object of objects)
    if (
      object.key.endsWith('.parquet') &&
      !broken.has(shardIn(object.key)) &&
      !named.has(object.key) &&
      unnamed(object)
    )
      gone.push(object.key);
  return gone;
}

/** The shard's newest commit stays for its position; of sessions whose time is over nothing stays with it. */
async function forgetSessions(store: Store, commit: KnownCommit): Promise<void> {
  const empty: Commit = { ...commit, files: [], sessions: [] };
  const key = paths.commit(commit.shard, commit.fromSeq);
  await store.put(key, encodeJson(empty));
  // An erasure to come does not find in it what it had of its session.
  await store.removeOlder([key]);
}

/** Writes what the commits had dealt with, and what was folded before, into one object. @returns what may go now */
async function fold(
  { store, erasures }: GarbageParts,
  shard: number,
  forget: readonly KnownCommit[],
  nowMs: number,
): Promise<string[]> {
  const before = await listAll(store, paths.seenShardPrefix(shard));
  const seen = createSeen();
  for (const { key } of before) seen.add((await getJsonIfThere<Seen>(store, key))?.sessions ?? []);
  for (const { fromSeq } of forget) {
    const commit = await getJsonIfThere<Commit>(store, paths.commit(shard, fromSeq));
    // Another folds it, and what it is in then was perhaps not listed before.
    if (!commit) return [];
    seen.add(commit.sessions);
  }
  seen.prune(nowMs);
  const key = paths.seen(shard, forget.at(-1)!.fromSeq);
  const sessions = seen.all();
  // They may have been read before an erasure took the address out of them, and be put long after it.
  const isErased = (one: CommitSession): boolean => erasures.has(one.project, one.session);
  for (const one of sessions) if (isErased(one)) delete one.url;
  for (let isLate = true; isLate;) {
    await store.put(key, encodeJson({ v: 1, shard, sessions } satisfies Seen));
    await erasures.refresh();
    const late = sessions.filter((one) => one.url !== undefined && isErased(one));
    for (const one of late) delete one.url;
    isLate = late.length > 0;
  }
  // Of what was put too late no older version is to stay.
  await store.removeOlder([key]);
  const commits = forget.map((commit) => paths.commit(shard, commit.fromSeq));
  return [...commits, ...before.map((one) => one.key).filter((old) => old !== key)];
}

const keysOf = (objects: readonly StoreObject[]): string[] => objects.map(({ key }) => key);
const isDay = (key: string): boolean => key.includes('/day/');

/** Ascending, as the keys were. */
function byProject(roots: readonly RootManifest[]): Map<string, RootManifest[]> {
  const grouped = new Map<string, RootManifest[]>();
  for (const root of roots) grouped.set(root.project, [...(grouped.get(root.project) ?? []), root]);
  return grouped;
}

/** No manifest names one: it goes with its day. */
const isAsset = (key: string): boolean => placeOf(key)?.isAsset === true;

function isOverdue(key: string, nowMs: number): boolean {
  const place = placeOf(key);
  return place !== undefined && dayIsPast(place.date, classDays(place.class), nowMs);
}
