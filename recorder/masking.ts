import { MASK } from './protocol.ts';
import { scrubUrl } from './scrub.ts';

/**
 * What may be recorded of an element. Three degrees:
 *
 *   masked    its text and value become MASK, of one length for all           every field, [contenteditable], data-rr-mask
 *   secret    its value is blank and no input event tells that it changed     passwords, cards, one-time codes
 *   blocked   only its box is recorded, nothing inside                        data-rr-block
 *
 * Secret and editable are sticky: an element that was one once stays one, whatever its attributes become.
 * The transforms of `rrweb-transforms.ts` call these functions from within rrweb, before anything is recorded.
 */
export interface FieldTraits {
  tag: string;
  type: string;
  name: string;
  id: string;
  autocomplete: string;
}

const SECRET_AUTOCOMPLETE = /(^|\s)(current-password|new-password|one-time-code|cc-[a-z-]+)(\s|$)/i;
/** Tried on names in kebab case. Words that are parts of common other words need a boundary. */
const SECRET_NAME =
  /passw|passcode|passphrase|pwd|secret|cvv|cvc|security-?code|one-?time|creditcard|(^|[^a-z])(card|cc|otp|pin|csc|ssn|iban|token)([^a-z]|num|no|exp|$)/;
/** Fields whose value is not typed: their state is part of the story. */
const CHOICE_OR_BUTTON = /^(checkbox|radio|button|submit|reset|image|range|color|file)$/;
const BUTTON = /^(button|submit|reset|image)$/;

/** Whether a field with these traits holds what must never leave the page. Pure. */
export function isSecretField({ tag, type, name, id, autocomplete }: FieldTraits): boolean {
  if (type === 'password') return true;
  if (tag !== 'textarea' && tag !== 'select' && CHOICE_OR_BUTTON.test(type)) return false;
  return (
    SECRET_AUTOCOMPLETE.test(autocomplete) || SECRET_NAME.test(kebab(name)) || SECRET_NAME.test(kebab(id))
  );
}

const kebab = (name: string): string => name.replace(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase();

const FIELD = 'input,textarea,select,option';
const MARKED = '[data-rr-mask],.rr-mask';
const EDITABLE = '[contenteditable]:not([contenteditable="false" i])';
const MASKED_TEXT = `textarea,select,option,${EDITABLE},${MARKED}`;

const secrets = new WeakSet<Element>();
const editables = new WeakSet<Node>();
let anyEditable = false;

/** Called also when an attribute changes, with what it was before. */
export function rememberSecret(element: Element): void {
  secrets.add(element);
}

export function isSecret(element: Element): boolean {
  if (secrets.has(element)) return true;
  const tag = element.localName;
  if (tag !== 'input' && tag !== 'textarea' && tag !== 'select') return false;
  const attribute = (name: string): string => element.getAttribute(name) ?? '';
  const secret = isSecretField({
    tag,
    type: (element as HTMLInputElement).type,
    name: attribute('name'),
    id: attribute('id'),
    autocomplete: attribute('autocomplete'),
  });
  if (secret) secrets.add(element);
  return secret;
}

/** The value of a field as it may be recorded. Labels of buttons are the site's text, unless they are marked. */
export function fieldValue(value: string, element: Element): string {
  if (isSecret(element)) return '';
  if (element.localName === 'input' && BUTTON.test((element as HTMLInputElement).type))
    return value && isWithin(element, MARKED) ? MASK : value;
  return value ? MASK : '';
}

/** White space stays white space, for it is layout more often than text. */
export function maskText(text: string): string {
  return text.trim() ? MASK : text && ' ';
}

/**
 * Whether text directly inside this node is masked. A walk down the tree hands on what it knows of the ancestors and
 * sets `checkAncestors` to false.
 */
export function isTextMasked(node: Node, checkAncestors = true): boolean {
  const element = node.nodeType === Node.ELEMENT_NODE ? (node as Element) : node.parentElement;
  if (!element) {
    const host = hostOf(node);
    return checkAncestors && host !== undefined && isTextMasked(host);
  }
  if (element.ownerDocument.designMode === 'on') return true;
  if (!checkAncestors) return element.matches(MASKED_TEXT) || editables.has(element);
  return isWithin(element, MASKED_TEXT) || wasEditable(element);
}

/** Whether the node or anything around it, also across shadow roots, is marked `data-rr-block`. */
export function isBlocked(node: Node | null): boolean {
  return isNear(node, '[data-rr-block],.rr-block');
}

/** Whether changes of this field's value go unrecorded. */
export function isIgnored(node: Node | null): boolean {
  return isNear(node, '[data-rr-ignore],.rr-ignore') || (isElement(node) && isSecret(node));
}

/** Scrolling inside a masked text tells its length. */
export function isScrollMasked(node: Node | null): boolean {
  return isElement(node) && (node.matches('input,textarea') || isTextMasked(node));
}

/** Attributes that often repeat what stands in a field. */
const TEXT_ATTRIBUTE =
  /^(title|alt|placeholder|label|aria-(label|description|placeholder|valuetext|valuenow)|data-.+)$/;
const URL_ATTRIBUTE =
  /^(href|src|action|formaction|poster|data|cite|ping|longdesc|background|xlink:href|srcset)$/;

/** An attribute's value as it may be recorded; null: not at all. */
export function maskAttribute(element: Element, name: string, value: string | null): string | null {
  if (name === 'contenteditable') {
    editables.add(element);
    anyEditable = true;
  }
  if (!value) return value;
  const tag = element.localName;
  // Scripts do not run in a replay, and a frame's document is recorded as nodes.
  if (name === 'srcdoc' || /^on[a-z]/.test(name)) return null;
  if (name === 'selected' && tag === 'option') return null;
  if (name === 'value') {
    if (element.matches(FIELD) || tag.includes('-')) return fieldValue(value, element);
    return isWithin(element, MARKED) ? MASK : value;
  }
  if (URL_ATTRIBUTE.test(name))
    return name === 'srcset' ? value.replace(/[^\s,]*\?[^\s,]*/g, scrubUrl) : scrubUrl(value);
  if (!TEXT_ATTRIBUTE.test(name) || name.startsWith('data-rr-')) return value;
  return isSecret(element) || isAttributeMasked(element) || repeatsField(element, value) ? MASK : value;
}

/** A field's own label and placeholder are the site's text; what stands inside a masked text is not. */
function isAttributeMasked(element: Element): boolean {
  const parent = element.parentElement ?? hostOf(element);
  return element.localName === 'option' || isWithin(element, MARKED) || (!!parent && isTextMasked(parent));
}

/** Whether the text holds what stands in this field, or in one just inside this element. */
function repeatsField(element: Element, text: string): boolean {
  const holds = (field: Element): boolean => {
    if (field.matches(EDITABLE)) return !!field.textContent && text.includes(field.textContent);
    if (!field.matches('input,textarea') || CHOICE_OR_BUTTON.test((field as HTMLInputElement).type))
      return false;
    const { value } = field as HTMLInputElement;
    return value !== '' && text.includes(value);
  };
  return holds(element) || Array.from(element.children).some(holds);
}

function isNear(node: Node | null, selector: string): boolean {
  if (!node) return false;
  const element = isElement(node) ? node : node.parentElement;
  if (element) return isWithin(element, selector);
  const host = hostOf(node);
  return host !== undefined && isWithin(host, selector);
}

/** `closest`, going on from a shadow root to its host and from a document to its frame. */
function isWithin(element: Element, selector: string): boolean {
  for (let at: Element | undefined = element; at; at = hostOf(at)) if (at.closest(selector)) return true;
  return false;
}

function wasEditable(element: Element): boolean {
  if (!anyEditable) return false;
  for (let at: Node | null | undefined = element; at; at = at.parentNode ?? hostOf(at))
    if (editables.has(at)) return true;
  return false;
}

/** Around a shadow root its host; around a frame's document its frame, where that is of our origin. */
function hostOf(node: Node): Element | undefined {
  const root = node.getRootNode() as Partial<Pick<ShadowRoot, 'host'> & Pick<Document, 'defaultView'>>;
  return root.host ?? root.defaultView?.frameElement ?? undefined;
}

function isElement(node: Node | null): node is Element {
  return node?.nodeType === Node.ELEMENT_NODE;
}
