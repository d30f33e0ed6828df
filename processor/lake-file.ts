import { createHash } from 'node:crypto';
import {
  ASSETS_KEY,
  EVENTS_GROUP_ROWS_MAX,
  SNAPSHOT_GROUPS_KEY,
  type ClassName,
  type EventRow,
  type LakeFile,
  type ReplayRow,
  type Table,
} from './layout.ts';
import { compareRows, planReplayGroups } from './row-groups.ts';
import { assetsIn } from './split-assets.ts';
import { createFileWriter, decodeAssetNames, encodeFile } from './x-hyparquet.ts';

/** A file's bytes, and its line in a commit or day manifest. */
export interface EncodedFile {
  file: LakeFile;
  bytes: Uint8Array;
}

/** Sorts the rows in place. There must be at least one. */
export async function encodeEventsFile(key: string, cls: ClassName, rows: EventRow[]): Promise<EncodedFile> {
  const bytes = await eventsFileOf(rows);
  const bounds = createBounds();
  bounds.add(rows);
  return { bytes, file: bounds.describe(key, 'events', cls, bytes) };
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

/** Sealed files are written once and kept, so that more time may go into them. */
const SEALED_ZSTD_LEVEL = 12;

/** Writes a `replay` file a part at a time. */
export interface ReplayWriter {
  /** Rows in the order of the file, after those before; they begin a row group. */
  write(rows: readonly ReplayRow[]): Promise<void>;
  /** There must have been a row. */
  finish(): EncodedFile;
}
export function createReplayWriter(key: string, cls: ClassName, isSealed: boolean): ReplayWriter {
  const writer = createFileWriter('replay', isSealed ? SEALED_ZSTD_LEVEL : undefined);
  const bounds = createBounds();
  const snapshotGroups: number[] = [];
  const assets = new Set<string>();
  let groups = 0;
  return {
    async write(rows) {
      const { sizes, snapshots } = planReplayGroups(rows);
      for (const at of snapshots) snapshotGroups.push(groups + at);
      groups += sizes.length;
      bounds.add(rows);
      if (isSealed) for (const { payload } of rows) for (const name of assetsIn(payload)) assets.add(name);
      await writer.write(rows, sizes);
    },
    finish() {
      const bytes = writer.finish({
        [SNAPSHOT_GROUPS_KEY]: JSON.stringify(snapshotGroups),
        ...(isSealed && { [ASSETS_KEY]: JSON.stringify([...assets]) }),
      });
      const file = { ...bounds.describe(key, 'replay', cls, bytes), groups };
      return { bytes, file: isSealed ? { ...file, sealed: true } : file };
    },
  };
}

/** Bytes of an `events` file. Sorts the rows in place. */
export function eventsFileOf(rows: EventRow[]): Promise<Uint8Array> {
  const sizes: number[] = [];
  for (let left = rows.length; left > 0; left -= EVENTS_GROUP_ROWS_MAX)
    sizes.push(Math.min(left, EVENTS_GROUP_ROWS_MAX));
  return encodeFile('events', rows.sort(compareRows), sizes);
}

/** What is told of a file's rows. */
function createBounds() {
  let rows = 0;
  let [min, max] = [0n, 0n];
  let [firstSession, lastSession] = ['', ''];
  return {
    add(more: readonly { session_id: string; ts: bigint }[]): void {
      for (const { session_id, ts } of more) {
        if (!rows++) [min, max, firstSession] = [ts, ts, session_id];
        if (ts < min) min = ts;
        if (ts > max) max = ts;
        lastSession = session_id;
      }
    },
    describe: (key: string, table: Table, cls: ClassName, bytes: Uint8Array): LakeFile => ({
      key,
      table,
      class: cls,
      bytes: bytes.length,
      rows,
      firstSession,
      lastSession,
      minMs: Math.floor(Number(min) / 1000),
      maxMs: Math.ceil(Number(max) / 1000),
      sha256: createHash('sha256').update(bytes).digest('hex'),
    }),
  };
}

/** The line in a commit or day manifest of a file whose rows these are. */
export async function describeFile(
  key: string,
  table: Table,
  cls: ClassName,
  rows: readonly { session_id: string; ts: bigint }[],
  bytes: Uint8Array,
): Promise<LakeFile> {
  const bounds = createBounds();
  bounds.add(rows);
  const file = bounds.describe(key, table, cls, bytes);
  return table === 'replay' && (await isSealedFile(bytes)) ? { ...file, sealed: true } : file;
}

/** By its footer, where no manifest says so. */
export async function isSealedFile(bytes: Uint8Array): Promise<boolean> {
  const read = (start: number, end: number) => Promise.resolve(bytes.subarray(start, end));
  return (await decodeAssetNames(bytes.length, read)) !== undefined;
}
