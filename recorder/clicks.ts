import { controlOf, describe } from './element.ts';
import type { Guard } from './guard.ts';
import { isBlocked } from './masking.ts';
import { RAGE_CLICKS_MIN, RAGE_GAP_MS, type ClickPayload } from './protocol.ts';

/** Counts clicks that follow each other on one target within RAGE_GAP_MS. Pure: the time is an argument. */
export class RageCounter {
  #target: unknown;
  #atMs = -Infinity;
  #count = 0;

  /** @returns how many clicks in a row this one is, when that is rage; else 0 */
  next(target: unknown, atMs: number): number {
    this.#count = target === this.#target && atMs - this.#atMs <= RAGE_GAP_MS ? this.#count + 1 : 1;
    this.#target = target;
    this.#atMs = atMs;
    return this.#count >= RAGE_CLICKS_MIN ? this.#count : 0;
  }
}

/** A key's click follows within the same task or the next. */
const KEY_TO_CLICK_MS = 100;

export interface ClickSink {
  idOf(node: Node): number;
  onClick(click: ClickPayload): void;
  onRage(rage: ClickPayload & { count: number }): void;
}

/**
 * Tells clicks from presses and releases, for a browser fires no `click` on a disabled control; and from `click`
 * events that a key made. Other `click` events repeat a press that was counted, or were made by a script or a label.
 */
export function observeClicks(sink: ClickSink, guard: Guard): () => void {
  const rage = new RageCounter();
  const pressed = new Map<number, Element>();
  let keyMs = -Infinity;

  const emit = (control: Element, x: number, y: number): void => {
    const click = { id: sink.idOf(control), ...describe(control), x: Math.round(x), y: Math.round(y) };
    sink.onClick(click);
    const count = rage.next(control, performance.now());
    if (count) sink.onRage({ ...click, count });
  };
  const handlers: Partial<{ [K in keyof DocumentEventMap]: (event: DocumentEventMap[K]) => void }> = {
    pointerdown: (event) => {
      const target = targetOf(event);
      if (target && event.button === 0)
        pressed.set(event.pointerId, controlOf(target, event.clientX, event.clientY));
    },
    pointerup: (event) => {
      const from = pressed.get(event.pointerId);
      pressed.delete(event.pointerId);
      const target = from && targetOf(event);
      if (!from || !target) return;
      if (controlOf(target, event.clientX, event.clientY) === from) emit(from, event.clientX, event.clientY);
    },
    // The press became a scroll or a drag.
    pointercancel: (event) => void pressed.delete(event.pointerId),
    keydown: (event) => void (event.key === 'Enter' && (keyMs = event.timeStamp)),
    keyup: (event) => void (event.key === ' ' && (keyMs = event.timeStamp)),
    click: (event) => {
      if (!event.isTrusted || event.detail !== 0 || event.timeStamp - keyMs > KEY_TO_CLICK_MS) return;
      const target = targetOf(event);
      if (!target) return;
      keyMs = -Infinity;
      const control = controlOf(target, -1, -1);
      const { left, top, width, height } = control.getBoundingClientRect();
      emit(control, left + width / 2, top + height / 2);
    },
  };
  const options = { capture: true, passive: true };
  const removers = Object.entries(handlers).map(([type, handler]) => {
    const listener = guard(handler as (event: Event) => void);
    document.addEventListener(type, listener, options);
    return () => document.removeEventListener(type, listener, options);
  });
  return () => removers.forEach((remove) => remove());
}

/** The innermost element, also inside open shadow roots; undefined where nothing may be told of it. */
function targetOf(event: Event): Element | undefined {
  const [target] = event.composedPath();
  return target instanceof Element && !isBlocked(target) ? target : undefined;
}
