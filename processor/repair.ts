import type { Log } from '#service';
import { writeRows } from './compact.ts';
import { unbroken } from './compaction.ts';
import { planRepair } from './findings.ts';
import { fsck, type FsckOptions, type FsckReport } from './fsck.ts';
import { readIceberg } from './iceberg-check.ts';
import { createIceberg } from './iceberg.ts';
import { sha256Of } from './damage.ts';
import { inspectFile } from './inspect-file.ts';
import { createKnownKeys } from './known-keys.ts';
import { describeFile, isSealedFile } from './lake-file.ts';
import { encodeJson, listErased } from './lake-reader.ts';
import { projectOf, scanLake, tableOf, type LakeScan } from './lake-scan.ts';
import {
  classDays,
  dayIsPast,
  paths,
  pendingCommits,
  placeOf,
  sessionDate,
  TABLES,
  type ClassName,
  type Commit,
  type LakeFile,
  type RootManifest,
  type Table,
} from './layout.ts';
import { createManifestReader, publish } from './manifest.ts';
import { remakeCommits } from './remake-commit.ts';
import type { Store, StoreObject } from './store.ts';
import type { Row } from './x-hyparquet.ts';

/**
 * Makes what is lost or damaged of a lake's manifests anew, from the data files themselves.
 *
 * Every row that ever came into a file of a project was committed, so what should be seen is every row that is in any of
 * its files or in a commit, once, less erased sessions and classes that are over. Files are read from the newest on: one
 * whose rows are all new stays as it is, of another the new rows are written again, and one with none is a leftover (it
 * was merged). Of a lost root nobody knows which commits it had taken in, so what they hold and no file has is written
 * too, and all of them count as taken in; for a single day the root says it, and rows of commits that it has not taken in
 * are left to these. A commit is made of the data files of its position. Nothing is removed but what cannot be read, once it
 * is copied to quarantine. `sessions` are left out, for they follow from the others: the next compaction makes them anew.
 */
export interface RepairParts {
  store: Store;
  nonce: () => string;
  log: Log;
}
interface Scope {
  project: string;
  /** Undefined: all, with the root. */
  dates: ReadonlySet<string> | undefined;
}

/** @returns what was done, a sentence each. Looks once more into the lake before it acts. @throws StoreError */
export async function repair(
  parts: RepairParts,
  options: FsckOptions,
): Promise<{ before: FsckReport; done: string[] }> {
  const { store, nonce, log } = parts;
  const before = await fsck(store, { ...options, quick: false });
  const plan = planRepair(before.findings);
  const done: string[] = [];
  for (const key of plan.assets) done.push(await putAside(store, key));
  const scan = await scanLake(store);
  if (plan.commits) {
    for (const [key, commit] of scan.commits) if (!commit) done.push(await putAside(store, key));
    for (const { key, commit } of await remakeCommits(store, scan, nonce, options.nowMs)) {
      const rows = commit.sessions.reduce((sum, one) => sum + one.rows, 0);
      done.push(`${key} is made anew, with ${rows} events that its data files have`);
    }
  }
  if (plan.commitFiles.size) done.push(...(await letCommitsBeWithout(store, scan, plan.commitFiles)));
  for (const [project, { root, dates, iceberg }] of plan.projects) {
    const scope: Scope = { project, dates: root ? undefined : dates };
    if (root || dates.size || iceberg) done.push(...(await rebuild(parts, scan, scope, options.nowMs)));
    const state = createManifestReader(store);
    await createIceberg({ store, state, nonce, log, graceMs: options.graceMs }).publish(
      project,
      options.nowMs,
    );
  }
  return { before, done };
}

async function rebuild(
  parts: RepairParts,
  scan: LakeScan,
  { project, dates }: Scope,
  nowMs: number,
): Promise<string[]> {
  const { store } = parts;
  const roots = [...(scan.roots.get(project) ?? [])];
  const base = roots.findLast(([, root]) => root)?.[1];
  const published = await Promise.all(TABLES.map((table) => readIceberg(store, project, table)));
  const version = Math.max(
    0,
    ...roots.map(([n]) => n),
    ...published.map((table) => table?.manifestVersion ?? 0),
  );
  const sources = sourcesOf(scan, { project, dates }, base);
  const found = await gather(parts, scan, { project, dates }, sources, nowMs);

  const days = new Map<string, LakeFile[]>([...(dates ?? [])].map((date) => [date, []]));
  for (const { date, file } of found.files) days.set(date, [...(days.get(date) ?? []), file]);
  const root: RootManifest = {
    ...(base ?? { v: 1, project, createdMs: nowMs, l0: {} }),
    version,
    days: dates ? (base?.days ?? {}) : {},
  };
  const change = { days, commits: dates ? [] : sources.taken };
  if (!(await publish(store, { project, root, days: new Map() }, change, nowMs, parts.nonce()))) {
    await store.remove(found.written);
    return [`${project}: another process published meanwhile; stop the processors and try again`];
  }
  const aside = [...found.broken, ...badManifests(scan, project)];
  const done = [`${project}: version ${version + 1} is made of ${found.files.length} files`];
  for (const key of aside) done.push(await putAside(store, key));
  const missing = rowsTold(scan, base, dates) - found.files.reduce((sum, { file }) => sum + file.rows, 0);
  if (missing > 0) done.push(`${project}: ${missing} rows that were told are in no file any more`);
  return done;
}

interface Sources {
  /** In the order in which they are read. */
  files: StoreObject[];
  /** Commits whose rows belong into files of the project. */
  taken: Commit[];
  /** Commits from which readers take the rows themselves. */
  pending: Commit[];
}
function sourcesOf(scan: LakeScan, { project, dates }: Scope, base: RootManifest | undefined): Sources {
  const commits = [...scan.commits.values()].filter((commit) => commit !== undefined);
  const named = new Map<string, number>();
  const madeMs = new Map(scan.manifests.map(({ key, modifiedMs }) => [key, modifiedMs]));
  for (const [key, day] of scan.days)
    for (const file of day?.files ?? [])
      named.set(file.key, Math.max(named.get(file.key) ?? 0, madeMs.get(key) ?? 0));
  const rank = ({ key }: StoreObject): number => named.get(key) ?? 0;
  const files = [...scan.files.values()]
    .filter(({ key }) => {
      const { isAsset, date } = placeOf(key)!;
      return !isAsset && projectOf(key) === project && (!dates || dates.has(date));
    })
    .sort((a, b) => rank(b) - rank(a) || b.modifiedMs - a.modifiedMs || b.bytes - a.bytes);
  const ofProject = pendingCommits(project, undefined, commits);
  const behind = pendingCommits(project, base, commits);
  const chained = new Set(unbroken(commits));
  const pending = dates ? behind : behind.filter((commit) => !chained.has(commit));
  return { files, pending, taken: ofProject.filter((commit) => !pending.includes(commit)) };
}

interface Gathered {
  files: { date: string; file: LakeFile }[];
  /** Keys of new files. */
  written: string[];
  /** Keys of what cannot be used. */
  broken: string[];
}
async function gather(
  parts: RepairParts,
  scan: LakeScan,
  { project, dates }: Scope,
  sources: Sources,
  nowMs: number,
): Promise<Gathered> {
  const { store } = parts;
  const erased = await listErased(store, project);
  const known = createKnownKeys();
  for (const commit of sources.pending) known.addSessions(project, commit.sessions);
  const lines = [...scan.days.values()].flatMap((day) => (day?.project === project ? day.files : []));
  const byKey = new Map(lines.map((line) => [line.key, line]));
  const bySha = new Map(lines.flatMap((line) => (line.sha256 ? [[line.sha256, line] as const] : [])));
  const out: Gathered = { files: [], written: [], broken: [] };

  const isWanted = (row: Row, cls: ClassName): boolean => {
    const date = sessionDate(row.session_id);
    return (
      row.project === project &&
      (!dates || dates.has(date)) &&
      !erased.has(row.session_id) &&
      !dayIsPast(date, classDays(cls), nowMs)
    );
  };
  const write = async (
    table: Table,
    cls: ClassName,
    rows: readonly Row[],
    areSealed = false,
  ): Promise<void> => {
    for (const date of new Set(rows.map((row) => sessionDate(row.session_id)))) {
      const ofDay = rows.filter((row) => sessionDate(row.session_id) === date);
      const bucket = { project, date, class: cls, table, rows: ofDay };
      const file = await writeRows(parts, bucket, areSealed);
      out.files.push({ date, file });
      out.written.push(file.key);
    }
  };

  for (const { key } of sources.files) {
    const bytes = await store.get(key);
    const line = byKey.get(key);
    const sha = sha256Of(bytes);
    // A file that lies under another's name is what its content says; what it is, its own name says best.
    const owner = line?.sha256 === undefined || line.sha256 === sha ? line : bySha.get(sha);
    const table = tableOf(owner?.key ?? key);
    const { class: cls } = placeOf(owner?.key ?? key)!;
    const { rows, problems } = await inspectFile(table, bytes);
    if (!rows.length || (line?.sha256 !== undefined && !owner)) {
      out.broken.push(key);
      continue;
    }
    if (table === 'sessions') {
      if (tableOf(key) !== table) out.broken.push(key);
      continue;
    }
    const fresh = rows.filter((row) => isWanted(row, cls) && known.add(table, row, cls));
    const place = placeOf(key)!;
    const belongs =
      place.class === cls &&
      tableOf(key) === table &&
      fresh.every((row) => sessionDate(row.session_id) === place.date);
    if (fresh.length === rows.length && belongs && !problems.length)
      out.files.push({ date: place.date, file: await describeFile(key, table, cls, rows, bytes) });
    else await write(table, cls, fresh, table === 'replay' && (await isSealedFile(bytes)));
  }
  for (const commit of sources.taken)
    for (const { key, table, class: cls } of commit.files) {
      if (!scan.l0.has(key)) continue;
      const { rows } = await inspectFile(table, await store.get(key));
      await write(
        table,
        cls,
        rows.filter((row) => isWanted(row, cls) && known.add(table, row, cls)),
      );
    }
  return out;
}

function badManifests(scan: LakeScan, project: string): string[] {
  const roots = [...(scan.roots.get(project) ?? [])].filter(([, root]) => !root);
  const days = [...scan.days].filter(([key, day]) => !day && projectOf(key) === project);
  return [...roots.map(([version]) => paths.manifest(project, version)), ...days.map(([key]) => key)];
}

/** Recorded rows in the files that the newest readable manifests name. */
function rowsTold(
  scan: LakeScan,
  base: RootManifest | undefined,
  dates: ReadonlySet<string> | undefined,
): number {
  let rows = 0;
  for (const [date, key] of Object.entries(base?.days ?? {}))
    if (!dates || dates.has(date))
      for (const file of scan.days.get(key)?.files ?? []) if (file.table !== 'sessions') rows += file.rows;
  return rows;
}

/** A name of its own, kept as long as other quarantine; nothing is removed before its copy is there. */
async function putAside(store: Store, key: string): Promise<string> {
  const bytes = await store.get(key);
  await store.put(paths.quarantinedFile(key), bytes);
  await store.remove([key]);
  return `${key} is put aside as ${paths.quarantinedFile(key)}`;
}

/** A commit that names a file which is not there, or cannot be read, holds up its shard and every reader. */
async function letCommitsBeWithout(
  store: Store,
  scan: LakeScan,
  keys: ReadonlySet<string>,
): Promise<string[]> {
  const done: string[] = [];
  for (const [key, commit] of scan.commits) {
    const bad = commit?.files.filter((file) => keys.has(file.key)) ?? [];
    if (!commit || !bad.length) continue;
    for (const file of bad) {
      if (scan.l0.has(file.key)) done.push(await putAside(store, file.key));
      done.push(`${key} is without ${file.rows} rows of ${file.table} that were in ${file.key}`);
    }
    const left: Commit = { ...commit, files: commit.files.filter((file) => !bad.includes(file)) };
    await store.put(key, encodeJson(left));
    scan.commits.set(key, left);
  }
  return done;
}
