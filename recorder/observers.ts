import { fieldValue, isBlocked, isIgnored, isScrollMasked } from './masking.ts';
import { idOf } from './node-ids.ts';
import { on, targetOf, type Stop } from './on.ts';
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

const SCROLL_INTERVAL_MS = 100;
const RESIZE_INTERVAL_MS = 200;

/** Where a window is scrolled to. */
export function scrollOf({ document, scrollX, scrollY }: Window): { left: number; top: number } {
  const { scrollLeft: left = scrollX, scrollTop: top = scrollY } = document.scrollingElement ?? {};
  return { left, top };
}

/** At once, and then at most once an interval; of what came in between the last call counts, at its end. */
export function throttle<A>(f: (arg: A) => void, intervalMs: number): (arg: A) => void {
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
    on('input change', (event: Event) => onChange(targetOf(event)), doc),
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

/** Each observes the document of a window: the page's, or that of a frame. */
export const observers: ((doc: Document, scene: Scene) => Stop)[] = [
  observeScroll,
  observeResize,
  observeFields,
  observeRules,
];
