import { unbroken } from './compaction.ts';
import { sha256Of } from './damage.ts';
import { finding, type Finding, type FindingCode } from './findings.ts';
import { compareIceberg, readIceberg, type IcebergTable } from './iceberg-check.ts';
import { compareHash, compareLine, comparePlace, inspectFile, type FileProblem } from './inspect-file.ts';
import { projectOf, scanLake, type LakeScan } from './lake-scan.ts';
import { getIfThere, listErased, newestRoot } from './lake-reader.ts';
import {
  classDays,
  commitFiles,
  dayIsPast,
  paths,
  pendingCommits,
  placeOf,
  takenIn,
  TABLES,
  type Commit,
  type LakeFile,
  type RootManifest,
  type Table,
} from './layout.ts';
import { createKnownKeys } from './known-keys.ts';
import { createSessionCheck } from './session-check.ts';
import { isStoreError, type Store, type StoreObject } from './store.ts';

/**
 * Whether the lake is what its manifests say. What can be seen is checked: the files of each project's newest root, and
 * those of commits that some project has not taken in; then whether other readers' metadata says the same, what nothing
 * names, and the assets. Reads only; a lake that is written meanwhile shows no false finding.
 */
export interface FsckOptions {
  project?: string;
  /** Reads no data file: names, sizes and manifests alone. */
  quick?: boolean;
  nowMs: number;
  graceMs: number;
}
export interface FsckReport {
  findings: Finding[];
  projects: string[];
  /** Looked at. */
  files: number;
  bytes: number;
  rows: number;
}

/** After this the sweeps have removed what nothing names: they leave it for an hour on top of the grace. */
const leftMs = ({ graceMs }: { graceMs: number }): number => 2 * graceMs + 2 * 3_600_000;
const LOOKS_MAX = 5;

/** @throws StoreError */
export async function fsck(store: Store, options: FsckOptions): Promise<FsckReport> {
  for (let look = 1; ; look++) {
    const scan = await scanLake(store, options.project);
    const report = await check(store, scan, options);
    if (look === LOOKS_MAX || !report.findings.some(({ level }) => level === 'wrong')) return report;
    if (await isStill(store, scan)) return report;
  }
}

/** Whether no project has published since, so that what was found is not what changed meanwhile. */
async function isStill(store: Store, scan: LakeScan): Promise<boolean> {
  for (const project of scan.projects) {
    const newest = await newestRoot(store, project).catch(() => undefined);
    const known = [...(scan.roots.get(project)?.keys() ?? [])].at(-1);
    if (newest && newest.version !== known) return false;
  }
  return true;
}

async function check(store: Store, scan: LakeScan, options: FsckOptions): Promise<FsckReport> {
  const report: FsckReport = {
    findings: [],
    projects: [...scan.projects].sort(),
    files: 0,
    bytes: 0,
    rows: 0,
  };
  for (const project of report.projects) await checkProject(store, scan, project, options, report);
  await checkCommits(store, scan, options, report);
  await checkAssets(store, scan, options, report);
  for (const one of leftovers(scan, options)) report.findings.push(one);
  return report;
}

const newestOf = (scan: LakeScan, project: string): [number, RootManifest | undefined] =>
  [...(scan.roots.get(project) ?? [])].at(-1) ?? [0, undefined];

async function checkProject(
  store: Store,
  scan: LakeScan,
  project: string,
  options: FsckOptions,
  report: FsckReport,
): Promise<void> {
  const { findings } = report;
  const tables = new Map<Table, IcebergTable | undefined>();
  for (const table of TABLES) tables.set(table, await readIceberg(store, project, table));
  const published = Math.max(...[...tables.values()].map((table) => table?.manifestVersion ?? 0));
  const [version, root] = newestOf(scan, project);
  const key = paths.manifest(project, Math.max(version, published));
  if (version && !root) return void findings.push(finding('bad_root', key, 'it is no manifest', { project }));
  if (published > version)
    return void findings.push(
      finding('root_lost', key, `version ${published} was published, ${version || 'none'} is there`, {
        project,
      }),
    );
  if (!root) {
    // A first compaction that crashed leaves files too, but no manifest, and the next one begins again.
    const isOld = ({ modifiedMs }: StoreObject): boolean => options.nowMs - modifiedMs > leftMs(options);
    const files = [...scan.files.values()].filter(
      ({ key }) => projectOf(key) === project && !placeOf(key)!.isAsset,
    );
    const hasDays = [...scan.days.keys()].some((day) => projectOf(day) === project);
    if (files.length && (hasDays || files.some(isOld)))
      findings.push(
        finding('root_lost', paths.manifest(project, 1), 'there are files and no root', { project }),
      );
    return;
  }
  const files: LakeFile[] = [];
  let whole = true;
  for (const [date, dayKey] of Object.entries(root.days)) {
    const day = scan.days.get(dayKey);
    if (!day || day.date !== date || day.project !== project) {
      whole = false;
      const code: FindingCode = scan.days.has(dayKey) ? 'bad_day' : 'day_lost';
      findings.push(finding(code, dayKey, `the root names it for ${date}`, { project, date }));
      continue;
    }
    files.push(...day.files);
    await checkDay(store, scan, { project, date, files: day.files }, options, report);
  }
  if (whole)
    for (const table of TABLES)
      findings.push(
        ...compareIceberg(
          project,
          root,
          files.filter((file) => file.table === table),
          tables.get(table),
        ),
      );
}

async function checkDay(
  store: Store,
  scan: LakeScan,
  { project, date, files }: { project: string; date: string; files: readonly LakeFile[] },
  options: FsckOptions,
  report: FsckReport,
): Promise<void> {
  const known = createKnownKeys();
  const sessions = createSessionCheck();
  const commits = [...scan.commits.values()].filter((commit) => commit !== undefined);
  for (const commit of pendingCommits(project, newestOf(scan, project)[1], commits))
    known.addSessions(project, commit.sessions);
  for (const file of files) {
    const say = ({ code, why }: FileProblem | { code: 'file_lost'; why: string }): void =>
      void report.findings.push(finding(code, file.key, why, { project, date }));
    const place = placeOf(file.key);
    if (!place || place.class !== file.class || place.date !== date || projectOf(file.key) !== project)
      say({ code: 'wrong_place', why: `it is named for ${date} of ${project} in class ${file.class}` });
    const object = scan.files.get(file.key);
    if (!object) {
      say({ code: 'file_lost', why: `${file.rows} rows of ${file.table} were in it` });
      continue;
    }
    const rows = await checkFile(store, file, object, options, report, say);
    sessions.add(file, rows);
    const twice = rows?.find((row) => !known.add(file.table, row, file.class));
    if (twice)
      report.findings.push(
        finding(
          'key_twice',
          file.key,
          `session ${twice.session_id}${'seq' in twice ? ` seq ${twice.seq}` : ''} is in another file too`,
          {
            project,
            date,
          },
        ),
      );
    if (rows) for (const problem of comparePlace(project, date, rows)) say(problem);
  }
  if (options.quick) return;
  for (const { key, why } of sessions.differences(await listErased(store, project)))
    report.findings.push(finding('session_rows', key, why, { project, date }));
}

/** @returns the file's rows when it was read and is whole */
async function checkFile(
  store: Store,
  file: LakeFile,
  object: StoreObject,
  { quick }: FsckOptions,
  report: FsckReport,
  say: (problem: FileProblem) => void,
): Promise<Awaited<ReturnType<typeof inspectFile>>['rows'] | undefined> {
  report.files++;
  report.bytes += object.bytes;
  if (object.bytes !== file.bytes)
    say({ code: 'wrong_size', why: `it has ${object.bytes} bytes, told are ${file.bytes}` });
  if (quick) return undefined;
  const bytes = await getIfThere(store, file.key);
  // Gone since it was listed: the next look tells whether it should be there.
  if (!bytes) return void say({ code: 'unreadable', why: 'it went while it was looked at' });
  const ofBytes = compareHash(file, bytes);
  const { rows, problems } = await inspectFile(file.table, bytes);
  const ofRows = problems.length || ofBytes.length ? [] : await compareLine(file, bytes, rows);
  for (const problem of [...ofBytes, ...problems, ...ofRows]) say(problem);
  report.rows += rows.length;
  return problems.length || ofBytes.length ? undefined : rows;
}

/** Chains, and the files of commits that some project still reads from. */
async function checkCommits(
  store: Store,
  scan: LakeScan,
  options: FsckOptions,
  report: FsckReport,
): Promise<void> {
  const { findings } = report;
  for (const [key, commit] of scan.commits)
    if (!commit) findings.push(finding('bad_commit', key, 'it is no commit'));
  const commits = [...scan.commits.values()].filter((commit) => commit !== undefined);
  const chained = new Set(unbroken(commits));
  const holes = new Set<number>();
  for (const commit of commits) {
    const key = paths.commit(commit.shard, commit.fromSeq);
    if (!chained.has(commit) && !holes.has(commit.shard)) {
      holes.add(commit.shard);
      findings.push(finding('commit_hole', key, `nothing ends at ${commit.fromSeq - 1}`));
    }
    const readers = pendingProjects(scan, commit, options.project);
    for (const file of commit.files) {
      const project = readers.find((one) => commitFiles(commit, one).includes(file));
      if (project === undefined) continue;
      const object = scan.l0.get(file.key);
      if (!object) {
        const why = `${readers.join(', ')} reads ${file.rows} rows of ${file.table} from it`;
        findings.push(finding('commit_file_lost', file.key, why, { project }));
        continue;
      }
      await checkFile(store, file, object, options, report, ({ why }) =>
        findings.push(finding('commit_file_bad', file.key, why, { project })),
      );
    }
    const told = commit.sessions.reduce((sum, { rows }) => sum + rows, 0);
    const held = commit.files.reduce((sum, { table, rows }) => sum + (table === 'events' ? rows : 0), 0);
    if (readers.length && told !== held)
      findings.push(
        finding('commit_rows', key, `its sessions have ${told} rows, its files ${held}`, {
          level: held < told ? 'note' : 'wrong',
        }),
      );
  }
}

const pendingProjects = (scan: LakeScan, commit: Commit, only?: string): string[] =>
  [...new Set(commit.sessions.filter(({ rows }) => rows > 0).map(({ project }) => project))].filter(
    (project) => (!only || project === only) && !takenIn(newestOf(scan, project)[1], commit),
  );

/** An asset's name says its content. */
async function checkAssets(
  store: Store,
  scan: LakeScan,
  { quick }: FsckOptions,
  report: FsckReport,
): Promise<void> {
  if (quick) return;
  for (const { key } of scan.files.values()) {
    if (!placeOf(key)!.isAsset) continue;
    const bytes = await getIfThere(store, key);
    const told = /([0-9a-f]{64})[^/]*$/.exec(key)?.[1];
    report.files++;
    report.bytes += bytes?.length ?? 0;
    if (bytes && sha256Of(bytes) !== told)
      report.findings.push(
        finding('asset_hash', key, 'its content is not what its name says', { project: projectOf(key) }),
      );
  }
}

/** What lies in the store and nothing names, with its age; an error once the sweeps should have removed it. */
function leftovers(scan: LakeScan, { nowMs, graceMs }: FsckOptions): Finding[] {
  const named = new Set<string>();
  for (const roots of scan.roots.values())
    for (const root of roots.values())
      for (const key of Object.values(root?.days ?? {})) {
        named.add(key);
        for (const file of scan.days.get(key)?.files ?? []) named.add(file.key);
      }
  for (const commit of scan.commits.values()) for (const file of commit?.files ?? []) named.add(file.key);
  const findings: Finding[] = [];
  const data = [...scan.files.values(), ...scan.l0.values()].filter(({ key }) => key.endsWith('.parquet'));
  for (const { key, modifiedMs } of [...data, ...scan.manifests.filter((one) => one.key.includes('/day/'))]) {
    if (named.has(key)) continue;
    const ageMs = nowMs - modifiedMs;
    const level = ageMs > leftMs({ graceMs }) ? 'wrong' : 'note';
    const why = `nothing names it; it is ${Math.round(ageMs / 60_000)} minutes old`;
    findings.push(finding('leftover', key, why, { level, project: projectOf(key) }));
  }
  for (const { key } of scan.files.values()) {
    const { class: cls, date } = placeOf(key)!;
    if (dayIsPast(date, classDays(cls), nowMs - leftMs({ graceMs })))
      findings.push(finding('overdue', key, `class ${cls} of ${date} is over`, { project: projectOf(key) }));
  }
  return findings;
}
