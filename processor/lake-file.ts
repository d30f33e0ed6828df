import { createHash } from 'node:crypto';
import {
  ASSETS_KEY,
  EVENTS_GROUP_ROWS_MAX,
  GROUP_ASSETS_KEY,
  SNAPSHOT_GROUPS_KEY,
  type ClassName,
  type EventRow,
  type LakeFile,
  type ReplayRow,
  type SessionRow,
  type Table,
} from './layout.ts';
import { compareRows, planReplayGroups } from './row-groups.ts';
import type { SpliceableGroup } from './splice.ts';
import { assetsIn } from './split-assets.ts';
import { decodeAssetNames } from './parquet-groups.ts';
import { createFileWriter, encodeFile, readerOf, type Effort, type Read, type Row } from './x-hyparquet.ts';

/** A file's bytes, and its line in a commit or day manifest. */
export interface EncodedFile {
  file: LakeFile;
  bytes: Uint8Array;
}

/** Sorts the rows in place. There must be at least one. */
export async function encodeEventsFile(
  key: string,
  cls: ClassName,
  rows: EventRow[],
  effort?: Effort,
): Promise<EncodedFile> {
  const bytes = await eventsFileOf(rows, effort);
  const bounds = createBounds();
  bounds.add(rows);
  return { bytes, file: bounds.describe(key, 'events', cls, bytes) };
}

/** Of rows in the order of the file. There must be at least one. */
export async function encodeSessionsFile(
  key: string,
  cls: ClassName,
  rows: readonly SessionRow[],
): Promise<EncodedFile> {
  const bytes = await encodeFile('sessions', rows, [rows.length], {}, 'thorough');
  const bounds = createBounds();
  bounds.add(rows);
  return { bytes, file: bounds.describe(key, 'sessions', cls, bytes) };
}

/** Sorts the rows in place. There must be at least one. */
export async function encodeReplayFile(key: string, cls: ClassName, rows: ReplayRow[]): Promise<EncodedFile> {
  const writer = createReplayWriter(key, cls, false);
  await writer.write(rows.sort(compareRows));
  return writer.finish();
}

/** Of rows in the order of the file, sealed already. There must be at least one. */
export async function encodeSealedFile(
  key: string,
  cls: ClassName,
  rows: readonly ReplayRow[],
): Promise<EncodedFile> {
  const writer = createReplayWriter(key, cls, true);
  await writer.write(rows);
  return writer.finish();
}

/** Writes a `replay` file a part at a time. */
export interface ReplayWriter {
  /** Rows in the order of the file, after those before; they begin a row group. */
  write(rows: readonly ReplayRow[]): Promise<void>;
  /** A row group of another sealed file, as its bytes are, after the rows before. */
  splice(group: SpliceableGroup, bytes: Uint8Array): void;
  /** There must have been a row. */
  finish(): EncodedFile;
}
/** @param bytesHint so many are made room for at once */
export function createReplayWriter(
  key: string,
  cls: ClassName,
  isSealed: boolean,
  bytesHint?: number,
): ReplayWriter {
  const writer = createFileWriter('replay', isSealed ? 'thorough' : 'fast', bytesHint);
  const bounds = createBounds();
  const snapshotGroups: number[] = [];
  /** Each with its place. */
  const assets = new Map<string, number>();
  const groupAssets: number[][] = [];
  const place = (name: string): number => {
    const at = assets.get(name) ?? assets.size;
    assets.set(name, at);
    return at;
  };
  return {
    async write(rows) {
      const { sizes, snapshots } = planReplayGroups(rows);
      for (const at of snapshots) snapshotGroups.push(groupAssets.length + at);
      let end = 0;
      for (const size of sizes) {
        const group = isSealed ? rows.slice(end, (end += size)) : [];
        groupAssets.push([...new Set(group.flatMap(({ payload }) => assetsIn(payload).map(place)))]);
      }
      bounds.add(rows);
      await writer.write(rows, sizes);
    },
    splice(group, bytes) {
      if (group.snapshot) snapshotGroups.push(groupAssets.length);
      groupAssets.push(group.assets.map(place));
      bounds.addGroup(group);
      writer.splice(group, bytes);
    },
    finish() {
      const bytes = writer.finish({
        [SNAPSHOT_GROUPS_KEY]: JSON.stringify(snapshotGroups),
        ...(isSealed && {
          [ASSETS_KEY]: JSON.stringify([...assets.keys()]),
          [GROUP_ASSETS_KEY]: JSON.stringify(groupAssets),
        }),
      });
      const file = { ...bounds.describe(key, 'replay', cls, bytes), groups: groupAssets.length };
      return { bytes, file: isSealed ? { ...file, sealed: true } : file };
    },
  };
}

/**
 * Of row groups of one sealed file, in its order; at least one. Only that span of the file which holds them is read.
 * @throws what `read` throws
 */
export async function spliceFile(
  key: string,
  cls: ClassName,
  groups: readonly SpliceableGroup[],
  read: Read,
): Promise<EncodedFile> {
  const from = groups[0]!.start;
  const bytes = await read(from, groups.at(-1)!.end);
  const writer = createReplayWriter(key, cls, true, bytes.length + groups.length * FOOTER_BYTES_A_GROUP);
  for (const group of groups) writer.splice(group, bytes.subarray(group.start - from, group.end - from));
  return writer.finish();
}
/** Rather too much. */
const FOOTER_BYTES_A_GROUP = 1024;

/** Bytes of an `events` file. Sorts the rows in place. */
export function eventsFileOf(rows: EventRow[], effort?: Effort): Promise<Uint8Array> {
  const sizes: number[] = [];
  for (let left = rows.length; left > 0; left -= EVENTS_GROUP_ROWS_MAX)
    sizes.push(Math.min(left, EVENTS_GROUP_ROWS_MAX));
  return encodeFile('events', rows.sort(compareRows), sizes, {}, effort);
}

type Bounded = Pick<Row, 'session_id'> & (Pick<EventRow, 'ts'> | Pick<SessionRow, 'started_at'>);
/** What is told of a file's rows. */
function createBounds() {
  let rows = 0;
  let [minMs, maxMs] = [Infinity, -Infinity];
  let [firstSession, lastSession] = ['', ''];
  const addGroup = (more: Pick<SpliceableGroup, 'session' | 'rows' | 'minMs' | 'maxMs'>): void => {
    if (!rows) firstSession = more.session;
    lastSession = more.session;
    rows += more.rows;
    minMs = Math.min(minMs, more.minMs);
    maxMs = Math.max(maxMs, more.maxMs);
  };
  return {
    add(more: readonly Bounded[]): void {
      for (const row of more) {
        const ms = Number('ts' in row ? row.ts : row.started_at) / 1000;
        addGroup({ session: row.session_id, rows: 1, minMs: Math.floor(ms), maxMs: Math.ceil(ms) });
      }
    },
    addGroup,
    describe: (key: string, table: Table, cls: ClassName, bytes: Uint8Array): LakeFile => ({
      key,
      table,
      class: cls,
      bytes: bytes.length,
      rows,
      firstSession,
      lastSession,
      minMs,
      maxMs,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    }),
  };
}

/** The line in a commit or day manifest of a file whose rows these are. */
export async function describeFile(
  key: string,
  table: Table,
  cls: ClassName,
  rows: readonly Bounded[],
  bytes: Uint8Array,
): Promise<LakeFile> {
  const bounds = createBounds();
  bounds.add(rows);
  const file = bounds.describe(key, table, cls, bytes);
  return table === 'replay' && (await isSealedFile(bytes)) ? { ...file, sealed: true } : file;
}

/** By its footer, where no manifest says so. */
export async function isSealedFile(bytes: Uint8Array): Promise<boolean> {
  return (await decodeAssetNames(bytes.length, readerOf(bytes))) !== undefined;
}
