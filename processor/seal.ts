import { EventType } from '#protocol';
import { putAsset } from './assets.ts';
import { createCheckpoints, decodeCheckpoint, eventsOf } from './checkpoints.ts';
import { decoded, getFile } from './damage.ts';
import { createReplayWriter, type EncodedFile } from './lake-file.ts';
import { getIfThere, readReplayGroups } from './lake-reader.ts';
import {
  paths,
  REPLAY_GROUP_BYTES_MAX,
  sessionDate,
  type ClassName,
  type LakeFile,
  type ReplayRow,
} from './layout.ts';
import { compareRows, sameKey } from './row-groups.ts';
import type { SpliceableGroup } from './splice.ts';
import { assetsIn, joinAssets, splitAssets } from './split-assets.ts';
import type { Store } from './store.ts';
import {
  decodeReplayGroup,
  decodeReplayGroups,
  decodeSpliceableGroups,
  type ReplayGroup,
} from './parquet-groups.ts';
import { readerOf } from './x-hyparquet.ts';

/**
 * Sealing: rows of `replay` on their way into a file that is kept get a checkpoint every minute, and what their
 * payloads repeat (style sheets, data: addresses) goes into assets of the day.
 *
 *   files in      a: r1,1–40   r1,41–90        row groups, by session, rid and seq; each is decoded when its turn
 *                 b:     r1,41–95   r2,1–30    comes, overlapping ones together, so that one session's size does not matter
 *   rows          r1,1 … r1,95 r2,1 …          each key once; what was sealed before is joined again first
 *   file out      r1,1–60 │ C r1,61–95 │ r2,1–30
 *
 * A page load that lies in one sealed file alone is there as it would come out once more, so that its row groups are spliced
 * (see `splice.ts`). Small ones too: encoded anew they would be as many and as large, for none ever holds more than one
 * page load, and take six times as long (measured: 6 rows each; of real sessions 30 times).
 */

/** A row in the order of its file. */
interface Whole {
  row: ReplayRow;
  /** An asset of its payload is lost, which is therefore left as it was. */
  isSplit?: boolean;
  /** It stands in another file, and only tells what the page was before. */
  isBefore?: boolean;
}

/** A row group that is sealed already. */
interface Spliced {
  group: SpliceableGroup;
  bytes: Uint8Array;
}

/** Seals rows one after the other, in the order of a file. */
export function createSealer() {
  const checkpoints = createCheckpoints();
  /** By name: what was taken out since it was last asked for. */
  let assets = new Map<string, Uint8Array>();
  const split = (row: ReplayRow, data?: unknown): ReplayRow => {
    const { payload, assets: taken } = splitAssets(row.payload, data);
    for (const [name, bytes] of taken) assets.set(name, bytes);
    return { ...row, payload };
  };
  return {
    /** What stands in the file for the row: nothing for a checkpoint that is made anew, a checkpoint before an event. */
    add({ row, isSplit, isBefore }: Whole): ReplayRow[] {
      // Of the session's own: another's page load may have given itself the same id.
      const key = { rid: `${row.session_id}/${row.rid}`, seq: row.seq, ts: Number(row.ts) / 1000 };
      const { payload, type } = row;
      const isCheckpoint = row.kind === 'checkpoint';
      const data: unknown = isCheckpoint ? undefined : JSON.parse(payload);
      const isKept = isCheckpoint && checkpoints.resume({ ...key, payload });
      const due = isCheckpoint ? undefined : checkpoints.add({ ...key, type, data, chars: payload.length });
      if (isBefore || (isCheckpoint && !isKept)) return [];
      const own = isSplit ? row : split(row, data);
      if (!due) return [own];
      return [split({ ...row, type: EventType.fullSnapshot, kind: 'checkpoint', payload: due.payload }), own];
    },
    takeAssets(): Map<string, Uint8Array> {
      const taken = assets;
      assets = new Map();
      return taken;
    },
  };
}

/** Whole rows of a file, sealed at once. */
export function sealRows(rows: readonly ReplayRow[]): { rows: ReplayRow[]; assets: Map<string, Uint8Array> } {
  const sealer = createSealer();
  return { rows: rows.flatMap((row) => sealer.add({ row })), assets: sealer.takeAssets() };
}

export interface SealedPlace {
  key: string;
  class: ClassName;
  project: string;
  date: string;
}
/** Writes what comes in the order of the file, its rows sealed, and the assets before the file. @throws StoreError */
export async function putSealed(
  store: Store,
  to: SealedPlace,
  content: AsyncIterable<Whole | Spliced> | Iterable<Whole>,
): Promise<EncodedFile | undefined> {
  const writer = createReplayWriter(to.key, to.class, true);
  const sealer = createSealer();
  const put = new Set<string>();
  let held: ReplayRow[] = [];
  let heldBytes = 0;
  let any = false;
  const write = async (): Promise<void> => {
    for (const [name, bytes] of sealer.takeAssets())
      if (!put.has(name)) {
        put.add(name);
        await putAsset(store, paths.asset(to.class, to.project, to.date, name), bytes);
      }
    await writer.write(held);
    any ||= held.length > 0;
    held = [];
    heldBytes = 0;
  };
  for await (const one of content) {
    if ('group' in one) {
      await write();
      writer.splice(one.group, one.bytes);
      any = true;
      continue;
    }
    for (const row of sealer.add(one)) {
      if (heldBytes >= REPLAY_GROUP_BYTES_MAX) await write();
      held.push(row);
      heldBytes += row.payload.length;
    }
  }
  await write();
  if (!any) return undefined;
  const encoded = writer.finish();
  await store.put(to.key, encoded.bytes);
  return encoded;
}

/** As one file, but not row groups of sessions that `skips`; see `mergedRows`. @throws StoreError */
export async function putMerged(
  store: Store,
  to: SealedPlace,
  files: readonly LakeFile[],
  others: readonly LakeFile[],
  skips: (session: string) => boolean,
): Promise<EncodedFile | undefined> {
  const kept = (await readParts(store, files)).filter(({ group }) => !skips(group.session));
  return putSealed(store, to, mergedRows(store, kept, others));
}

export const wholeRows = (rows: readonly ReplayRow[]): Whole[] =>
  rows.map((row) => ({ row, isSplit: false }));

/** A row group that is to be merged. */
export interface Part {
  file: LakeFile;
  group: ReplayGroup | SpliceableGroup;
  read(): Promise<Uint8Array>;
}
const isSpliceable = (part: Part): part is Part & { group: SpliceableGroup } => 'footer' in part.group;

/** The row groups of files, in the order of a file. The files' bytes are held for as long as one of them is. @throws StoreError */
export async function readParts(store: Store, files: readonly LakeFile[]): Promise<Part[]> {
  const parts: Part[] = [];
  for (const file of files) {
    const bytes = await getFile(store, file);
    const read = readerOf(bytes);
    const groups = await decoded(file.key, async () => {
      const spliceable = file.sealed && (await decodeSpliceableGroups(bytes.length, read));
      return spliceable || decodeReplayGroups(bytes.length, read);
    });
    for (const group of groups) parts.push({ file, group, read: () => read(group.start, group.end) });
  }
  return parts.sort(byFirstRow);
}

/**
 * The rows of row groups in the order of a file, all of one project, day and class, each once; as row groups where these can
 * be spliced. One that is decoded is in memory only while its rows are asked for. `others` are the files of the same kind
 * that are not merged: what they have of a page load from its last snapshot or checkpoint on comes before its rows here.
 * @throws StoreError
 */
export async function* mergedRows(
  store: Store,
  parts: readonly Part[],
  others: readonly LakeFile[],
): AsyncGenerator<Whole | Spliced> {
  const assets = createAssetReader(store);
  const before = createEarlierParts(store, others);
  const decode = async ({ file, group, read }: Part): Promise<Whole[]> => {
    const rows = await decoded(file.key, async () => decodeReplayGroup(group, await read()));
    return file.sealed ? Promise.all(rows.map((row) => assets.join(row, file))) : wholeRows(rows);
  };
  for (const load of loadsOf(parts)) {
    const { file, group } = load[0]!;
    const earlier = group.snapshot || group.firstSeq === 1 ? [] : await before(group);
    if (!earlier.length && load.every((part) => part.file === file) && load.every(isSpliceable)) {
      for (const part of load) yield { group: part.group, bytes: await part.read() };
      continue;
    }
    for (const part of earlier) for (const { row } of await decode(part)) yield { row, isBefore: true };
    for (let at = 0; at < load.length;) {
      const rows: Whole[] = [];
      for (let { lastSeq } = load[at]!.group; at < load.length; at++) {
        const next = load[at]!;
        if (rows.length && next.group.firstSeq > lastSeq) break;
        lastSeq = Math.max(lastSeq, next.group.lastSeq);
        rows.push(...(await decode(next)));
      }
      rows.sort((a, b) => compareRows(a.row, b.row));
      for (const [i, one] of rows.entries()) if (!i || !sameKey(one.row, rows[i - 1]!.row)) yield one;
    }
  }
}
/** In runs of one page load each. */
function loadsOf(parts: readonly Part[]): Part[][] {
  const loads: Part[][] = [];
  for (const part of parts) {
    const load = loads.at(-1);
    if (load && isSameLoad(load[0]!.group, part.group)) load.push(part);
    else loads.push([part]);
  }
  return loads;
}
const isSameLoad = (a: ReplayGroup, b: ReplayGroup): boolean =>
  a.session === b.session && a.firstRid === b.firstRid;
const byFirstRow = ({ group: a }: Part, { group: b }: Part): number =>
  compareRows(
    { session_id: a.session, rid: a.firstRid, seq: a.firstSeq },
    { session_id: b.session, rid: b.firstRid, seq: b.firstSeq },
  );

/** Finds what stands in the files of a page load before a row group, from where it can be played. Reads footers when they are needed. */
function createEarlierParts(
  store: Store,
  files: readonly LakeFile[],
): (group: ReplayGroup) => Promise<Part[]> {
  const footers = new Map<LakeFile, Promise<ReplayGroup[]>>();
  const get = (file: LakeFile, start: number, end: number) => store.get(file.key, { start, end });
  return async (wanted) => {
    const found: Part[] = [];
    for (const file of files) {
      if (wanted.session < file.firstSession || wanted.session > file.lastSession) continue;
      const footer = footers.get(file) ?? readReplayGroups(store, file);
      footers.set(file, footer);
      for (const group of await footer)
        if (isSameLoad(group, wanted) && group.lastSeq < wanted.firstSeq)
          found.push({ file, group, read: () => get(file, group.start, group.end) });
    }
    found.sort(byFirstRow);
    const from = found.findLastIndex(({ group }) => group.snapshot);
    return from < 0 ? [] : found.slice(from);
  };
}

/** Bytes of assets kept in memory. */
const ASSETS_BYTES_MAX = 32 * 1024 * 1024;

/** Puts assets back into payloads; those used last are kept at hand. */
export function createAssetReader(store: Store) {
  const held = new Map<string, { bytes: Promise<Uint8Array | undefined>; size: number }>();
  let heldBytes = 0;
  async function read(key: string): Promise<Uint8Array | undefined> {
    const known = held.get(key);
    const one = known ?? { bytes: getIfThere(store, key), size: 0 };
    held.delete(key);
    held.set(key, one);
    if (known) return known.bytes;
    const bytes = await one.bytes.catch((error: unknown) => {
      held.delete(key);
      throw error;
    });
    if (!bytes) held.delete(key);
    else if (held.get(key) === one) heldBytes += one.size = bytes.length;
    for (const [oldest, { size }] of held) {
      if (heldBytes <= ASSETS_BYTES_MAX) break;
      held.delete(oldest);
      heldBytes -= size;
    }
    return bytes;
  }
  return {
    /** Where an asset is lost the row stays as it is. @throws StoreError */
    async join(row: ReplayRow, { class: cls }: { class: ClassName }): Promise<Whole> {
      const found = new Map<string, Uint8Array>();
      for (const name of assetsIn(row.payload)) {
        const bytes = await read(paths.asset(cls, row.project, sessionDate(row.session_id), name));
        if (!bytes) return { row, isSplit: true };
        found.set(name, bytes);
      }
      return { row: { ...row, payload: joinAssets(row.payload, (name) => found.get(name)) } };
    },
    /** Of a file that is not sealed the rows as they are. @throws StoreError */
    async joinAll(rows: readonly ReplayRow[], file: LakeFile): Promise<ReplayRow[]> {
      if (!file.sealed) return [...rows];
      const joined: ReplayRow[] = [];
      for (const row of rows) joined.push((await this.join(row, file)).row);
      return joined;
    },
  };
}

/** As a replayer is given them: a checkpoint as the events that it stands for. */
export function playedRows(rows: readonly ReplayRow[]): ReplayRow[] {
  return rows.flatMap((row) =>
    row.kind === 'checkpoint'
      ? eventsOf(decodeCheckpoint(row.payload), 0).map(({ type, data }) => ({
          ...row,
          type,
          payload: JSON.stringify(data),
        }))
      : [row],
  );
}
