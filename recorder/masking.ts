import type { RecorderOptions } from './options.ts';
import { MASK } from './protocol.ts';
import { forgetTyped, rememberTyped, scrubCss, scrubPersonal, setScrubbing } from './scrub.ts';

/**
 * What may be recorded of an element. Three degrees:
 *
 *   masked    its text and value become MASK, of one length for all           every field, [contenteditable], data-rr-mask
 *   secret    its value is blank and no input event tells that it changed     passwords, cards, one-time codes
 *   blocked   only its box is recorded, nothing inside                        data-rr-block
 *
 * Of data-rr-mask and data-rr-unmask the nearest one counts, before what an element is masked for by its kind, and
 * before `privacy: 'strict'`. Nothing unmasks what is secret or blocked.
 * Secret and editable are sticky: an element that was one once stays one, whatever its attributes become.
 * `serialize.ts` asks for all of it before anything is recorded; attributes have rules of their own (`attributes.ts`).
 *
 * What no rule sees: names and other plain words in the page's own text (`strict` masks it, and `data-rr-mask`), an
 * address or a number that several text nodes or elements make up together, ids and class names of plain words, the
 * first word of a path, what is drawn into pictures, and what was typed on a page before this one.
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
/** Names of what is about a person, or lets one in. */
const PERSONAL_NAME =
  /name|mail|phone|birth|address|street|city|zip|user|customer|client|person|patient|account|session|owner|auth|key$|(^|-)id$/;
/** Fields whose value is not typed: their state is part of the story. */
export const CHOICE_OR_BUTTON = /^(checkbox|radio|button|submit|reset|image|range|color|file)$/;
const BUTTON = /^(button|submit|reset|image)$/;

/** Whether a field with these traits holds what must never leave the page. Pure. */
export function isSecretField({ tag, type, name, id, autocomplete }: FieldTraits): boolean {
  if (type === 'password') return true;
  if (tag !== 'textarea' && tag !== 'select' && CHOICE_OR_BUTTON.test(type)) return false;
  return SECRET_AUTOCOMPLETE.test(autocomplete) || isSecretName(name) || isSecretName(id);
}

const kebab = (name: string): string => name.replace(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase();
const isSecretName = (name: string): boolean => SECRET_NAME.test(kebab(name));
export const isPersonalName = (name: string): boolean =>
  isSecretName(name) || PERSONAL_NAME.test(kebab(name));

const FIELD = 'input,textarea,select,option';
export const EDITABLE = '[contenteditable]:not([contenteditable="false" i])';
/** Also what is computed from fields, drawn by editors without an editable element, or shown by no browser. */
const MASKED_TAGS =
  'textarea,select,option,datalist,output,meter,address,noscript,template,canvas,object,audio,video';
const MASKED_KIND = `${MASKED_TAGS},${EDITABLE},[role=textbox],[role=searchbox],[role=spinbutton],.CodeMirror,.monaco-editor,.ace_editor`;
/** Without selectors of the site's own, only elements of these names, attributes and classes can match any of our marks. */
export const isMaskedTag = (tag: string): boolean => MASKED_TAGS.split(',').includes(tag);
export const MARK_CLASS = /rr-|CodeMirror|monaco-editor|ace_editor/;
/** What a person works: its labels are the site's words. */
export const CONTROL =
  'button,a[href],input,select,textarea,summary,option,label,[role=button],[role=link],[role=tab],[role=menuitem],' +
  '[role=option],[role=checkbox],[role=radio],[role=switch],[contenteditable=true]';
/** A function, for its text is to stand in one file. */
export const controlAround = (element: Element): Element | null => element.closest(CONTROL);

/** Selectors, set before anything is read. */
const marks = {} as Record<'mask' | 'unmask' | 'block' | 'ignore' | 'any', string>;
let strict = false;
/** Whether the site has marks of its own. */
let hasSelectors = false;
export const isStrict = (): boolean => strict;

/** What the page's options say. @throws DOMException for a selector that is none */
export function setMasking(
  options: Partial<Pick<RecorderOptions, 'privacy' | 'mask' | 'unmask' | 'block' | 'ignore' | 'keepParams'>>,
): void {
  hasSelectors = false;
  for (const name of ['mask', 'unmask', 'block', 'ignore'] as const) {
    const given = options[name];
    hasSelectors ||= !!given;
    if (given) document.createDocumentFragment().querySelector(given);
    marks[name] = `[data-rr-${name}],.rr-${name}${given ? ',' + given : ''}`;
  }
  marks.any = `${marks.mask},${marks.unmask},${MASKED_KIND}`;
  strict = options.privacy === 'strict';
  setScrubbing(strict, options.keepParams ?? '');
  forgetTyped();
}

setMasking({});

const secrets = new WeakSet<Element>();
const editables = new WeakSet<Node>();
let anyEditable = false;
export function rememberEditable(element: Element): void {
  editables.add(element);
  anyEditable = true;
}

/** Called also when an attribute changes, with what it was before. */
export function rememberSecret(element: Element): void {
  secrets.add(element);
}

export function isSecret(element: Element): boolean {
  if (secrets.has(element)) return true;
  const tag = element.localName;
  if (!/^(input|textarea|select)$/.test(tag)) return false;
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

/** The value of a field as it may be recorded. Labels of buttons are the site's text. */
export function fieldValue(value: string, element: Element): string {
  if (!value || isSecret(element)) return '';
  const { type } = element as HTMLInputElement;
  const cover = coverOf(element);
  if (element.localName === 'input' && BUTTON.test(type)) return cover & MASKED ? MASK : scrubPersonal(value);
  if (cover === SHOWN) return value;
  if (value !== MASK && !isSearch(element) && !/^(checkbox|radio|range|color)$/.test(type))
    rememberTyped(element, type === 'file' ? value.replace(/.*\\/, '') : value);
  return MASK;
}
/** What is looked for stands in what is found, and is no secret there. */
const isSearch = (element: Element): boolean =>
  element.matches('select,option,[type=search],[role=combobox],[name=q],[name*=search i],[id*=search i]');

/** White space stays white space, for it is layout more often than text. */
export function maskText(text: string): string {
  return text.trim() ? MASK : text && ' ';
}

/** What lies over a node: whether its texts are masked, and whether a mark says so. */
export type Cover = 0 | 1 | 2 | 3;
export const MASKED = 1;
export const SHOWN = 2;
export const HIDDEN = 3;

/**
 * What lies over the text of an element, or of the one around a node. A walk down the tree hands on what lies over the
 * parent, and so spares looking at ancestors.
 */
export function coverOf(node: Node, around?: Cover, isStrict = strict): Cover {
  if (!isElement(node)) {
    const parent = node.parentElement ?? hostOf(node);
    const cover = around ?? (parent ? coverOf(parent, around, isStrict) : isStrict ? MASKED : 0);
    return cover || ((node as Document).designMode === 'on' ? MASKED : 0);
  }
  if (around !== undefined) {
    if (node.matches(marks.any)) {
      if (node.matches(marks.mask)) return HIDDEN;
      if (node.matches(marks.unmask)) return SHOWN;
      return around || MASKED;
    }
    return coverUnmarked(node, around);
  }
  let isMasked = isStrict || wasEditable(node);
  for (let at: Element | null | undefined = node; at;) {
    if (at.ownerDocument.designMode === 'on') isMasked = true;
    const near: Element | null = at.closest(marks.any);
    if (near?.matches(marks.mask)) return HIDDEN;
    if (near?.matches(marks.unmask)) return SHOWN;
    isMasked ||= near !== null;
    at = near?.parentElement ?? hostOf(near ?? at);
  }
  return isMasked ? MASKED : 0;
}

/** The same of an element that has none of the names, attributes and classes by which it could match a mark. */
export const coverUnmarked = (element: Element, around: Cover): Cover =>
  around || (anyEditable && editables.has(element) ? MASKED : 0);

/** Whether an element with this tag is to be asked for marks, whatever its attributes. */
export const asksForMarks = (isMasked: boolean): boolean => hasSelectors || isMasked;

export const isTextMasked = (node: Node): boolean => (coverOf(node) & MASKED) !== 0;

/** A text node's text as it may be recorded. */
export function recordedText(node: Node, text: string, cover = coverOf(node)): string {
  return node.parentNode?.nodeName === 'STYLE' ? scrubCss(text) : textUnder(cover, text);
}
/** The same of the page's words. */
export const textUnder = (cover: Cover, text: string): string =>
  cover & MASKED ? maskText(text) : cover === SHOWN ? text : scrubPersonal(text);

export const recordedTitle = (): string => (strict ? maskText : scrubPersonal)(document.title);

/** What the site reports itself: its own words, but for what is personal by its form or by its name. */
export function recordedProps<T>(props: T): T {
  return JSON.parse(
    JSON.stringify(props, (key, value: unknown) =>
      typeof value === 'string' ? (isPersonalName(key) ? MASK : scrubPersonal(value)) : value,
    ),
  ) as T;
}

/** Whether the node or anything around it, also across shadow roots, is marked `data-rr-block`. */
export function isBlocked(node: Node | null): boolean {
  return isNear(node, marks.block);
}

/** The same of an element around which nothing is blocked. */
export const beginsBlock = (element: Element): boolean => element.matches(marks.block);

/** Whether changes of this field's value go unrecorded. */
export function isIgnored(node: Node | null): boolean {
  return isNear(node, marks.ignore) || (isElement(node) && isSecret(node));
}

/** Scrolling inside a masked text tells its length. In strict mode every text is masked, and pages still scroll. */
export function isScrollMasked(node: Node | null): boolean {
  return (
    isElement(node) && (node.matches('input,textarea') || (coverOf(node, undefined, false) & MASKED) !== 0)
  );
}

/**
 * Whether how the element looks, or where that comes from, may not be recorded. Only a mark decides here, so that most
 * elements need no look at all that is around them.
 */
export const isLookMasked = (element: Element, cover?: Cover): boolean =>
  strict
    ? (cover ?? coverOf(element)) !== SHOWN
    : (cover ?? (isWithin(element, marks.mask) ? coverOf(element) : 0)) === HIDDEN;

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
export function hostOf(node: Node): Element | undefined {
  const root = node.getRootNode() as Partial<Pick<ShadowRoot, 'host'> & Pick<Document, 'defaultView'>>;
  return root.host ?? root.defaultView?.frameElement ?? undefined;
}

export function isElement(node: Node | null): node is Element {
  return node?.nodeType === 1;
}
