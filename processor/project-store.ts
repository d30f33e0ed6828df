import { checkProjects, type ProjectsDocument, type ProjectSource } from '#projects';
import { paths } from './layout.ts';
import { isStoreError, StoreError, type Store } from './store.ts';

export interface ProjectStore extends ProjectSource {
  /** Makes the change on the newest document; of two at once one is made on the other's outcome. @throws StoreError */
  update(change: (doc: ProjectsDocument) => ProjectsDocument): Promise<ProjectsDocument>;
  /** Reads the newest document now. */
  refresh(): Promise<void>;
  close(): void;
}

/**
 * The projects document in the store: one object a version, the newest counts. Makes the first from `first()` when
 * there is none. `onError` hears of refreshes that failed; what was read before stays in force.
 */
export async function openProjectStore(
  store: Store,
  options: { refreshMs: number; first: () => ProjectsDocument; onError: (error: unknown) => void },
): Promise<ProjectStore> {
  let held = (await readNewest(store)) ?? (await create(store, options.first()));
  const refresh = async (): Promise<void> => {
    const newest = await readNewest(store);
    if (newest && newest.version >= held.version) held = newest;
  };
  let timer = setTimeout(tick, options.refreshMs);
  async function tick(): Promise<void> {
    await refresh().catch(options.onError);
    timer = setTimeout(tick, options.refreshMs).unref();
  }
  timer.unref();
  return {
    current: () => held.doc,
    refresh,
    async update(change) {
      for (;;) {
        await refresh();
        const next = { version: held.version + 1, doc: checkProjects(change(held.doc)) };
        try {
          await put(store, next);
          held = next;
          return next.doc;
        } catch (error) {
          if (!isStoreError(error, 'already_exists')) throw error;
        }
      }
    },
    close: () => clearTimeout(timer),
  };
}

interface Versioned {
  version: number;
  doc: ProjectsDocument;
}

const put = (store: Store, { version, doc }: Versioned): Promise<void> =>
  store.put(paths.config(version), new TextEncoder().encode(JSON.stringify(doc, null, 2)), {
    ifAbsent: true,
  });

async function create(store: Store, doc: ProjectsDocument): Promise<Versioned> {
  try {
    await put(store, { version: 1, doc });
    return { version: 1, doc };
  } catch (error) {
    const winner = isStoreError(error, 'already_exists') ? await readNewest(store) : undefined;
    if (!winner) throw error;
    return winner;
  }
}

async function readNewest(store: Store): Promise<Versioned | undefined> {
  let newest: string | undefined;
  for await (const { key } of store.list(paths.configPrefix)) newest = key;
  if (!newest) return undefined;
  const doc = JSON.parse(new TextDecoder().decode(await store.get(newest))) as ProjectsDocument;
  if (doc.v !== 1)
    throw new StoreError(
      'store_refused',
      `${newest} is of version ${String(doc.v)}, which this release does not read`,
    );
  return {
    version: Number(newest.slice(paths.configPrefix.length, -'.json'.length)),
    doc: checkProjects(doc),
  };
}
