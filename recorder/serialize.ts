import { absoluteCss } from './absolute.ts';
import { isClass, isMarking, isPopover, kindOf, recordedAttribute, type Kind } from './attributes.ts';
import { sheetText, styleText } from './css-text.ts';
import {
  asksForMarks,
  beginsBlock,
  coverOf,
  coverUnmarked,
  fieldValue,
  isBlocked,
  isMaskedTag,
  isScrollMasked,
  MARK_CLASS,
  textUnder,
  type Cover,
} from './masking.ts';
import { attributeNamesOf, attributeOf, nameOf, shadowOf, typeOf } from './native.ts';
import { idOf, IGNORED, tellPlace } from './node-ids.ts';
import { scrubCss } from './scrub.ts';
import { mayBeScrolled } from './scrollers.ts';
import { mayHaveState, STATE, stateOf } from './states.ts';

/**
 * One node as rrweb tells it, masked. This runs for every node of the page: what is asked of the browser is asked once,
 * what depends on names alone is looked up by name, and only what bears a mark is matched by selectors.
 */
export interface SerializedNode {
  id: number;
  type: number;
  tagName: string;
  attributes: Record<string, unknown>;
  childNodes: SerializedNode[];
  textContent: string;
  [rest: string]: unknown;
}
/** rrweb's types of nodes. */
const DOCUMENT = 0;
const DOCTYPE = 1;
const ELEMENT = 2;
const TEXT = 3;
const CDATA = 4;

/** What the tag alone says. */
interface Tag {
  name: string;
  isMasked: boolean;
  isField: boolean;
  /** There is more to tell of it than attributes. */
  isRich: boolean;
  isIgnored: boolean;
  isCustom: boolean;
  /** Maybe of an SVG: names of HTML's elements are in capitals. */
  isForeign: boolean;
}
const RICH = /^(link|style|input|textarea|select|option|dialog|audio|video|iframe)$/;
const FIELD = /^(input|textarea|select)$/;
const tags = new Map<string, Tag>();
function tagOf(nodeName: string): Tag {
  let tag = tags.get(nodeName);
  if (!tag) {
    const lower = nodeName.toLowerCase();
    // A replay could not make an element of such a name.
    const name = /[^a-z0-9-_:]/.test(lower) ? 'div' : lower;
    tag = {
      name,
      isMasked: isMaskedTag(name),
      isField: FIELD.test(name),
      isRich: RICH.test(name),
      isIgnored: /^(script|meta)$/.test(name),
      isCustom: name.includes('-'),
      isForeign: nodeName === lower || nodeName !== nodeName.toUpperCase(),
    };
    if (tags.size < 1000) tags.set(nodeName, tag);
  }
  return tag;
}

/** What the caller knows of where the node is, and what it learns of the node. One object for the whole walk. */
export interface Walk {
  /** Of the nodes that are told; undefined at the start of each slice. */
  root: Node | undefined;
  isInShadow: boolean;
  rootId: number | undefined;
  active: Element | null;
  /** Scrolled is what the page had before; what it has just made is not, and to ask forces a layout. */
  isNew: boolean;
  /** Learnt: what lies over the node's children. */
  cover: Cover;
  isBlocked: boolean;
  /** Learnt: the element's rules are told with it. */
  isStyled: boolean;
  isScrolled: boolean;
}
export const newWalk = (): Walk => ({
  root: undefined,
  isInShadow: false,
  rootId: undefined,
  active: null,
  isNew: false,
  cover: 0,
  isBlocked: false,
  isStyled: false,
  isScrolled: false,
});
/** To be called before nodes of another document or shadow root are told. */
export function enter(walk: Walk, root: Node): void {
  walk.root = root;
  walk.isInShadow = typeOf(root) === 11;
  const doc = walk.isInShadow ? root.ownerDocument! : root;
  walk.rootId = doc === document ? undefined : idOf(doc);
  walk.active = (root as Document).activeElement;
}

/** What has to be watched of a node that is told. */
export interface Watches {
  frame(iframe: HTMLIFrameElement): void;
  shadow(root: ShadowRoot): void;
  /** A style sheet that has not come yet. */
  link(link: HTMLLinkElement): void;
}

/** The node without its children; null: it is left out. @param parentName of its parent; '' at the top */
export function serialize(
  node: Node,
  parentName: string,
  place: number,
  around: Cover,
  isCss: boolean,
  walk: Walk,
  watches: Watches,
): SerializedNode | null {
  walk.cover = around;
  walk.isStyled = walk.isScrolled = walk.isBlocked = false;
  const { rootId } = walk;
  let told: Partial<SerializedNode> | undefined;
  switch (typeOf(node)) {
    case 1:
      return serializeElement(node as HTMLElement, place, around, walk, watches);
    case 3: {
      const text = isCss ? '' : recordedText(node as Text, parentName, around);
      if (parentName !== 'HEAD' || text.trim()) told = { type: TEXT, textContent: text };
      break;
    }
    case 4:
      told = { type: CDATA, textContent: '' };
      break;
    case 9: {
      const { compatMode } = node as Document;
      told = { type: DOCUMENT, childNodes: [] };
      if (compatMode !== 'CSS1Compat') told.compatMode = compatMode;
      break;
    }
    case 10: {
      const { name, publicId, systemId } = node as DocumentType;
      told = { type: DOCTYPE, name, publicId, systemId };
    }
  }
  const id = tellPlace(node, place, walk.isInShadow, !told);
  if (!told || id === IGNORED) return null;
  told.id = id;
  if (rootId && told.type !== DOCUMENT) told.rootId = rootId;
  if (place < 0) told.isShadow = true;
  return told as SerializedNode;
}

function recordedText(node: Text, parentName: string, cover: Cover): string {
  const { data } = node;
  return parentName === 'STYLE' ? scrubCss(absoluteCss(data, node.baseURI)) : textUnder(cover, data);
}

const values: string[] = [];
const kinds: Kind[] = [];

function serializeElement(
  element: HTMLElement,
  place: number,
  around: Cover,
  walk: Walk,
  watches: Watches,
): SerializedNode | null {
  const tag = tagOf(nameOf(element));
  const { name: tagName } = tag;
  const names = attributeNamesOf(element);
  let isMarked = asksForMarks(tag.isMasked);
  let mayHave = tag.isField || element === walk.active;
  for (let at = 0; at < names.length; at++) {
    const kind = (kinds[at] = kindOf(names[at]!));
    const value = (values[at] = attributeOf(element, names[at]!));
    if (isMarking(kind) || (isClass(kind) && MARK_CLASS.test(value))) isMarked = true;
    else if (isPopover(kind)) mayHave = true;
  }
  const cover = isMarked ? coverOf(element, around) : coverUnmarked(element, around);
  const isBlock = isMarked && beginsBlock(element);
  const isSvg = tag.isForeign && 'ownerSVGElement' in element;
  const attributes: Record<string, unknown> = {};
  for (let at = 0; at < names.length; at++) {
    const name = names[at]!;
    const value = recordedAttribute(element, tagName, name, values[at]!, kinds[at], cover, isSvg);
    if (value !== null) attributes[name] = value;
  }
  const isIgnored =
    tag.isIgnored || (tagName === 'link' && /preload|prefetch|icon/.test(attributes.rel as string));
  const id = tellPlace(element, place, walk.isInShadow, isIgnored);
  if (id === IGNORED) return null;
  const told = { type: ELEMENT, tagName, attributes, childNodes: [], id } as unknown as SerializedNode;
  if (tag.isRich) enrich(element, tagName, attributes, walk);
  if (mayHave || mayHaveState(element)) {
    const state = stateOf(element);
    if (state) attributes[STATE] = state;
  }
  if (!walk.isNew && !isBlock && (walk.root !== document || mayBeScrolled(element)))
    addScroll(element, attributes, walk);
  if (walk.rootId) told.rootId = walk.rootId;
  if (place < 0) told.isShadow = true;
  if (isSvg && (tagName === 'svg' || (element as unknown as SVGElement).ownerSVGElement)) told.isSVG = true;
  if (tag.isCustom && customElements.get(tagName)) told.isCustom = true;
  if (isBlock) {
    const { width, height } = element.getBoundingClientRect();
    told.attributes = { class: attributes.class, rr_width: `${width}px`, rr_height: `${height}px` };
  }
  const shadow = shadowOf(element);
  if (shadow) {
    watches.shadow(shadow);
    told.isShadowHost = true;
  }
  if (tagName === 'iframe' && !isBlock && !isBlocked(element)) watches.frame(element as HTMLIFrameElement);
  if (tagName === 'link' && attributes.rel === 'stylesheet' && !(element as HTMLLinkElement).sheet)
    watches.link(element as HTMLLinkElement);
  walk.cover = cover;
  walk.isBlocked = isBlock;
  return told;
}

/** What of an element is no attribute. */
function enrich(element: HTMLElement, tag: string, attributes: Record<string, unknown>, walk: Walk): void {
  switch (tag) {
    case 'link': {
      const text = sheetText((element as HTMLLinkElement).sheet);
      if (!text) return;
      // The rules in place of the address.
      delete attributes.rel;
      delete attributes.href;
      attributes._cssText = text;
      return;
    }
    case 'style': {
      const text = styleText(element as HTMLStyleElement);
      walk.isStyled = !!text;
      if (text) attributes._cssText = text;
      return;
    }
    case 'option':
      // Which one is chosen is masked, too.
      delete attributes.selected;
      return;
    case 'dialog':
      if ((element as HTMLDialogElement).open)
        attributes.rr_open_mode = element.matches(':modal') ? 'modal' : 'non-modal';
      return;
    case 'iframe':
      if (!(element as HTMLIFrameElement).contentDocument) attributes.rr_src = attributes.src;
      delete attributes.src;
      return;
    case 'audio':
    case 'video': {
      const media = element as HTMLMediaElement;
      delete attributes.autoplay;
      attributes.rr_mediaState = media.paused ? 'paused' : 'played';
      attributes.rr_mediaCurrentTime = media.currentTime;
      attributes.rr_mediaPlaybackRate = media.playbackRate;
      attributes.rr_mediaMuted = media.muted;
      attributes.rr_mediaLoop = media.loop;
      attributes.rr_mediaVolume = media.volume;
      return;
    }
    default: {
      const { value, checked } = element as HTMLInputElement;
      if (value && !/^(radio|checkbox|submit|button)$/.test(attributes.type as string))
        attributes.value = fieldValue(value, element);
      else if (checked) attributes.checked = checked;
    }
  }
}

/** How far a field is scrolled tells the length of what it holds. */
function addScroll(element: Element, attributes: Record<string, unknown>, walk: Walk): void {
  const { scrollLeft, scrollTop } = element;
  if ((!scrollLeft && !scrollTop) || isScrollMasked(element)) return;
  if (scrollLeft) attributes.rr_scrollLeft = scrollLeft;
  if (scrollTop) attributes.rr_scrollTop = scrollTop;
  walk.isScrolled = true;
}
