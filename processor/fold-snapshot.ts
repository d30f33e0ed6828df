import { IncrementalSource } from '#protocol';
import { NodeType, type Attributes, type FoldNode } from './fold-node.ts';
import { valueToPick } from './fold-selects.ts';
import { keepsValue, mediaAttributes, mediaEvent, type FieldState } from './fold-states.ts';
import type { FoldTree } from './fold-tree.ts';

type Fields = Record<string, unknown>;

/** Deeper pages are not written: JSON and rrweb go down by recursion. */
const DEPTH_MAX = 1000;

interface AttributeChange {
  id: number;
  attributes: Fields;
}
interface Ordered {
  order: number;
  data: Fields;
}

/** What a walk over the page finds: the page as a full snapshot says it, and by kind what it cannot say. */
export interface Written {
  node: Fields;
  /** Mutations that put the documents of frames into them, the outer ones first. */
  frames: Fields[];
  attributes: AttributeChange[];
  rules: Fields[];
  media: Fields[];
  pictures: { isDrawn: boolean; data: unknown }[];
  fields: Ordered[];
  scrolls: Ordered[];
  /** Documents and hosts of shadow roots. */
  hosts: Map<FoldNode, number>;
}

/** @returns undefined when it is too deep */
export function writePage(tree: FoldTree, document: FoldNode, nowMs: number): Written | undefined {
  const written: Omit<Written, 'node'> = {
    frames: [],
    attributes: [],
    rules: [],
    media: [],
    pictures: [],
    fields: [],
    scrolls: [],
    hosts: new Map(),
  };
  const framed: [frame: FoldNode, id: number][] = [];
  // rrweb keeps what it can name no more, as an element that another took the number of.
  let alias = -1000;
  let isTooDeep = false;

  const idOf = (node: FoldNode): number => (tree.nodes.get(node.id) === node ? node.id : alias--);
  const mutation = (what: Fields): Fields => ({
    source: IncrementalSource.mutation,
    ...{ texts: [], attributes: [], removes: [], adds: [] },
    ...what,
  });

  function write(node: FoldNode, rootId: number | undefined, depth: number): Fields {
    if (depth > DEPTH_MAX) isTooDeep = true;
    const id = idOf(node);
    const base: Fields = { type: node.type, id };
    if (rootId !== undefined) base.rootId = rootId;
    if (node.isInShadow) base.isShadow = true;
    switch (node.type) {
      case NodeType.document: {
        written.hosts.set(node, id);
        base.childNodes = childrenOf(node, depth, node === document ? undefined : id);
        const { compatMode } = node.told!;
        // rrweb looks at the first child then.
        if (compatMode !== undefined && node.first) base.compatMode = compatMode;
        if (node.extra) note(node, id);
        return base;
      }
      case NodeType.doctype: {
        const { name, publicId, systemId } = node.told!;
        return Object.assign(base, { name, publicId, systemId });
      }
      case NodeType.element:
        return writeElement(node, base, id, rootId, depth);
      default:
        base.textContent = node.text;
        if (node.isStyled && node.parent!.css === null) base.isStyle = true;
        return base;
    }
  }

  function writeElement(
    node: FoldNode,
    base: Fields,
    id: number,
    rootId: number | undefined,
    depth: number,
  ): Fields {
    const { extra, anonymous, css, shadow } = node;
    let attributes: Attributes = node.attributes;
    let childNodes = childrenOf(node, depth, rootId);
    if (css !== null) attributes = { ...attributes, _cssText: css };
    else if (anonymous !== null) {
      if (node.tag === 'textarea') attributes = { ...attributes, value: anonymous };
      else if (childNodes.length && node.tag === 'style')
        childNodes = [
          { type: NodeType.text, id: alias--, rootId, textContent: anonymous, isStyle: true },
          ...childNodes,
        ];
      else attributes = { ...attributes, _cssText: anonymous };
    }
    base.tagName = node.tag;
    base.attributes = extra?.media ? mediaAttributes(attributes, extra.media, nowMs) : attributes;
    base.childNodes = childNodes;
    if (node.isSVG) base.isSVG = true;
    if (node.isCustom) base.isCustom = true;
    if (node.needBlock) base.needBlock = true;
    if (shadow) {
      base.isShadowHost = true;
      written.hosts.set(node, id);
      for (const child of childrenOf(shadow, depth, rootId)) childNodes.push(child);
    }
    if (node.content) framed.push([node, id]);
    if (extra) note(node, id);
    return base;
  }

  function childrenOf(parent: FoldNode, depth: number, rootId: number | undefined): Fields[] {
    const list: Fields[] = [];
    if (isTooDeep) return list;
    for (let child = parent.first; child; child = child.next) list.push(write(child, rootId, depth + 1));
    return list;
  }

  function note(node: FoldNode, id: number): void {
    const { late, styles, rules, field, scroll, media, picture, drawn } = node.extra!;
    if (late?.size) written.attributes.push({ id, attributes: Object.fromEntries(late) });
    for (const { name, value } of styles ?? [])
      written.attributes.push({ id, attributes: { style: { [name]: value } } });
    if (rules && !rules.isEmpty) for (const event of rules.toEvents({ id })) written.rules.push(event);
    if (media && (media.isTold || !media.isManaged)) written.media.push(mediaEvent(id, media, nowMs));
    if (picture !== undefined) written.pictures.push({ isDrawn: false, data: picture });
    for (const data of drawn ?? []) written.pictures.push({ isDrawn: true, data });
    const value = node.tag === 'select' ? valueToPick(node) : field && valueOf(node, field);
    if (value !== undefined) {
      const { order = 0, isChecked = false } = field ?? {};
      written.fields.push({ order, data: { source: IncrementalSource.input, text: value, isChecked, id } });
    }
    if (scroll) {
      const { order, x, y } = scroll;
      written.scrolls.push({ order, data: { source: IncrementalSource.scroll, id, x, y } });
    }
  }

  const node = write(document, undefined, 0);
  for (let next = framed.shift(); next; next = framed.shift()) {
    const [frame, parentId] = next;
    const content = write(frame.content!, undefined, 0);
    written.frames.push(
      mutation({ adds: [{ parentId, nextId: null, node: content }], isAttachIframe: true }),
    );
  }
  return isTooDeep ? undefined : { node, ...written };
}

const valueOf = (node: FoldNode, { text }: FieldState): unknown =>
  keepsValue(node) ? (node.attributes.value ?? text) : text;

/** By when they were told. */
export const inOrder = (list: readonly Ordered[]): Fields[] =>
  [...list].sort((a, b) => a.order - b.order).map(({ data }) => data);
