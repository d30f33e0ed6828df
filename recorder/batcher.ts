import { EventType } from './protocol.ts';

export interface RecordedEvent {
  type: number;
  data: unknown;
  timestamp: number;
}
/** Consecutive events, each serialised once, when it was recorded. */
export interface ClosedBatch {
  /** A JSON array. */
  json: string;
  events: number;
  fullSnapshot: boolean;
  final: boolean;
}

/** Long enough to compress well, short enough for a live viewer. */
export const BATCH_INTERVAL_MS = 1000;
/** Of raw JSON, in UTF-16 units: a typical batch is then 5 KB gzipped, and the farewell fits a keepalive request. */
export const BATCH_CHARS_MAX = 32 * 1024;
/** While large events come one after another, as slices of a snapshot do: each batch has its price on the main thread. */
export const BULK_CHARS_MAX = 256 * 1024;
const BULK_EVENT_CHARS = 8 * 1024;

/**
 * Collects events and closes a batch after BATCH_INTERVAL_MS, at BATCH_CHARS_MAX, or, as soon as the running task
 * ends, when it holds a full snapshot; so that what rrweb emits with the snapshot travels with it. A later snapshot's
 * meta event opens a batch of its own, from which playback can begin.
 */
export class Batcher {
  eventsRecorded = 0;
  #events: string[] = [];
  #chars = 0;
  #fullSnapshot = false;
  #hadSnapshot = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #onClose: (batch: ClosedBatch) => void;

  constructor(onClose: (batch: ClosedBatch) => void) {
    this.#onClose = onClose;
  }

  /** @throws TypeError when the event cannot be serialised; it is then as if it had not been */
  add(event: RecordedEvent): void {
    const json = JSON.stringify(event);
    const isSnapshot = event.type === EventType.fullSnapshot;
    const isLaterMeta = event.type === EventType.meta && this.#hadSnapshot;
    // What surrounds a snapshot travels with it, however large it is.
    const charsMax = json.length > BULK_EVENT_CHARS ? BULK_CHARS_MAX : BATCH_CHARS_MAX;
    const isTooMuch = this.#chars + json.length > charsMax && !isSnapshot && !this.#fullSnapshot;
    if (isLaterMeta || isTooMuch) this.close();
    this.#events.push(json);
    this.eventsRecorded++;
    this.#chars += json.length;
    this.#fullSnapshot ||= isSnapshot;
    this.#hadSnapshot ||= isSnapshot;
    if (isSnapshot) this.#schedule(0);
    else if (this.#chars >= charsMax && !this.#fullSnapshot) this.close();
    else if (this.#timer === undefined) this.#schedule(BATCH_INTERVAL_MS);
  }

  close(final = false): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#events.length) return;
    const batch = {
      json: `[${this.#events.join(',')}]`,
      events: this.#events.length,
      fullSnapshot: this.#fullSnapshot,
      final,
    };
    this.#events = [];
    this.#chars = 0;
    this.#fullSnapshot = false;
    this.#onClose(batch);
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.close(), delayMs);
  }
}
