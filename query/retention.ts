import { paths, type RetentionLine, type RetentionReport } from '#layout';
import { isStoreError, type Store } from '#store';

/** What the last sweep found stored of the project; nothing before the first. @throws StoreError */
export async function readRetention(store: Store, project: string): Promise<RetentionLine[]> {
  try {
    const bytes = await store.get(paths.retentionReport(project));
    return (JSON.parse(new TextDecoder().decode(bytes)) as RetentionReport).lines;
  } catch (error) {
    if (isStoreError(error, 'not_found')) return [];
    throw error;
  }
}
