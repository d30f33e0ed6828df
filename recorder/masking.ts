import type { RecorderOptions } from './options.ts';
import { MASK } from './protocol.ts';
import {
  forgetTyped,
  rememberTyped,
  scrubCss,
  scrubPersonal,
  scrubResource,
  scrubUrl,
  setScrubbing,
} from './scrub.ts';

/** For `rrweb-transforms.ts`, whose hooks are this file's exports. */
export { scrubCss };

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
 * The transforms of `rrweb-transforms.ts` call these functions from within rrweb, before anything is recorded.
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
const CHOICE_OR_BUTTON = /^(checkbox|radio|button|submit|reset|image|range|color|file)$/;
const BUTTON = /^(button|submit|reset|image)$/;

/** Whether a field with these traits holds what must never leave the page. Pure. */
export function isSecretField({ tag, type, name, id, autocomplete }: FieldTraits): boolean {
  if (type === 'password') return true;
  if (tag !== 'textarea' && tag !== 'select' && CHOICE_OR_BUTTON.test(type)) return false;
  return SECRET_AUTOCOMPLETE.test(autocomplete) || isSecretName(name) || isSecretName(id);
}

const kebab = (name: string): string => name.replace(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase();
const isSecretName = (name: string): boolean => SECRET_NAME.test(kebab(name));
const isPersonalName = (name: string): boolean => isSecretName(name) || PERSONAL_NAME.test(kebab(name));

const FIELD = 'input,textarea,select,option';
const EDITABLE = '[contenteditable]:not([contenteditable="false" i])';
/** Also what is computed from fields, drawn by editors without an editable element, or shown by no browser. */
const MASKED_KIND = `textarea,select,option,datalist,output,meter,address,${EDITABLE},[role=textbox],[role=searchbox],[role=spinbutton],.CodeMirror,.monaco-editor,.ace_editor,noscript,template,canvas,object,audio,video`;
/** What a person works: its labels are the site's words. */
const CONTROL =
  'button,a[href],input,select,textarea,summary,option,label,[role=button],[role=link],[role=tab],[role=menuitem],' +
  '[role=option],[role=checkbox],[role=radio],[role=switch],[contenteditable=true]';
/** A function, for its text is to stand in one file. */
export const controlAround = (element: Element): Element | null => element.closest(CONTROL);

const marks = { mask: '', unmask: '', block: '', ignore: '', any: '' };
let strict = false;

/** What the page's options say. @throws DOMException for a selector that is none */
export function setMasking(
  options: Partial<Pick<RecorderOptions, 'privacy' | 'mask' | 'unmask' | 'block' | 'ignore' | 'keepParams'>>,
): void {
  for (const name of ['mask', 'unmask', 'block', 'ignore'] as const) {
    const given = options[name];
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
const MASKED = 1;
const SHOWN = 2;
const HIDDEN = 3;

/**
 * What lies over the text of an element, or of the one around a node. A walk down the tree hands on what lies over the
 * parent, and so spares looking at ancestors.
 */
export function coverOf(node: Node, around?: Cover, isStrict = strict): Cover {
  if (!isElement(node)) {
    const parent = node.parentElement ?? hostOf(node);
    return around ?? (parent ? coverOf(parent, around, isStrict) : isStrict ? MASKED : 0);
  }
  if (around !== undefined) {
    if (node.matches(marks.any)) {
      if (node.matches(marks.mask)) return HIDDEN;
      if (node.matches(marks.unmask)) return SHOWN;
      return around || MASKED;
    }
    return around || (editables.has(node) ? MASKED : 0);
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

export const isTextMasked = (node: Node): boolean => (coverOf(node) & MASKED) !== 0;

/** A text node's text as it may be recorded. */
export function recordedText(node: Node, text: string, cover = coverOf(node)): string {
  if (node.parentNode?.nodeName === 'STYLE') return scrubCss(text);
  return cover & MASKED ? maskText(text) : cover === SHOWN ? text : scrubPersonal(text);
}

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
export function beginsBlock(element: Element): boolean {
  return element.matches(marks.block);
}

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

const LINK = /^(href|xlink:href|action|formaction|cite|ping|longdesc)$/;
const RESOURCE = /^(src|poster|data|background)$|srcset$/;
/** What style sheets and other attributes refer to. */
const NAME =
  /^(id|name|for|form|list|headers|usemap|popovertarget|aria-(labelledby|describedby|controls|owns|details|flowto|activedescendant|errormessage))$/;
/** What the browser or a style sheet reads and no person says. */
const PLAIN =
  /^(type|role|rel|lang|dir|media|sizes|slot|part|is|color|bgcolor|autocomplete|xmlns.*|data-rr-.*)$/;
const NEVER = /^(srcdoc|integrity|nonce|on[a-z]+)$/;
/** What a person reads or hears. */
const LABEL = /^(title|alt|placeholder|label|aria-label|aria-placeholder|aria-roledescription)$/;
const SPOKEN_VALUE = /^aria-(valuetext|valuenow|description|braille.*)$/;
const KINDS = [NAME, PLAIN, NEVER, LINK, RESOURCE, SPOKEN_VALUE];
/** Of names of attributes met so far, which are few. */
const kinds = new Map<string, RegExp | undefined>();
function kindOf(name: string): RegExp | undefined {
  let kind = kinds.get(name);
  if (!kind && !kinds.has(name)) {
    kind = KINDS.find((any) => any.test(name));
    if (kinds.size < 1000) kinds.set(name, kind);
  }
  return kind;
}
/** Values by which style sheets choose: states and sizes, in one word. */
const STATE =
  /^(true|false|on|off|open|closed|show|hide|hidden|visible|(in)?active|(un)?checked|selected|disabled|collapsed|expanded|light|dark|auto|none|left|right|top|bottom|start|end|center|horizontal|vertical|small|medium|large|[a-z]?\d{0,2}|\d{1,4}(px|%)?)$/;
const WORD = /^-?[\d.]{0,3}[a-z%]{0,3}$|^[a-z][a-zA-Z_-]{0,23}$/;
/** Of words with capital letters only the first is no name; where there is a number, it is about something. */
const SITE_WORDS = /^(?!.{81})\p{Lu}*[^\p{Lu}\d@]*$/u;

/** An attribute's value as it may be recorded; null: not at all. `over`: what lies over the element, where that is known. */
export function maskAttribute(
  element: Element,
  name: string,
  value: string | null,
  over?: Cover,
): string | null {
  if (name === 'contenteditable') {
    editables.add(element);
    anyEditable = true;
  }
  if (!value) return value;
  const tag = element.localName;
  if (name === 'class') return scrubPersonal(value);
  if (name === 'style') return /url\(|--|content|@/.test(value) ? scrubCss(value, true) : value;
  const kind = kindOf(name);
  if (kind === NAME) return scrubPersonal(value.replace(/\d{6,}/g, MASK));
  if (kind === PLAIN) return value;
  // Scripts do not run in a replay, a frame's document is recorded as nodes, and scrubbed files have other hashes.
  if (kind === NEVER || (name === 'selected' && tag === 'option')) return null;
  const isSvg = 'ownerSVGElement' in element;
  if (name === 'value' && !isSvg) {
    if (tag === 'li' || tag === 'progress') return value;
    return fieldValue(value, element);
  }
  const isLink = kind === LINK;
  if (isLink || kind === RESOURCE) {
    if (isSvg && value[0] === '#') return value;
    const isHidden = isLookMasked(element, over);
    if (name.endsWith('srcset'))
      return value.replace(/\S+/g, (part) =>
        part.replace(
          /^([\d.]+[wx],)?(?![\d.]+[wxh],?$)(.+)$/,
          (_part, size: string = '', url: string) => size + scrubResource(url, isHidden),
        ),
      );
    return isLink && !isSvg && tag !== 'link' ? scrubUrl(value, isHidden) : scrubResource(value, isHidden);
  }
  if (kind === SPOKEN_VALUE) return (over ?? coverOf(element)) === SHOWN ? value : MASK;
  if (isSvg && !/^(data|aria)-/.test(name)) return value;
  if (name.startsWith('aria-') && !LABEL.test(name)) return WORD.test(value) ? value : MASK;
  if (STATE.test(value)) return value;
  if (isSecret(element) || repeatsField(element, value)) return MASK;
  const cover = labelCover(element, over);
  if (cover === SHOWN) return value;
  if (cover & MASKED || strict) return MASK;
  const isKept = LABEL.test(name)
    ? SITE_WORDS.test(value) && (element.matches(CONTROL) || element.parentElement?.matches(CONTROL))
    : WORD.test(value) && !isPersonalName(name);
  return isKept ? scrubPersonal(value) : MASK;
}

/**
 * Whether how the element looks, or where that comes from, may not be recorded. Only a mark decides here, so that most
 * elements need no look at all that is around them.
 */
export const isLookMasked = (element: Element, cover?: Cover): boolean =>
  strict
    ? (cover ?? coverOf(element)) !== SHOWN
    : (cover ?? (isWithin(element, marks.mask) ? coverOf(element) : 0)) === HIDDEN;

/** A field's own label and placeholder are the site's text; what stands inside a masked text is not. */
function labelCover(element: Element, cover = coverOf(element)): Cover {
  if (cover !== MASKED || element.localName === 'option') return cover;
  const parent = element.parentElement ?? hostOf(element);
  return parent ? coverOf(parent) : cover;
}

/** Whether the text holds what stands in this field, or in one just inside this element. */
function repeatsField(element: Element, text: string): boolean {
  const holds = (field: Element): boolean => {
    if (field.hasAttribute('contenteditable') && field.matches(EDITABLE))
      return !!field.textContent && text.includes(field.textContent);
    if (
      !/^(input|textarea)$/.test(field.localName) ||
      CHOICE_OR_BUTTON.test((field as HTMLInputElement).type)
    )
      return false;
    const { value } = field as HTMLInputElement;
    return value !== '' && text.includes(value);
  };
  if (holds(element)) return true;
  for (let child = element.firstElementChild; child; child = child.nextElementSibling)
    if (holds(child)) return true;
  return false;
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
export function hostOf(node: Node): Element | undefined {
  const root = node.getRootNode() as Partial<Pick<ShadowRoot, 'host'> & Pick<Document, 'defaultView'>>;
  return root.host ?? root.defaultView?.frameElement ?? undefined;
}

function isElement(node: Node | null): node is Element {
  return node?.nodeType === 1;
}
