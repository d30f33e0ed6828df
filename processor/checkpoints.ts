import { EventType } from '#protocol';
import { Fold, type Checkpoint, type FoldEvent } from './fold.ts';

/**
 * Where checkpoints stand, and what they hold.
 *
 *   rid, seq   r1,1   r1,2   r1,3 …  r1,90   r1,91    r1,91   r1,92 …
 *   kind       event  event  event   event  CHECKPOINT  event   event
 *              meta   full   ╰── 60 s and more ──╯ ▲
 *                     snapshot                     └ the page before event 91, at the time of event 91
 *
 * A checkpoint has the key of the event before which it stands: the rows of a session are ordered by
 * (rid, seq, kind), and `checkpoint` sorts before `event`. It is due at the first event that is 60 s or more after the
 * last full snapshot or checkpoint, so that a time in which nothing happened has none; but of a page that is large beside
 * what happens on it only once that has grown to half of it, or ten minutes are over. And never right before a full
 * snapshot, or the `meta` that leads it in.
 *
 * Its row is of rrweb's type of a full snapshot, and its payload is that of one, with two members more:
 *
 *   { "node": …, "initialOffset": …, "meta": { "href", "width", "height" }, "tail": [ { "type", "data" }, … ] }
 *
 * To play it, `eventsOf` makes of it a meta, a full snapshot and the tail, all of its moment. Who knows neither member
 * still gets the page, without what a full snapshot cannot say.
 */
export const CHECKPOINT_INTERVAL_MS = 60_000;
/** So that checkpoints add little to a session, whatever its page. */
const PAGE_TO_EVENTS_MAX = 2;
const INTERVALS_MAX = 10;

export interface SessionEvent extends FoldEvent {
  rid: string;
  seq: number;
  /** Of its payload; without it checkpoints go by time alone. */
  chars?: number;
}
export interface PlacedCheckpoint {
  rid: string;
  /** Of the event before which it stands. */
  seq: number;
  ts: number;
  /** JSON text. */
  payload: string;
}

/** The events of a session in the order of its rows: one rid after the other, each by `seq`. */
export function* checkpointsOf(
  events: Iterable<SessionEvent>,
  intervalMs = CHECKPOINT_INTERVAL_MS,
): Generator<PlacedCheckpoint> {
  const checkpoints = createCheckpoints(intervalMs);
  for (const event of events) {
    const checkpoint = checkpoints.add(event);
    if (checkpoint) yield checkpoint;
  }
}

/** As `checkpointsOf`, an event at a time. */
export function createCheckpoints(intervalMs = CHECKPOINT_INTERVAL_MS) {
  let rid: string | undefined;
  let fold = new Fold();
  let lastMs = Infinity;
  /** Of the last full snapshot or checkpoint, and of the events since. */
  let pageChars = 0;
  let chars = 0;
  const begin = (next: string): void => {
    if (next === rid) return;
    rid = next;
    giveUp();
  };
  const giveUp = (): void => {
    fold = new Fold();
    lastMs = Infinity;
  };
  const restart = (ts: number, size: number): void => {
    lastMs = ts;
    pageChars = size;
    chars = 0;
  };
  const isDue = (ts: number): boolean =>
    ts - lastMs >= intervalMs &&
    (chars * PAGE_TO_EVENTS_MAX >= pageChars || ts - lastMs >= INTERVALS_MAX * intervalMs);
  function follow(event: SessionEvent): PlacedCheckpoint | undefined {
    begin(event.rid);
    const { type, ts, seq } = event;
    const isOwn = type === EventType.fullSnapshot || type === EventType.meta;
    let due: PlacedCheckpoint | undefined;
    if (!isOwn && isDue(ts)) {
      const checkpoint = fold.checkpoint(ts);
      if (checkpoint) due = { rid: event.rid, seq, ts, payload: encodeCheckpoint(checkpoint) };
      // Of a page that cannot be written it is not tried again at each event.
      restart(ts, due?.payload.length ?? pageChars);
    }
    fold.apply(event);
    if (type === EventType.fullSnapshot) restart(ts, event.chars ?? 0);
    else chars += event.chars ?? Infinity;
    return due;
  }
  return {
    /**
     * @returns the checkpoint that stands before the event, where one is due. What the fold stumbles over costs the page
     * load its checkpoints up to the next full snapshot, and nothing else.
     */
    add(event: SessionEvent): PlacedCheckpoint | undefined {
      try {
        return follow(event);
      } catch {
        giveUp();
        return undefined;
      }
    },
    /**
     * Goes on from a checkpoint that was made before, where what came before it is not there.
     * @returns false where it is there: then this one is made anew
     */
    resume({ rid, ts, payload }: PlacedCheckpoint): boolean {
      begin(rid);
      if (lastMs < Infinity) return false;
      try {
        for (const { type, data } of eventsOf(decodeCheckpoint(payload), ts)) fold.apply({ type, ts, data });
        restart(ts, payload.length);
      } catch {
        giveUp();
      }
      return true;
    },
  };
}

export function encodeCheckpoint({ node, initialOffset, meta, tail }: Checkpoint): string {
  return JSON.stringify({ node, initialOffset, meta, tail });
}
export const decodeCheckpoint = (payload: string): Checkpoint => JSON.parse(payload) as Checkpoint;

/** What a replayer is given in the place of all events before. */
export function eventsOf(
  { node, initialOffset, meta, tail }: Checkpoint,
  timestamp: number,
): { type: number; timestamp: number; data: object }[] {
  return [
    { type: EventType.meta, timestamp, data: meta },
    { type: EventType.fullSnapshot, timestamp, data: { node, initialOffset } },
    ...tail.map(({ type, data }) => ({ type, timestamp, data })),
  ];
}
