import type { Guard } from './guard.ts';

/** An event with what is forgotten of it once it was dispatched: its innermost target, and when we heard of it. */
export type EarlyEvent = [event: Event, target: EventTarget, atMs: number];

/** Nobody clicks more than this before a chunk is here. */
const EARLY_MAX = 50;

export interface EarlyEvents {
  /** Takes away what was kept, and keeps no more. */
  take(): EarlyEvent[];
}

/** Keeps what may become a click until the chunk is here that tells of clicks (`clicks.ts`). Of the page's own document. */
export function keepEarly(guard: Guard): EarlyEvents {
  const kept: EarlyEvent[] = [];
  const stopping = new AbortController();
  const keep = guard((event: Event) => {
    // What else is typed is none of our business.
    if (kept.length < EARLY_MAX && /^(Enter| )$/.test((event as Partial<KeyboardEvent>).key ?? ' '))
      kept.push([event, event.composedPath()[0]!, Date.now()]);
  });
  for (const type of ['pointerdown', 'pointerup', 'pointercancel', 'keydown', 'keyup', 'click'])
    document.addEventListener(type, keep, { capture: true, passive: true, signal: stopping.signal });
  return {
    take: () => {
      stopping.abort();
      return kept.splice(0);
    },
  };
}
