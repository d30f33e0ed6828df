import type { CompactParts } from './compact.ts';
import { decoded } from './damage.ts';
import { readRows } from './lake-reader.ts';
import {
  paths,
  pendingCommits,
  sessionDate,
  type ClassName,
  type EventRow,
  type LakeFile,
  type ReplayRow,
  type SessionRow,
} from './layout.ts';
import { assetsIn } from './split-assets.ts';
import { isStoreError, type Store } from './store.ts';
import { decodeAssetNames } from './parquet-groups.ts';

/** Assets of which rows tell that go to another class: an asset lies beside the rows of its class and day. */
export function assetNames(
  rows: readonly (Pick<EventRow, 'type' | 'name'> | Pick<ReplayRow, 'payload'> | SessionRow)[],
  { sealed }: Pick<LakeFile, 'sealed'>,
): Set<string> {
  const names = rows.flatMap((row) => {
    if ('payload' in row) return sealed ? assetsIn(row.payload) : [];
    if (!('type' in row)) return [];
    return (row.type === 'asset' || row.type === 'asset_ref') && row.name ? [row.name] : [];
  });
  return new Set(names);
}

/** @throws StoreError */
export async function copyAssets(
  store: Store,
  of: { project: string; date: string; names: Iterable<string>; from: ClassName; to: ClassName },
): Promise<void> {
  const { project, date } = of;
  for (const name of of.names)
    try {
      const bytes = await store.get(paths.asset(of.from, project, date, name));
      await store.put(paths.asset(of.to, project, date, name), bytes);
    } catch (error) {
      // Refused ones are told of and not kept.
      if (!isStoreError(error, 'not_found') && !isStoreError(error, 'bad_key')) throw error;
    }
}

/** Removes those that no row of the class and day tells of any more. The day must be closed, so that none will. @throws StoreError */
export async function dropAssets(
  { store, state, commits }: Pick<CompactParts, 'store' | 'state' | 'commits'>,
  project: string,
  date: string,
  left: ReadonlyMap<ClassName, ReadonlySet<string>>,
): Promise<void> {
  const { root, days } = await state(project);
  const isOfDay = (one: { project: string; session: string }): boolean =>
    one.project === project && sessionDate(one.session) === date;
  // Rows that nobody took in yet may tell of them: then they stay with the class.
  if (pendingCommits(project, root, await commits.list()).some(({ sessions }) => sessions.some(isOfDay)))
    return;
  for (const [cls, names] of left) {
    const told = new Set<string>();
    for (const file of days.get(date)?.files ?? [])
      if (file.class === cls) for (const name of await namesIn(store, file)) told.add(name);
    const unwanted = [...names].filter((name) => !told.has(name));
    await store.remove(unwanted.map((name) => paths.asset(cls, project, date, name)));
  }
}

/** Names of the assets of which the file's rows tell; of an `events` file only rows that `wants`. @throws StoreError */
export async function namesIn(
  store: Store,
  file: LakeFile,
  wants: (row: EventRow) => boolean = () => true,
): Promise<Iterable<string>> {
  if (file.table === 'events') {
    const rows = await readRows(store, 'events', file, COLUMNS_READ);
    return assetNames(rows.filter(wants), file);
  }
  if (!file.sealed) return [];
  const read = (start: number, end: number) => store.get(file.key, { start, end });
  return (await decoded(file.key, () => decodeAssetNames(file.bytes, read))) ?? [];
}
const COLUMNS_READ: (keyof EventRow)[] = ['project', 'session_id', 'type', 'name'];
