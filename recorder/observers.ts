import { fieldValue, isBlocked, isIgnored, isScrollMasked } from './masking.ts';
import { idOf } from './node-ids.ts';
import { IncrementalSource } from './protocol.ts';
import { look } from './states.ts';
import { observeRules } from './style-observers.ts';

/**
 * What visitors do and what scripts do to fields and style sheets, told as rrweb tells it, and masked.
 */
export interface Scene {
  tell(source: number, data: object): void;
  /** The tree tells it again, where a replay cannot scroll so far yet. */
  rescroll(node: Node): void;
  /** What a style element's text came to, before its rules are changed. */
  tellText(style: Node): void;
  /** The sheets that a document or shadow root adopts; where that is not told yet, they are told with it. */
  adopt(root: Document | ShadowRoot, sheets: readonly CSSStyleSheet[]): void;
  /** -1: no document and no shadow root has adopted it. */
  sheetIdOf(sheet: CSSStyleSheet): number;
  guard<A extends unknown[]>(f: (...args: A) => void): (...args: A) => void;
}
type Stop = () => void;

const MOVE_INTERVAL_MS = 50;
const MOVES_INTERVAL_MS = 500;
const SCROLL_INTERVAL_MS = 100;
const RESIZE_INTERVAL_MS = 200;
const MEDIA_INTERVAL_MS = 500;

/** Of the document of a window: the page's, or that of a frame. */
export function observeDocument(doc: Document, scene: Scene): Stop {
  const stops = [observeMoves, observePointer, observeScroll, observeResize, observeFields, observeMedia].map(
    (observe) => observe(doc, scene),
  );
  stops.push(observeRules(doc, scene), observeSelection(doc, scene));
  return () => stops.forEach((stop) => scene.guard(stop)());
}

/** Where a window is scrolled to. */
export function scrollOf({ document, scrollX, scrollY }: Window): { left: number; top: number } {
  const { scrollLeft: left = scrollX, scrollTop: top = scrollY } = document.scrollingElement ?? {};
  return { left, top };
}

/** Listens before the page does, and hinders no scrolling. */
export function on(type: string, listener: (event: never) => void, target: EventTarget = document): Stop {
  const options = { capture: true, passive: true };
  target.addEventListener(type, listener as EventListener, options);
  return () => target.removeEventListener(type, listener as EventListener, options);
}

const onAll = (types: string[], listener: (event: never) => void, target: EventTarget): Stop => {
  const stops = types.map((type) => on(type, listener, target));
  return () => stops.forEach((stop) => stop());
};

/** At once, and then at most once an interval; of what came in between the last call counts, at its end. */
function throttle<A>(f: (arg: A) => void, intervalMs: number): (arg: A) => void {
  let lastMs = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let latest: A;
  const run = (): void => {
    clearTimeout(timer);
    timer = undefined;
    lastMs = Date.now();
    f(latest);
  };
  return (arg) => {
    latest = arg;
    const waitMs = intervalMs - (Date.now() - lastMs);
    // A clock that was set back leaves nothing to wait for.
    if (waitMs <= 0 || waitMs > intervalMs) run();
    else timer ??= setTimeout(run, waitMs);
  };
}

/** The innermost, also inside open shadow roots. */
const targetOf = (event: Event): EventTarget | null => event.composedPath()[0] ?? event.target;

function observeMoves(doc: Document, { tell, guard }: Scene): Stop {
  let moves: { x: number; y: number; target: EventTarget | null; atMs: number }[] = [];
  const send = throttle(
    guard((source: number) => {
      const nowMs = Date.now();
      // Now, for what has come under the mouse may not have had an id then.
      const positions = moves.map(({ x, y, target, atMs }) => ({
        x,
        y,
        id: idOf(target),
        timeOffset: atMs - nowMs,
      }));
      moves = [];
      tell(source, { positions });
    }),
    MOVES_INTERVAL_MS,
  );
  const onMove = throttle(
    guard((event: MouseEvent & Partial<TouchEvent>) => {
      const { clientX: x, clientY: y } = event.changedTouches?.[0] ?? event;
      moves.push({ x, y, target: targetOf(event), atMs: Date.now() });
      const { type } = event;
      send(
        type === 'drag'
          ? IncrementalSource.drag
          : type === 'touchmove'
            ? IncrementalSource.touchMove
            : IncrementalSource.mouseMove,
      );
    }),
    MOVE_INTERVAL_MS,
  );
  // What is scrolled or built under a mouse at rest is hovered, and only mouseover tells.
  return onAll(['mousemove', 'mouseover', 'touchmove', 'drag'], onMove, doc);
}

/** rrweb's numbers of interactions. */
const INTERACTIONS: Record<string, number> = {
  pointerup: 0,
  pointerdown: 1,
  click: 2,
  contextmenu: 3,
  dblclick: 4,
  focus: 5,
  blur: 6,
  touchcancel: 10,
};
const MOUSE = 0;
const TOUCH = 2;
const POINTERS: Record<string, number> = { mouse: MOUSE, pen: 1, touch: TOUCH };

function observePointer(doc: Document, { tell, guard }: Scene): Stop {
  let lastPointer: number | undefined;
  const onInteraction = guard((event: PointerEvent & Partial<TouchEvent>) => {
    const target = targetOf(event) as Node;
    if (isBlocked(target)) return;
    let type = INTERACTIONS[event.type]!;
    let pointerType = event.changedTouches ? TOUCH : POINTERS[event.pointerType];
    // A finger's press and release have numbers of their own: 7 and 9.
    if (pointerType === TOUCH && type < 2) type = 9 - 2 * type;
    if (pointerType !== undefined) {
      lastPointer = pointerType;
      if (type > 6 || (type < 2 && pointerType === MOUSE)) pointerType = undefined;
    } else if (type === 2) {
      pointerType = lastPointer;
      lastPointer = undefined;
    }
    const { clientX: x, clientY: y } = event.changedTouches?.[0] ?? event;
    tell(IncrementalSource.mouseInteraction, { type, id: idOf(target), x, y, pointerType });
  });
  return onAll(Object.keys(INTERACTIONS), onInteraction, doc);
}

/** Of everything inside a document or shadow root. */
export function observeScroll(root: Document | ShadowRoot, { tell, guard, rescroll }: Scene): Stop {
  const targets = new Set<Node>();
  const tellAll = throttle<void>(
    guard(() => {
      for (const target of targets) {
        rescroll(target);
        if (isScrollMasked(target) || idOf(target) < 0) continue;
        const win = target === root && (root as Document).defaultView;
        const { scrollLeft, scrollTop } = target as Element;
        const { left, top } = win ? scrollOf(win) : { left: scrollLeft, top: scrollTop };
        tell(IncrementalSource.scroll, { id: idOf(target), x: left, y: top });
      }
      targets.clear();
    }),
    SCROLL_INTERVAL_MS,
  );
  const onScroll = guard((event: Event) => {
    const target = targetOf(event) as Node | null;
    if (!target || isBlocked(target)) return;
    targets.add(target);
    tellAll();
  });
  return on('scroll', onScroll, root);
}

function observeResize({ defaultView }: Document, { tell, guard }: Scene): Stop {
  let last = '';
  const onResize = guard(() => {
    const [width, height] = [innerWidth, innerHeight];
    if (last !== (last = `${width} ${height}`)) tell(IncrementalSource.viewportResize, { width, height });
  });
  return on('resize', throttle(onResize, RESIZE_INTERVAL_MS), defaultView!);
}

/** What is typed, chosen, or set by script. */
const lastTold = new WeakMap<Node, string>();

function observeFields(doc: Document, { tell, guard }: Scene): Stop {
  const win = doc.defaultView as Window & typeof globalThis;
  const tellField = (field: HTMLInputElement, isChecked: boolean): void => {
    const text = fieldValue(field.value, field);
    const state = `${isChecked} ${text}`;
    const id = idOf(field);
    // A masked value is the same after each key: only the first change is told, so that the number of keys is not.
    if (id < 0 || isIgnored(field) || lastTold.get(field) === state) return;
    lastTold.set(field, state);
    tell(IncrementalSource.input, { text, isChecked, id });
  };
  const onChange = guard((changed: EventTarget | null) => {
    const target = (changed as Element).localName === 'option' ? (changed as Element).parentElement : changed;
    const field = target as HTMLInputElement | null;
    if (!field || !/^(INPUT|TEXTAREA|SELECT)$/.test(field.tagName) || isBlocked(field)) return;
    // Its validity may change also where the masked value stays the same.
    look(field);
    const { type, name, checked } = field;
    const isRadio = type === 'radio';
    const isChecked = (isRadio || type === 'checkbox') && checked;
    tellField(field, isChecked);
    if (!isRadio || !name || !isChecked) return;
    for (const other of doc.querySelectorAll<HTMLInputElement>('input[type="radio"]'))
      if (other !== field && other.name === name) tellField(other, false);
  });
  const { HTMLInputElement: input, HTMLSelectElement: select } = win;
  const stops = [
    onAll(['input', 'change'], (event: Event) => onChange(targetOf(event)), doc),
    on(
      'reset',
      guard(({ target }: Event) =>
        setTimeout(() => Array.from((target as HTMLFormElement).elements ?? [], onChange)),
      ),
      doc,
    ),
    ...(
      [
        [input, 'value'],
        [input, 'checked'],
        [input, 'indeterminate'],
        [select, 'value'],
        [win.HTMLTextAreaElement, 'value'],
        [select, 'selectedIndex'],
        [win.HTMLOptionElement, 'selected'],
      ] as const
    ).map(([owner, name]) => hookSetter(owner.prototype, name, onChange)),
  ];
  return () => stops.forEach((stop) => stop());
}

/** Calls `after` on the object, once the running task is over. */
function hookSetter(prototype: object, name: string, after: (self: EventTarget) => void): Stop {
  const original = Object.getOwnPropertyDescriptor(prototype, name);
  if (!original?.set) return () => {};
  const set = function (this: EventTarget, value: unknown): void {
    setTimeout(() => after(this));
    original.set!.call(this, value);
  };
  Object.defineProperty(prototype, name, { set });
  return () => void Object.defineProperty(prototype, name, original);
}

function observeMedia(doc: Document, { tell, guard }: Scene): Stop {
  const stops = ['play', 'pause', 'seeked', 'volumechange', 'ratechange'].map((name, type) => {
    const onMedia = guard((event: Event) => {
      const target = targetOf(event) as HTMLMediaElement | null;
      if (!target || isBlocked(target)) return;
      const { currentTime, volume, muted, playbackRate, loop } = target;
      const id = idOf(target);
      tell(IncrementalSource.mediaInteraction, { type, id, currentTime, volume, muted, playbackRate, loop });
    });
    return on(name, throttle(onMedia, MEDIA_INTERVAL_MS), doc);
  });
  return () => stops.forEach((stop) => stop());
}

function observeSelection(doc: Document, { tell, guard }: Scene): Stop {
  let wasCollapsed = true;
  const onSelection = guard(() => {
    const selection = doc.getSelection();
    if (!selection || (wasCollapsed && selection.isCollapsed)) return;
    wasCollapsed = selection.isCollapsed;
    const ranges = [];
    for (let index = 0; index < selection.rangeCount; index++) {
      const { startContainer, startOffset, endContainer, endOffset } = selection.getRangeAt(index);
      if (isBlocked(startContainer) || isBlocked(endContainer)) continue;
      // Offsets into a masked text tell its length.
      if (isScrollMasked(startContainer) || isScrollMasked(endContainer)) return;
      const [start, end] = [idOf(startContainer), idOf(endContainer)];
      if (start < 0 || end < 0) return;
      ranges.push({ start, startOffset, end, endOffset });
    }
    tell(IncrementalSource.selection, { ranges });
  });
  onSelection();
  return on('selectionchange', onSelection, doc);
}
