import { inPage, observeDocuments, pathTo } from './documents.ts';
import type { EarlyEvent } from './early.ts';
import { controlOf, describe } from './element.ts';
import type { Guard } from './guard.ts';
import { isBlocked } from './masking.ts';
import type { ClickPayload } from './protocol.ts';

/** Counts clicks that follow each other on one target within `gapMs`. Pure: the time is an argument. */
export class RageCounter {
  readonly #clicksMin: number;
  readonly #gapMs: number;
  #target: unknown;
  #atMs = -Infinity;
  #count = 0;

  constructor(clicksMin: number, gapMs: number) {
    this.#clicksMin = clicksMin;
    this.#gapMs = gapMs;
  }

  /** @returns how many clicks in a row this one is, when that is rage; else 0 */
  next(target: unknown, atMs: number): number {
    this.#count = target === this.#target && atMs - this.#atMs <= this.#gapMs ? this.#count + 1 : 1;
    this.#target = target;
    this.#atMs = atMs;
    return this.#count >= this.#clicksMin ? this.#count : 0;
  }
}

/** A key's click follows within the same task or the next. */
const KEY_TO_CLICK_MS = 100;

export interface ClickSink {
  rage: RageCounter;
  idOf(node: Node): number;
  /** A pointer or a key that may become a click went down; the page has not heard of it yet. */
  onPress(event: Event): void;
  /** `atMs`: when we heard of it, by the clock of events. `isEarly`: the page has long answered it. */
  onClick(click: ClickPayload, control: Element, atMs: number, isEarly: boolean): void;
  onRage(rage: ClickPayload & { count: number }, atMs: number): void;
}

/**
 * Tells clicks, also those in frames of the page's origin, from presses and releases, for a browser fires no `click`
 * on a disabled control; and from `click` events that a key made. Other `click` events repeat a press that was
 * counted, or were made by a script or a label.
 *
 * `early`: what happened before, in order. What it tells of a control is how that looks now.
 */
export function observeClicks(sink: ClickSink, guard: Guard, early: EarlyEvent[] = []): () => void {
  const pressed = new Map<number, Element>();
  let keyMs = -Infinity;
  /** Of the event that is being handled. */
  let target: Element | undefined;
  let atMs = 0;
  let isEarly = false;

  const emit = (control: Element, x: number, y: number, { timeStamp }: Event): void => {
    const id = sink.idOf(control);
    const click = { id, ...describe(control), selector: pathTo(control), ...inPage(control, x, y) };
    sink.onClick(click, control, atMs, isEarly);
    // When it was done, not when a busy page came to hear of it. One target's times are of one clock.
    const count = sink.rage.next(control, timeStamp);
    if (count) sink.onRage({ ...click, count }, atMs);
  };
  const handlers: Partial<{ [K in keyof DocumentEventMap]: (event: DocumentEventMap[K]) => void }> = {
    pointerdown: (event) => {
      if (!target || event.button !== 0) return;
      if (!isEarly) sink.onPress(event);
      pressed.set(event.pointerId, controlOf(target, event.clientX, event.clientY));
    },
    pointerup: (event) => {
      const from = pressed.get(event.pointerId);
      pressed.delete(event.pointerId);
      if (!from || !target) return;
      if (controlOf(target, event.clientX, event.clientY) === from)
        emit(from, event.clientX, event.clientY, event);
    },
    // The press became a scroll or a drag.
    pointercancel: (event) => void pressed.delete(event.pointerId),
    keydown: (event) => {
      if (event.key === 'Enter') keyMs = event.timeStamp;
      if (!isEarly && (event.key === 'Enter' || event.key === ' ')) sink.onPress(event);
    },
    keyup: (event) => void (event.key === ' ' && (keyMs = event.timeStamp)),
    click: (event) => {
      if (!event.isTrusted || event.detail !== 0 || event.timeStamp - keyMs > KEY_TO_CLICK_MS) return;
      if (!target) return;
      keyMs = -Infinity;
      const control = controlOf(target, -1, -1);
      const { left, top, width, height } = control.getBoundingClientRect();
      emit(control, left + width / 2, top + height / 2, event);
    },
  };
  const handle = guard((event: Event, of: EventTarget, ms: number) => {
    target = targetOf(of);
    atMs = ms;
    handlers[event.type as 'click']?.(event as PointerEvent);
  });
  isEarly = true;
  for (const [event, of, ms] of early) handle(event, of, ms);
  isEarly = false;
  const listener = (event: Event): void => handle(event, event.composedPath()[0]!, Date.now());
  const stopping = new AbortController();
  const options = { capture: true, passive: true, signal: stopping.signal };
  observeDocuments(
    (document) => {
      for (const type of Object.keys(handlers)) document.addEventListener(type, listener, options);
    },
    guard,
    stopping.signal,
  );
  return () => stopping.abort();
}

/** Undefined where nothing may be told of it. */
function targetOf(innermost: EventTarget): Element | undefined {
  // An element of a frame is no instance of our window's Element.
  const target = innermost as Element;
  return target.nodeType === Node.ELEMENT_NODE && !isBlocked(target) ? target : undefined;
}
