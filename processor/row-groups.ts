import { EventType } from '#protocol';
import { REPLAY_GROUP_BYTES_MAX, REPLAY_GROUP_ROWS_MAX, type ReplayRow } from './layout.ts';

/** Order of rows in every file: by the key of a row. Ids are ASCII, so that code units sort as bytes. */
export function compareRows(a: RowKey, b: RowKey): number {
  return (
    compare(a.session_id, b.session_id) ||
    compare(a.rid ?? '', b.rid ?? '') ||
    (a.seq ?? 0) - (b.seq ?? 0) ||
    compare(a.kind ?? '', b.kind ?? '')
  );
}
export interface RowKey {
  session_id: string;
  /** Of a session there is one row. */
  rid?: string;
  seq?: number;
  /** A checkpoint has the seq of the event before which it stands. */
  kind?: ReplayRow['kind'];
}
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export const sameKey = (a: RowKey, b: RowKey): boolean =>
  a.seq === b.seq && a.rid === b.rid && a.session_id === b.session_id && a.kind === b.kind;

/**
 * Where the row groups of sorted `replay` rows begin: at each new recorder instance, at a full snapshot (at the `meta`
 * right before it), and where a group would pass its bound in rows or raw bytes. A row over the bound is alone.
 * `snapshots` are the places of the groups that begin with a full snapshot or checkpoint.
 */
export function planReplayGroups(rows: readonly ReplayRow[]): { sizes: number[]; snapshots: number[] } {
  const sizes: number[] = [];
  const snapshots: number[] = [];
  let bytes = 0;
  rows.forEach((row, i) => {
    const before = rows[i - 1];
    const same = before !== undefined && before.rid === row.rid && before.session_id === row.session_id;
    const playable = beginsPlayback(row, rows[i + 1]) && !(same && beginsPlayback(before, row));
    const rowBytes = Buffer.byteLength(row.payload);
    const full = (sizes.at(-1) ?? 0) >= REPLAY_GROUP_ROWS_MAX || bytes + rowBytes > REPLAY_GROUP_BYTES_MAX;
    if (!same || playable || full) {
      if (playable) snapshots.push(sizes.length);
      sizes.push(0);
      bytes = 0;
    }
    sizes[sizes.length - 1]! += 1;
    bytes += rowBytes;
  });
  return { sizes, snapshots };
}

function beginsPlayback(row: ReplayRow, next: ReplayRow | undefined): boolean {
  if (row.kind === 'checkpoint' || row.type === EventType.fullSnapshot) return true;
  return (
    row.type === EventType.meta &&
    next?.type === EventType.fullSnapshot &&
    next.rid === row.rid &&
    next.session_id === row.session_id &&
    next.seq === row.seq + 1
  );
}
