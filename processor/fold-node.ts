import type { FieldState, MediaState, ScrollState } from './fold-states.ts';
import type { RuleLog } from './fold-rules.ts';
import type { Sheet } from './fold-sheets.ts';

/** rrweb's kinds of nodes; a shadow root is none of them, and is told by its host. */
export const NodeType = { document: 0, doctype: 1, element: 2, text: 3, cdata: 4, comment: 5 } as const;
const SHADOW_ROOT = 6;

export type Attributes = Record<string, unknown>;

/** A node as rrweb tells it. What a recording holds is not trusted to be of these types. */
export interface SerializedNode {
  id: number;
  type: number;
  childNodes?: SerializedNode[];
  tagName?: string;
  attributes?: Attributes;
  textContent?: string;
  isStyle?: boolean;
  isSVG?: boolean;
  isCustom?: boolean;
  needBlock?: boolean;
  isShadowHost?: boolean;
  isShadow?: boolean;
  rootId?: number;
  name?: string;
  publicId?: string;
  systemId?: string;
  compatMode?: string;
}

/** What few nodes have, and no snapshot says of them. It goes when they go. */
export interface Extra {
  /** Attributes set after the node was built that building it would treat otherwise; null is removed. */
  late?: Map<string, string | null>;
  /** Properties set on the inline style since it last was a text. */
  styles?: StyleChange[] | undefined;
  /** Of a style element: what scripts changed since its text was last parsed. */
  rules?: RuleLog | undefined;
  /** Of a document, or of the host of a shadow root. */
  adopted?: Sheet[];
  field?: FieldState;
  /** Of a select. */
  chosen?: FoldNode | undefined;
  /** Of an option: chosen by a value. */
  isDirty?: boolean;
  scroll?: ScrollState;
  media?: MediaState;
  /** Last picture of a canvas, as the custom event told it. */
  picture?: unknown;
  /** Last whole picture of a canvas in rrweb's own drawing commands, and what was drawn on it since. */
  drawn?: unknown[];
}
export interface StyleChange {
  name: string;
  /** false is removed; with a priority it is a pair. */
  value: unknown;
}

/** A node of the replayed page. Children are linked, so that an insertion costs the same in a list of any length. */
export class FoldNode {
  readonly id: number;
  readonly type: number;
  parent: FoldNode | null = null;
  prev: FoldNode | null = null;
  next: FoldNode | null = null;
  first: FoldNode | null = null;
  last: FoldNode | null = null;
  /** Of a shadow root, or of the document of a frame: the element around it. */
  holder: FoldNode | null = null;
  shadow: FoldNode | null = null;
  /** The document of a frame. */
  content: FoldNode | null = null;
  readonly tag: string;
  /** As it was told when it was built; never altered, for it is the recording's own object. */
  origin: Attributes;
  /** As it is now: `origin` itself until something changes. */
  attributes: Attributes;
  /** Of a text, a comment. */
  text: string;
  readonly originText: string;
  /** Of a text in a style element: built with its `:hover` rules adapted. */
  isStyled: boolean;
  /** Of a style element whose texts are still as they were cut from this. */
  css: string | null = null;
  /** Text of a first child without an id: of a style element built from `_cssText`, of a textarea from `value`. */
  anonymous: string | null = null;
  /** Whether it was told with children. */
  readonly hadChildren: boolean;
  readonly isSVG: boolean;
  readonly isCustom: boolean;
  readonly needBlock: boolean;
  /** Of a doctype or document only: the rest of what was told. */
  readonly told: SerializedNode | null;
  extra: Extra | null = null;

  constructor(sn: SerializedNode) {
    const { type } = sn;
    this.id = sn.id;
    this.type = type;
    this.tag = type === NodeType.element ? textOf(sn.tagName) : '';
    this.origin = this.attributes = isFields(sn.attributes) ? sn.attributes : NONE;
    this.text = this.originText = typeof sn.textContent === 'string' ? sn.textContent : '';
    this.isStyled = sn.isStyle === true;
    this.hadChildren = Array.isArray(sn.childNodes) && sn.childNodes.length > 0;
    this.isSVG = sn.isSVG === true;
    this.isCustom = sn.isCustom === true;
    this.needBlock = sn.needBlock === true;
    this.told =
      type === NodeType.document || type === NodeType.doctype ? { ...sn, childNodes: undefined } : null;
  }

  get isElement(): boolean {
    return this.type === NodeType.element;
  }
  /** A link with its sheet in it is built as a style element. */
  get isStyleElement(): boolean {
    return this.tag === 'style' || (this.tag === 'link' && Boolean(this.origin._cssText));
  }
  /** The element, document or host that stands for the parent in the recording. */
  get owner(): FoldNode | null {
    const { parent } = this;
    return parent?.type === SHADOW_ROOT ? parent.holder : parent;
  }
  get isInShadow(): boolean {
    return this.parent?.type === SHADOW_ROOT;
  }
  extras(): Extra {
    return (this.extra ??= {});
  }
  attachShadow(): FoldNode {
    if (!this.shadow) {
      this.shadow = new FoldNode({ id: 0, type: SHADOW_ROOT });
      this.shadow.holder = this;
    }
    return this.shadow;
  }
  /** Sets an attribute of what a snapshot will say; undefined takes it away. */
  put(name: string, value: unknown): void {
    if (value === undefined && !(name in this.attributes)) return;
    if (this.attributes === this.origin) this.attributes = { ...this.origin };
    if (value === undefined) delete this.attributes[name];
    // An own property, whatever its name.
    else
      Object.defineProperty(this.attributes, name, {
        value,
        writable: true,
        enumerable: true,
        configurable: true,
      });
  }
  /** Before a child, or as the last one. Takes the node from where it is. */
  insert(node: FoldNode, before: FoldNode | null): void {
    if (before === node) return;
    node.detach();
    const prev = before ? before.prev : this.last;
    node.parent = this;
    node.prev = prev;
    node.next = before;
    if (prev) prev.next = node;
    else this.first = node;
    if (before) before.prev = node;
    else this.last = node;
  }
  detach(): void {
    const { parent, prev, next } = this;
    if (!parent) return;
    if (prev) prev.next = next;
    else parent.first = next;
    if (next) next.prev = prev;
    else parent.last = prev;
    this.parent = this.prev = this.next = null;
  }
  /** Whether it is the other, or around it in the same tree. */
  contains(other: FoldNode): boolean {
    let steps = 0;
    let at: FoldNode | null = other;
    for (; at && at !== this; at = at.parent) steps++;
    spend(steps);
    return at === this;
  }
  /** The document in which it stands; undefined when it stands in none. */
  document(): FoldNode | undefined {
    let at: FoldNode = this;
    for (
      let up: FoldNode | null = at;
      up;
      up = at.type === NodeType.document ? null : (at.parent ?? at.holder)
    ) {
      spend(1);
      at = up;
    }
    return at.type === NodeType.document ? at : undefined;
  }
}

const NONE: Attributes = Object.freeze({});

/** As a script would write it, but `''` and NaN where JSON holds what cannot be: `{ "toString": null }`. */
export function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return '';
  }
}
export function numberOf(value: unknown): number {
  try {
    return Number(value);
  } catch {
    return NaN;
  }
}
export const isFields = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Steps of what may take longer than its events are long: a walk over what is below a node, or above. Who folds says how
 * many more there may be.
 */
export const effort = { left: Infinity };
export class TooMuchEffort extends Error {}
/** @throws TooMuchEffort */
export function spend(steps: number): void {
  if ((effort.left -= steps) < 0) throw new TooMuchEffort('the events are more work than they may be');
}

/** All below a node, in its shadow roots and frames too; itself first. Without recursion: pages may be deep. */
export function* below(root: FoldNode): Generator<FoldNode> {
  const stack = [root];
  for (let node = stack.pop(); node; node = stack.pop()) {
    spend(1);
    yield node;
    for (let child = node.last; child; child = child.prev) stack.push(child);
    if (node.shadow) stack.push(node.shadow);
    if (node.content) stack.push(node.content);
  }
}
