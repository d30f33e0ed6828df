import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import type {
  AsyncBuffer,
  ColumnMetaData,
  FileMetaData,
  RowGroup,
  SchemaElement,
  Statistics,
} from 'hyparquet';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import {
  ASSETS_KEY,
  COLUMNS,
  LAYOUT_VERSION,
  LAYOUT_VERSION_KEY,
  SNAPSHOT_GROUPS_KEY,
  type Column,
  type ColumnType,
  type EventRow,
  type ReplayRow,
  type Table,
} from './layout.ts';

/**
 * Parquet as every engine reads it: zstd, PLAIN and dictionary encodings only (Spark's Iceberg reader knows neither RLE
 * booleans nor DELTA), instants as INT64 microseconds in UTC, field ids, one page a column chunk.
 */
export type RowOf<T extends Table> = T extends 'events' ? EventRow : ReplayRow;

const ZSTD_LEVEL = 9;
const compressorsOf = (level: number) => ({
  ZSTD: (input: Uint8Array): Uint8Array =>
    input.length <= RAW_FRAME_BYTES_MAX
      ? rawFrame(input)
      : zstdCompressSync(input, {
          params: { [constants.ZSTD_c_compressionLevel]: level },
          // Into one piece as a rule, not into pieces of 16 KB that are then put together.
          chunkSize: Math.min(256 + (input.length >> 1), OUTPUT_BYTES_MAX),
        }),
});
const OUTPUT_BYTES_MAX = 1024 * 1024;
/** In so little hardly anything can be saved, and of most pages there is less: a compressor costs more to begin than that. */
const RAW_FRAME_BYTES_MAX = 64;
/**
 * A zstd frame (RFC 8878) of one block that is not compressed:
 *
 *   magic (4) | 0x20: length in one byte, no checksum | length (1) | last block, raw, its length << 3 (3) | bytes
 */
function rawFrame(input: Uint8Array): Uint8Array {
  const frame = new Uint8Array(9 + input.length);
  const block = (input.length << 3) | 1;
  frame.set([0x28, 0xb5, 0x2f, 0xfd, 0x20, input.length, block & 0xff, block >> 8, 0]);
  frame.set(input, 9);
  return frame;
}
const decompressors = {
  ZSTD: (input: Uint8Array, length: number): Uint8Array =>
    length === 0 ? new Uint8Array(0) : zstdDecompressSync(input, { maxOutputLength: length }),
};
const parsers = {
  timestampFromMicroseconds: (micros: bigint): bigint => micros,
  // What was written before JSON was marked as text.
  jsonFromBytes: (bytes: Uint8Array | undefined): string | undefined =>
    bytes && new TextDecoder().decode(bytes),
};

const PHYSICAL: Record<ColumnType, Partial<SchemaElement>> = {
  string: { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } },
  // Marked as text: Iceberg has no type for JSON, and polars refuses the mark.
  json: { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } },
  int32: { type: 'INT32' },
  boolean: { type: 'BOOLEAN' },
  timestamp: {
    type: 'INT64',
    converted_type: 'TIMESTAMP_MICROS',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
  },
};
const schemaOf = (columns: readonly Column[]): SchemaElement[] => [
  { name: 'root', num_children: columns.length },
  ...columns.map((column): SchemaElement => ({
    name: column.name,
    field_id: column.id,
    repetition_type: column.required ? 'REQUIRED' : 'OPTIONAL',
    ...PHYSICAL[column.type],
  })),
];

/** Columns whose bounds no reader prunes by; bounds of payloads would only make the footer long. */
const WITHOUT_BOUNDS = new Set(['payload', 'props', 'value', 'text', 'selector', 'name']);

/** Writes a file row group by row group, so that of its rows only those of one are in memory. */
export interface FileWriter<T extends Table> {
  /** As row groups of the given sizes, whose sum is the number of rows. Gives way to other work after each, for compression is synchronous. */
  write(rows: readonly RowOf<T>[], rowGroupSizes: readonly number[]): Promise<void>;
  /** The whole file. `metadata` is added to its footer. */
  finish(metadata?: Record<string, string>): Uint8Array;
}
export function createFileWriter<T extends Table>(table: T, zstdLevel = ZSTD_LEVEL): FileWriter<T> {
  const columns = COLUMNS[table];
  const kvMetadata: { key: string; value: string }[] = [];
  const bytes = new ByteWriter();
  const writer = new ParquetWriter({
    writer: Object.assign(bytes, { flush: () => new Promise<void>((resolve) => setImmediate(resolve)) }),
    schema: schemaOf(columns),
    codec: 'ZSTD',
    compressors: compressorsOf(zstdLevel),
    statisticsTruncateLength: 64,
    kvMetadata,
    createdBy: 'mutoscope',
  });
  return {
    async write(rows, rowGroupSizes) {
      let at = 0;
      for (const size of rowGroupSizes) {
        const group = rows.slice(at, (at += size));
        await writer.write({
          columnData: columns.map((column) => ({
            name: column.name,
            data: valuesOf(group, column.name),
            statistics: !WITHOUT_BOUNDS.has(column.name),
            ...(column.type === 'boolean' || column.name === 'payload' ? { encoding: 'PLAIN' as const } : {}),
          })),
          rowGroupSize: size,
          pageSize: 2 ** 30,
        });
      }
    },
    finish(metadata = {}) {
      const all = { [LAYOUT_VERSION_KEY]: String(LAYOUT_VERSION), ...metadata };
      for (const [key, value] of Object.entries(all)) kvMetadata.push({ key, value });
      void writer.finish();
      return bytes.getBytes();
    },
  };
}

function valuesOf(rows: readonly object[], name: string): unknown[] {
  const values = rows.map((row) => (row as Record<string, unknown>)[name]);
  // Sooner done here than by the writer, a string at a time.
  return name === 'payload' ? values.map((text) => Buffer.from(text as string)) : values;
}

/** The rows as one Parquet file with row groups of the given sizes, whose sum is the number of rows. */
export async function encodeFile<T extends Table>(
  table: T,
  rows: readonly RowOf<T>[],
  rowGroupSizes: readonly number[],
  metadata: Record<string, string> = {},
): Promise<Uint8Array> {
  const writer = createFileWriter(table);
  await writer.write(rows, rowGroupSizes);
  return writer.finish(metadata);
}

/** All rows of a file in memory, or those columns of them. */
export async function decodeFile<T extends Table>(
  table: T,
  bytes: Uint8Array,
  columns?: (keyof RowOf<T> & string)[],
): Promise<RowOf<T>[]> {
  const file = bufferOf(bytes, 0, bytes.length);
  const metadata = await parquetMetadataAsync(file, { parsers, geoparquet: false });
  return decodeRows(table, file, metadata, columns);
}

/** What a file's footer says: rows of each row group, and how its columns differ from the table's. @throws for what is no Parquet */
export async function decodeFooter(
  table: Table,
  bytes: Uint8Array,
): Promise<{ groupRows: number[]; differences: string[] }> {
  const metadata = await parquetMetadataAsync(bufferOf(bytes, 0, bytes.length), {
    parsers,
    geoparquet: false,
  });
  const found = new Map(metadata.schema.slice(1).map((element) => [element.name, element]));
  const differences = schemaOf(COLUMNS[table])
    .slice(1)
    .flatMap((wanted) => {
      const is = found.get(wanted.name);
      found.delete(wanted.name);
      // A column that came later is not in older files.
      if (!is) return wanted.repetition_type === 'REQUIRED' ? [`${wanted.name} is missing`] : [];
      const same =
        is.field_id === wanted.field_id &&
        is.type === wanted.type &&
        is.repetition_type === wanted.repetition_type;
      return same ? [] : [`${wanted.name} is ${is.type} with field id ${String(is.field_id)}`];
    });
  return {
    groupRows: metadata.row_groups.map(({ num_rows }) => Number(num_rows)),
    differences: [...differences, ...[...found.keys()].map((name) => `${name} is no column of ${table}`)],
  };
}

async function decodeRows<T extends Table>(
  table: T,
  file: AsyncBuffer,
  metadata: FileMetaData,
  columns: string[] = COLUMNS[table].map((column) => column.name),
): Promise<RowOf<T>[]> {
  const rows = await parquetReadObjects({
    file,
    metadata,
    columns,
    compressors: decompressors,
    parsers,
    geoparquet: false,
  });
  return rows.map(withoutNulls) as unknown as RowOf<T>[];
}

/** A copy, for an object from which fields were deleted is several times as large. */
function withoutNulls(row: Record<string, unknown>): Record<string, unknown> {
  const copy: Record<string, unknown> = {};
  for (const name in row) if (row[name] !== null && row[name] !== undefined) copy[name] = row[name];
  return copy;
}

/** Bytes `[start, start + bytes.length)` of a file of `length` bytes. */
function bufferOf(bytes: Uint8Array, start: number, length: number): AsyncBuffer {
  return {
    byteLength: length,
    slice: (from, to = length) => {
      if (from < start || to - start > bytes.length)
        throw new RangeError(`bytes ${from} to ${to} are outside of what was read`);
      // A copy, also of a Buffer, whose own slice would be a view.
      return new Uint8Array(bytes.subarray(from - start, to - start)).buffer;
    },
  };
}

/** A row group of a `replay` file: one segment for the player. All its rows are of one rid, in the order of seq. */
export interface ReplayGroup {
  /** Place among the file's row groups. */
  index: number;
  project: string;
  session: string;
  firstRid: string;
  firstSeq: number;
  lastSeq: number;
  /** Bounds of ts, inclusive, epoch milliseconds. */
  minMs: number;
  maxMs: number;
  rows: number;
  /** Byte range in the file, half open. */
  start: number;
  end: number;
  bytes: number;
  /** Begins with a full snapshot (or the `meta` event before it): playback can begin here. */
  snapshot: boolean;
  /** Of each column chunk: first byte, first byte of the data page, end. */
  chunks: readonly (readonly [start: number, dataStart: number, end: number])[];
}

type Read = (start: number, end: number) => Promise<Uint8Array>;

/** Row groups by the footer, which `read` is asked for by byte range. @throws what `read` throws */
export async function decodeReplayGroups(length: number, read: Read): Promise<ReplayGroup[]> {
  const metadata = await readFooter(length, read);
  const snapshots = new Set(listIn<number>(metadata, SNAPSHOT_GROUPS_KEY) ?? []);
  return metadata.row_groups.map((group, index) => replayGroup(group, index, snapshots.has(index)));
}
/** Names of the assets to which a sealed file's payloads refer; undefined of one that is not sealed. @throws what `read` throws */
export const decodeAssetNames = async (length: number, read: Read): Promise<string[] | undefined> =>
  listIn<string>(await readFooter(length, read), ASSETS_KEY);

function readFooter(length: number, read: Read): Promise<FileMetaData> {
  const file: AsyncBuffer = {
    byteLength: length,
    slice: async (start, end = length) => new Uint8Array(await read(start, end)).buffer,
  };
  return parquetMetadataAsync(file, { parsers, geoparquet: false, initialFetchSize: FOOTER_BYTES_GUESS });
}
function listIn<T>({ key_value_metadata }: FileMetaData, name: string): T[] | undefined {
  const text = key_value_metadata?.find(({ key }) => key === name)?.value;
  return text === undefined ? undefined : (JSON.parse(text) as T[]);
}
/** Holds the footer of some 180 row groups; a longer one takes a second request. */
const FOOTER_BYTES_GUESS = 64 * 1024;

function replayGroup(group: RowGroup, index: number, snapshot: boolean): ReplayGroup {
  const metas = group.columns.map((chunk) => chunk.meta_data as ColumnMetaData);
  const bounds = (name: string): Statistics =>
    metas.find((meta) => meta.path_in_schema[0] === name)?.statistics ?? {};
  const ts = bounds('ts');
  const chunks = metas.map((meta) => {
    const start = Number(meta.dictionary_page_offset ?? meta.data_page_offset);
    return [start, Number(meta.data_page_offset), start + Number(meta.total_compressed_size)] as const;
  });
  const start = Math.min(...chunks.map(([from]) => from));
  const end = Math.max(...chunks.map(([, , to]) => to));
  return {
    index,
    project: bounds('project').min_value as string,
    session: bounds('session_id').min_value as string,
    firstRid: bounds('rid').min_value as string,
    firstSeq: bounds('seq').min_value as number,
    lastSeq: bounds('seq').max_value as number,
    minMs: Math.floor(Number(ts.min_value as bigint) / 1000),
    maxMs: Math.ceil(Number(ts.max_value as bigint) / 1000),
    rows: Number(group.num_rows),
    start,
    end,
    bytes: end - start,
    snapshot,
    chunks,
  };
}

/** The rows of a row group whose bytes `[group.start, group.end)` are given. */
export function decodeReplayGroup(group: ReplayGroup, bytes: Uint8Array): Promise<ReplayRow[]> {
  const columns = COLUMNS.replay;
  const rowGroup: RowGroup = {
    columns: columns.map((column, i) => {
      const [start, dataStart, end] = group.chunks[i] ?? [0, 0, 0];
      return {
        file_offset: BigInt(start),
        meta_data: {
          type: PHYSICAL[column.type].type!,
          encodings: [],
          path_in_schema: [column.name],
          codec: 'ZSTD',
          num_values: BigInt(group.rows),
          total_uncompressed_size: 0n,
          total_compressed_size: BigInt(end - start),
          data_page_offset: BigInt(dataStart),
          dictionary_page_offset: start < dataStart ? BigInt(start) : undefined,
        },
      };
    }),
    total_byte_size: 0n,
    num_rows: BigInt(group.rows),
  };
  const metadata: FileMetaData = {
    version: 2,
    schema: schemaOf(columns),
    num_rows: rowGroup.num_rows,
    row_groups: [rowGroup],
    metadata_length: 0,
  };
  return decodeRows('replay', bufferOf(bytes, group.start, group.end), metadata);
}
