import type { LakeReader, LakeView } from '#store';

/** What each project's lake looks like, looked at when asked and not more often than every `refreshMs`: idle projects cost nothing. */
export interface Lake {
  /** @throws StoreError */
  look(project: string): Promise<LakeView>;
  /** As `look`, but from the store now: what was held named a file that is gone. */
  lookAgain(project: string): Promise<LakeView>;
  /** Shows nothing of the session from now on, before the store's next look says so too. */
  hide(project: string, session: string): void;
  /** Why the last look failed; undefined when it did not. */
  problem(): string | undefined;
  /** Looks again where the last look failed. @throws StoreError */
  recheck(): Promise<void>;
}

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
          failed = { project, reason: 'the lake could not be read; the log says why' };
          throw error;
        },
      )
      .finally(() => looking.delete(project));
    looking.set(project, look);
    return look;
  };
  return {
    async look(project) {
      const last = held.get(project);
      const fresh = last && Math.abs(options.now() - last.lookedMs) < options.refreshMs;
      return withHidden(fresh ? last.view : await refresh(project));
    },
    lookAgain: async (project) => withHidden(await refresh(project)),
    hide(project, session) {
      hidden.set(project, (hidden.get(project) ?? new Set()).add(session));
    },
    problem: () => failed?.reason,
    async recheck() {
      if (failed) await refresh(failed.project);
    },
  };
}
