import {
  ASSETS_KEY,
  COLUMNS,
  GROUP_ASSETS_KEY,
  LAYOUT_VERSION,
  LAYOUT_VERSION_KEY,
  SNAPSHOT_GROUPS_KEY,
  type ReplayRow,
  type Table,
} from './layout.ts';
import { isOneLoad, isOurs, type SpliceableGroup } from './splice.ts';
import {
  bufferOf,
  CREATED_BY,
  decodeRows,
  PHYSICAL,
  readFooter,
  schemaOf,
  type ColumnMetaData,
  type FileMetaData,
  type Read,
  type RowGroup,
  type RowOf,
  type Statistics,
} from './x-hyparquet.ts';

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

function listIn<T>({ key_value_metadata }: FileMetaData, name: string): T[] | undefined {
  const text = key_value_metadata?.find(({ key }) => key === name)?.value;
  return text === undefined ? undefined : (JSON.parse(text) as T[]);
}
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
