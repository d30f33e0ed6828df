import { selectorOf } from './element.ts';
import type { Guard } from './guard.ts';
import { hostOf } from './masking.ts';

/**
 * Tells the page's document and those of its frames that are of its origin, now and whenever one comes or is loaded
 * anew; some more than once. A frame in a shadow root is found when a pointer comes to it, for its `load` stays inside.
 */
export function observeDocuments(
  onDocument: (document: Document) => void,
  guard: Guard,
  signal: AbortSignal,
): void {
  const options = { capture: true, passive: true, signal };
  const enter = (node: EventTarget | undefined): void => {
    const inside = (node as Partial<HTMLIFrameElement> | undefined)?.contentDocument;
    if (inside) visit(inside);
  };
  const listener = guard((event: Event) => enter(event.composedPath()[0]));
  const visit = (document: Document): void => {
    onDocument(document);
    // Adding a listener once more changes nothing.
    for (const type of ['load', 'pointerover']) document.addEventListener(type, listener, options);
    document.querySelectorAll('iframe,frame').forEach(enter);
  };
  visit(document);
}

/** A selector that also leads through the frames and shadow roots around the element. */
export function pathTo(element: Element): string {
  const host = hostOf(element);
  return (host ? `${pathTo(host)} >>> ` : '') + selectorOf(element);
}

/** Where a point of the element's viewport is in the page's. */
export function inPage(element: Element, x: number, y: number): { x: number; y: number } {
  const frame = element.ownerDocument.defaultView?.frameElement;
  if (!frame) return { x: Math.round(x), y: Math.round(y) };
  const { left, top } = frame.getBoundingClientRect();
  return inPage(frame, x + left + frame.clientLeft, y + top + frame.clientTop);
}
