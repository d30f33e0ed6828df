import { isDamage } from './damage.ts';
import { newestVersion } from './iceberg-garbage.ts';
import { decodeManifest, decodeManifestList, keyOf } from './iceberg-manifest.ts';
import { liveEntries, publishedVersion, type Metadata } from './iceberg-plan.ts';
import { finding, type Finding } from './findings.ts';
import { getJson } from './lake-reader.ts';
import { paths, type LakeFile, type RootManifest, type Table } from './layout.ts';
import { StoreError, type Store } from './store.ts';

export interface IcebergTable {
  key: string;
  /** Version of the project's manifest that was published. */
  manifestVersion: number;
  /** Undefined when it cannot be read. */
  files: LakeFile[] | undefined;
}

/** What other programs' readers are led to; undefined when the table was never published. @throws StoreError */
export async function readIceberg(
  store: Store,
  project: string,
  table: Table,
): Promise<IcebergTable | undefined> {
  const version = await newestVersion(store, paths.icebergTable(project, table));
  if (!version) return undefined;
  const key = paths.icebergMetadata(project, table, version);
  let manifestVersion = 0;
  try {
    const metadata = await getJson<Metadata>(store, key);
    manifestVersion = publishedVersion({ version, metadata, manifests: [] });
    const current = metadata.snapshots.find(
      (snapshot) => snapshot['snapshot-id'] === metadata['current-snapshot-id'],
    )!;
    const { location } = store;
    const files: LakeFile[] = [];
    for (const listed of decodeManifestList(
      location,
      await store.get(keyOf(location, current['manifest-list'])),
    )) {
      const entries = decodeManifest(table, location, await store.get(listed.key));
      files.push(...liveEntries([{ ...listed, entries }]).map(({ file }) => file));
    }
    return { key, manifestVersion, files };
  } catch (error) {
    if (error instanceof StoreError && !isDamage(error)) throw error;
    return { key, manifestVersion, files: undefined };
  }
}

/** Whether the table leads to the manifest's files. A table may be a version behind; it follows. */
export function compareIceberg(
  project: string,
  root: RootManifest,
  files: readonly LakeFile[],
  table: IcebergTable | undefined,
): Finding[] {
  if (!table) return [];
  const differs = (why: string): Finding[] => [finding('iceberg_differs', table.key, why, { project })];
  if (!table.files) return differs('it cannot be read, or something that it names');
  if (table.manifestVersion < root.version)
    return [
      finding(
        'iceberg_behind',
        table.key,
        `it is of version ${table.manifestVersion}, the manifest of ${root.version}`,
        { project, level: 'note' },
      ),
    ];
  const named = new Map(table.files.map((file) => [file.key, file]));
  for (const file of files) {
    const is = named.get(file.key);
    named.delete(file.key);
    if (!is) return differs(`it does not name ${file.key}`);
    if (is.rows !== file.rows || is.bytes !== file.bytes) return differs(`${file.key} is told otherwise`);
  }
  const [more] = named.keys();
  return more === undefined ? [] : differs(`it names ${more}, which no manifest names`);
}
