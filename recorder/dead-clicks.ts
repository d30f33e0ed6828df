import type { RecordedEvent } from './batcher.ts';
import type { RecordingContext } from './context.ts';
import { patch } from './patch.ts';
import { EventType, IncrementalSource, type ClickPayload } from './protocol.ts';
import { Rhythm } from './rhythm.ts';

/**
 * A click is dead when it was on what looks clickable and nothing came of it within `deadMs`. What may come of it is
 * watched from the press on, for a page may act on the press; the first thing that comes ends the watch, and nothing
 * is watched while nobody clicks.
 *
 *   press ── page's handlers ── click ─────────────── deadMs ──▶ dead
 *      └── any reaction ends the watch: all clicks that wait are alive
 */

const CLICKABLE =
  'button,a[href],area[href],summary,input:is([type=button],[type=submit],[type=reset],[type=image],[type=checkbox]),' +
  '[role=button],[role=link],[role=tab],[role=menuitem],[role=menuitemcheckbox],[role=menuitemradio],[role=option],' +
  '[role=checkbox],[role=switch],[role=treeitem]';
/** The browser itself answers a click here: with a caret, a picker, a picture. */
const ANSWERED = 'input,textarea,select,option,canvas,video,audio,embed,object,iframe,[contenteditable]';

/** What tells that something came of a click, wherever it happens. */
const REACTIONS =
  'scroll input change submit reset invalid toggle play pause copy cut fullscreenchange hashchange popstate pagehide visibilitychange beforeprint'.split(
    ' ',
  );
/** rrweb's sources that speak of a change which no mutation observer of ours sees: styles, shadow roots, canvases. */
const CHANGES: number[] = [
  IncrementalSource.mutation,
  IncrementalSource.mediaInteraction,
  IncrementalSource.styleSheetRule,
  IncrementalSource.canvasMutation,
  IncrementalSource.styleDeclaration,
  IncrementalSource.adoptedStyleSheet,
];
/** As in states.ts, which the bundler would then no longer leave in the core. */
const STATE = 'data-rr-state';
/** A larger change is no clock's. */
const BEAT_NODES_MAX = 50;

interface MutationData {
  source: number;
  texts?: { id: number }[];
  attributes?: { id: number; attributes: Record<string, unknown> }[];
  adds?: { parentId: number }[];
  removes?: { parentId: number }[];
}

export interface DeadClicks {
  pressed(event: Event): void;
  clicked(click: ClickPayload, control: Element): void;
  recorded(event: RecordedEvent): void;
  /** `key` names what is asked for, to tell polling. */
  requested(key: string): void;
  stop(): void;
}

export function watchDeadClicks({ custom, idOf, guard, options }: RecordingContext): DeadClicks {
  const { deadMs } = options;
  const rhythm = new Rhythm();
  let pressMs = -Infinity;
  /** What lies under the press, until something comes of it. */
  let press: EventTarget[] | undefined;
  let waiting: { control: Element; timer: ReturnType<typeof setTimeout> }[] = [];
  let watch: AbortController | undefined;

  const unwatch = (): void => {
    press = undefined;
    for (const { timer } of waiting.splice(0)) clearTimeout(timer);
    watch?.abort();
    watch = undefined;
  };
  /** Something that may be the page's own rhythm: it is learned while nobody clicks, and does not count afterwards. */
  const changed = (keys: unknown[]): void => {
    const now = performance.now();
    if (now - pressMs > deadMs) {
      if (keys.length <= BEAT_NODES_MAX) for (const key of keys) rhythm.beat(key, now);
    } else if (keys.some((key) => !rhythm.has(key, now))) unwatch();
  };
  const mutated = guard((records: MutationRecord[]) => {
    const now = performance.now();
    const counts = ({ target }: MutationRecord): boolean =>
      waiting.some(({ control }) => control.contains(target)) || !rhythm.has(idOf(target), now);
    if (records.some(counts)) unwatch();
  });
  const focused = guard((event: Event) => {
    // The press itself moves the focus to what is pressed.
    if (!press?.includes(event.composedPath()[0]!)) unwatch();
  });
  const selected = guard(() => {
    if (getSelection()?.isCollapsed === false) unwatch();
  });
  const blurred = guard((event: Event) => {
    if (event.target === window) unwatch();
  });
  const navigated = guard((event: Event) => {
    // `href="#"` leads nowhere.
    const { hashChange, destination } = event as Event & {
      hashChange?: boolean;
      destination?: { url: string };
    };
    if (!hashChange || !destination?.url.endsWith('#')) unwatch();
  });
  /** A link that opens elsewhere: a new tab, a mail program. The page may still prevent it. */
  const followed = guard((event: Event) => {
    const { ctrlKey, metaKey, shiftKey } = event as MouseEvent;
    const link = event
      .composedPath()
      .find((node): node is HTMLAnchorElement => !!(node as Partial<HTMLAnchorElement>).href);
    if (!link) return;
    const isElsewhere =
      (link.target && link.target !== '_self') ||
      link.hasAttribute('download') ||
      !/^(https?|javascript):$/.test(link.protocol) ||
      ctrlKey ||
      metaKey ||
      shiftKey;
    if (isElsewhere) setTimeout(() => !event.defaultPrevented && unwatch());
  });
  const reacted = guard((event: Event) => {
    if (event.type !== 'hashchange' || location.hash) unwatch();
  });

  function observe(document: Document): void {
    watch?.abort();
    const { signal } = (watch = new AbortController());
    const listenerOptions = { capture: true, passive: true, signal };
    const observer = new MutationObserver(mutated);
    signal.addEventListener('abort', () => observer.disconnect());
    for (const at of new Set([window.document, document])) {
      const what = { subtree: true, childList: true, attributes: true, characterData: true };
      observer.observe(at, what);
      const view = at.defaultView!;
      for (const type of REACTIONS) view.addEventListener(type, reacted, listenerOptions);
      view.addEventListener('focusin', focused, listenerOptions);
      view.addEventListener('selectionchange', selected, listenerOptions);
      view.addEventListener('click', followed, listenerOptions);
    }
    // A press in a frame takes the focus from the page.
    if (document === window.document) addEventListener('blur', blurred, listenerOptions);
    const { navigation } = window as { navigation?: EventTarget };
    if (navigation) navigation.addEventListener('navigate', navigated, listenerOptions);
    else addEventListener('beforeunload', reacted, listenerOptions);
  }

  const answers: [object | undefined, string][] = [
    [window, 'alert'],
    [window, 'confirm'],
    [window, 'prompt'],
    [window, 'open'],
    [window, 'print'],
    [HTMLElement.prototype, 'click'],
    [HTMLInputElement.prototype, 'showPicker'],
    [globalThis.Clipboard?.prototype, 'writeText'],
    [globalThis.Clipboard?.prototype, 'write'],
    [Navigator.prototype, 'share'],
  ];
  const called = guard((name: string, self: unknown) => {
    // Files are chosen and downloaded by clicks that scripts make.
    if (name !== 'click' || (self as Element).matches('a,input[type=file]')) unwatch();
  });
  const stops = answers.map(([owner, name]) =>
    patch(owner, name, (call, self) => {
      called(name, self);
      return call();
    }),
  );

  return {
    pressed: (event) => {
      pressMs = performance.now();
      press = event.composedPath();
      observe((press[0] as Element).ownerDocument);
    },
    clicked: (click, control) => {
      // Nothing left to wait for, or nothing to expect. What is disabled says so.
      if (!press || click.disabled || !looksClickable(control)) return;
      const timer = setTimeout(
        guard(() => {
          waiting = waiting.filter((one) => one.timer !== timer);
          if (!waiting.length) unwatch();
          custom('dead', { ...click, ms: deadMs });
        }),
        deadMs,
      );
      waiting.push({ control, timer });
    },
    recorded: ({ type, data }) => {
      const change = data as MutationData;
      if (type !== EventType.incrementalSnapshot || !CHANGES.includes(change.source)) return;
      if (change.source !== IncrementalSource.mutation) return changed([change.source]);
      const { texts = [], adds = [], removes = [] } = change;
      // That a click brings the focus is no answer to it.
      const attributes = (change.attributes ?? []).filter(({ attributes: changes }) =>
        Object.keys(changes).some((name) => name !== STATE),
      );
      if (texts.length + attributes.length + adds.length + removes.length > BEAT_NODES_MAX)
        return changed([undefined]);
      changed([
        ...[...texts, ...attributes].map(({ id }) => id),
        ...[...adds, ...removes].map(({ parentId }) => parentId),
      ]);
    },
    requested: (key) => changed([key]),
    stop: () => {
      unwatch();
      stops.forEach((stop) => stop());
    },
  };
}

export function looksClickable(control: Element): boolean {
  const meant = (control as HTMLLabelElement).control ?? control;
  if (meant.matches(CLICKABLE)) return true;
  if (meant.matches(ANSWERED)) return false;
  if (typeof (control as HTMLElement).onclick === 'function') return true;
  const isHand = (element: Element): boolean => getComputedStyle(element).cursor === 'pointer';
  // Some pages show the hand everywhere, for old phones' sake.
  return isHand(control) && !isHand(control.ownerDocument.body);
}
