import { tableFromIPC, type Column } from '@uwdata/flechette';
import { MARKER_COLUMNS, MARKER_TYPES, SEGMENT_COLUMNS, type MarkerType } from '#api';
import { PlayerError } from './client.ts';
import type { Marker } from './markers.ts';

/** Columns of one segment; payloads are decoded when they are asked for. */
export interface SegmentRows {
  rows: number;
  ts(i: number): number;
  type(i: number): number;
  kind(i: number): string;
  payload(i: number): string;
}

/** @throws PlayerError `unreadable` */
export function decodeSegment(bytes: Uint8Array): SegmentRows {
  const { rows, columns } = decode(bytes, SEGMENT_COLUMNS);
  const [ts, type, kind, payload] = columns as [
    Column<number>,
    Column<number>,
    Column<string>,
    Column<string>,
  ];
  return {
    rows,
    ts: (i) => Number(ts.at(i)),
    type: (i) => Number(type.at(i)),
    kind: (i) => kind.at(i) as string,
    payload: (i) => payload.at(i) as string,
  };
}

/** Sorted by time; what is of no known type is left out. @throws PlayerError `unreadable` */
export function decodeMarkers(bytes: Uint8Array): Marker[] {
  const { rows, columns } = decode(bytes, MARKER_COLUMNS);
  const [ts, type, label, url, nodeId] = columns;
  const markers: Marker[] = [];
  for (let i = 0; i < rows; i++) {
    const kind = type!.at(i) as MarkerType;
    if (!MARKER_TYPES.includes(kind)) continue;
    markers.push({
      ts: Number(ts!.at(i)),
      type: kind,
      label: String(label!.at(i) ?? ''),
      url: String(url!.at(i) ?? ''),
      nodeId: Number(nodeId!.at(i) ?? -1),
    });
  }
  return markers.sort((a, b) => a.ts - b.ts);
}

function decode(bytes: Uint8Array, names: readonly string[]): { rows: number; columns: Column<unknown>[] } {
  try {
    const table = tableFromIPC(bytes);
    const columns = names.map((name) => table.getChild(name) as Column<unknown> | undefined);
    const missing = names.filter((_, i) => !columns[i]);
    // An empty answer may come without columns.
    if (missing.length && table.numRows) throw new Error(`no column ${missing.join(', ')}`);
    return { rows: table.numRows, columns: columns as Column<unknown>[] };
  } catch (error) {
    throw new PlayerError('unreadable', `the Arrow answer cannot be read: ${(error as Error).message}`, 200, {
      cause: error,
    });
  }
}
