import type { CompactParts } from './compact.ts';
import { dayIsClosed } from './compaction.ts';
import { unlessDamaged } from './damage.ts';
import { encodeJson, getJsonIfThere, readRows } from './lake-reader.ts';
import {
  classDays,
  className,
  holdDays,
  isHeld,
  paths,
  sessionDate,
  type ClassName,
  type Hold,
  type HoldAct,
  type LakeFile,
} from './layout.ts';
import { publish } from './manifest.ts';
import { copyAssets, dropAssets } from './moved-assets.ts';
import { notingFiles } from './noting-files.ts';
import { partFile, type Part } from './part-file.ts';
import { withSessions } from './session-files.ts';
import type { Store, StoreObject } from './store.ts';

export { isHeld };

/**
 * Retention that is not the project's: sessions that are held, and those that were moved to another class. The object of
 * a session says what should be; whoever moves rows makes it so, and each sweep does it again for rows that came later
 * under the class of the recorder's token.
 */
export interface HoldParts extends Pick<CompactParts, 'store' | 'state' | 'commits' | 'nonce'> {
  /** Leads other programs' readers away from what is about to go. */
  forget: (project: string, nowMs: number) => Promise<void>;
}
export interface Moved {
  rows: number;
  files: number;
}

export const readHold = (store: Store, project: string, session: string): Promise<Hold | undefined> =>
  getJsonIfThere<Hold>(store, paths.hold(project, session));

/** The object after one more act. @param retentionDays the session's class as it is stored */
export function withAct(
  hold: Hold | undefined,
  of: { project: string; session: string; retentionDays: number },
  act: HoldAct,
): Hold {
  const before: Hold = hold ?? { v: 1, ...of, acts: [] };
  return {
    ...before,
    retentionDays: act.retentionDays ?? before.retentionDays,
    acts: [...before.acts, act],
  };
}

/** Writes the act down. Undefined when nothing of the session is stored. @throws StoreError */
export async function decide(
  parts: HoldParts,
  project: string,
  session: string,
  act: HoldAct,
): Promise<Hold | undefined> {
  const before = await readHold(parts.store, project, session);
  const retentionDays = before?.retentionDays ?? (await storedClass(parts, project, session));
  if (retentionDays === undefined) return undefined;
  const hold = withAct(before, { project, session, retentionDays }, act);
  await parts.store.put(paths.hold(project, session), encodeJson(hold));
  return hold;
}

/** Of commits that were not taken in, or of the day's files. */
async function storedClass(
  { commits, state, store }: HoldParts,
  project: string,
  session: string,
): Promise<number | undefined> {
  for (const commit of await commits.list())
    for (const one of commit.sessions)
      if (one.session === session && one.project === project && one.rows > 0) return classDays(one.class);
  const day = (await state(project)).days.get(sessionDate(session));
  for (const file of day?.files ?? [])
    if (spans(file, session)) {
      const rows = await readRows(store, file.table, file, ['session_id']);
      if (rows.some((row) => row.session_id === session)) return classDays(file.class);
    }
  return undefined;
}
const spans = (file: LakeFile, session: string): boolean =>
  file.firstSession <= session && session <= file.lastSession;

/**
 * Writes the day's files again so that each session's rows are in the class that `daysOf` says; undefined: where they are.
 * Those of `sessions` are made anew in both classes, for there may be events of a session in the other already.
 * Assets that they tell of come along, and stay behind only for others, or where the day may still bring some. @returns undefined when another published first. @throws StoreError
 */
export async function moveRows(
  parts: HoldParts,
  project: string,
  date: string,
  daysOf: (session: string) => number | undefined,
  nowMs: number,
  mayHold: (file: LakeFile) => boolean = () => true,
): Promise<Moved | undefined> {
  const { store } = parts;
  const state = await parts.state(project);
  const unnamed = new Set<string>();
  const plan = await writeMoved(
    { ...parts, store: notingFiles(store, unnamed) },
    { project, date, files: state.days.get(date)?.files ?? [] },
    daysOf,
    mayHold,
  ).catch(async (error: unknown) => {
    await store.remove([...unnamed]).catch(() => {});
    throw error;
  });
  if (!plan.old.length) return { rows: 0, files: 0 };
  if (!(await publish(store, state, { days: new Map([[date, plan.files]]) }, nowMs, parts.nonce()))) {
    await store.remove([...unnamed]);
    return undefined;
  }
  // At once: a class that is shorter now is over when it says so, not when the replaced file goes.
  await parts.forget(project, nowMs);
  await store.remove(plan.old);
  if (dayIsClosed(date, nowMs)) await dropAssets(parts, project, date, plan.left);
  return { rows: plan.rows, files: plan.old.length };
}

interface MovePlan {
  /** Of the day, as they are to be published. */
  files: LakeFile[];
  /** Keys of those that are replaced. */
  old: string[];
  /** Of `events`, that are in another class now. */
  rows: number;
  /** By class that rows left: the assets that they told of. */
  left: Map<ClassName, ReadonlySet<string>>;
}
async function writeMoved(
  parts: HoldParts,
  { project, date, files }: { project: string; date: string; files: readonly LakeFile[] },
  daysOf: (session: string) => number | undefined,
  mayHold: (file: LakeFile) => boolean,
): Promise<MovePlan> {
  const { store } = parts;
  const recorded: LakeFile[] = [];
  const plan: MovePlan = { files: recorded, old: [], rows: 0, left: new Map() };
  const touched = new Map<ClassName, Set<string>>();
  const touch = (cls: ClassName, session: string): unknown =>
    touched.set(cls, (touched.get(cls) ?? new Set()).add(session));
  for (const file of files) {
    const own = classDays(file.class);
    // Rows of `sessions` are made anew of those that moved.
    const isMoved = file.table !== 'sessions' && mayHold(file);
    const read = (start: number, end: number) => store.get(file.key, { start, end });
    const byDays = isMoved
      ? await partFile(file, read, (session) => daysOf(session) ?? own)
      : new Map<number, Part>();
    if (!byDays.size || (byDays.size === 1 && byDays.has(own))) {
      recorded.push(file);
      continue;
    }
    for (const [days, part] of byDays) {
      const to = className(days);
      if (days !== own) {
        if (file.table === 'events') plan.rows += part.rows;
        for (const session of part.sessions) for (const cls of [file.class, to]) touch(cls, session);
        const names = part.assets;
        await copyAssets(store, { project, date, names, from: file.class, to });
        plan.left.set(file.class, new Set([...(plan.left.get(file.class) ?? []), ...names]));
      }
      recorded.push(await part.put(parts, { project, date, class: to }));
    }
    plan.old.push(file.key);
  }
  if (!plan.old.length) return plan;
  plan.files = await withSessions(parts, recorded, { project, date, touched });
  const gone = recorded.filter((file) => !plan.files.includes(file)).map(({ key }) => key);
  return { ...plan, old: [...plan.old, ...gone] };
}

/** Makes one session's rows be where its object says. */
export const applyHold = (parts: HoldParts, hold: Hold, nowMs: number): Promise<Moved | undefined> =>
  moveRows(
    parts,
    hold.project,
    sessionDate(hold.session),
    (session) => (session === hold.session ? holdDays(hold) : undefined),
    nowMs,
    (file) => spans(file, hold.session) && classDays(file.class) !== holdDays(hold),
  );

/** Days before `date` whose sessions are all complete, and so can be moved once and for all. */
export const closedDays = (days: Iterable<string>, before: string, nowMs: number): string[] =>
  [...days].filter((day) => day < before && dayIsClosed(day, nowMs)).sort();

export interface Holds {
  /** @throws StoreError */
  apply(nowMs: number): Promise<void>;
}
export function createHolds(parts: HoldParts & Pick<CompactParts, 'onDamage'>): Holds {
  /** By object: the files that were found to be as it says. */
  const checked = new Map<string, string>();
  const read = new Map<string, { modifiedMs: number; bytes: number; hold: Hold }>();
  const holdAt = async ({ key, modifiedMs, bytes }: StoreObject): Promise<Hold | undefined> => {
    const before = read.get(key);
    // Each act makes it longer.
    if (before && before.modifiedMs === modifiedMs && before.bytes === bytes) return before.hold;
    const hold = await getJsonIfThere<Hold>(parts.store, key);
    if (hold) read.set(key, { modifiedMs, bytes, hold });
    return hold;
  };
  return {
    async apply(nowMs) {
      const objects: StoreObject[] = [];
      for await (const object of parts.store.list(paths.holdsPrefix)) objects.push(object);
      for (const object of objects) {
        const { key } = object;
        await unlessDamaged(parts.onDamage, async () => {
          const hold = await holdAt(object);
          if (!hold) return;
          const day = (await parts.state(hold.project)).days.get(sessionDate(hold.session));
          const files = (day?.files ?? []).map((file) => file.key);
          const mark = `${holdDays(hold)} ${files.join(' ')}`;
          if (checked.get(key) === mark) return;
          const moved = await applyHold(parts, hold, nowMs);
          if (moved && !moved.files) checked.set(key, mark);
        });
      }
    },
  };
}
