import { writeRows, type Bucket, type CompactParts } from './compact.ts';
import { decoded } from './damage.ts';
import { spliceFile } from './lake-file.ts';
import { paths, type LakeFile } from './layout.ts';
import { assetNames } from './moved-assets.ts';
import type { SpliceableGroup } from './splice.ts';
import { decodeSpliceableGroups } from './parquet-groups.ts';
import { decodeFile, type Read, type Row } from './x-hyparquet.ts';

/**
 * Parts a file by session. A sealed one is spliced: its footer tells whose each row group is and to which assets it refers, so
 * that the row groups of a part are copied as they are, behind a new footer.
 *
 *   file    s1 r1 │ s1 r1 │ s2 r1 │ s3 r1 │ s3 r2 │ footer       one session a row group, in one piece
 *   parts   s1 r1 │ s1 r1 │ s3 r1 │ s3 r2 │ footer               what stays
 *           s2 r1 │ footer                                       what goes elsewhere, or nowhere
 *
 * Any other is decoded: row groups of `events` hold many sessions each, which is what makes them small.
 */
export interface Part {
  rows: number;
  sessions: ReadonlySet<string>;
  /** Of which it tells. */
  assets: ReadonlySet<string>;
  /** As a file of its own. @throws StoreError */
  put(
    parts: Pick<CompactParts, 'store' | 'nonce'>,
    place: Pick<Bucket, 'project' | 'date' | 'class'>,
  ): Promise<LakeFile>;
}

/** By what is said of the sessions; none is empty. @throws StoreError `damaged`, and what `read` throws */
export async function partFile<K>(
  file: Pick<LakeFile, 'key' | 'table' | 'bytes' | 'sealed'>,
  read: Read,
  keyOf: (session: string) => K,
): Promise<Map<K, Part>> {
  const groups = file.sealed && (await decoded(file.key, () => decodeSpliceableGroups(file.bytes, read)));
  if (groups) {
    const byKey = Map.groupBy(groups, ({ session }) => keyOf(session));
    return new Map(Array.from(byKey, ([key, some]) => [key, splicedPart(some, read)]));
  }
  const bytes = await read(0, file.bytes);
  const rows: Row[] = await decoded(file.key, () => decodeFile(file.table, bytes));
  const byKey = Map.groupBy(rows, ({ session_id }) => keyOf(session_id));
  return new Map(Array.from(byKey, ([key, some]) => [key, decodedPart(file, some)]));
}

const decodedPart = (file: Pick<LakeFile, 'table' | 'sealed'>, rows: Row[]): Part => ({
  rows: rows.length,
  sessions: new Set(rows.map(({ session_id }) => session_id)),
  assets: assetNames(rows, file),
  put: (parts, place) => writeRows(parts, { ...place, table: file.table, rows }, file.sealed),
});

const splicedPart = (groups: readonly SpliceableGroup[], read: Read): Part => ({
  rows: groups.reduce((sum, { rows }) => sum + rows, 0),
  sessions: new Set(groups.map(({ session }) => session)),
  assets: new Set(groups.flatMap(({ assets }) => assets)),
  async put({ store, nonce }, { project, date, class: cls }) {
    const key = paths.file(cls, 'replay', project, date, nonce());
    const { file, bytes } = await spliceFile(key, cls, groups, read);
    await store.put(key, bytes);
    return file;
  },
});
