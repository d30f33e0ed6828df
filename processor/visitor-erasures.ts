import type { Log } from '#service';
import { decoded, unlessDamaged } from './damage.ts';
import { putTombstone } from './erasures.ts';
import { encodeJson, getIfThere, getJsonIfThere, type CommitCache } from './lake-reader.ts';
import { paths, sessionStartMs, visibleFiles, type EventRow, type VisitorErasure } from './layout.ts';
import type { ProjectState } from './manifest.ts';
import type { Signer } from './receipt.ts';
import { COMES_AGAIN_MS } from './seen.ts';
import type { Store, StoreError } from './store.ts';
import { decodeFile } from './x-hyparquet.ts';

export interface VisitorErasureParts {
  store: Store;
  commits: Pick<CommitCache, 'list'>;
  state: (project: string) => Promise<ProjectState>;
  signer: Signer;
  log: Log;
  onDamage: (error: StoreError) => void;
}

/** Puts tombstones of the sessions whose visitor is to be erased, as they come to be known. */
export interface VisitorErasures {
  /** @throws StoreError */
  look(nowMs: number): Promise<void>;
}

/** Until when something may still come of a session that began before the request: the session's end, and what is late. */
export const visitorUntilMs = (requestedMs: number): number => requestedMs + COMES_AGAIN_MS;

export function createVisitorErasures({
  store,
  commits,
  state,
  signer,
  log,
  onDamage,
}: VisitorErasureParts): VisitorErasures {
  /** Files looked through, by request: rows of a file never change. */
  const looked = new Map<string, Set<string>>();
  const done = new Set<string>();

  async function lookFor(key: string, request: VisitorErasure, nowMs: number): Promise<void> {
    const { project, visitor, requestedMs, untilMs } = request;
    const before = looked.get(key);
    const files = new Set<string>();
    // Commits first: one that is removed meanwhile has been taken in by the manifest, which is read after it.
    const live = await commits.list();
    const { root, days } = await state(project);
    for (const file of visibleFiles(project, root, [...days.values()], live)) {
      if (file.table !== 'events') continue;
      if (!before?.has(file.key)) {
        const bytes = await getIfThere(store, file.key);
        if (!bytes) continue;
        for (const row of await decoded(file.key, () => decodeFile('events', bytes, COLUMNS_READ)))
          if (row.project === project && isOf(row, visitor!) && sessionStartMs(row.session_id) <= requestedMs)
            await erase(project, row.session_id, nowMs);
      }
      files.add(file.key);
    }
    looked.set(key, files);
    if (nowMs < untilMs) return;
    const { visitor: _visitor, ...rest } = request;
    await store.put(
      key,
      encodeJson(await signer.sign({ ...rest, done: { atMs: nowMs } } satisfies VisitorErasure)),
    );
    await store.removeOlder([key]);
    looked.delete(key);
    done.add(key);
  }

  async function erase(project: string, session: string, nowMs: number): Promise<void> {
    if (await putTombstone(store, project, session, nowMs))
      log.info({ project, session }, 'a session turned out to be of a visitor who is to be erased');
  }

  return {
    async look(nowMs) {
      for await (const { key } of store.list(paths.visitorErasuresPrefix)) {
        if (done.has(key)) continue;
        await unlessDamaged(onDamage, async () => {
          const request = await getJsonIfThere<VisitorErasure>(store, key);
          if (request?.done) done.add(key);
          else if (request) await lookFor(key, request, nowMs);
        });
      }
    },
  };
}

const COLUMNS_READ: (keyof EventRow & string)[] = ['project', 'session_id', 'type', 'name', 'props'];

/** The site's own id of the visitor, as identify() told it, or the random one of the browser. */
function isOf({ type, name, props }: EventRow, visitor: string): boolean {
  if (type === 'identify') return name === visitor;
  if (type !== 'environment' || !props?.includes('"visitor"')) return false;
  return (JSON.parse(props) as { visitor?: unknown }).visitor === visitor;
}
