import type { Log } from '#service';
import { dayIsClosed, GROUPS_MAX, planIntake, planMerges, unbroken, unexpired } from './compaction.ts';
import type { Erasures } from './erasures.ts';
import { isDamage, unlessDamaged } from './damage.ts';
import { encodeEventsFile, encodeSealedFile, encodeSessionsFile, type EncodedFile } from './lake-file.ts';
import { readRows, type CommitCache } from './lake-reader.ts';
import { projectOf } from './lake-scan.ts';
import {
  classDays,
  dayIsPast,
  paths,
  sessionDate,
  type ClassName,
  type KnownCommit,
  type EventRow,
  type LakeFile,
  type Merge,
  type ReplayRow,
  type SessionRow,
  type Table,
} from './layout.ts';
import { publish, type ManifestChange, type ProjectState } from './manifest.ts';
import { notingFiles } from './noting-files.ts';
import { compareRows, sameKey } from './row-groups.ts';
import { mergedRows, putMerged, putSealed, readParts, wholeRows, type Part } from './seal.ts';
import { withSessions } from './session-files.ts';
import { StoreError, type Store } from './store.ts';
import type { Row } from './x-hyparquet.ts';

export interface CompactParts {
  store: Store;
  erasures: Erasures;
  commits: CommitCache;
  state: (project: string) => Promise<ProjectState>;
  nonce: () => string;
  log: Log;
  /** Hears of what is damaged or gone, without which the rest is done. */
  onDamage: (error: StoreError) => void;
}

export interface Bucket {
  project: string;
  date: string;
  class: ClassName;
  table: Table;
  rows: Row[];
}

/** Rows of `events` held at once, some 500 bytes each. */
const ROWS_MAX = 50_000;
/** Of `replay` files whose row groups are taken in at one go. */
const INTAKE_BYTES_MAX = 8 * 1024 * 1024;
/** Bytes of `events` out of which one compaction makes `sessions` that are missing, as of a lake that was without them. */
const CATCH_UP_BYTES = 64 * 1024 * 1024;

/**
 * Takes commits in: their rows move, project by project, into files of one project and one day, and the files of a day
 * that have become many are merged; the rows of `sessions` follow. Each project's next manifest makes it true at once; of
 * two that do the same one is refused and removes what it wrote, as who fails does. What is damaged keeps back what needs
 * it: a commit and those after it in its shard, the merges of a day, a project. @returns the projects looked at.
 * @throws StoreError
 */
export async function compact(
  parts: CompactParts,
  others: Iterable<string>,
  nowMs: number,
): Promise<Set<string>> {
  await parts.erasures.refresh();
  const commits = unbroken((await parts.commits.listWhole(parts.onDamage)).commits);
  const named = commits.flatMap((commit) => commit.sessions.map(({ project }) => project));
  const projects = new Set([...others, ...named]);
  const states = new Map<string, ProjectState>();
  for (const project of projects) {
    const state = await unlessDamaged(parts.onDamage, () => parts.state(project));
    if (state) states.set(project, state);
  }
  const unnamed = new Set<string>();
  const writing = { ...parts, store: notingFiles(parts.store, unnamed) };
  try {
    const { intake, moved } = await takeInWhole(writing, states, commits, nowMs, unnamed);
    for (const [project, state] of states) {
      const own = moved.get(project) ?? [];
      const change = await planChange(writing, state, own, intake.get(project) ?? [], nowMs);
      if (!change) continue;
      const written = [...unnamed].filter((key) => projectOf(key) === project);
      // If nobody knows whether it was published, they stay.
      for (const key of written) unnamed.delete(key);
      if (await publish(parts.store, state, change, nowMs, parts.nonce())) continue;
      parts.log.info({ project }, 'another processor compacted first');
      await parts.store.remove(written);
    }
  } catch (error) {
    await parts.store.remove([...unnamed]).catch(() => {});
    throw error;
  }
  return projects;
}

/** Takes in without what a damaged file keeps back. */
async function takeInWhole(
  parts: CompactParts,
  states: ReadonlyMap<string, ProjectState>,
  commits: readonly KnownCommit[],
  nowMs: number,
  unnamed: Set<string>,
): Promise<{ intake: Map<string, KnownCommit[]>; moved: Map<string, MovedRows[]> }> {
  for (let whole = commits; ;) {
    const intake = new Map(
      Array.from(states, ([project, { root }]) => [project, planIntake(project, root, whole)] as const),
    );
    try {
      return { intake, moved: await takeIn(parts, intake, nowMs) };
    } catch (error) {
      const of = whole.find(({ files }) => isDamage(error) && files.some(({ key }) => key === error.key));
      if (!of || !isDamage(error)) throw error;
      parts.onDamage(error);
      await parts.store.remove([...unnamed]);
      unnamed.clear();
      whole = whole.filter(({ shard, fromSeq }) => shard !== of.shard || fromSeq < of.fromSeq);
    }
  }
}

interface MovedRows {
  date: string;
  file: LakeFile;
  /** Of `events`. */
  sessions: ReadonlySet<string> | undefined;
}

/** Reads each commit's files once, whatever number of projects wants rows of them. */
async function takeIn(
  parts: CompactParts,
  intake: ReadonlyMap<string, readonly KnownCommit[]>,
  nowMs: number,
): Promise<Map<string, MovedRows[]>> {
  const wanted = new Map<LakeFile, Set<string>>();
  for (const [project, commits] of intake)
    for (const { files } of commits)
      for (const file of files) wanted.set(file, (wanted.get(file) ?? new Set()).add(project));
  const written = new Map<string, MovedRows[]>();
  const note: Note = ({ project, date }, file, sessions) => {
    if (file) written.set(project, [...(written.get(project) ?? []), { date, file, sessions }]);
  };
  const placeIn = (file: LakeFile, project: string, session: string): Place | undefined => {
    const date = sessionDate(session);
    const isWanted = wanted.get(file)!.has(project) && !dayIsPast(date, classDays(file.class), nowMs);
    return isWanted && !parts.erasures.has(project, session)
      ? { project, date, class: file.class }
      : undefined;
  };
  const files = [...wanted.keys()];
  await takeInEvents(parts, ofTable(files, 'events'), placeIn, note);
  await takeInReplay(parts, ofTable(files, 'replay'), placeIn, note);
  return written;
}
interface Place {
  project: string;
  date: string;
  class: ClassName;
}
type PlaceIn = (file: LakeFile, project: string, session: string) => Place | undefined;
type Note = (place: Place, file: LakeFile | undefined, sessions?: ReadonlySet<string>) => void;
const ofTable = (files: readonly LakeFile[], table: Table): LakeFile[] =>
  files.filter((file) => file.table === table);

async function takeInEvents(
  parts: CompactParts,
  files: readonly LakeFile[],
  placeIn: PlaceIn,
  note: Note,
): Promise<void> {
  let buckets = createBuckets<EventRow>();
  let count = 0;
  const write = async (): Promise<void> => {
    for (const [place, rows] of buckets.all())
      note(
        place,
        await writeRows(parts, { ...place, table: 'events', rows }),
        new Set(rows.map(({ session_id }) => session_id)),
      );
    buckets = createBuckets();
    count = 0;
  };
  for (const file of files)
    for (const row of await readRows(parts.store, 'events', file)) {
      const place = placeIn(file, row.project, row.session_id);
      if (!place) continue;
      buckets.add(place, row);
      if (++count >= ROWS_MAX) await write();
    }
  await write();
}

async function takeInReplay(
  parts: CompactParts,
  files: readonly LakeFile[],
  placeIn: PlaceIn,
  note: Note,
): Promise<void> {
  for (const few of inTurns(files)) {
    const buckets = createBuckets<Part>();
    for (const part of await readParts(parts.store, few)) {
      const place = placeIn(part.file, part.group.project, part.group.session);
      if (place) buckets.add(place, part);
    }
    for (const [place, groups] of buckets.all())
      for (const some of bySessions(groups)) {
        const { project, date, class: cls } = place;
        const to = { ...place, key: paths.file(cls, 'replay', project, date, parts.nonce()) };
        note(place, (await putSealed(parts.store, to, mergedRows(parts.store, some, [])))?.file);
      }
  }
}

/** Cut where a session ends. */
function* bySessions(groups: readonly Part[]): Generator<Part[]> {
  let some: Part[] = [];
  for (const part of groups) {
    if (some.length >= GROUPS_MAX && some.at(-1)!.group.session !== part.group.session) {
      yield some;
      some = [];
    }
    some.push(part);
  }
  yield some;
}

/** A few files at a time. */
function* inTurns(files: readonly LakeFile[]): Generator<LakeFile[]> {
  let few: LakeFile[] = [];
  let bytes = 0;
  for (const file of files) {
    if (few.length && bytes + file.bytes > INTAKE_BYTES_MAX) {
      yield few;
      few = [];
      bytes = 0;
    }
    few.push(file);
    bytes += file.bytes;
  }
  if (few.length) yield few;
}

function createBuckets<T>() {
  const held = new Map<string, [Place, T[]]>();
  return {
    add(place: Place, one: T): void {
      const id = `${place.project} ${place.date} ${place.class}`;
      const bucket = held.get(id);
      if (bucket) bucket[1].push(one);
      else held.set(id, [place, [one]]);
    },
    all: () => held.values(),
  };
}

async function planChange(
  parts: CompactParts,
  state: ProjectState,
  moved: readonly MovedRows[],
  commits: readonly KnownCommit[],
  nowMs: number,
): Promise<ManifestChange | undefined> {
  const days = new Map<string, LakeFile[]>();
  const made = new Map<string, Merge[]>();
  const dates = new Set([...state.days.keys(), ...moved.map(({ date }) => date)]);
  const { project } = state;
  const isErased = (session: string): boolean => parts.erasures.has(project, session);
  let catchUpBytes = CATCH_UP_BYTES;
  for (const date of [...dates].sort().reverse()) {
    const ofDay = moved.filter((one) => one.date === date);
    const added = ofDay.map(({ file }) => file);
    let files = [...(state.days.get(date)?.files ?? []), ...added];
    let isMerged = false;
    for (const group of planMerges(files, dayIsClosed(date, nowMs))) {
      const merged = await unlessDamaged(parts.onDamage, () =>
        mergeFiles(parts, state.project, date, group, files),
      );
      if (!merged) continue;
      isMerged = true;
      files = [...files.filter((file) => !group.includes(file)), ...merged];
      for (const { key } of merged) made.set(date, [...(made.get(date) ?? []), { into: key, of: group }]);
    }
    const touched = touchedBy(ofDay);
    for (const [cls, bytes] of withoutSessions(unexpired(date, files, nowMs))) {
      if (touched.has(cls) || catchUpBytes <= 0) continue;
      touched.set(cls, new Set());
      catchUpBytes -= bytes;
    }
    const whole = await withSessions(parts, files, { project, date, touched, isErased }).catch(
      (error: unknown) => {
        // What is recorded goes on without what follows from it.
        if (error instanceof StoreError && !isDamage(error)) throw error;
        if (isDamage(error)) parts.onDamage(error);
        const told = { err: error, project, date };
        parts.log.warn(told, 'sessions cannot be made of the events of a day; look with mutoscope fsck');
        return files.filter((file) => file.table !== 'sessions' || !touched.has(file.class));
      },
    );
    if (added.length || isMerged || touched.size) days.set(date, whole);
  }
  return days.size || commits.length ? { days, merges: made, commits } : undefined;
}

/** By class: sessions of which events came. */
function touchedBy(moved: readonly MovedRows[]): Map<ClassName, Set<string>> {
  const touched = new Map<ClassName, Set<string>>();
  for (const { file, sessions } of moved)
    if (sessions) touched.set(file.class, new Set([...(touched.get(file.class) ?? []), ...sessions]));
  return touched;
}

/** Classes with `events` and no `sessions`, and bytes of the former. */
function withoutSessions(files: readonly LakeFile[]): Map<ClassName, number> {
  const bytes = new Map<ClassName, number>();
  for (const file of files)
    if (file.table === 'events') bytes.set(file.class, (bytes.get(file.class) ?? 0) + file.bytes);
  for (const file of files) if (file.table === 'sessions') bytes.delete(file.class);
  return bytes;
}

/** @returns the file, or none when there is nothing left of them */
async function mergeFiles(
  parts: CompactParts,
  project: string,
  date: string,
  files: readonly LakeFile[],
  day: readonly LakeFile[],
): Promise<LakeFile[]> {
  const { class: cls, table } = files[0]!;
  if (table === 'replay') {
    const to = { key: paths.file(cls, table, project, date, parts.nonce()), class: cls, project, date };
    const others = day.filter((file) => file.table === table && file.class === cls && !files.includes(file));
    const isErased = (session: string): boolean => parts.erasures.has(project, session);
    const merged = await putMerged(parts.store, to, files, others, isErased);
    return merged ? [merged.file] : [];
  }
  const rows: Row[] = [];
  for (const file of files)
    for (const row of keepRows(parts, await readRows(parts.store, table, file))) rows.push(row);
  return rows.length ? [await writeRows(parts, { project, date, class: cls, table, rows })] : [];
}

/** Without rows of erased sessions. */
const keepRows = ({ erasures }: CompactParts, rows: Row[]): Row[] =>
  rows.filter((row) => !erasures.has(row.project, row.session_id));

/** Puts one file of the rows, each key once; those of `replay` sealed, unless they are. There must be at least one. */
export async function writeRows(
  { store, nonce }: Pick<CompactParts, 'store' | 'nonce'>,
  { project, date, class: cls, table, rows }: Bucket,
  areSealed = false,
): Promise<LakeFile> {
  const key = paths.file(cls, table, project, date, nonce());
  const unique = rows.sort(compareRows).filter((row, i) => i === 0 || !sameKey(row, rows[i - 1]!));
  if (table === 'replay' && !areSealed)
    return (await putSealed(store, { key, class: cls, project, date }, wholeRows(unique as ReplayRow[])))!
      .file;
  const { file, bytes } = await encodeRows(table, key, cls, unique);
  await store.put(key, bytes);
  return file;
}

function encodeRows(table: Table, key: string, cls: ClassName, rows: readonly Row[]): Promise<EncodedFile> {
  if (table === 'events') return encodeEventsFile(key, cls, rows as EventRow[], 'thorough');
  if (table === 'sessions') return encodeSessionsFile(key, cls, rows as SessionRow[]);
  return encodeSealedFile(key, cls, rows as ReplayRow[]);
}
