import type { EarlyEvent } from './early.ts';
import type { Guard } from './guard.ts';
import { recordedTitle } from './masking.ts';
import type { CustomPayloads } from './protocol.ts';
import { scrubUrl } from './scrub.ts';

type Navigation = CustomPayloads['navigation'];

type By = 'pushState' | 'replaceState' | 'popstate' | 'hashchange' | 'push' | 'replace' | 'traverse';

/**
 * Which navigation it is that came by a call of History, by an event, or (`push`, `replace`, `traverse`) by the
 * Navigation API; undefined for none that has not been told. Pure.
 */
export function kindOf(by: By, from: string, to: string): Navigation['kind'] | undefined {
  if (by === 'pushState') return 'push';
  // A hashchange may come after a further move, which has been told by then.
  if (from === to) return undefined;
  if (by === 'replaceState') return 'replace';
  if (from.split('#', 1)[0] === to.split('#', 1)[0]) return 'hash';
  return by === 'push' || by === 'replace' ? by : 'pop';
}

const CALL = /^(push|replace)State$/;
const MOVE = /^(pushState|replaceState|popstate|hashchange)$/;
/** By what it moved: a call kept under its name, an event of the window or of the Navigation API; or not at all. */
const byOf = (event: Event): By | undefined =>
  MOVE.test(event.type)
    ? (event.type as By)
    : ((event as { navigationType?: 'push' | 'replace' | 'traverse' | null }).navigationType ?? undefined);

/**
 * A router sets the title after the address, some tasks later where it renders in slices or waits for code: it is looked
 * for so often, and so also for longer where the page is slow.
 */
const TITLE_LOOKS = 20;
const TITLE_LOOK_MS = 25;

export interface NavigationObserver {
  /** Tells what waits for its title, now. */
  flush(): void;
  stop(): void;
}

/**
 * Tells every change of address; the patched History behaves as before, and is put back at the end. Each navigation is
 * told once the title has changed or was looked for TITLE_LOOKS times, or when something else shall follow.
 * @param early events of which some are navigations that came before, since the page had the address `from`
 */
export function observeNavigation(
  onNavigation: (navigation: Navigation, atMs?: number) => void,
  guard: Guard,
  early: EarlyEvent[],
  from: string,
): NavigationObserver {
  let isObserving = true;
  let href = from;
  let pending: (Navigation & { atMs?: number })[] = [];
  /** 0 until the task of the first move is over, for moves in one task share their title. */
  let looks = 0;
  let isCalled = false;
  const flush = guard(() => {
    const told = pending;
    pending = [];
    looks = 0;
    for (const { atMs, ...navigation } of told) onNavigation({ ...navigation, title: recordedTitle() }, atMs);
  });
  const settle = guard((first: Navigation) => {
    if (pending[0] !== first) return;
    if (recordedTitle() !== first.title || looks++ === TITLE_LOOKS) flush();
    else setTimeout(settle, TITLE_LOOK_MS, first);
  });
  const changed = guard((by: By, to: string = location.href, atMs?: number) => {
    if (!isObserving) return;
    const kind = kindOf(by, href, to);
    if (!kind) return;
    href = to;
    if (looks) flush();
    const navigation = { kind, url: scrubUrl(to), title: recordedTitle(), atMs };
    if (pending.push(navigation) === 1) setTimeout(settle, 0, navigation);
  });
  early.forEach(([event, , atMs, to], index) => {
    const by = byOf(event);
    // A call is kept once it is over: behind the entry that it made, which it tells better.
    const isOfCall = !MOVE.test(event.type) && CALL.test(early[index + 1]?.[0].type ?? '');
    if (by && !isOfCall) changed(by, to, atMs);
  });
  // What went by neither History nor an event.
  changed('push');
  const restorers = (['pushState', 'replaceState'] as const).map((name) => {
    const original = history[name];
    const patched: History['pushState'] = function (this: History, ...args) {
      // A router's listener may come before ours, and answer popstate by replaceState.
      changed('popstate');
      isCalled = true;
      try {
        original.apply(this, args);
      } finally {
        isCalled = false;
      }
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
  // What goes by neither, such as `navigation.navigate()`.
  const { navigation: entries } = window as { navigation?: EventTarget };
  const onEntry = (event: Event): void => {
    const by = byOf(event);
    if (by && !isCalled) changed(by);
  };
  entries?.addEventListener('currententrychange', onEntry);
  return {
    flush,
    stop: () => {
      isObserving = false;
      restorers.forEach((restore) => restore());
      removeEventListener('popstate', onPop);
      removeEventListener('hashchange', onHash);
      entries?.removeEventListener('currententrychange', onEntry);
    },
  };
}
