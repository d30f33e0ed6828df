import { createHash } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import avsc, { type Schema } from 'avsc';

/**
 * Avro's container file, whole in memory: magic, metadata and a sync marker; then one block of records.
 *
 *   "Obj" 01 │ map of metadata, with schema and codec │ sync (16) │ count │ length │ deflated records │ sync (16)
 *
 * The schema stands in the file as it was given, for Iceberg reads its field ids there, which are no part of Avro.
 */
export type AvroSchema = { readonly [key: string]: unknown };

const { Type } = avsc;
const MAGIC = Buffer.from('Obj\x01', 'latin1');
const HEADER = Type.forSchema({
  type: 'record',
  name: 'Header',
  fields: [
    { name: 'magic', type: { type: 'fixed', name: 'Magic', size: 4 } },
    { name: 'meta', type: { type: 'map', values: 'bytes' } },
    { name: 'sync', type: { type: 'fixed', name: 'Sync', size: 16 } },
  ],
});
const BLOCK = Type.forSchema({
  type: 'record',
  name: 'Block',
  fields: [
    { name: 'count', type: 'long' },
    { name: 'data', type: 'bytes' },
    { name: 'sync', type: { type: 'fixed', name: 'BlockSync', size: 16 } },
  ],
});
interface Header {
  magic: Buffer;
  meta: Record<string, Buffer>;
  sync: Buffer;
}
interface Block {
  count: number;
  data: Buffer;
  sync: Buffer;
}

const types = new Map<AvroSchema, avsc.Type>();
function typeOf(schema: AvroSchema): avsc.Type {
  const type = types.get(schema) ?? Type.forSchema(schema as unknown as Schema);
  types.set(schema, type);
  return type;
}

/** @throws TypeError when a record does not fit the schema */
export function encodeAvro(
  schema: AvroSchema,
  metadata: Record<string, string>,
  records: readonly object[],
): Uint8Array {
  const type = typeOf(schema);
  const data = deflateRawSync(Buffer.concat(records.map((record) => type.toBuffer(record))));
  const texts = { 'avro.schema': JSON.stringify(schema), 'avro.codec': 'deflate', ...metadata };
  const meta = Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, Buffer.from(text)]));
  const sync = createHash('sha256').update(data).digest().subarray(0, 16);
  const header = HEADER.toBuffer({ magic: MAGIC, meta, sync } satisfies Header);
  return Buffer.concat([header, BLOCK.toBuffer({ count: records.length, data, sync } satisfies Block)]);
}

/** Records of what `encodeAvro` made with this schema. @throws TypeError, RangeError or zlib's Error on anything else */
export function decodeAvro<T>(schema: AvroSchema, bytes: Uint8Array): T[] {
  const type = typeOf(schema);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const header = HEADER.decode(buffer) as { value: Header; offset: number };
  if (header.offset < 0 || !header.value.magic.equals(MAGIC)) throw new TypeError('no Avro file');
  if (header.value.meta['avro.schema']?.toString() !== JSON.stringify(schema))
    throw new TypeError('an Avro file of another schema');
  const block = BLOCK.decode(buffer, header.offset) as { value: Block; offset: number };
  if (block.offset !== buffer.length) throw new TypeError('an Avro file cut short');
  const data = inflateRawSync(block.value.data);
  const records: T[] = [];
  for (let at = 0; records.length < block.value.count;) {
    const { value, offset } = type.decode(data, at) as { value: T; offset: number };
    if (offset < 0) throw new TypeError('an Avro block cut short');
    records.push(value);
    at = offset;
  }
  return records;
}

/**
 * What stands in a container file of ours beside its bytes as they are: its deflated records, whatever the schema, as far as it
 * can be read. None in what is no such file; not for bytes that anybody may have written.
 */
export function* blocksOf(bytes: Uint8Array): Generator<Buffer> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (!buffer.subarray(0, MAGIC.length).equals(MAGIC)) return;
  try {
    let { offset } = HEADER.decode(buffer) as { offset: number };
    while (offset >= 0 && offset < buffer.length) {
      const block = BLOCK.decode(buffer, offset) as { value: Block; offset: number };
      if (block.offset < 0) return;
      yield inflateRawSync(block.value.data);
      offset = block.offset;
    }
  } catch {
    // Damaged: who publishes next begins anew.
  }
}
