import type { Guard } from './guard.ts';
import { on, targetOf } from './on.ts';
import { patch } from './patch.ts';

/**
 * An event, or a call of History under its name, with what is forgotten of it once it was dispatched: its innermost
 * target, when we heard of it, and the page's address then.
 */
export type EarlyEvent = [event: Event, target: EventTarget, atMs: number, href: string];

/** Of all kinds together; nobody clicks more than this before a chunk is here. */
const EARLY_MAX = 200;

export interface EarlyEvents {
  /** Of the page when it began to be kept. */
  href: string;
  /** Takes away what was kept, and keeps no more. */
  take(): EarlyEvent[];
}

/**
 * Keeps what may become a click, an error or a navigation until the chunk is here that tells of them (`meaning.ts`). Of
 * the page's own window.
 */
export function keepEarly(guard: Guard): EarlyEvents {
  const kept: EarlyEvent[] = [];
  const { navigation = window } = window as { navigation?: EventTarget };
  const keep = guard((event: Event) => {
    // What else is typed is none of our business.
    if (kept.length < EARLY_MAX && /^(Enter| )$/.test((event as Partial<KeyboardEvent>).key ?? ' '))
      kept.push([event, targetOf(event)!, Date.now(), location.href]);
  });
  const stops = [
    on('pointerdown pointerup pointercancel keydown keyup click popstate hashchange', keep, window),
    // On their way down there are also errors of files.
    on('error unhandledrejection', keep, window, false),
    on('currententrychange', keep, navigation),
    ...['pushState', 'replaceState'].map((name) =>
      patch(history, name, (call) => {
        call();
        keep(new Event(name));
      }),
    ),
  ];
  return {
    href: location.href,
    take: () => {
      stops.forEach((stop) => stop());
      return kept.splice(0);
    },
  };
}
