import { createHash } from 'node:crypto';
import {
  EVENTS_GROUP_ROWS_MAX,
  SNAPSHOT_GROUPS_KEY,
  type ClassName,
  type EventRow,
  type LakeFile,
  type ReplayRow,
} from './layout.ts';
import { compareRows, planReplayGroups } from './row-groups.ts';
import { encodeFile } from './x-hyparquet.ts';

/** A file's bytes, and its line in a commit or day manifest. */
export interface EncodedFile {
  file: LakeFile;
  bytes: Uint8Array;
}

/** Sorts the rows in place. There must be at least one. */
export async function encodeEventsFile(key: string, cls: ClassName, rows: EventRow[]): Promise<EncodedFile> {
  const bytes = await eventsFileOf(rows);
  return { bytes, file: describeFile(key, 'events', cls, rows, bytes) };
}

/** Sorts the rows in place. There must be at least one. */
export async function encodeReplayFile(key: string, cls: ClassName, rows: ReplayRow[]): Promise<EncodedFile> {
  rows.sort(compareRows);
  const { sizes, snapshots } = planReplayGroups(rows);
  const bytes = await encodeFile('replay', rows, sizes, {
    [SNAPSHOT_GROUPS_KEY]: JSON.stringify(snapshots),
  });
  return { bytes, file: describeFile(key, 'replay', cls, rows, bytes) };
}

/** Bytes of an `events` file. Sorts the rows in place. */
export function eventsFileOf(rows: EventRow[]): Promise<Uint8Array> {
  return encodeFile('events', rows.sort(compareRows), [EVENTS_GROUP_ROWS_MAX]);
}

/** The file's line in a commit or day manifest. */
export function describeFile(
  key: string,
  table: LakeFile['table'],
  cls: ClassName,
  rows: readonly { session_id: string; ts: bigint }[],
  bytes: Uint8Array,
): LakeFile {
  let min = rows[0]!.ts;
  let max = min;
  for (const { ts } of rows) {
    if (ts < min) min = ts;
    if (ts > max) max = ts;
  }
  return {
    key,
    table,
    class: cls,
    bytes: bytes.length,
    rows: rows.length,
    firstSession: rows[0]!.session_id,
    lastSession: rows.at(-1)!.session_id,
    minMs: Math.floor(Number(min) / 1000),
    maxMs: Math.ceil(Number(max) / 1000),
    sha256: createHash('sha256').update(bytes).digest('hex'),
  };
}
