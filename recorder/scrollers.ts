/**
 * To ask an element how far it is scrolled costs as much as all else that a snapshot asks of it, and hardly any is
 * scrolled. So of the page's own elements only those are asked that were seen to scroll, and those in view.
 */
const known = new WeakSet<Node>();
export const rememberScroller = (node: Node): void => void known.add(node);
export const mayBeScrolled = (element: Element): boolean => known.has(element);

/** Points across and down at which it is looked what is in view. */
const POINTS = 9;

/** What was scrolled before it could be observed. */
export function findScrollers(): void {
  for (let point = 0; point < POINTS * POINTS; point++) {
    const [x, y] = [(point % POINTS) + 0.5, Math.floor(point / POINTS) + 0.5];
    const found = document.elementsFromPoint((x / POINTS) * innerWidth, (y / POINTS) * innerHeight);
    for (const element of found) known.add(element);
  }
}
