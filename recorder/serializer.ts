import type { Cover } from './masking.ts';
import type { NodeChanges } from './node-changes.ts';

export interface SerializedNode {
  id: number;
  type: number;
  tagName: string;
  attributes: Record<string, unknown>;
  childNodes: SerializedNode[];
  needBlock?: boolean;
}
/** What rrweb serialises by; one object, of which the lower part changes from node to node. */
export interface SerializeOptions {
  onIframeLoad(iframe: HTMLIFrameElement, document: SerializedNode): void;
  doc: Document;
  /** What lies over the parent; once serialised, over the node. */
  needsMask: Cover;
  preserveWhiteSpace: boolean;
  cssCaptured: boolean;
  newlyAddedElement: boolean;
}
/** What is rrweb's own, given by the changed text. */
export interface Rrweb {
  mirror(): { getId(node: Node | null): number; forget(node: Node): void; renew(node: Node): void };
  serialize(node: Node, options: SerializeOptions): SerializedNode | null;
  ignoreAttribute(tag: string, name: string): boolean;
  transformAttribute(doc: Document, tag: string, name: string, value: string | null): string | null;
  maskInputValue(field: { element: Element; value: string | null }): string;
}
export interface Add {
  parentId: number;
  nextId: number | null;
  node: SerializedNode;
}
export interface Remove {
  parentId: number;
  id: number;
  isShadow?: true;
}
export interface Mutations extends NodeChanges {
  removes: Remove[];
  adds: Add[];
}
export interface TreeOutput {
  mutations(mutations: Mutations): void;
  tell(source: number, data: object): void;
  stylesheetManager: { adoptStyleSheets(sheets: readonly CSSStyleSheet[], hostId: number): void };
}
