import { Float64, Int32, Table, tableToIPC, Utf8, vectorFromArray } from 'apache-arrow';
import type { MarkerType } from '#api';
import type { ReplayEvent } from './sanitize.ts';

/** What the query service sends, for tests: encoded by another library than the one that the player decodes with. */
export interface MarkerRow {
  ts: number;
  type: MarkerType;
  label: string;
  url: string;
  node_id: number;
}

export const encodeSegment = (events: readonly ReplayEvent[], kind = 'event'): Uint8Array =>
  tableToIPC(
    new Table({
      ts: vectorFromArray(
        events.map(({ timestamp }) => timestamp),
        new Float64(),
      ),
      type: vectorFromArray(
        events.map(({ type }) => type),
        new Int32(),
      ),
      kind: vectorFromArray(
        events.map(() => kind),
        new Utf8(),
      ),
      payload: vectorFromArray(
        events.map(({ data }) => JSON.stringify(data)),
        new Utf8(),
      ),
    }),
    'stream',
  );

export const encodeMarkers = (markers: readonly MarkerRow[]): Uint8Array => {
  const text = (values: string[]) => vectorFromArray(values, new Utf8());
  return tableToIPC(
    new Table({
      ts: vectorFromArray(
        markers.map(({ ts }) => ts),
        new Float64(),
      ),
      type: text(markers.map(({ type }) => type)),
      label: text(markers.map(({ label }) => label)),
      url: text(markers.map(({ url }) => url)),
      node_id: vectorFromArray(
        markers.map(({ node_id }) => node_id),
        new Int32(),
      ),
    }),
    'stream',
  );
};
