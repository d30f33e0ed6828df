import type { Guard } from './guard.ts';

export type Stop = () => void;

/** Each of them, once, whatever becomes of the others. */
export function stopAll(stops: Stop[], guard: Guard): void {
  for (const stop of stops.splice(0)) guard(stop)();
}

/** Listens before the page does, and hinders no scrolling. @param types with a space between */
export function on(
  types: string,
  listener: (event: never) => void,
  target: EventTarget,
  capture = true,
): Stop {
  const stopping = new AbortController();
  const options = { capture, passive: true, signal: stopping.signal };
  for (const type of types.split(' ')) target.addEventListener(type, listener as EventListener, options);
  return () => stopping.abort();
}

/** The innermost, also inside open shadow roots. */
export const targetOf = (event: Event): EventTarget | null => event.composedPath()[0] ?? event.target;
