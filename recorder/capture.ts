import { createAdoptedSheets } from './adopted-sheets.ts';
import type { RecordedEvent } from './batcher.ts';
import { sheetText } from './css-text.ts';
import { createGuard } from './guard.ts';
import { onceIdle } from './idle.ts';
import { isBlocked } from './masking.ts';
import { shadowOf } from './native.ts';
import { forgetAll, idOf } from './node-ids.ts';
import { observers, observeScroll, scrollOf, type Scene } from './observers.ts';
import { stopAll, type Stop } from './on.ts';
import { patch } from './patch.ts';
import { EventType, IncrementalSource } from './protocol.ts';
import { createRecordedTree } from './recorded-tree.ts';
import { findScrollers, observeScrollers } from './scrollers.ts';
import { scrubUrl } from './scrub.ts';
import { observeStates } from './states.ts';
import { observeAdopted } from './style-observers.ts';

/** What the rest of the recorder needs of the page's recording. */
export interface Capture {
  takeFullSnapshot(): void;
  /** Observes each document also by this, those that are there and those that come. */
  observe(by: (typeof observers)[0]): void;
  /** Resolves once all that is on the page has been told. */
  told(): Promise<void>;
  /** Tells at once, for at most so long, what of the page is not told yet; the page may be gone afterwards. */
  finish(ms: number): void;
  stop(): void;
}
export interface CaptureLimits {
  nodesMax: number;
  onTruncated(cut: { nodes: number; nodesMax: number }): void;
}

/** The first snapshot waits for the page to be idle, but not longer. */
const IDLE_TIMEOUT_MS = 1000;
const TOLD_POLL_MS = 10;
/** A frame or a style sheet that has not loaded by then is told as it is. */
const LOAD_MS_MAX = 5000;
/** XPath's, of results. */
const NUMBER_TYPE = 1;
const SHADOWS_CHECKED = 256;
const NO_CHANGE = { adds: [], removes: [], texts: [], attributes: [] };

/** Records the page as rrweb's events, from when its document is parsed and it is idle. */
export function startCapture(
  emit: (event: RecordedEvent) => void,
  onError: (error: unknown) => void,
  limits: CaptureLimits,
): Capture {
  let isRecording = true;
  let isStarted = false;
  /** By frame; the page's own under its window. Documents that are gone must not be held. */
  const documents = new Map<Element | Window, { doc: Document; stops: Stop[] }>();
  const observing = [...observers, watchAttachShadow];
  /** Each full snapshot begins shadow roots anew. Those that are gone must not be held. */
  let shadows = new WeakMap<Node, Stop[]>();
  let shadowRefs: WeakRef<ShadowRoot>[] = [];

  const guard = createGuard(onError);
  const send = guard((type: number, data: unknown): void => {
    if (isRecording) emit({ type, data, timestamp: Date.now() });
  });
  const tell: Scene['tell'] = (source, data) => send(EventType.incrementalSnapshot, { source, ...data });
  const mutate = (data: object): void => tell(IncrementalSource.mutation, { ...NO_CHANGE, ...data });

  const { adopt, sheetIdOf, reset: forgetSheets } = createAdoptedSheets(tell, (host) => tree.isTold(host));
  const tree = createRecordedTree({
    mutations: mutate,
    tell,
    adopt,
    guard,
    shadow: watchShadow,
    framed(iframe, node) {
      const { contentDocument } = iframe;
      mutate({ adds: [{ parentId: idOf(iframe), nextId: null, node }], isAttachIframe: true });
      observe(contentDocument!, iframe);
      adopt(contentDocument!, contentDocument!.adoptedStyleSheets ?? []);
    },
    frame: (iframe) =>
      onceFrameLoaded(
        iframe,
        guard(() => tree.attach(iframe)),
      ),
    link: (link) =>
      onceLoaded(
        link,
        guard(() => {
          const text = idOf(link) > 0 && !isBlocked(link) && sheetText(link.sheet);
          if (text) mutate({ attributes: [{ id: idOf(link), attributes: { _cssText: text } }] });
        }),
      ),
  });
  const scene: Scene = { tell, adopt, sheetIdOf, guard, tellText: tree.tellText, rescroll: tree.rescroll };

  /** Once, for a checkout tells frames again. */
  function observe(doc: Document, owner: Element | Window): void {
    if (documents.get(owner)?.doc === doc || !doc.defaultView) return;
    for (const [other, { stops }] of documents)
      if (other === owner || (other as Element).isConnected === false) {
        stopAll(stops, guard);
        documents.delete(other);
      }
    tree.observe(doc);
    documents.set(owner, { doc, stops: observing.map((observe) => observe(doc, scene)) });
  }
  function watchShadow(root: ShadowRoot): void {
    if (shadows.has(root)) return;
    const stops = [observeScroll(root, scene)];
    shadows.set(root, stops);
    if (shadowRefs.length % SHADOWS_CHECKED === 0) shadowRefs = shadowRefs.filter((ref) => ref.deref());
    shadowRefs.push(new WeakRef(root));
    tree.observe(root);
    setTimeout(
      guard(() => {
        adopt(root, root.adoptedStyleSheets ?? []);
        stops.push(observeAdopted(root, scene));
      }),
    );
  }
  function watchAttachShadow({ defaultView }: Document): Stop {
    const { prototype } = (defaultView as typeof window).Element;
    const watch = guard((host: Element, root: ShadowRoot) => {
      if (shadowOf(host) && host.isConnected) watchShadow(root);
    });
    return patch<Element['attachShadow']>(prototype, 'attachShadow', (call, host) => {
      const root = call();
      watch(host as Element, root);
      return root;
    });
  }
  function forgetShadows(): void {
    for (const ref of shadowRefs) {
      const root = ref.deref();
      stopAll((root && shadows.get(root)) ?? [], guard);
    }
    shadowRefs = [];
    shadows = new WeakMap();
  }

  /** A page too large to be recorded is told of instead. */
  const takeSnapshot = guard((): void => {
    const nodes = countNodes();
    if (nodes > limits.nodesMax) return limits.onTruncated({ nodes, nodesMax: limits.nodesMax });
    send(EventType.meta, { href: scrubUrl(location.href), width: innerWidth, height: innerHeight });
    forgetSheets();
    forgetShadows();
    findScrollers();
    send(EventType.fullSnapshot, { node: tree.snapshot(document), initialOffset: scrollOf(window) });
    adopt(document, document.adoptedStyleSheets ?? []);
    isStarted = true;
    observe(document, window);
  });

  forgetAll();
  const stopScrollers = observeScrollers();
  const stopStates = observeStates((attributes) => mutate({ attributes }));
  let isWaiting = true;
  const start = (): void => {
    isWaiting = false;
    if (isRecording) takeSnapshot();
  };
  const begin = (): void => onceIdle(start, IDLE_TIMEOUT_MS);
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', begin, { once: true });
  else begin();

  return {
    takeFullSnapshot: () => {
      // The first snapshot is still to come.
      if (isRecording && !isWaiting) takeSnapshot();
    },
    observe: (by) => {
      observing.push(by);
      for (const { doc, stops } of documents.values()) stops.push(by(doc, scene));
    },
    told: async () => {
      while (isRecording && (isWaiting || tree.isPending()))
        await new Promise((resolve) => setTimeout(resolve, TOLD_POLL_MS));
    },
    finish: (ms) => {
      // It goes before it was idle.
      if (isWaiting) start();
      const nodes = isStarted ? tree.finish(ms) : undefined;
      if (nodes !== undefined) limits.onTruncated({ nodes: countNodes(), nodesMax: nodes });
    },
    stop: () => {
      isRecording = false;
      stopStates();
      stopScrollers();
      tree.disconnect();
      forgetShadows();
      for (const { stops } of documents.values()) stopAll(stops, guard);
    },
  };
}

/** Elements and texts of the document, its frames and shadow roots not counted. */
function countNodes(): number {
  return document.evaluate('count(//node())', document, null, NUMBER_TYPE).numberValue;
}

function onceLoaded(element: Element, listener: () => void): void {
  const timer = setTimeout(listener, LOAD_MS_MAX);
  element.addEventListener('load', () => {
    clearTimeout(timer);
    listener();
  });
}

function onceFrameLoaded(iframe: HTMLIFrameElement, listener: () => void): void {
  let href: string;
  let isComplete: boolean;
  try {
    const { document: doc, location } = iframe.contentWindow!;
    isComplete = doc.readyState === 'complete';
    ({ href } = location);
  } catch {
    return;
  }
  if (!isComplete) return onceLoaded(iframe, listener);
  iframe.addEventListener('load', listener);
  // Where it is about to go elsewhere, what is there now is not its document.
  if (href !== 'about:blank' || /^(about:blank)?$/.test(iframe.src)) setTimeout(listener);
}
