import type { Box } from './test-compare.ts';

/**
 * Runs in a page, live or replayed: the visible boxes of what is masked by design, so that its look cannot be the
 * same. Fields that hold something, selects, and what is editable; not their labels and placeholders.
 */
export function maskedBoxes(): Box[] {
  const TYPED =
    'input:not([type=checkbox],[type=radio],[type=button],[type=submit],[type=reset],[type=image],[type=hidden]),textarea';
  const MASKED = `${TYPED},select,[contenteditable]:not([contenteditable="false" i]),[data-rr-mask],.rr-mask`;
  const boxes: Box[] = [];
  const visit = (root: Document | ShadowRoot, dx: number, dy: number, clip: DOMRect): void => {
    for (const element of root.querySelectorAll('*')) {
      if (element.shadowRoot) visit(element.shadowRoot, dx, dy, clip);
      const inner = element.localName === 'iframe' && (element as HTMLIFrameElement).contentDocument;
      if (inner) {
        const { x, y } = element.getBoundingClientRect();
        const [left, top] = [x + element.clientLeft + dx, y + element.clientTop + dy];
        visit(inner, left, top, new DOMRect(left, top, element.clientWidth, element.clientHeight));
      }
      if (!element.matches(MASKED) || !element.checkVisibility({ visibilityProperty: true })) continue;
      if (element.matches(TYPED) && !(element as HTMLInputElement).value) continue;
      const rect = element.getBoundingClientRect();
      let [left, top, right, bottom] = [rect.left + dx, rect.top + dy, rect.right + dx, rect.bottom + dy];
      const cut = (around: DOMRect): void => {
        left = Math.max(left, around.left);
        top = Math.max(top, around.top);
        right = Math.min(right, around.right);
        bottom = Math.min(bottom, around.bottom);
      };
      cut(clip);
      for (let at = element.parentElement; at; at = at.parentElement) {
        if (at === element.ownerDocument.body || getComputedStyle(at).overflowY === 'visible') continue;
        const around = at.getBoundingClientRect();
        cut(new DOMRect(around.x + dx, around.y + dy, around.width, around.height));
      }
      if (right > left && bottom > top)
        boxes.push({ x: left, y: top, width: right - left, height: bottom - top });
    }
  };
  visit(document, 0, 0, new DOMRect(0, 0, innerWidth, innerHeight));
  return boxes;
}
