import { whenIdle } from './idle.ts';
import { coverOf, isBlocked, type Cover } from './masking.ts';
import { IncrementalSource } from './protocol.ts';
import { firstOf, nextOf, parentOf, prototypeOf, shadowOf } from './native.ts';
import { createNodeChanges } from './node-changes.ts';
import type {
  Add,
  Mutations,
  Remove,
  Rrweb,
  SerializedNode,
  SerializeOptions,
  TreeOutput,
} from './serializer.ts';
import { createSlice } from './slice.ts';

/**
 * Records the tree of the page in place of rrweb's MutationBuffer, in slices.
 *
 * Not the history of the changes is kept, but where the replay has each node (`places`) and where the page differs
 * from that: nodes inserted (`fresh`), parents whose children from one on are not told yet (`open`), nodes taken away
 * (`removes`), attributes and texts changed. A flush tells differences as the page is *now* until its time is over;
 * the rest stays a difference, told by a later flush in its then state. So a snapshot or a large insert may be cut
 * anywhere, changes in what is not yet told cost nothing, and once no difference is left the replay is the page.
 *
 * Why `places` can be trusted: a node is moved only by a removal and an insertion, both observed while its parent is
 * told. What lay below a removed node keeps a stale place, but its chain of parents up to the document no longer
 * matches the page; and when such a node is told again, the places of its children are cleared before it counts.
 */
/** What fails inside is reported, and undefined is returned. */
type Guarded = <T extends unknown[], R>(run: (...args: T) => R) => (...args: T) => R | undefined;
export type RecordedTree = ReturnType<typeof createRecordedTree>;

/** Of a snapshot at once: what is in view is mostly in it. */
const SNAPSHOT_MS = 6;
const SNAPSHOT_NODES_MIN = 128;
/** Within the page's own task. */
const CALLBACK_MS = 1;
/** One event's worth of work when idle: its JSON and gzip come on top. */
const STEP_MS = 2;
const STEP_NODES_MIN = 128;
/** Told at once however slow the machine is at the moment, so that small changes stay one event. */
const NODES_MIN = 16;
const REMOVES_MAX = 1000;

export function createRecordedTree(rrweb: Rrweb) {
  /** The id of the parent in the replay; of a shadow root's child its host's, negative; of the document 0. */
  let places = new WeakMap<Node, number>();
  const open = new Map<Node, Node>();
  const fresh = new Set<Node>();
  /** A row of inserted siblings that is told from here on, each before `next`. */
  let row: { at: Node; next: Node | null } | undefined;
  let removes: Remove[] = [];
  const swept: Node[] = [];
  const scrolled = new Set<Element>();
  const shadowed = new WeakSet<Node>();
  let anyShadowed = false;
  const frames = new WeakMap<Node, Document>();
  let lastParent: Node | null = null;
  let isInShadow = false;
  /** A snapshot is under way: what it tells may be scrolled. What the page has just made is not, and to ask forces a layout. */
  let isSnapshot = false;
  const adopting: ShadowRoot[] = [];
  let adds: Add[] = [];
  let options: SerializeOptions | undefined;
  let output: TreeOutput | undefined;
  let observer: MutationObserver | undefined;
  let guarded: Guarded = (run) => run;
  let isScheduled = false;
  let told = 0;
  const { begin, late } = createSlice(NODES_MIN);

  const hostOf = (node: Node | null): Element | undefined => (node as ShadowRoot | null)?.host;
  const isShadow = (node: Node): node is ShadowRoot => node.nodeType === 11;
  const idOf = (node: Node | null | undefined): number => rrweb.mirror().getId(node ?? null);
  const frameOf = (node: Node): Element | null | undefined =>
    node.nodeType === 9 ? (node as Document).defaultView?.frameElement : undefined;
  /** The element or document that stands for a parent in the recording. */
  const holderOf = (parent: Node): Node => (isShadow(parent) ? (hostOf(parent) ?? parent) : parent);
  const placeIn = (parent: Node): number => (isShadow(parent) ? -idOf(hostOf(parent)) : idOf(parent));
  const isPending = (): boolean => fresh.size > 0 || open.size > 0 || removes.length > 0 || row !== undefined;

  /** Whether the replay has the node where the page has it. */
  function isTold(node: Node | null | undefined): boolean {
    for (let at = node; at && at !== document;) {
      const parent = parentOf(at);
      const holder = parent ? holderOf(parent) : frameOf(at);
      if (!holder || places.get(at) !== (parent ? placeIn(parent) : idOf(holder))) return false;
      at = holder;
    }
    return !!node && places.has(document);
  }

  const changes = createNodeChanges(rrweb, isTold, idOf);

  /** Remembers what differs. Costs next to nothing for each record. */
  function take(records: MutationRecord[]): void {
    for (const { type, target, attributeName, oldValue, removedNodes, addedNodes, nextSibling } of records) {
      const { nodeName } = target;
      if (nodeName === 'TITLE' || !places.has(holderOf(target))) continue;
      const parent = type === 'characterData' ? parentOf(target) : target;
      if (type === 'attributes') changes.attribute(target as Element, attributeName!, oldValue);
      else if (parent?.nodeName === 'TEXTAREA') changes.attribute(parent as Element, 'value', null);
      else if (type === 'characterData') changes.text(target, oldValue);
      else {
        const place = placeIn(target);
        if (row) fresh.add(row.at);
        row = undefined;
        for (const node of removedNodes) {
          if (open.get(target) === node) moveOpen(target, nextSibling);
          if (places.get(node) !== place) continue;
          places.delete(node);
          const id = idOf(node);
          if (id < 0) continue;
          removes.push({ parentId: Math.abs(place), id, isShadow: place < 0 || undefined } as Remove);
          swept.push(node);
        }
        for (const node of addedNodes) fresh.add(node);
      }
    }
  }
  function moveOpen(parent: Node, next: Node | null): void {
    if (next) open.set(parent, next);
    else open.delete(parent);
  }
  function serialize(node: Node, parent: Node | null, place: number, cover: Cover, isCss = false) {
    const by = options!;
    if (parent !== lastParent) {
      lastParent = parent;
      isInShadow = !!parent && isShadow(parent.getRootNode());
    }
    // A replay that removes a shadow host still knows what was inside by its id, and would put that there again.
    if (anyShadowed && shadowed.has(node)) rrweb.mirror().renew(node);
    if (isInShadow) {
      anyShadowed = true;
      shadowed.add(node);
    }
    by.doc = node.ownerDocument ?? (node as Document);
    by.needsMask = cover;
    by.preserveWhiteSpace = parent?.nodeName !== 'HEAD';
    by.cssCaptured = isCss;
    const serialized = rrweb.serialize(node, by);
    places.set(node, place);
    told++;
    const { rr_scrollTop, rr_scrollLeft } = serialized?.attributes ?? {};
    if (rr_scrollTop || rr_scrollLeft) scrolled.add(node as Element);
    return serialized;
  }
  /** Tells what is inside a node just told. */
  function descend(node: Node, serialized: SerializedNode, into?: SerializedNode): void {
    // What lies over its children: found when it was serialised.
    const cover = options!.needsMask;
    const { nodeType, nodeName } = node;
    if (nodeType === 3) return;
    const { needBlock, attributes: { _cssText } = {} } = serialized;
    // Not deleted, which would make the object slow; JSON leaves it out.
    serialized.needBlock = undefined;
    open.delete(node);
    if (nodeName === 'IFRAME') {
      const { contentDocument } = node as HTMLIFrameElement;
      if (contentDocument) places.delete(contentDocument);
      return;
    }
    if (needBlock || nodeName === 'TEXTAREA') return;
    const first = firstOf(node);
    const shadow = nodeType === 1 && shadowOf(node);
    if (!first && !shadow) return;
    walk(node, first, cover, into, typeof _cssText === 'string');
    if (shadow && shadow.adoptedStyleSheets.length) adopting.push(shadow);
    if (shadow) walk(shadow, firstOf(shadow), cover, into);
  }
  /** Tells the children from `from` on, none of which is told, after those that are; what is left stays open. */
  function walk(parent: Node, from: Node | null, cover: Cover, into?: SerializedNode, isCss = false): void {
    open.delete(parent);
    const place = placeIn(parent);
    // A replay wants these whole.
    const isWhole = /^(#document|HTML|STYLE)$/.test(parent.nodeName);
    for (let node = from; node; node = nextOf(node)) {
      if (!isWhole && late()) {
        open.set(parent, node);
        for (; node; node = nextOf(node)) places.delete(node);
        return;
      }
      tell(node, parent, place, cover, null, into, isCss);
    }
  }
  function tell(
    node: Node,
    parent: Node,
    place: number,
    cover: Cover,
    nextId: number | null,
    into?: SerializedNode,
    isCss?: boolean,
  ): void {
    const serialized = serialize(node, parent, place, cover, isCss);
    if (!serialized) return;
    if (into) into.childNodes.push(serialized);
    else {
      // The first text child told takes all of a style's rules: marks of where to cut them would stay in them.
      const { _cssText } = serialized.attributes ?? {};
      if (_cssText) serialized.attributes._cssText = (_cssText as string).replaceAll('/* rr_split */', '');
      adds.push({ parentId: Math.abs(place), nextId, node: serialized });
    }
    descend(node, serialized, into && serialized);
  }

  function canHold(parent: Node): boolean {
    const holder = holderOf(parent);
    return (
      isTold(holder) &&
      idOf(holder) > 0 &&
      !/^(TEXTAREA|IFRAME|TITLE)$/.test(parent.nodeName) &&
      !isBlocked(holder)
    );
  }
  /** Tells an inserted node and the inserted siblings that follow it. */
  function insert(first: Node, parent: Node, cover: Cover): void {
    const place = placeIn(parent);
    const start = open.get(parent);
    // What follows the first open child is told when its turn comes.
    if (
      places.get(first) === place ||
      start === first ||
      (start && start.compareDocumentPosition(first) & Node.DOCUMENT_POSITION_FOLLOWING)
    )
      return;
    let next: Node | null;
    if (row?.at === first) next = row.next;
    else
      for (next = nextOf(first); next && !(places.get(next) === place && idOf(next) > 0); next = nextOf(next))
        if (next === start) break;
    row = undefined;
    const nextId = next && next !== start ? idOf(next) : null;
    for (let node: Node | null = first; node && node !== next; node = nextOf(node)) {
      if (places.get(node) === place) continue;
      if (late()) return void (row = { at: node, next });
      fresh.delete(node);
      tell(node, parent, place, cover, nextId);
    }
  }
  function insertAll(): void {
    let parent: Node | null | undefined;
    let cover: Cover = 0;
    let isHolder = false;
    for (const node of row ? [row.at, ...fresh] : fresh) {
      const at = parentOf(node);
      if (at !== parent) {
        parent = at;
        isHolder = !!parent && canHold(parent);
        if (isHolder) cover = coverOf(holderOf(parent!));
      }
      if (isHolder) insert(node, parent!, cover);
      else if (row?.at === node) row = undefined;
      if (row) return;
      fresh.delete(node);
      if (late()) return;
    }
  }
  function continueOpen(): void {
    const parents = new Set(open.keys());
    for (const parent of parents) {
      if (late()) break;
      parents.delete(parent);
      const from = open.get(parent);
      open.delete(parent);
      if (from && canHold(parent)) walk(parent, from, coverOf(holderOf(parent)));
    }
    // What was opened now comes before the rest, so that the page is told from its top.
    for (const parent of parents) {
      const from = open.get(parent);
      if (open.delete(parent)) open.set(parent, from!);
    }
  }

  /** Tells differences for so long, as one event. */
  function flush(ms: number, nodesMin = NODES_MIN): void {
    if (!output || !options || !observer) return;
    take(observer.takeRecords());
    begin(ms, nodesMin);
    lastParent = null;
    const mutations: Mutations = {
      ...changes.drain(),
      removes: removes.splice(0, REMOVES_MAX),
      adds,
    };
    options.newlyAddedElement = !isSnapshot;
    if (!removes.length) {
      insertAll();
      if (!row && !fresh.size) continueOpen();
    }
    adds = [];
    if (Object.values(mutations).some((list) => list.length)) output.mutations(mutations);
    for (const { adoptedStyleSheets, host } of adopting.splice(0))
      output.stylesheetManager.adoptStyleSheets(adoptedStyleSheets, idOf(host));
    if (isPending() || swept.length || scrolled.size) schedule();
  }
  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    whenIdle(
      () =>
        guarded(() => {
          const wasPending = isPending() || adopting.length > 0;
          if (wasPending) flush(STEP_MS, STEP_NODES_MIN);
          else settle();
          return wasPending || swept.length > 0;
        })() === true,
      () => {
        isScheduled = false;
      },
    );
  }
  /** When all is told: how far things are scrolled, which the replay could not do before; and what is gone is let go. */
  function settle(): void {
    begin(STEP_MS);
    for (const node of scrolled)
      if (isTold(node))
        output?.tell(IncrementalSource.scroll, { id: idOf(node), x: node.scrollLeft, y: node.scrollTop });
    scrolled.clear();
    isSnapshot = false;
    while (swept.length && !late()) {
      const node = swept.pop()!;
      if (isTold(node)) continue;
      rrweb.mirror().forget(node);
      for (let child = firstOf(node); child; child = nextOf(child)) swept.push(child);
      const inner = frames.get(node) ?? (node.nodeType === 1 && shadowOf(node));
      if (inner) swept.push(inner);
    }
  }
  function tellDocument(doc: Document, place: number): SerializedNode | null {
    begin(SNAPSHOT_MS, SNAPSHOT_NODES_MIN);
    lastParent = null;
    options!.newlyAddedElement = false;
    isSnapshot = true;
    const serialized = serialize(doc, null, place, coverOf(doc));
    if (serialized) descend(doc, serialized, serialized);
    schedule();
    return serialized;
  }

  return {
    /** The document as far as there is time for; the rest follows as mutations. Forgets what was told before. */
    snapshot(doc: Document, by: SerializeOptions): SerializedNode | null {
      // For what was removed: it is still to be forgotten.
      if (observer) take(observer.takeRecords());
      options = by;
      places = new WeakMap();
      for (const set of [open, fresh, changes, scrolled]) set.clear();
      removes = [];
      row = undefined;
      told = 0;
      const { scrollingElement } = doc;
      if (scrollingElement?.scrollTop || scrollingElement?.scrollLeft) scrolled.add(scrollingElement);
      return tellDocument(doc, 0);
    },
    /** Tells the document of a frame that has loaded, once. */
    attach(iframe: HTMLIFrameElement): void {
      const doc = iframe.contentDocument;
      // It may load within the very call that moves it.
      flush(CALLBACK_MS);
      if (!options || !doc || !isTold(iframe) || isTold(doc)) return;
      if (frames.has(iframe)) swept.push(frames.get(iframe)!);
      frames.set(iframe, doc);
      const serialized = tellDocument(doc, idOf(iframe));
      if (serialized) options.onIframeLoad(iframe, serialized);
    },
    /** Observes a document or a shadow root. One observer for all: records then come in their order. */
    observe(root: Node, to: TreeOutput, guard: Guarded) {
      guarded = guard;
      if (root === document) output = to;
      observer ??= new (prototypeOf('MutationObserver').constructor as typeof MutationObserver)(
        guarded((records: MutationRecord[]) => {
          take(records);
          flush(CALLBACK_MS);
        }),
      );
      const old = { attributeOldValue: true, characterDataOldValue: true };
      observer.observe(root, { ...old, childList: true, subtree: true });
    },
    disconnect(): void {
      observer?.disconnect();
      observer = output = options = undefined;
    },
    /** Scrolled while the replay may lack it, or what makes it scrollable: told again at the end. */
    rescroll(node: Node): void {
      if (isPending())
        scrolled.add(node.nodeType === 9 ? (node as Document).scrollingElement! : (node as Element));
    },
    isPending,
    /** Tells the rest at once, within a bound. Returns how many nodes were told, where not all could be. */
    finish(ms: number): number | undefined {
      const end = performance.now() + ms;
      while (output && (isPending() || adopting.length) && performance.now() < end)
        flush(Math.min(10, end - performance.now()));
      return isPending() ? told : void settle();
    },
  };
}
