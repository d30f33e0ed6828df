import { maskAttribute } from './attributes.ts';
import { controlAround, isBlocked, isTextMasked, recordedText } from './masking.ts';

/** What a click tells of the control that was meant, so that SQL can speak of it without a DOM. */
export interface Described {
  selector: string;
  tag: string;
  role: string;
  text: string;
  disabled: boolean;
}

export const SELECTOR_STEPS_MAX = 5;
export const TEXT_CHARS_MAX = 80;
const TEXT_NODES_MAX = 200;

/** Of controls looked through for one that lets pointers pass; more are not worth the time of a click. */
const CONTROLS_MAX = 50;

/** The control that a pointer on `target` means: around it or, where a disabled one lets pointers pass, under it. */
export function controlOf(target: Element, x: number, y: number): Element {
  return passedBy(target, x, y) ?? controlAround(target) ?? target;
}

function passedBy(target: Element, x: number, y: number): Element | undefined {
  const disabled = target.querySelectorAll(':disabled,[aria-disabled="true"]');
  return Array.from(disabled)
    .slice(0, CONTROLS_MAX)
    .find((control) => {
      const { left, right, top, bottom } = control.getBoundingClientRect();
      const isInside = x >= left && x < right && y >= top && y < bottom;
      return isInside && getComputedStyle(control).pointerEvents === 'none';
    });
}

export function describe(element: Element): Described {
  return {
    selector: maskAttribute(element, 'id', selectorOf(element))!,
    tag: element.localName,
    role: roleOf(element),
    text: textOf(element),
    disabled: isDisabled(element),
  };
}

/** Also by `fieldset[disabled]`, by `aria-disabled` around it, and for a label by its control. */
export function isDisabled(element: Element): boolean {
  const control = (element as HTMLLabelElement).control ?? element;
  return control.matches(':disabled') || control.closest('[aria-disabled="true"]') !== null;
}

/** The shortest path of at most five steps that is unique in its document or shadow root; else those five steps. */
export function selectorOf(element: Element): string {
  const root = element.getRootNode() as Document | ShadowRoot;
  let path = '';
  let at: Element | null = element;
  for (let steps = 0; at && steps < SELECTOR_STEPS_MAX; steps++, at = at.parentElement) {
    for (const step of stepsOf(at)) {
      const candidate: string = path ? `${step} > ${path}` : step;
      if (isUnique(root, candidate)) return candidate;
    }
    path = [stepsOf(at).at(-1)!, path].filter(Boolean).join(' > ');
  }
  return path;
}

/** From the most telling form of a step to the one that is unique among its siblings. */
function stepsOf(element: Element): string[] {
  const tag = CSS.escape(element.localName);
  const steps = [];
  if (element.id) steps.push(`#${CSS.escape(element.id)}`);
  for (const name of ['data-testid', 'name']) {
    const value = element.getAttribute(name);
    if (value) steps.push(`${tag}[${name}="${CSS.escape(value)}"]`);
  }
  steps.push(tag);
  const siblings = Array.from(element.parentElement?.children ?? []);
  const alike = siblings.filter((sibling) => sibling.localName === element.localName);
  if (alike.length > 1) steps.push(`${tag}:nth-of-type(${alike.indexOf(element) + 1})`);
  return steps;
}

function isUnique(root: Document | ShadowRoot, selector: string): boolean {
  try {
    return root.querySelectorAll(selector).length === 1;
  } catch {
    return false;
  }
}

const INPUT_ROLES: Record<string, string> = {
  button: 'button',
  submit: 'button',
  reset: 'button',
  image: 'button',
  checkbox: 'checkbox',
  radio: 'radio',
  range: 'slider',
  number: 'spinbutton',
  search: 'searchbox',
  text: 'textbox',
  email: 'textbox',
  tel: 'textbox',
  url: 'textbox',
};

/** The explicit role, or the implicit one of controls; '' for what has none. */
export function roleOf(element: Element): string {
  const explicit = element.getAttribute('role')?.trim().split(/\s+/)[0];
  if (explicit) return explicit;
  switch (element.localName) {
    case 'button':
      return 'button';
    case 'a':
      return element.hasAttribute('href') ? 'link' : '';
    case 'input':
      return INPUT_ROLES[(element as HTMLInputElement).type] ?? '';
    case 'select':
      return (element as HTMLSelectElement).multiple ? 'listbox' : 'combobox';
    case 'textarea':
      return 'textbox';
    case 'option':
      return 'option';
    default:
      return '';
  }
}

/** Accessible text: label before content, and of a field never its value. Masked where the page's text is. */
export function textOf(element: Element): string {
  if (isBlocked(element)) return '';
  const attribute = (name: string): string => maskAttribute(element, name, element.getAttribute(name)) ?? '';
  const label = attribute('aria-label') || referenced(element) || labels(element);
  if (label) return shorten(label);
  const field = element.matches('input,select,textarea');
  if (!field) return shorten(contentOf(element) || attribute('title'));
  const isButton = roleOf(element) === 'button';
  return shorten(
    (isButton && attribute('value')) || attribute('alt') || attribute('placeholder') || attribute('title'),
  );
}

function referenced(element: Element): string {
  const ids = element.getAttribute('aria-labelledby')?.trim().split(/\s+/) ?? [];
  const root = element.getRootNode() as Document | ShadowRoot;
  return ids
    .map((id) => root.querySelector(`#${CSS.escape(id)}`))
    .map((labelling) => (labelling ? contentOf(labelling) : ''))
    .join(' ')
    .trim();
}

function labels(element: Element): string {
  return Array.from((element as HTMLInputElement).labels ?? [], contentOf)
    .join(' ')
    .trim();
}

/** Visible words inside, masked where they are; reading stops when there is enough. */
function contentOf(element: Element): string {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT, (node) =>
    node.nodeType === Node.ELEMENT_NODE
      ? (node as Element).matches('script,style,noscript') || isBlocked(node)
        ? NodeFilter.FILTER_REJECT
        : NodeFilter.FILTER_ACCEPT
      : NodeFilter.FILTER_ACCEPT,
  );
  let text = '';
  for (let nodes = 0; nodes < TEXT_NODES_MAX && text.length <= TEXT_CHARS_MAX && walker.nextNode(); nodes++) {
    const node = walker.currentNode;
    if (node.nodeType !== Node.TEXT_NODE) text += ' ' + imageText(node as Element);
    else if (node.nodeValue?.trim())
      text += isTextMasked(node)
        ? ` ${recordedText(node, node.nodeValue)} `
        : recordedText(node, node.nodeValue);
  }
  return text.replace(/\s+/g, ' ').trim();
}

function imageText(element: Element): string {
  return element.localName === 'img'
    ? (maskAttribute(element, 'alt', element.getAttribute('alt')) ?? '')
    : '';
}

function shorten(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= TEXT_CHARS_MAX ? line : line.slice(0, TEXT_CHARS_MAX - 1).trimEnd() + '…';
}
