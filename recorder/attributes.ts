import {
  CHOICE_OR_BUTTON,
  CONTROL,
  coverOf,
  EDITABLE,
  fieldValue,
  hostOf,
  isLookMasked,
  isPersonalName,
  isSecret,
  isStrict,
  MASKED,
  rememberEditable,
  SHOWN,
  type Cover,
} from './masking.ts';
import { absoluteCss, absoluteSrcset, absoluteUrl } from './absolute.ts';
import { MASK } from './protocol.ts';
import { scrubCss, scrubPersonal, scrubResource, scrubUrl } from './scrub.ts';

/** What an attribute is, by its name alone. */
export type Kind = (typeof Kind)[keyof typeof Kind];
const Kind = {
  other: 0,
  class: 1,
  style: 2,
  /** What style sheets and other attributes refer to. */
  name: 3,
  /** What the browser or a style sheet reads and no person says. */
  plain: 4,
  /** A role says what is masked, and the page's own marks. */
  mark: 5,
  editable: 6,
  /** Scripts do not run in a replay, a frame's document is recorded as nodes, and scrubbed files have other hashes. */
  never: 7,
  link: 8,
  resource: 9,
  /** What assistive technology says in place of a value. */
  spoken: 10,
  value: 11,
  popover: 12,
} as const;
const KINDS: [RegExp, Kind][] = [
  [/^class$/, Kind.class],
  [/^style$/, Kind.style],
  [/^(role|data-rr-.*)$/, Kind.mark],
  [/^contenteditable$/, Kind.editable],
  [/^value$/, Kind.value],
  [/^popover$/, Kind.popover],
  [
    /^(id|name|for|form|list|headers|usemap|popovertarget|aria-(labelledby|describedby|controls|owns|details|flowto|activedescendant|errormessage))$/,
    Kind.name,
  ],
  [/^(type|rel|lang|dir|media|sizes|slot|part|is|color|bgcolor|autocomplete|xmlns.*)$/, Kind.plain],
  [/^(srcdoc|integrity|nonce|on[a-z]+)$/, Kind.never],
  [/^(href|xlink:href|action|formaction|cite|ping|longdesc)$/, Kind.link],
  [/^(src|poster|data|background)$|srcset$/, Kind.resource],
  [/^aria-(valuetext|valuenow|description|braille.*)$/, Kind.spoken],
];
/** Of names of attributes met so far, which are few. */
const kinds = new Map<string, Kind>();
export function kindOf(name: string): Kind {
  let kind = kinds.get(name);
  if (kind === undefined) {
    const lower = name.toLowerCase();
    kind = KINDS.find(([names]) => names.test(lower))?.[1] ?? Kind.other;
    if (kinds.size < 1000) kinds.set(name, kind);
  }
  return kind;
}
/** Whether an attribute of this kind may make the element match a mark. */
export const isMarking = (kind: Kind): boolean => kind === Kind.mark || kind === Kind.editable;
export const isClass = (kind: Kind): boolean => kind === Kind.class;
export const isPopover = (kind: Kind): boolean => kind === Kind.popover;

/** What a person reads or hears. */
const LABEL = /^(title|alt|placeholder|label|aria-label|aria-placeholder|aria-roledescription)$/;
/** Values by which style sheets choose: states and sizes, in one word. */
const STATE =
  /^(true|false|on|off|open|closed|show|hide|hidden|visible|(in)?active|(un)?checked|selected|disabled|collapsed|expanded|light|dark|auto|none|left|right|top|bottom|start|end|center|horizontal|vertical|small|medium|large|[a-z]?\d{0,2}|\d{1,4}(px|%)?)$/;
const WORD = /^-?[\d.]{0,3}[a-z%]{0,3}$|^[a-z][a-zA-Z_-]{0,23}$/;
/** Of words with capital letters only the first is no name; where there is a number, it is about something. */
const SITE_WORDS = /^(?!.{81})\p{Lu}*[^\p{Lu}\d@]*$/u;

/** An attribute's value as it may be recorded, with addresses made whole; null: not at all. */
export function recordedAttribute(
  element: Element,
  tag: string,
  name: string,
  value: string | null,
  kind = kindOf(name),
  over?: Cover,
  isSvg?: boolean,
): string | null {
  if (value && (kind === Kind.link || kind === Kind.resource || kind === Kind.style))
    value = whole(element, tag, name.toLowerCase(), value);
  return maskAttribute(element, name, value, kind, over, isSvg);
}

function whole(element: Element, tag: string, name: string, value: string): string {
  if (name === 'style') return value.includes('url(') ? absoluteCss(value, element.baseURI) : value;
  if (name === 'srcset') return absoluteSrcset(value, element.baseURI);
  const isAddress =
    name === 'src' ||
    (name === 'href' && !(tag === 'use' && value[0] === '#')) ||
    (name === 'xlink:href' && value[0] !== '#') ||
    (name === 'background' && /^t(able|d|h)$/.test(tag)) ||
    (name === 'data' && tag === 'object');
  return isAddress ? absoluteUrl(value, element.baseURI) : value;
}

/** The same as it stands. `over`: what lies over the element, where that is known. */
export function maskAttribute(
  element: Element,
  name: string,
  value: string | null,
  kind = kindOf(name),
  over?: Cover,
  isSvg = 'ownerSVGElement' in element,
): string | null {
  if (kind === Kind.editable) rememberEditable(element);
  if (!value) return value;
  switch (kind) {
    case Kind.class:
      return scrubPersonal(value);
    case Kind.style:
      return /url\(|--|content|@/.test(value) ? scrubCss(value, true) : value;
    case Kind.name:
      return scrubPersonal(value.replace(/\d{6,}/g, MASK));
    case Kind.plain:
    case Kind.mark:
      return value;
    case Kind.never:
      return null;
    case Kind.spoken:
      return (over ?? coverOf(element)) === SHOWN ? value : MASK;
    case Kind.link:
    case Kind.resource: {
      if (isSvg && value[0] === '#') return value;
      const isHidden = isLookMasked(element, over);
      if (/srcset$/i.test(name))
        return value.replace(/\S+/g, (part) =>
          part.replace(
            /^([\d.]+[wx],)?(?![\d.]+[wxh],?$)(.+)$/,
            (_part, size: string = '', url: string) => size + scrubResource(url, isHidden),
          ),
        );
      return kind === Kind.link && !isSvg && element.localName !== 'link'
        ? scrubUrl(value, isHidden)
        : scrubResource(value, isHidden);
    }
  }
  const tag = element.localName;
  if (kind === Kind.value && !isSvg) return /^(li|progress)$/.test(tag) ? value : fieldValue(value, element);
  const lower = name.toLowerCase();
  if (lower === 'selected' && tag === 'option') return null;
  const isAria = lower.startsWith('aria-');
  if (isSvg && !isAria && !lower.startsWith('data-')) return value;
  const isLabel = LABEL.test(lower);
  if (isAria && !isLabel) return WORD.test(value) ? value : MASK;
  if (STATE.test(value)) return value;
  if (isSecret(element) || repeatsField(element, value)) return MASK;
  const cover = labelCover(element, over);
  if (cover === SHOWN) return value;
  if (cover & MASKED || isStrict()) return MASK;
  const isKept = isLabel
    ? SITE_WORDS.test(value) && (element.matches(CONTROL) || element.parentElement?.matches(CONTROL))
    : WORD.test(value) && !isPersonalName(lower);
  return isKept ? scrubPersonal(value) : MASK;
}

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
