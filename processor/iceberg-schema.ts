import { COLUMNS, type ColumnType, type Table } from './layout.ts';
import type { AvroSchema } from './x-avsc.ts';

/**
 * What a table is to Iceberg (format version 2): its schema, partition spec and sort order as they stand in the metadata,
 * and the Avro schemas of manifests and manifest lists. Field ids of columns are those of the layout.
 *
 * The table has no partitions; readers prune by each file's bounds of `ts` (of `sessions` `started_at`) and `session_id`. The days of the directories
 * are those on which sessions started, and a session may go on past midnight: a partition by day of `ts` would hide rows.
 * A partition by that day itself would need it as a column in the files: where they lack it, pyiceberg 0.12 finds nothing
 * for a filter by a partition that is not among the columns asked for.
 */
const SCHEMA_ID = 0;
export const PARTITION_SPEC_ID = 0;
/** Iceberg's first id for a partition is 1000. */
const LAST_PARTITION_ID = 999;
export const SORT_ORDER_ID = 1;

const TYPES: Record<ColumnType, string> = {
  string: 'string',
  json: 'string',
  int32: 'int',
  boolean: 'boolean',
  timestamp: 'timestamptz',
};
/** Columns of a table that identify a row, in the order in which files are sorted by them, and the one that says when it was. */
export const KEYS: Record<Table, readonly string[]> = {
  events: ['session_id', 'rid', 'seq'],
  replay: ['session_id', 'rid', 'seq'],
  sessions: ['session_id'],
};
export const TIMES: Record<Table, string> = { events: 'ts', replay: 'ts', sessions: 'started_at' };
export const columnId = (table: Table, name: string): number =>
  COLUMNS[table].find((column) => column.name === name)!.id;

const schemaOf = (table: Table): object => ({
  type: 'struct',
  'schema-id': SCHEMA_ID,
  fields: COLUMNS[table].map(({ id, name, type, required, sentence }) => ({
    id,
    name,
    required,
    type: TYPES[type],
    doc: sentence,
  })),
});
const sortOrderOf = (table: Table): object => ({
  'order-id': SORT_ORDER_ID,
  fields: KEYS[table].map((name) => ({
    transform: 'identity',
    'source-id': columnId(table, name),
    direction: 'asc',
    'null-order': 'nulls-first',
  })),
});

/** The parts of a table's metadata that never change. */
export const tableShape = (table: Table): Record<string, unknown> => ({
  'last-column-id': Math.max(...COLUMNS[table].map(({ id }) => id)),
  'current-schema-id': SCHEMA_ID,
  schemas: [schemaOf(table)],
  'default-spec-id': PARTITION_SPEC_ID,
  'partition-specs': [{ 'spec-id': PARTITION_SPEC_ID, fields: [] }],
  'last-partition-id': LAST_PARTITION_ID,
  'default-sort-order-id': SORT_ORDER_ID,
  'sort-orders': [sortOrderOf(table)],
});

/** Metadata of a manifest's Avro file. */
export const manifestMetadata = (table: Table): Record<string, string> => ({
  schema: JSON.stringify(schemaOf(table)),
  'schema-id': String(SCHEMA_ID),
  'partition-spec': '[]',
  'partition-spec-id': String(PARTITION_SPEC_ID),
  'format-version': '2',
  content: 'data',
});

type AvroType = string | object;
const field = (id: number, name: string, type: AvroType): object => ({ name, type, 'field-id': id });
const optional = (id: number, name: string, type: AvroType): object => ({
  name,
  type: ['null', type],
  default: null,
  'field-id': id,
});
/** Avro's own maps have text for keys; Iceberg's of column ids are lists of pairs. */
const byColumn = (key: number, value: number, type: string): object => ({
  type: 'array',
  logicalType: 'map',
  items: {
    type: 'record',
    name: `k${key}_v${value}`,
    fields: [field(key, 'key', 'int'), field(value, 'value', type)],
  },
});

export const MANIFEST_SCHEMA: AvroSchema = {
  type: 'record',
  name: 'manifest_entry',
  fields: [
    field(0, 'status', 'int'),
    optional(1, 'snapshot_id', 'long'),
    optional(3, 'sequence_number', 'long'),
    optional(4, 'file_sequence_number', 'long'),
    field(2, 'data_file', {
      type: 'record',
      name: 'r2',
      fields: [
        field(134, 'content', 'int'),
        field(100, 'file_path', 'string'),
        field(101, 'file_format', 'string'),
        field(102, 'partition', { type: 'record', name: 'r102', fields: [] }),
        field(103, 'record_count', 'long'),
        field(104, 'file_size_in_bytes', 'long'),
        optional(109, 'value_counts', byColumn(119, 120, 'long')),
        optional(110, 'null_value_counts', byColumn(121, 122, 'long')),
        optional(125, 'lower_bounds', byColumn(126, 127, 'bytes')),
        optional(128, 'upper_bounds', byColumn(129, 130, 'bytes')),
        optional(140, 'sort_order_id', 'int'),
      ],
    }),
  ],
};

export const MANIFEST_LIST_SCHEMA: AvroSchema = {
  type: 'record',
  name: 'manifest_file',
  fields: [
    field(500, 'manifest_path', 'string'),
    field(501, 'manifest_length', 'long'),
    field(502, 'partition_spec_id', 'int'),
    field(517, 'content', 'int'),
    field(515, 'sequence_number', 'long'),
    field(516, 'min_sequence_number', 'long'),
    field(503, 'added_snapshot_id', 'long'),
    field(504, 'added_files_count', 'int'),
    field(505, 'existing_files_count', 'int'),
    field(506, 'deleted_files_count', 'int'),
    field(512, 'added_rows_count', 'long'),
    field(513, 'existing_rows_count', 'long'),
    field(514, 'deleted_rows_count', 'long'),
    optional(507, 'partitions', {
      type: 'array',
      'element-id': 508,
      items: {
        type: 'record',
        name: 'r508',
        fields: [
          field(509, 'contains_null', 'boolean'),
          optional(518, 'contains_nan', 'boolean'),
          optional(510, 'lower_bound', 'bytes'),
          optional(511, 'upper_bound', 'bytes'),
        ],
      },
    }),
  ],
};
