import {
  below,
  FoldNode,
  isFields,
  NodeType,
  textOf,
  type Attributes,
  type SerializedNode,
} from './fold-node.ts';
import { optionsInserted, optionsRemoved } from './fold-selects.ts';
import { isMedia, mediaFromAttributes } from './fold-states.ts';

/** Where rrweb marks how a sheet's text was spread over the texts of its element. */
const SPLIT = '/* rr_split */';

/** The replayed page, and its nodes by id. Builds as rrweb's `buildNodeWithSN` does. */
export class FoldTree {
  readonly nodes = new Map<number, FoldNode>();
  document: FoldNode | undefined;
  skipped = 0;
  /** Time of the event at hand, in epoch milliseconds. */
  nowMs = 0;

  /** Forgets everything, and builds a document with all that is in it. False when it is none. */
  reset(sn: unknown): boolean {
    if (!isNode(sn) || sn.type !== NodeType.document) return false;
    this.nodes.clear();
    this.document = this.build(sn, 'snapshot');
    return true;
  }

  /**
   * `alone`: without what is told below it. In a snapshot of the page alone, scroll positions count.
   * Undefined when it is no node. May be one that stands somewhere: the same told again is the same node.
   */
  build(sn: unknown, how: 'snapshot' | 'frame' | 'alone'): FoldNode | undefined {
    const known = isNode(sn) && this.nodes.get(sn.id);
    const root = this.make(sn, how);
    if (!root || how === 'alone' || root === known) return root;
    const open: [FoldNode, SerializedNode][] = [[root, sn as SerializedNode]];
    for (let next = open.pop(); next; next = open.pop()) {
      const [parent, { childNodes }] = next;
      if (parent.type !== NodeType.document && parent.type !== NodeType.element) continue;
      if (!Array.isArray(childNodes) || (parent.tag === 'textarea' && parent.anonymous !== null)) continue;
      const { css } = parent;
      for (const told of childNodes as unknown[]) {
        const before = isNode(told) && this.nodes.get(told.id);
        const child = this.make(told, how);
        if (!child || (child === before && child.contains(parent))) {
          this.skipped++;
          continue;
        }
        const into = (told as SerializedNode).isShadow && parent.shadow ? parent.shadow : parent;
        this.put(child, into, null);
        if (child !== before) open.push([child, told as SerializedNode]);
      }
      if (css !== null) splitCss(parent, css);
    }
    return root;
  }

  private make(sn: unknown, how: 'snapshot' | 'frame' | 'alone'): FoldNode | undefined {
    if (!isNode(sn)) return undefined;
    const same = this.nodes.get(sn.id);
    if (same && isSame(same, sn)) {
      if (sn.type !== NodeType.document) relocated(same);
      return same;
    }
    const node = new FoldNode(sn);
    this.nodes.set(node.id, node);
    if (!node.isElement) return node;
    if (sn.isShadowHost) node.attachShadow();
    if (node.isStyleElement) this.makeCss(node, how);
    else if (node.tag === 'textarea' && typeof node.attributes.value === 'string') {
      node.anonymous = node.attributes.value;
      node.put('value', undefined);
    } else if (isMedia(node))
      node.extras().media = mediaFromAttributes(node.attributes, this.nowMs, how === 'snapshot');
    if (how !== 'snapshot') dropScroll(node);
    return node;
  }

  private makeCss(node: FoldNode, how: string): void {
    const { _cssText: css } = node.attributes;
    if (typeof css !== 'string') return;
    node.put('_cssText', undefined);
    if (!node.hadChildren) node.anonymous = css;
    // Told alone, its texts come without what was meant for them.
    else if (how !== 'alone') node.css = css;
  }

  /** Puts a node where it shall be, out of where it is. */
  put(node: FoldNode, parent: FoldNode, before: FoldNode | null): void {
    if (node.parent) this.take(node);
    parent.insert(node, before);
    changedInside(parent);
    if (isOption(node)) optionsInserted(node);
  }
  take(node: FoldNode): void {
    const { parent } = node;
    if (!parent) return;
    node.detach();
    changedInside(parent);
    if (isOption(node)) optionsRemoved(node, parent);
  }

  /** As after rrweb's change of `_cssText`: a new element in the place of the old one. */
  rebuildStyle(node: FoldNode, changed: Attributes): void {
    const origin = { ...node.origin, ...changed };
    // What is told the same again stays, and is parsed anew.
    if (JSON.stringify(origin) === JSON.stringify(node.origin)) return relocated(node);
    for (let child = node.first; child; child = node.first) {
      this.forget(child);
      child.detach();
    }
    node.origin = node.attributes = origin;
    node.extra = null;
    node.css = null;
    node.anonymous = node.hadChildren ? null : textOf(changed._cssText);
    node.put('_cssText', undefined);
  }

  /** Ids of what goes mean nothing any more. What is in its shadow roots and frames goes too. */
  forget(root: FoldNode): void {
    for (const { id } of below(root)) if (id) this.nodes.delete(id);
  }
}

export function isNode(value: unknown): value is SerializedNode {
  if (!isFields(value)) return false;
  const { id, type, tagName } = value;
  return (
    Number.isInteger(id) &&
    id !== 0 &&
    Number.isInteger(type) &&
    (type as number) >= 0 &&
    (type as number) <= NodeType.comment &&
    (type !== NodeType.element || (typeof tagName === 'string' && tagName !== ''))
  );
}

/** What was told of both is the same; rrweb then takes the node that it has. */
function isSame(node: FoldNode, sn: SerializedNode): boolean {
  if (node.type !== sn.type) return false;
  switch (sn.type) {
    case NodeType.document:
      return node.told!.compatMode === sn.compatMode;
    case NodeType.doctype:
      return (['name', 'publicId', 'systemId'] as const).every((key) => node.told![key] === sn[key]);
    case NodeType.element:
      return (
        node.tag === sn.tagName &&
        node.isSVG === (sn.isSVG === true) &&
        node.needBlock === (sn.needBlock === true) &&
        JSON.stringify(node.origin) === JSON.stringify(sn.attributes ?? {})
      );
    default:
      return node.originText === (sn.textContent ?? '');
  }
}

function splitCss(style: FoldNode, css: string): void {
  style.css = css;
  const texts: FoldNode[] = [];
  for (let at = style.first; at; at = at.next) if (at.type === NodeType.text) texts.push(at);
  const parts = css.split(SPLIT);
  while (parts.length > 1 && parts.length > texts.length) parts.push(parts.splice(-2).join(''));
  // Each text ends where rrweb finds the beginning of the next, which may be too early.
  const whole = parts.join('');
  let start = 0;
  for (const [i, text] of texts.slice(0, parts.length).entries()) {
    const next = parts[i + 1];
    const found = next === undefined ? whole.length : whole.indexOf(next.slice(0, 30), start);
    const end = next !== undefined && next.length < 3 ? start + parts[i]!.length : found;
    text.text = whole.slice(start, end);
    text.isStyled = true;
    start = end;
  }
}

/** A node that is put elsewhere: sheets are parsed anew there, and frames are empty. */
function relocated(root: FoldNode): void {
  for (const node of below(root)) {
    if (node.extra) node.extra.rules = undefined;
    node.content = null;
  }
}

export function dropScroll(node: FoldNode): void {
  node.put('rr_scrollTop', undefined);
  node.put('rr_scrollLeft', undefined);
}

const isOption = ({ tag }: FoldNode): boolean => tag === 'option' || tag === 'optgroup';

/** After a child of it came, went or got another text. */
export function changedInside(parent: FoldNode): void {
  parent.css = null;
  if (parent.extra?.rules) parent.extra.rules = undefined;
}
