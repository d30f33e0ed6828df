import { isBlocked, isElement, isIgnored } from './masking.ts';
import { idOf } from './node-ids.ts';
import { on, targetOf } from './on.ts';

/**
 * States that CSS tells apart and no attribute holds. They are recorded as words of this attribute, which the replayed
 * element gets: the player matches focus and validity by it (what is masked is not valid as what was typed), shows
 * popovers and sets `indeterminate`.
 */
export const STATE = 'data-rr-state';

/** Not forms: one is invalid because of a secret field, too. */
const FIELD = /^(input|textarea|select)$/;
const FIELD_STATES = ['invalid', 'user-invalid', 'user-valid', 'indeterminate'];
const told = new WeakMap<Element, string>();
let anyTold = false;

/** Whether the element had a state before, so that it may have lost it. */
export const mayHaveState = (element: Element): boolean => anyTold && told.has(element);

/** As it stands in a snapshot; '' for most elements. Of a secret field only that it has the focus. */
export function stateOf(element: Element): string {
  const states = element.matches(':focus') ? ['focus', 'focus-visible'] : [];
  if (FIELD.test(element.localName) && !isIgnored(element)) states.push(...FIELD_STATES);
  if (element.hasAttribute('popover')) states.push('popover-open');
  if (!states.length && !told.has(element)) return '';
  const state = states.filter((name) => isIn(element, name)).join(' ');
  if (state || told.has(element)) {
    told.set(element, state);
    anyTold = true;
  }
  return state;
}

function isIn(element: Element, state: string): boolean {
  try {
    return element.matches(`:${state}`);
  } catch {
    // A browser that does not know the word has no such state.
    return false;
  }
}

/** Looks again at an element when what the page does now is done. Called from within rrweb, too. */
export let look: (node: Node) => void = () => {};

/** Calls `tell`, as a mutation's `attributes`, with the states that have changed. Returns what ends it. */
export function observeStates(
  tell: (attributes: { id: number; attributes: Record<string, string | null> }[]) => void,
): () => void {
  const due = new Set<Element>();
  const check = (): void => {
    const changed = [];
    for (const element of due) {
      const before = told.get(element) ?? '';
      const id = idOf(element);
      const state = id < 0 || isBlocked(element) ? before : stateOf(element);
      if (state !== before) changed.push({ id, attributes: { [STATE]: state || null } });
    }
    due.clear();
    if (changed.length) tell(changed);
  };
  look = (node) => {
    if (!isElement(node)) return;
    if (!due.size) setTimeout(check);
    due.add(node);
  };
  const stop = on('focusin focusout toggle', (event: Event) => look(targetOf(event) as Node), window);
  return () => {
    look = () => {};
    stop();
  };
}
