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
export type Batcher = ReturnType<typeof createBatcher>;
export function createBatcher(onClose: (batch: ClosedBatch) => void) {
  let eventsRecorded = 0;
  let events: string[] = [];
  let chars = 0;
  let fullSnapshot = false;
  let hadSnapshot = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function close(final = false): void {
    clearTimeout(timer);
    timer = undefined;
    if (!events.length) return;
    const batch = { json: `[${events.join(',')}]`, events: events.length, fullSnapshot, final };
    events = [];
    chars = 0;
    fullSnapshot = false;
    onClose(batch);
  }

  return {
    get eventsRecorded() {
      return eventsRecorded;
    },
    /** @throws TypeError when the event cannot be serialised; it is then as if it had not been */
    add(event: RecordedEvent): void {
      const json = JSON.stringify(event);
      const { length } = json;
      const isSnapshot = event.type === EventType.fullSnapshot;
      const isLaterMeta = event.type === EventType.meta && hadSnapshot;
      // What surrounds a snapshot travels with it, however large it is.
      const charsMax = length > BULK_EVENT_CHARS ? BULK_CHARS_MAX : BATCH_CHARS_MAX;
      const isTooMuch = chars + length > charsMax && !isSnapshot && !fullSnapshot;
      if (isLaterMeta || isTooMuch) close();
      events.push(json);
      eventsRecorded++;
      chars += length;
      fullSnapshot ||= isSnapshot;
      hadSnapshot ||= isSnapshot;
      if (isSnapshot) {
        clearTimeout(timer);
        timer = setTimeout(close);
      } else if (chars >= charsMax && !fullSnapshot) close();
      else timer ??= setTimeout(close, BATCH_INTERVAL_MS);
    },
    close,
  };
}
