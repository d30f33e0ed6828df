import {
  columnId,
  KEYS,
  MANIFEST_LIST_SCHEMA,
  MANIFEST_SCHEMA,
  manifestMetadata,
  PARTITION_SPEC_ID,
  SORT_ORDER_ID,
  TIMES,
} from './iceberg-schema.ts';
import { placeOf, type LakeFile, type Table } from './layout.ts';
import { decodeAvro, encodeAvro } from './x-avsc.ts';

/** A data file in a manifest: when it came, or went. */
export interface Entry {
  status: 'existing' | 'added' | 'deleted';
  /** Snapshot that added it; of one that is deleted, that deleted it. */
  snapshot: number;
  /** Of the snapshot that added it. */
  sequence: number;
  /** Of a deleted one the bounds are empty: they name sessions, which may be erased. */
  file: LakeFile;
}
export interface Manifest {
  key: string;
  bytes: number;
  /** Snapshot that wrote it, and its sequence number. */
  snapshot: number;
  sequence: number;
  entries: Entry[];
}
/** A manifest's line in a manifest list. */
export type ListedManifest = Omit<Manifest, 'entries'>;

/** Keys as absolute addresses, and back. `location` is the store's. */
export const addressOf = (location: string, key: string): string => `${location}/${key}`;
/** @throws RangeError for an address that is not in the store */
export function keyOf(location: string, address: string): string {
  if (!address.startsWith(`${location}/`)) throw new RangeError(`${address} is not in ${location}`);
  return address.slice(location.length + 1);
}

const STATUS = ['existing', 'added', 'deleted'] as const;
export const dateOf = (file: LakeFile): string => placeOf(file.key)!.date;

interface Pair<T> {
  key: number;
  value: T;
}
interface AvroEntry {
  status: number;
  snapshot_id: number;
  sequence_number: number;
  file_sequence_number: number;
  data_file: {
    content: 0;
    file_path: string;
    file_format: 'PARQUET';
    partition: object;
    record_count: number;
    file_size_in_bytes: number;
    value_counts: Pair<number>[] | null;
    null_value_counts: Pair<number>[] | null;
    lower_bounds: Pair<Buffer>[] | null;
    upper_bounds: Pair<Buffer>[] | null;
    sort_order_id: number;
  };
}

export function encodeManifest(table: Table, location: string, entries: readonly Entry[]): Uint8Array {
  const required = ['project', ...KEYS[table], TIMES[table]].map((name) => columnId(table, name));
  const [session, ts] = [columnId(table, 'session_id'), columnId(table, TIMES[table])];
  const records = entries.map(({ status, snapshot, sequence, file }): AvroEntry => {
    const known = status !== 'deleted';
    const bounds = (id: string, ms: number): Pair<Buffer>[] => [
      { key: session, value: Buffer.from(id) },
      { key: ts, value: int64(BigInt(ms) * 1000n) },
    ];
    return {
      status: STATUS.indexOf(status),
      snapshot_id: snapshot,
      sequence_number: sequence,
      file_sequence_number: sequence,
      data_file: {
        content: 0,
        file_path: addressOf(location, file.key),
        file_format: 'PARQUET',
        partition: {},
        record_count: file.rows,
        file_size_in_bytes: file.bytes,
        value_counts: known ? required.map((key) => ({ key, value: file.rows })) : null,
        null_value_counts: known ? required.map((key) => ({ key, value: 0 })) : null,
        lower_bounds: known ? bounds(file.firstSession, file.minMs) : null,
        upper_bounds: known ? bounds(file.lastSession, file.maxMs) : null,
        sort_order_id: SORT_ORDER_ID,
      },
    };
  });
  return encodeAvro(MANIFEST_SCHEMA, manifestMetadata(table), records);
}

export function decodeManifest(table: Table, location: string, bytes: Uint8Array): Entry[] {
  const [session, ts] = [columnId(table, 'session_id'), columnId(table, TIMES[table])];
  return decodeAvro<AvroEntry>(MANIFEST_SCHEMA, bytes).map(({ data_file: data, ...entry }) => {
    const key = keyOf(location, data.file_path);
    const text = (bounds: Pair<Buffer>[] | null): string =>
      bounds?.find((bound) => bound.key === session)?.value.toString() ?? '';
    const ms = (bounds: Pair<Buffer>[] | null): number =>
      Number((bounds?.find((bound) => bound.key === ts)?.value.readBigInt64LE() ?? 0n) / 1000n);
    return {
      status: STATUS[entry.status]!,
      snapshot: entry.snapshot_id,
      sequence: entry.sequence_number,
      file: {
        key,
        table,
        class: placeOf(key)!.class,
        bytes: data.file_size_in_bytes,
        rows: data.record_count,
        firstSession: text(data.lower_bounds),
        lastSession: text(data.upper_bounds),
        minMs: ms(data.lower_bounds),
        maxMs: ms(data.upper_bounds),
      },
    };
  });
}

interface AvroListed {
  manifest_path: string;
  manifest_length: number;
  partition_spec_id: number;
  content: 0;
  sequence_number: number;
  min_sequence_number: number;
  added_snapshot_id: number;
  added_files_count: number;
  existing_files_count: number;
  deleted_files_count: number;
  added_rows_count: number;
  existing_rows_count: number;
  deleted_rows_count: number;
  partitions: [];
}

export function encodeManifestList(
  location: string,
  snapshot: { id: number; parent: number | undefined; sequence: number },
  manifests: readonly Manifest[],
): Uint8Array {
  const records = manifests.map(({ key, bytes, entries, ...written }): AvroListed => {
    const of = (status: Entry['status']): Entry[] => entries.filter((entry) => entry.status === status);
    const rows = (status: Entry['status']): number =>
      of(status).reduce((sum, { file }) => sum + file.rows, 0);
    const live = entries.filter(({ status }) => status !== 'deleted').map(({ sequence }) => sequence);
    return {
      manifest_path: addressOf(location, key),
      manifest_length: bytes,
      partition_spec_id: PARTITION_SPEC_ID,
      content: 0,
      sequence_number: written.sequence,
      min_sequence_number: Math.min(written.sequence, ...live),
      added_snapshot_id: written.snapshot,
      added_files_count: of('added').length,
      existing_files_count: of('existing').length,
      deleted_files_count: of('deleted').length,
      added_rows_count: rows('added'),
      existing_rows_count: rows('existing'),
      deleted_rows_count: rows('deleted'),
      partitions: [],
    };
  });
  return encodeAvro(
    MANIFEST_LIST_SCHEMA,
    {
      'snapshot-id': String(snapshot.id),
      'parent-snapshot-id': String(snapshot.parent ?? null),
      'sequence-number': String(snapshot.sequence),
      'format-version': '2',
    },
    records,
  );
}

export function decodeManifestList(location: string, bytes: Uint8Array): ListedManifest[] {
  return decodeAvro<AvroListed>(MANIFEST_LIST_SCHEMA, bytes).map((listed) => ({
    key: keyOf(location, listed.manifest_path),
    bytes: listed.manifest_length,
    snapshot: listed.added_snapshot_id,
    sequence: listed.sequence_number,
  }));
}

function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return bytes;
}
