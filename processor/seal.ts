import { EventType } from '#protocol';
import { putAsset } from './assets.ts';
import { createCheckpoints, decodeCheckpoint, eventsOf } from './checkpoints.ts';
import { createReplayWriter, type EncodedFile } from './lake-file.ts';
import { getIfThere } from './lake-reader.ts';
import {
  paths,
  REPLAY_GROUP_BYTES_MAX,
  sessionDate,
  type ClassName,
  type LakeFile,
  type ReplayRow,
} from './layout.ts';
import { compareRows, sameKey } from './row-groups.ts';
import { assetsIn, joinAssets, splitAssets } from './split-assets.ts';
import type { Store } from './store.ts';
import { decodeReplayGroup, decodeReplayGroups, type ReplayGroup } from './x-hyparquet.ts';

/**
 * Sealing: rows of `replay` on their way into a file that is kept get a checkpoint every minute, and what their
 * payloads repeat (style sheets, data: addresses) goes into assets of the day.
 *
 *   files in      a: r1,1–40   r1,41–90        row groups, by session, rid and seq; each is decoded when its turn
 *                 b:     r1,41–95   r2,1–30    comes, overlapping ones together, so that one session's size does not matter
 *   rows          r1,1 … r1,95 r2,1 …          each key once; what was sealed before is joined again first
 *   file out      r1,1–60 │ C r1,61–95 │ r2,1–30
 */

/** A row in the order of its file. */
interface Whole {
  row: ReplayRow;
  /** An asset of its payload is lost, which is therefore left as it was. */
  isSplit?: boolean;
  /** It stands in another file, and only tells what the page was before. */
  isBefore?: boolean;
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

/** Writes rows that come in the order of the file, sealed, and the assets before the file. @throws StoreError */
export async function putSealed(
  store: Store,
  to: { key: string; class: ClassName; project: string; date: string },
  rows: AsyncIterable<Whole> | Iterable<Whole>,
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
  for await (const whole of rows)
    for (const row of sealer.add(whole)) {
      if (heldBytes >= REPLAY_GROUP_BYTES_MAX) await write();
      held.push(row);
      heldBytes += row.payload.length;
    }
  await write();
  if (!any) return undefined;
  const encoded = writer.finish();
  await store.put(to.key, encoded.bytes);
  return encoded;
}

export const wholeRows = (rows: readonly ReplayRow[]): Whole[] =>
  rows.map((row) => ({ row, isSplit: false }));

/** A row group that is to be merged. */
export interface Part {
  file: LakeFile;
  group: ReplayGroup;
  read(): Promise<Uint8Array>;
}

/** The row groups of files, in the order of a file. The files' bytes are held for as long as one of them is. @throws StoreError */
export async function readParts(store: Store, files: readonly LakeFile[]): Promise<Part[]> {
  const parts: Part[] = [];
  for (const file of files) {
    const bytes = await store.get(file.key);
    const read = (start: number, end: number) => Promise.resolve(bytes.subarray(start, end));
    for (const group of await decodeReplayGroups(bytes.length, read))
      parts.push({ file, group, read: () => read(group.start, group.end) });
  }
  return parts.sort(byFirstRow);
}

/**
 * The rows of row groups in the order of a file, all of one project, day and class, each once. A row group is in memory
 * only while its rows are asked for. `others` are the files of the same kind that are not merged: what they have
 * of a page load from its last snapshot or checkpoint on comes before its rows here. @throws StoreError
 */
export async function* mergedRows(
  store: Store,
  parts: readonly Part[],
  others: readonly LakeFile[],
): AsyncGenerator<Whole> {
  const assets = createAssetReader(store);
  const before = createEarlierParts(store, others);
  const decode = async ({ file, group, read }: Part): Promise<Whole[]> => {
    const rows = await decodeReplayGroup(group, await read());
    return file.sealed ? Promise.all(rows.map((row) => assets.join(row, file))) : wholeRows(rows);
  };
  let last: ReplayGroup | undefined;
  for (let at = 0; at < parts.length;) {
    const { group } = parts[at]!;
    if (!last || !isSameLoad(last, group))
      for (const part of group.snapshot ? [] : await before(group))
        for (const { row } of await decode(part)) yield { row, isBefore: true };
    last = group;
    const rows: Whole[] = [];
    for (let { lastSeq } = group; at < parts.length; at++) {
      const next = parts[at]!;
      if (rows.length && !(isSameLoad(group, next.group) && next.group.firstSeq <= lastSeq)) break;
      lastSeq = Math.max(lastSeq, next.group.lastSeq);
      rows.push(...(await decode(next)));
    }
    rows.sort((a, b) => compareRows(a.row, b.row));
    for (const [i, one] of rows.entries()) if (!i || !sameKey(one.row, rows[i - 1]!.row)) yield one;
  }
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
      const footer = footers.get(file) ?? decodeReplayGroups(file.bytes, (from, to) => get(file, from, to));
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
