import { isDamage, isStoreError, type LakeReader, type LakeView } from '#store';

/** What each project's lake looks like, looked at when asked and not more often than every `refreshMs`: idle projects cost nothing. */
export interface Lake {
  /**
   * What `read` gives of a look. Where that names a file that is gone, merged or erased since, of another look, at the
   * store as it is now. @throws StoreError, and what `read` throws
   */
  read<T>(project: string, read: (view: LakeView) => Promise<T>): Promise<T>;
  /** Shows nothing of the session from now on, before the store's next look says so too. */
  hide(project: string, session: string): void;
  /** Why the last look failed; undefined when it did not. */
  problem(): string | undefined;
  /** Looks again where the last look failed. @throws StoreError */
  recheck(): Promise<void>;
}

/** An erasure may follow another. */
const LOOKS_AGAIN_MAX = 3;

export function createLake(reader: LakeReader, options: { refreshMs: number; now: () => number }): Lake {
  const held = new Map<string, { view: LakeView; lookedMs: number }>();
  const looking = new Map<string, Promise<LakeView>>();
  const hidden = new Map<string, Set<string>>();
  /** The reason is for everybody: `/readyz` wants no key, and the store's words name projects and places. */
  let failed: { project: string; reason: string } | undefined;

  const withHidden = (view: LakeView): LakeView => {
    const sessions = hidden.get(view.project);
    if (!sessions) return view;
    for (const session of sessions) if (view.erased.has(session)) sessions.delete(session);
    if (!sessions.size) hidden.delete(view.project);
    return sessions.size ? { ...view, erased: new Set([...view.erased, ...sessions]) } : view;
  };
  const refresh = (project: string): Promise<LakeView> => {
    const underway = looking.get(project);
    if (underway) return underway;
    const look = reader
      .view(project)
      .then(
        (view) => {
          held.set(project, { view, lookedMs: options.now() });
          failed = undefined;
          return view;
        },
        (error: unknown) => {
          // Of a project's that is damaged waiting cures nothing, and the others' can be read.
          if (!isDamage(error)) failed = { project, reason: 'the lake could not be read; the log says why' };
          throw error;
        },
      )
      .finally(() => looking.delete(project));
    looking.set(project, look);
    return look;
  };
  const look = async (project: string): Promise<LakeView> => {
    const last = held.get(project);
    const fresh = last && Math.abs(options.now() - last.lookedMs) < options.refreshMs;
    return withHidden(fresh ? last.view : await refresh(project));
  };
  return {
    async read(project, read) {
      let view = await look(project);
      for (let left = LOOKS_AGAIN_MAX; ; left--)
        try {
          return await read(view);
        } catch (error) {
          if (!left || !isStoreError(error, 'not_found')) throw error;
          view = withHidden(await refresh(project));
        }
    },
    hide(project, session) {
      hidden.set(project, (hidden.get(project) ?? new Set()).add(session));
    },
    problem: () => failed?.reason,
    async recheck() {
      if (failed) await refresh(failed.project);
    },
  };
}
