import { paths } from './layout.ts';
import type { Store } from './store.ts';

/** Sessions that are erased or to be erased, over all projects. */
export interface Erasures {
  has(project: string, session: string): boolean;
  /** Looks into the store, unless it was looked into less than `maxAgeMs` ago. @throws StoreError */
  refresh(maxAgeMs?: number): Promise<void>;
}

export function createErasures(store: Store, now: () => number): Erasures {
  let held = new Set<string>();
  let atMs = -Infinity;
  return {
    has: (project, session) => held.has(paths.erasure(project, session)),
    async refresh(maxAgeMs = 0) {
      const startMs = now();
      if (startMs - atMs < maxAgeMs) return;
      const keys = new Set<string>();
      for await (const { key } of store.list(paths.erasuresPrefix)) keys.add(key);
      held = keys;
      atMs = startMs;
    },
  };
}
