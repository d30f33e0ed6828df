import {
  Bool,
  Field,
  Float64,
  Int32,
  Int64,
  makeData,
  RecordBatch,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  TimestampMicrosecond,
  Utf8,
  type Data,
  type DataType,
} from 'apache-arrow';
import { jsonCell, rowCount, type Cell, type Kind, type Rows } from './rows.ts';

/** Arrow types of what we answer. `int32` and `float64` are for columns whose contract says so. */
export type ArrowType = 'boolean' | 'int32' | 'int64' | 'float64' | 'instant' | 'utf8';
export interface ArrowColumn {
  name: string;
  type: ArrowType;
  cells: readonly Cell[];
}

/** One record batch as an Arrow IPC stream. */
export function encodeArrow(columns: readonly ArrowColumn[], length: number): Uint8Array {
  const children = columns.map(({ type, cells }) => dataOf(type, cells, length));
  const fields = columns.map(({ name }, i) => Field.new({ name, type: children[i]!.type, nullable: true }));
  const schema = new Schema(fields);
  const batch = new RecordBatch(
    schema,
    makeData({ type: new Struct(fields), length, nullCount: 0, children }),
  );
  const writer = new RecordBatchStreamWriter();
  writer.write(batch);
  writer.finish();
  return writer.toUint8Array(true);
}

/**
 * A statement's answer: instants as timestamps in UTC, integers as int64 where all fit, lists and structs as JSON text.
 * Of two columns of one name the second is called `name:1`, for the library mixes them up.
 */
export function arrowOf(rows: Rows): Uint8Array {
  const times = new Map<string, number>();
  const columns = rows.columns.map(({ name: given, kind }, i) => {
    const before = times.get(given) ?? 0;
    times.set(given, before + 1);
    const name = before ? `${given}:${before}` : given;
    const cells = rows.cells[i] ?? [];
    const type = typeOf(kind, cells);
    return { name, type, cells: type === 'utf8' ? cells.map((cell) => textOf(cell, kind)) : cells };
  });
  return encodeArrow(columns, rowCount(rows));
}

const INT64_MAX = 2n ** 63n - 1n;
function typeOf(kind: Kind, cells: readonly Cell[]): ArrowType {
  if (kind === 'boolean') return 'boolean';
  if (kind === 'number') return 'float64';
  const fits = (cell: Cell): boolean =>
    typeof cell !== 'bigint' || (cell <= INT64_MAX && cell >= -INT64_MAX - 1n);
  if (kind === 'integer') return cells.every(fits) ? 'int64' : 'utf8';
  // Infinity is an instant that Arrow cannot say.
  if (kind === 'instant') return cells.some((cell) => typeof cell === 'string') ? 'utf8' : 'instant';
  return 'utf8';
}

function textOf(cell: Cell, kind: Kind): string | null {
  const value = jsonCell(cell, kind);
  return value === null || typeof value === 'string' ? value : JSON.stringify(value);
}

function dataOf(type: ArrowType, cells: readonly Cell[], length: number): Data<DataType> {
  const { nullBitmap, nullCount } = bitmap(length, (i) => (cells[i] ?? null) !== null);
  const common = { length, nullCount, nullBitmap: nullCount ? nullBitmap : undefined };
  const fill = <A extends { [at: number]: unknown }, V extends A[number]>(
    array: A,
    of: (cell: Cell) => V,
  ): A => {
    for (let i = 0; i < length; i++)
      if ((cells[i] ?? null) !== null) array[i as keyof A] = of(cells[i]!) as A[keyof A];
    return array;
  };
  const big = (cell: Cell): bigint => BigInt(cell as bigint | number);
  if (type === 'utf8') return makeData({ type: new Utf8(), ...common, ...utf8(cells, length) });
  if (type === 'boolean')
    return makeData({
      type: new Bool(),
      ...common,
      data: bitmap(length, (i) => cells[i] === true).nullBitmap,
    });
  if (type === 'int32')
    return makeData({ type: new Int32(), ...common, data: fill(new Int32Array(length), Number) });
  if (type === 'float64')
    return makeData({ type: new Float64(), ...common, data: fill(new Float64Array(length), Number) });
  const data = fill(new BigInt64Array(length), big);
  return type === 'int64'
    ? makeData({ type: new Int64(), ...common, data })
    : makeData({ type: new TimestampMicrosecond('UTC'), ...common, data });
}

function bitmap(
  length: number,
  isSet: (i: number) => boolean,
): { nullBitmap: Uint8Array; nullCount: number } {
  const nullBitmap = new Uint8Array(Math.ceil(length / 64) * 8);
  let nullCount = 0;
  for (let i = 0; i < length; i++)
    if (isSet(i)) nullBitmap[i >> 3]! |= 1 << (i & 7);
    else nullCount++;
  return { nullBitmap, nullCount };
}

function utf8(cells: readonly Cell[], length: number): { valueOffsets: Int32Array; data: Uint8Array } {
  const texts = Array.from({ length }, (_, i) => Buffer.from(typeof cells[i] === 'string' ? cells[i] : ''));
  const valueOffsets = new Int32Array(length + 1);
  for (let i = 0; i < length; i++) valueOffsets[i + 1] = valueOffsets[i]! + texts[i]!.length;
  return { valueOffsets, data: Buffer.concat(texts) };
}
