import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { parquetMetadataAsync, parquetRead } from 'hyparquet';
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
  COLUMNS,
  LAYOUT_VERSION,
  LAYOUT_VERSION_KEY,
  type Column,
  type ColumnType,
  type EventRow,
  type ReplayRow,
  type SessionRow,
  type Table,
} from './layout.ts';
import { shifted, type SpliceableGroup } from './splice.ts';

export type { ColumnMetaData, FileMetaData, RowGroup, SchemaElement, Statistics };

/**
 * Parquet as every engine reads it: zstd, PLAIN and dictionary encodings only (Spark's Iceberg reader knows neither RLE
 * booleans nor DELTA), instants as INT64 microseconds in UTC, field ids, one page a column chunk.
 */
export interface Rows {
  events: EventRow;
  replay: ReplayRow;
  sessions: SessionRow;
}
export type RowOf<T extends Table> = Rows[T];
/** A row of any of the tables. */
export type Row = Rows[Table];

/**
 * How much time goes into a file's bytes. `fast` is level 9 with a table that stays in the processor's cache and a
 * quarter of the search: a quarter sooner done, 2.7 % larger. `thorough` is for what is kept.
 */
export type Effort = 'fast' | 'thorough';
const EFFORTS: Record<Effort, Record<number, number>> = {
  fast: {
    [constants.ZSTD_c_compressionLevel]: 9,
    [constants.ZSTD_c_hashLog]: 17,
    [constants.ZSTD_c_searchLog]: 2,
  },
  thorough: { [constants.ZSTD_c_compressionLevel]: 12 },
};
export const CREATED_BY = 'mutoscope';
const compressorsOf = (effort: Effort) => ({
  ZSTD: (input: Uint8Array): Uint8Array =>
    input.length <= RAW_FRAME_BYTES_MAX
      ? rawFrame(input)
      : zstdCompressSync(input, {
          params: EFFORTS[effort],
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
  const header = rawHeader(input.length);
  const frame = new Uint8Array(header.length + input.length);
  frame.set(header);
  frame.set(input, header.length);
  return frame;
}
function rawHeader(length: number): number[] {
  const block = (length << 3) | 1;
  return [0x28, 0xb5, 0x2f, 0xfd, 0x20, length, block & 0xff, block >> 8, 0];
}
/** What is in such a frame; undefined of any other. A decompressor costs more to begin, too. */
function unframed(input: Uint8Array, length: number): Uint8Array | undefined {
  if (length > RAW_FRAME_BYTES_MAX) return undefined;
  const header = rawHeader(length);
  const isRaw = input.length === header.length + length && header.every((byte, i) => byte === input[i]);
  return isRaw ? input.subarray(header.length) : undefined;
}
const decompressors = {
  ZSTD: (input: Uint8Array, length: number): Uint8Array =>
    length === 0
      ? new Uint8Array(0)
      : (unframed(input, length) ?? zstdDecompressSync(input, { maxOutputLength: length })),
};
const parsers = {
  timestampFromMicroseconds: (micros: bigint): bigint => micros,
  // What was written before JSON was marked as text.
  jsonFromBytes: (bytes: Uint8Array | undefined): string | undefined =>
    bytes && new TextDecoder().decode(bytes),
};

export const PHYSICAL: Record<ColumnType, Partial<SchemaElement>> = {
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
export const schemaOf = (columns: readonly Column[]): SchemaElement[] => [
  { name: 'root', num_children: columns.length },
  ...columns.map((column): SchemaElement => ({
    name: column.name,
    field_id: column.id,
    repetition_type: column.required ? 'REQUIRED' : 'OPTIONAL',
    ...PHYSICAL[column.type],
  })),
];

/** Columns whose bounds no reader prunes by; bounds of payloads would only make the footer long. */
const WITHOUT_BOUNDS = new Set([
  ...['payload', 'props', 'value', 'text', 'selector', 'name'],
  ...['first_url', 'last_url', 'referrer', 'user_agent'],
]);

/** Columns of `replay` of which no dictionary is worth the search for one. */
const ALL_DIFFERENT = new Set(['seq', 'ts', 'payload']);

/** Writes a file row group by row group, so that of its rows only those of one are in memory. */
export interface FileWriter<T extends Table> {
  /** As row groups of the given sizes, whose sum is the number of rows. Gives way to other work after each, for compression is synchronous. */
  write(rows: readonly RowOf<T>[], rowGroupSizes: readonly number[]): Promise<void>;
  /** A row group of another file, whose bytes `[group.start, group.end)` are given, as it is. */
  splice(group: SpliceableGroup, bytes: Uint8Array): void;
  /** The whole file. `metadata` is added to its footer. */
  finish(metadata?: Record<string, string>): Uint8Array;
}
/** @param bytesHint so many are made room for at once */
export function createFileWriter<T extends Table>(
  table: T,
  effort: Effort = 'fast',
  bytesHint = 1024,
): FileWriter<T> {
  const columns = COLUMNS[table];
  const kvMetadata: { key: string; value: string }[] = [];
  const bytes = new ByteWriter(bytesHint);
  const writer = new ParquetWriter({
    writer: Object.assign(bytes, { flush: () => new Promise<void>((resolve) => setImmediate(resolve)) }),
    schema: schemaOf(columns),
    codec: 'ZSTD',
    compressors: compressorsOf(effort),
    statisticsTruncateLength: 64,
    kvMetadata,
    createdBy: CREATED_BY,
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
            ...(column.type === 'boolean' || (table === 'replay' && ALL_DIFFERENT.has(column.name))
              ? { encoding: 'PLAIN' as const }
              : {}),
          })),
          rowGroupSize: size,
          pageSize: 2 ** 30,
        });
      }
    },
    splice({ start, footer }, chunks) {
      writer.row_groups.push(shifted(footer, BigInt(bytes.offset - start)));
      writer.num_rows += footer.num_rows;
      bytes.appendBytes(chunks);
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
  effort: Effort = 'fast',
): Promise<Uint8Array> {
  const writer = createFileWriter(table, effort);
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

export async function decodeRows<T extends Table>(
  table: T,
  file: AsyncBuffer,
  metadata: FileMetaData,
  wanted: readonly string[] = COLUMNS[table].map((column) => column.name),
  range: { rowStart?: number; rowEnd?: number } = {},
): Promise<RowOf<T>[]> {
  const { rowStart, rowEnd } = range;
  // A column that came later is not in older files.
  const names = new Set(metadata.schema.map(({ name }) => name));
  const columns = wanted.filter((name) => names.has(name));
  let rows: unknown[][] = [];
  await parquetRead({
    ...{ file, metadata, columns, rowStart, rowEnd },
    compressors: decompressors,
    parsers,
    geoparquet: false,
    rowFormat: 'array',
    onComplete: (read) => void (rows = read as unknown[][]),
  });
  // Objects that nothing is deleted from: three times as fast, and half the memory.
  return rows.map((cells) => {
    const row: Record<string, unknown> = {};
    for (let i = 0; i < columns.length; i++) {
      const cell = cells[i];
      if (cell !== null && cell !== undefined) row[columns[i]!] = cell;
    }
    return row;
  }) as unknown as RowOf<T>[];
}

/** Bytes `[start, start + bytes.length)` of a file of `length` bytes. */
export function bufferOf(bytes: Uint8Array, start: number, length: number): AsyncBuffer {
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

/** Bytes of a file by half open range. */
export type Read = (start: number, end: number) => Promise<Uint8Array>;
export const readerOf =
  (bytes: Uint8Array): Read =>
  (start, end) =>
    Promise.resolve(bytes.subarray(start, end));

export function readFooter(length: number, read: Read): Promise<FileMetaData> {
  const file: AsyncBuffer = {
    byteLength: length,
    slice: async (start, end = length) => new Uint8Array(await read(start, end)).buffer,
  };
  return parquetMetadataAsync(file, { parsers, geoparquet: false, initialFetchSize: FOOTER_BYTES_GUESS });
}
/** Holds the footer of some 180 row groups; a longer one takes a second request. */
const FOOTER_BYTES_GUESS = 64 * 1024;
