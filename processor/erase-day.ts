import { classesOfDay } from './classes.ts';
import type { EraseParts } from './erase.ts';
import { decoded, getFile } from './damage.ts';
import { idsIn } from './erasure-scan.ts';
import { stateOf, type Journal } from './journal.ts';
import { getIfThere, getJsonIfThere, rootKeys } from './lake-reader.ts';
import { tableOf } from './lake-scan.ts';
import { paths, TABLES, type LakeFile, type RootManifest } from './layout.ts';
import type { ProjectState } from './manifest.ts';
import { partFile } from './part-file.ts';
import type { Store, StoreObject } from './store.ts';
import { decodeSpliceableGroups } from './parquet-groups.ts';
import { decodeFile, readerOf, type Row } from './x-hyparquet.ts';

export interface Holding {
  key: string;
  /** Of the journal. */
  sessions: Set<string>;
}

/** Sessions of the journal with rows in the file; each event of theirs is noted. */
export async function sessionsHeld(key: string, bytes: Uint8Array, journal: Journal): Promise<Set<string>> {
  const table = tableOf(key);
  const groups =
    table === 'replay' && (await decoded(key, () => decodeSpliceableGroups(bytes.length, readerOf(bytes))));
  if (groups) return new Set(groups.map(({ session }) => session).filter(journal.has));
  const held = new Set<string>();
  const rows = await decoded<Row[]>(key, () =>
    table === 'sessions'
      ? decodeFile(table, bytes, ['session_id'])
      : decodeFile(table, bytes, ['session_id', 'rid', 'seq']),
  );
  for (const row of rows) {
    if (!journal.has(row.session_id)) continue;
    held.add(row.session_id);
    if (table === 'events' && 'seq' in row) journal.noteRow(row.session_id, row.rid, row.seq);
  }
  return held;
}

/** The day's files that hold rows of the sessions, also those that no manifest names any more. */
export async function filesHolding(
  parts: Pick<EraseParts, 'store' | 'state' | 'commits'>,
  project: string,
  date: string,
  journal: Journal,
): Promise<Holding[]> {
  const { store } = parts;
  const holding: Holding[] = [];
  for (const cls of await classesOfDay(parts, project, date))
    for (const table of TABLES)
      for await (const { key } of store.list(paths.dayPrefix(cls, table, project, date))) {
        const bytes = await getIfThere(store, key);
        const sessions = bytes && (await sessionsHeld(key, bytes, journal));
        if (!bytes || !sessions?.size) continue;
        for (const session of sessions) journal.note(session, { key, before: stateOf(bytes) });
        holding.push({ key, sessions });
      }
  return holding;
}

/** Puts the day's live files anew without the sessions' rows. @returns the day as it is to be published */
export async function writeWithout(
  parts: EraseParts,
  state: ProjectState,
  date: string,
  holding: readonly Holding[],
  journal: Journal,
): Promise<{ days: Map<string, LakeFile[]>; files: LakeFile[] }> {
  const live = state.days.get(date)?.files ?? [];
  const sessionsIn = new Map(holding.map(({ key, sessions }) => [key, sessions]));
  const files: LakeFile[] = [];
  for (const old of live) {
    const { key, class: cls } = old;
    const sessions = sessionsIn.get(key);
    if (!sessions) continue;
    const before = await getFile(parts.store, old);
    const whole = { ...old, bytes: before.length };
    const others = (await partFile(whole, readerOf(before), journal.has)).get(false);
    const file = await others?.put(parts, { project: state.project, date, class: cls });
    if (file) files.push(file);
    const after = file && { key: file.key, bytes: file.bytes, sha256: file.sha256! };
    for (const session of sessions) {
      journal.note(session, { key, before: stateOf(before), ...(after && { after }) });
      journal.noteRewritten(session, key);
    }
  }
  const kept = live.filter(({ key }) => !sessionsIn.has(key));
  return { days: live.length ? new Map([[date, [...kept, ...files]]]) : new Map(), files };
}

/**
 * Older manifests of the day that name a session as a bound: such as an older root names, and all from before the newest root,
 * for who wrote one of those wanted that root's version or an earlier one. What is younger another may be about to name.
 */
export async function manifestsNaming(
  store: Store,
  project: string,
  date: string,
  journal: Journal,
): Promise<string[]> {
  const ofDay = async (root: string): Promise<string | undefined> =>
    (await getJsonIfThere<RootManifest>(store, root))?.days[date];
  let newest: StoreObject | undefined;
  const days: StoreObject[] = [];
  const isDay = paths.dayManifest(project, date, '').slice(0, -'.json'.length);
  for await (const object of store.list(paths.projectManifestPrefix(project)))
    if (object.key.startsWith(isDay)) days.push(object);
    else if (!object.key.includes('/day/')) newest = object;
  if (!newest) return [];
  const live = await ofDay(newest.key);
  const naming: string[] = [];
  let older: Set<string | undefined> | undefined;
  for (const { key, modifiedMs } of days) {
    const bytes = key === live ? undefined : await getIfThere(store, key);
    const named = bytes ? [...idsIn(bytes)].filter((id) => journal.has(id)) : [];
    if (!bytes || !named.length) continue;
    older ??= new Set(
      await Promise.all((await rootKeys(store, project)).filter((root) => root !== newest.key).map(ofDay)),
    );
    if (modifiedMs >= newest.modifiedMs && !older.has(key)) continue;
    for (const session of named) journal.note(session, { key, before: stateOf(bytes) });
    naming.push(key);
  }
  return naming;
}
