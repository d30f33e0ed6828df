import type { Guard } from './guard.ts';
import type { CustomPayloads } from './protocol.ts';
import { scrubUrl } from './scrub.ts';

type Navigation = CustomPayloads['navigation'];

export const navigationNow = (kind: Navigation['kind']): Navigation => ({
  kind,
  url: scrubUrl(location.href),
  title: document.title,
});

/**
 * Which navigation a history event is; undefined for none. A move between addresses that differ in their fragment
 * fires both `popstate` and `hashchange`: the latter counts. Pure.
 */
export function kindOf(
  event: 'pushState' | 'replaceState' | 'popstate' | 'hashchange',
  from: string,
  to: string,
): Navigation['kind'] | undefined {
  if (event === 'pushState') return 'push';
  // A hashchange may come after a further move, which has been told by then.
  if (from === to) return undefined;
  if (event === 'hashchange') return 'hash';
  if (event === 'replaceState') return 'replace';
  return from.split('#', 1)[0] === to.split('#', 1)[0] ? undefined : 'pop';
}

export interface NavigationObserver {
  /** Tells what waits for its title, now. */
  flush(): void;
  stop(): void;
}

/**
 * Tells every change of address; the patched History behaves as before, and is put back at the end. A router sets the
 * title after the address: each navigation is told when the running task is over, or when something else shall follow.
 */
export function observeNavigation(
  onNavigation: (navigation: Navigation) => void,
  guard: Guard,
): NavigationObserver {
  let isObserving = true;
  let href = location.href;
  let pending: Navigation[] = [];
  const flush = guard(() => {
    const told = pending;
    pending = [];
    for (const navigation of told) onNavigation({ ...navigation, title: document.title });
  });
  const changed = guard((event: Parameters<typeof kindOf>[0]) => {
    if (!isObserving) return;
    const kind = kindOf(event, href, location.href);
    if (!kind) return;
    href = location.href;
    if (pending.push(navigationNow(kind)) === 1) setTimeout(flush);
  });
  const restorers = (['pushState', 'replaceState'] as const).map((name) => {
    const original = history[name];
    const patched: History['pushState'] = function (this: History, ...args) {
      original.apply(this, args);
      changed(name);
    };
    history[name] = patched;
    return () => {
      // Someone may have patched over us: then ours stays in the chain, silent.
      if (history[name] === patched) history[name] = original;
    };
  });
  const onPop = (): void => changed('popstate');
  const onHash = (): void => changed('hashchange');
  addEventListener('popstate', onPop);
  addEventListener('hashchange', onHash);
  return {
    flush,
    stop: () => {
      isObserving = false;
      restorers.forEach((restore) => restore());
      removeEventListener('popstate', onPop);
      removeEventListener('hashchange', onHash);
    },
  };
}
