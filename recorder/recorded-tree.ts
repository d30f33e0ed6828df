import { withoutSplits } from './css-text.ts';
import { whenIdle } from './idle.ts';
import { coverOf, isBlocked, isScrollMasked, type Cover } from './masking.ts';
import { IncrementalSource } from './protocol.ts';
import { firstOf, nameOf, nativeOf, nextOf, parentOf, shadowOf, typeOf } from './native.ts';
import { createNodeChanges, type NodeChanges } from './node-changes.ts';
import { forgetPlace, forgetPlaces, idOf, NOWHERE, placeOf } from './node-ids.ts';
import { enter, newWalk, serialize, type SerializedNode, type Watches } from './serialize.ts';
import { createSlice } from './slice.ts';

/**
 * Records the tree of the page, in slices.
 *
 * Not the history of the changes is kept, but where the replay has each node (its place) and where the page differs
 * from that: nodes inserted (`fresh`), parents whose children from one on are not told yet (`open`), nodes taken away
 * (`removes`), attributes and texts changed. A flush tells differences as the page is *now* until its time is over;
 * the rest stays a difference, told by a later flush in its then state. So a snapshot or a large insert may be cut
 * anywhere, changes in what is not yet told cost nothing, and once no difference is left the replay is the page.
 *
 * Why places can be trusted: a node is moved only by a removal and an insertion, both observed while its parent is
 * told. What lay below a removed node keeps a stale place, but its chain of parents up to the document no longer
 * matches the page; and when such a node is told again, the places of its children are cleared before it counts.
 */
interface Add {
  parentId: number;
  nextId: number | null;
  node: SerializedNode;
}
interface Remove {
  parentId: number;
  id: number;
  isShadow?: true;
}
export interface Mutations extends NodeChanges {
  removes: Remove[];
  adds: Add[];
}
export interface TreeOutput extends Omit<Watches, 'frame'> {
  mutations(mutations: Mutations): void;
  tell(source: number, data: object): void;
  adopt(root: ShadowRoot, sheets: readonly CSSStyleSheet[]): void;
  /** The document of a frame that has loaded; the frame is told. */
  framed(iframe: HTMLIFrameElement, document: SerializedNode): void;
  /** A frame whose document is to be attached once it has loaded. */
  frame(iframe: HTMLIFrameElement): void;
  /** What fails inside is reported. */
  guard<A extends unknown[]>(run: (...args: A) => void): (...args: A) => void;
}
export type RecordedTree = ReturnType<typeof createRecordedTree>;

/** Of a snapshot at once: what is in view is mostly in it. */
const SNAPSHOT_MS = 6;
/** Within the page's own task. */
const CALLBACK_MS = 1;
/** Within a frame of the page's. */
const BUSY_STEP_MS = 0.4;
/** One event's worth of work when idle: its JSON and gzip come on top. */
const STEP_MS = 2;
const REMOVES_MAX = 1000;
/** The DOM's number of this position. */
const FOLLOWING = 4;

export function createRecordedTree(output: TreeOutput) {
  const open = new Map<Node, Node>();
  /** The first of each row of siblings inserted at once; what follows it and is not told is told with it. */
  const fresh = new Set<Node>();
  /** A row of inserted siblings that is told from here on, each before `next`. */
  let row: { at: Node; next: Node | null } | undefined;
  let removes: Remove[] = [];
  const scrolled = new Set<Element>();
  const walking = newWalk();
  /** A snapshot is under way: what it tells may be scrolled. */
  let isSnapshot = false;
  const adopting: ShadowRoot[] = [];
  let adds: Add[] = [];
  let observer: MutationObserver | undefined;
  let isScheduled = false;
  let told = 0;
  const { begin, late } = createSlice();

  const hostOf = (node: Node | null): Element | undefined => (node as ShadowRoot | null)?.host;
  const isShadow = (node: Node): node is ShadowRoot => typeOf(node) === 11;
  const frameOf = (node: Node): Element | null | undefined =>
    typeOf(node) === 9 ? (node as Document).defaultView?.frameElement : undefined;
  /** The element or document that stands for a parent in the recording. */
  const holderOf = (parent: Node): Node => (isShadow(parent) ? (hostOf(parent) ?? parent) : parent);
  const placeIn = (parent: Node): number => (isShadow(parent) ? -idOf(hostOf(parent)) : idOf(parent));
  const isPending = (): boolean => fresh.size > 0 || open.size > 0 || removes.length > 0 || row !== undefined;

  /** Whether the replay has the node where the page has it. */
  function isTold(node: Node | null | undefined): boolean {
    for (let at = node; at && at !== document;) {
      const parent = parentOf(at);
      const holder = parent ? holderOf(parent) : frameOf(at);
      if (!holder || placeOf(at) !== (parent ? placeIn(parent) : idOf(holder))) return false;
      at = holder;
    }
    return !!node && placeOf(document) === 0;
  }

  const changes = createNodeChanges(isTold);

  /** Remembers what differs. Costs next to nothing for each record. */
  function take(records: MutationRecord[]): void {
    for (const { type, target, attributeName, oldValue, removedNodes, addedNodes, nextSibling } of records) {
      const { nodeName } = target;
      if (nodeName === 'TITLE' || placeOf(holderOf(target)) === NOWHERE) continue;
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
          // It stood for those inserted after it.
          if (fresh.delete(node) && nextSibling) fresh.add(nextSibling);
          if (placeOf(node) !== place) continue;
          forgetPlace(node);
          const id = idOf(node);
          if (id < 0) continue;
          removes.push({ parentId: Math.abs(place), id, isShadow: place < 0 || undefined } as Remove);
        }
        if (addedNodes.length) fresh.add(addedNodes[0]!);
      }
    }
  }
  function moveOpen(parent: Node, next: Node | null): void {
    if (next) open.set(parent, next);
    else open.delete(parent);
  }
  /** Tells what is inside a node just told. */
  function descend(node: Node, told: SerializedNode, root: Node, into?: SerializedNode): void {
    const { cover, isStyled } = walking;
    if (told.type > 2) return;
    open.delete(node);
    if (walking.isBlocked || told.tagName === 'textarea') return;
    if (told.tagName === 'iframe') {
      const { contentDocument } = node as HTMLIFrameElement;
      if (contentDocument) forgetPlace(contentDocument);
      return;
    }
    const first = firstOf(node);
    if (first) walk(node, first, cover, root, into, isStyled);
    if (!told.isShadowHost) return;
    const shadow = shadowOf(node)!;
    if (shadow.adoptedStyleSheets.length) adopting.push(shadow);
    walk(shadow, firstOf(shadow), cover, shadow, into);
  }
  /** Tells the children from `from` on, none of which is told, after those that are; what is left stays open. */
  function walk(
    parent: Node,
    from: Node | null,
    cover: Cover,
    root: Node,
    into?: SerializedNode,
    isCss = false,
  ): void {
    open.delete(parent);
    const place = placeIn(parent);
    const name = nameOf(parent);
    // A replay wants these whole.
    const isWhole = name === '#document' || name === 'HTML' || name === 'STYLE';
    for (let node = from; node; node = nextOf(node)) {
      if (!isWhole && late()) {
        open.set(parent, node);
        for (; node; node = nextOf(node)) forgetPlace(node);
        return;
      }
      tell(node, name, place, cover, root, null, into, isCss);
    }
  }
  function tell(
    node: Node,
    parentName: string,
    place: number,
    cover: Cover,
    root: Node,
    nextId: number | null,
    into?: SerializedNode,
    isCss = false,
  ): void {
    if (walking.root !== root) enter(walking, root);
    const serialized = serialize(node, parentName, place, cover, isCss, walking, output);
    told++;
    if (!serialized) return;
    if (walking.isScrolled) scrolled.add(node as Element);
    if (into) into.childNodes.push(serialized);
    else {
      // The first text child told takes all of a style's rules: marks of where to cut them would stay in them.
      if (walking.isStyled)
        serialized.attributes._cssText = withoutSplits(serialized.attributes._cssText as string);
      adds.push({ parentId: Math.abs(place), nextId, node: serialized });
    }
    descend(node, serialized, root, into && serialized);
  }

  function canHold(parent: Node): boolean {
    const holder = holderOf(parent);
    return (
      isTold(holder) &&
      idOf(holder) > 0 &&
      !/^(TEXTAREA|IFRAME|TITLE)$/.test(nameOf(parent)) &&
      !isBlocked(holder)
    );
  }
  /** Tells an inserted node and the inserted siblings that follow it. */
  function insert(first: Node, parent: Node, cover: Cover, root: Node): void {
    const place = placeIn(parent);
    const name = nameOf(parent);
    const start = open.get(parent);
    // What follows the first open child is told when its turn comes.
    if (
      placeOf(first) === place ||
      start === first ||
      (start && start.compareDocumentPosition(first) & FOLLOWING)
    )
      return;
    let next: Node | null;
    if (row?.at === first) next = row.next;
    else
      for (next = nextOf(first); next && !(placeOf(next) === place && idOf(next) > 0); next = nextOf(next))
        if (next === start) break;
    row = undefined;
    const nextId = next && next !== start ? idOf(next) : null;
    for (let node: Node | null = first; node && node !== next; node = nextOf(node)) {
      if (placeOf(node) === place) continue;
      if (late()) return void (row = { at: node, next });
      fresh.delete(node);
      tell(node, name, place, cover, root, nextId);
    }
  }
  function insertAll(): void {
    let parent: Node | null | undefined;
    let cover: Cover = 0;
    let isHolder = false;
    let root: Node = document;
    for (const node of row ? [row.at, ...fresh] : fresh) {
      const at = parentOf(node);
      if (at !== parent) {
        parent = at;
        isHolder = !!parent && canHold(parent);
        if (isHolder) {
          cover = coverOf(holderOf(parent!));
          root = parent!.getRootNode();
        }
      }
      if (isHolder) insert(node, parent!, cover, root);
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
      if (from && canHold(parent)) walk(parent, from, coverOf(holderOf(parent)), parent.getRootNode());
    }
    // What was opened now comes before the rest, so that the page is told from its top.
    for (const parent of parents) {
      const from = open.get(parent);
      if (open.delete(parent)) open.set(parent, from!);
    }
  }

  /** Tells differences for so long, as one event. */
  function flush(ms: number): void {
    if (!observer) return;
    take(observer.takeRecords());
    begin(ms);
    walking.root = undefined;
    const mutations: Mutations = {
      ...changes.drain(),
      removes: removes.splice(0, REMOVES_MAX),
      adds,
    };
    walking.isNew = !isSnapshot;
    if (!removes.length) {
      insertAll();
      if (!row && !fresh.size) continueOpen();
    }
    adds = [];
    if (Object.values(mutations).some((list) => list.length)) output.mutations(mutations);
    for (const root of adopting.splice(0)) output.adopt(root, root.adoptedStyleSheets);
    if (isPending() || scrolled.size) schedule();
  }
  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    whenIdle(
      (isIdle) => {
        let isMore = false;
        output.guard(() => {
          const wasPending = isPending() || adopting.length > 0;
          if (wasPending) flush(isIdle ? STEP_MS : BUSY_STEP_MS);
          else settle();
          isMore = wasPending;
        })();
        return isMore;
      },
      () => {
        isScheduled = false;
      },
    );
  }
  /** When all is told: how far things are scrolled, which the replay could not do before. */
  function settle(): void {
    for (const node of scrolled)
      if (isTold(node) && !isScrollMasked(node))
        output.tell(IncrementalSource.scroll, { id: idOf(node), x: node.scrollLeft, y: node.scrollTop });
    scrolled.clear();
    isSnapshot = false;
  }
  function tellDocument(doc: Document, place: number): SerializedNode {
    begin(SNAPSHOT_MS);
    enter(walking, doc);
    walking.isNew = false;
    isSnapshot = true;
    const serialized = serialize(doc, '', place, coverOf(doc), false, walking, output)!;
    // Its own id, for what is inside.
    enter(walking, doc);
    descend(doc, serialized, doc, serialized);
    schedule();
    return serialized;
  }

  return {
    /** The document as far as there is time for; the rest follows as mutations. Forgets what was told before. */
    snapshot(doc: Document): SerializedNode {
      // What was a password must be known for one.
      if (observer) take(observer.takeRecords());
      forgetPlaces();
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
      if (!doc || !isTold(iframe) || isTold(doc)) return;
      output.framed(iframe, tellDocument(doc, idOf(iframe)));
    },
    /** Observes a document or a shadow root. One observer for all: records then come in their order. */
    observe(root: Node): void {
      observer ??= new (nativeOf<typeof MutationObserver>('constructor', 'MutationObserver'))(
        output.guard((records: MutationRecord[]) => {
          take(records);
          flush(CALLBACK_MS);
        }),
      );
      const old = { attributeOldValue: true, characterDataOldValue: true };
      observer.observe(root, { ...old, childList: true, subtree: true });
    },
    disconnect(): void {
      observer?.disconnect();
      observer = undefined;
    },
    /** Scrolled while the replay may lack it, or what makes it scrollable: told again at the end. */
    rescroll(node: Node): void {
      if (isPending())
        scrolled.add(typeOf(node) === 9 ? (node as Document).scrollingElement! : (node as Element));
    },
    /** What became of an element's texts within the running task, where that is not told yet. */
    tellText(parent: Node): void {
      const records = observer?.takeRecords() ?? [];
      take(records);
      if (records.some(({ target }) => target === parent || parentOf(target) === parent)) flush(CALLBACK_MS);
      else if (records.length) queueMicrotask(output.guard(() => flush(CALLBACK_MS)));
    },
    isTold,
    isPending,
    /** Tells the rest at once, within a bound. Returns how many nodes were told, where not all could be. */
    finish(ms: number): number | undefined {
      const end = performance.now() + ms;
      while (observer && (isPending() || adopting.length) && performance.now() < end)
        flush(Math.min(10, end - performance.now()));
      return isPending() ? told : void settle();
    },
  };
}
