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
  ASSETS_KEY,
  COLUMNS,
  GROUP_ASSETS_KEY,
  LAYOUT_VERSION,
  LAYOUT_VERSION_KEY,
  SNAPSHOT_GROUPS_KEY,
  type Column,
  type ColumnType,
  type EventRow,
  type ReplayRow,
  type SessionRow,
  type Table,
} from './layout.ts';
import { isOneLoad, isOurs, shifted, type SpliceableGroup } from './splice.ts';

export type { FileMetaData, RowGroup, SchemaElement };

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

const ZSTD_LEVEL = 9;
const CREATED_BY = 'mutoscope';
const compressorsOf = (level: number) => ({
  ZSTD: (input: Uint8Array): Uint8Array =>
    zstdCompressSync(input, { params: { [constants.ZSTD_c_compressionLevel]: level } }),
});
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
const WITHOUT_BOUNDS = new Set([
  ...['payload', 'props', 'value', 'text', 'selector', 'name'],
  ...['first_url', 'last_url', 'referrer', 'user_agent'],
]);

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
  zstdLevel = ZSTD_LEVEL,
  bytesHint = 1024,
): FileWriter<T> {
  const columns = COLUMNS[table];
  const kvMetadata: { key: string; value: string }[] = [];
  const bytes = new ByteWriter(bytesHint);
  const writer = new ParquetWriter({
    writer: Object.assign(bytes, { flush: () => new Promise<void>((resolve) => setImmediate(resolve)) }),
    schema: schemaOf(columns),
    codec: 'ZSTD',
    compressors: compressorsOf(zstdLevel),
    statisticsTruncateLength: 64,
    kvMetadata,
    createdBy: CREATED_BY,
  });
  return {
    async write(rows, rowGroupSizes) {
      await writer.write({
        columnData: columns.map((column) => ({
          name: column.name,
          data: rows.map((row) => (row as unknown as Record<string, unknown>)[column.name]),
          statistics: !WITHOUT_BOUNDS.has(column.name),
          ...(column.type === 'boolean' || column.name === 'payload' ? { encoding: 'PLAIN' as const } : {}),
        })),
        rowGroupSize: rowGroupSizes.length ? [...rowGroupSizes] : 1,
        pageSize: 2 ** 30,
      });
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

/** A row group of a file that is sorted by session. */
export interface SortedGroup {
  /** Bounds of session_id, inclusive. */
  firstSession: string;
  lastSession: string;
  /** Places of its rows in the file, half open. */
  rowStart: number;
  rowEnd: number;
}
export interface SortedFile<T extends Table> {
  groups: SortedGroup[];
  /** One request. @throws what `read` throws */
  rowsOf(group: SortedGroup, columns?: readonly (keyof RowOf<T> & string)[]): Promise<RowOf<T>[]>;
}

/** Reads the footer, and of the rest what is asked for. @throws what `read` throws */
export async function openSorted<T extends Table>(
  table: T,
  length: number,
  read: Read,
): Promise<SortedFile<T>> {
  const metadata = await readFooter(length, read);
  const spans = new Map<SortedGroup, readonly [start: number, end: number]>();
  let rowStart = 0;
  for (const { columns, num_rows: rows } of metadata.row_groups) {
    const metas = columns.map((chunk) => chunk.meta_data!);
    const { statistics } = metas.find((meta) => meta.path_in_schema[0] === 'session_id')!;
    const group: SortedGroup = {
      firstSession: statistics!.min_value as string,
      lastSession: statistics!.max_value as string,
      rowStart,
      rowEnd: (rowStart += Number(rows)),
    };
    const chunks = metas.map(chunkOf);
    spans.set(group, [
      Math.min(...chunks.map(([start]) => start)),
      Math.max(...chunks.map(([, , end]) => end)),
    ]);
  }
  return {
    groups: [...spans.keys()],
    async rowsOf(group, columns) {
      const [start, end] = spans.get(group)!;
      const file = bufferOf(await read(start, end), start, length);
      return decodeRows(table, file, metadata, columns, group);
    },
  };
}

/** Of a column chunk: first byte, first byte of the data page, end. */
function chunkOf(meta: ColumnMetaData): readonly [start: number, dataStart: number, end: number] {
  const start = Number(meta.dictionary_page_offset ?? meta.data_page_offset);
  return [start, Number(meta.data_page_offset), start + Number(meta.total_compressed_size)];
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

/** Bytes of a file by half open range. */
export type Read = (start: number, end: number) => Promise<Uint8Array>;
export const readerOf =
  (bytes: Uint8Array): Read =>
  (start, end) =>
    Promise.resolve(bytes.subarray(start, end));

/** Row groups by the footer, which `read` is asked for by byte range. @throws what `read` throws */
export async function decodeReplayGroups(length: number, read: Read): Promise<ReplayGroup[]> {
  const metadata = await readFooter(length, read);
  const snapshots = new Set(listIn<number>(metadata, SNAPSHOT_GROUPS_KEY) ?? []);
  return metadata.row_groups.map((group, index) => replayGroup(group, index, snapshots.has(index)));
}
/** Names of the assets to which a sealed file's payloads refer; undefined of one that is not sealed. @throws what `read` throws */
export const decodeAssetNames = async (length: number, read: Read): Promise<string[] | undefined> =>
  listIn<string>(await readFooter(length, read), ASSETS_KEY);

/**
 * Row groups of a sealed file that can be spliced: it is by `createFileWriter`, of this layout and with these columns. Undefined of
 * any other. @throws what `read` throws
 */
export async function decodeSpliceableGroups(
  length: number,
  read: Read,
): Promise<SpliceableGroup[] | undefined> {
  const metadata = await readFooter(length, read);
  const { key_value_metadata, row_groups } = metadata;
  const version = key_value_metadata?.find(({ key }) => key === LAYOUT_VERSION_KEY)?.value;
  const names = listIn<string>(metadata, ASSETS_KEY);
  // What was sealed before there was this list does not have it.
  const places = listIn<number[]>(metadata, GROUP_ASSETS_KEY);
  if (!isOurs(metadata, CREATED_BY, schemaOf(COLUMNS.replay)) || version !== String(LAYOUT_VERSION))
    return undefined;
  if (!names || places?.length !== row_groups.length) return undefined;
  const snapshots = new Set(listIn<number>(metadata, SNAPSHOT_GROUPS_KEY) ?? []);
  const groups = row_groups.map((footer, index) => ({
    ...replayGroup(footer, index, snapshots.has(index)),
    assets: places[index]!.map((at) => names[at]!),
    footer,
  }));
  return groups.every(isOneLoad) ? groups : undefined;
}

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
  const chunks = metas.map(chunkOf);
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
