import type { ReplayGroup } from './parquet-groups.ts';
import type { FileMetaData, RowGroup, SchemaElement } from './x-hyparquet.ts';

/**
 * Splicing: row groups of sealed `replay` files go into another file with their compressed bytes as they are.
 *
 *   files in   PAR1 │ a0 │ a1 │ a2 │ footer          a row group is one page load's, and its bytes are in one piece
 *              PAR1 │ b0 │ b1 │ footer
 *   file out   PAR1 │ a0 │ b0 │ b1 │ a2 │ footer     says of each what its own footer said, with the offsets moved
 *
 * All that a reader prunes by comes along. Of what a footer says of the whole file, the lists that go by row groups are
 * made anew (see `createReplayWriter`); indexes of pages and Bloom filters, which none of ours has, would stay behind.
 */
export interface SpliceableGroup extends ReplayGroup {
  /** Names of the assets to which its payloads refer. */
  assets: readonly string[];
  /** What its file's footer says of it. */
  footer: RowGroup;
}

/** Made by this writer, for these columns. */
export const isOurs = (
  { created_by, schema }: FileMetaData,
  writer: string,
  columns: readonly SchemaElement[],
): boolean => created_by === writer && schemaText(schema) === schemaText(columns);
const schemaText = (schema: readonly SchemaElement[]): string =>
  JSON.stringify(
    schema.map((one) => [
      ...[one.name, one.field_id, one.type, one.repetition_type, one.num_children],
      ...[one.converted_type, one.logical_type],
    ]),
  );

/** Whether nothing but the rows of one page load is in its bytes. */
export function isOneLoad({ footer, chunks, bytes }: SpliceableGroup): boolean {
  const isSame = (name: string): boolean => {
    const column = footer.columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === name);
    const { min_value, max_value, is_max_value_exact } = column?.meta_data?.statistics ?? {};
    return min_value !== undefined && min_value === max_value && is_max_value_exact !== false;
  };
  const chunkBytes = chunks.reduce((sum, [start, , end]) => sum + end - start, 0);
  return chunkBytes === bytes && ['project', 'session_id', 'rid'].every(isSame);
}

/** What is said of a row group that lies `by` bytes further on. */
export const shifted = (
  { columns, total_byte_size, num_rows, total_compressed_size }: RowGroup,
  by: bigint,
): RowGroup => ({
  columns: columns.map(({ file_offset, meta_data }) => {
    const { data_page_offset, dictionary_page_offset, ...rest } = meta_data!;
    return {
      file_offset: file_offset + by,
      meta_data: {
        ...rest,
        data_page_offset: data_page_offset + by,
        ...(dictionary_page_offset !== undefined && { dictionary_page_offset: dictionary_page_offset + by }),
        bloom_filter_offset: undefined,
        bloom_filter_length: undefined,
      },
    };
  }),
  total_byte_size,
  num_rows,
  total_compressed_size,
});
