import { isDamage } from './damage.ts';
import { newestVersion } from './iceberg-garbage.ts';
import { publishedVersion, type Metadata } from './iceberg-plan.ts';
import { getJson } from './lake-reader.ts';
import { paths, TABLES } from './layout.ts';
import { StoreError, type Store } from './store.ts';

/**
 * Whether a project's newest root manifest is older than one that was there, which this process saw or other readers'
 * metadata tells of. Who went on from it would take files for leftovers that are not.
 */
export function createLossWatch(store: Store): (project: string, version: number) => Promise<boolean> {
  const newest = new Map<string, number>();
  return async (project, version) => {
    const known = newest.get(project) ?? (await published(store, project));
    newest.set(project, Math.max(known, version));
    return version < known;
  };
}

async function published(store: Store, project: string): Promise<number> {
  let version = 0;
  for (const table of TABLES)
    try {
      const at = await newestVersion(store, paths.icebergTable(project, table));
      if (!at) continue;
      const metadata = await getJson<Metadata>(store, paths.icebergMetadata(project, table, at));
      version = Math.max(version, publishedVersion({ version: at, metadata, manifests: [] }));
    } catch (error) {
      // Of what cannot be read, or went meanwhile, nothing is known.
      if (error instanceof StoreError && !isDamage(error)) throw error;
    }
  return version;
}
