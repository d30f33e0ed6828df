import { on, targetOf, type Stop } from './on.ts';

/**
 * To ask an element how far it is scrolled costs as much as all else that a snapshot asks of it, and hardly any is
 * scrolled. So of the page's own elements only those are asked that were seen to scroll, and those in view.
 */
const known = new WeakSet<Node>();
/** From before the first snapshot on. Returns what ends it. */
export const observeScrollers = (): Stop =>
  on('scroll', (event: Event) => known.add(targetOf(event) as Node), window);
export const mayBeScrolled = (element: Element): boolean => known.has(element);

/** Points across and down at which it is looked what is in view. */
const POINTS = 6;

/** What was scrolled before it could be observed. */
export function findScrollers(): void {
  for (let point = 0; point < POINTS * POINTS; point++) {
    const [x, y] = [(point % POINTS) + 0.5, Math.floor(point / POINTS) + 0.5];
    const found = document.elementsFromPoint((x / POINTS) * innerWidth, (y / POINTS) * innerHeight);
    for (const element of found) known.add(element);
  }
}
