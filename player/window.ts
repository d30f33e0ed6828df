import { EventType } from '#protocol';
import type { Segment } from '#api';

/**
 * Which segments must be loaded so that the state at a moment can be shown: from the last one that playback can begin
 * with, to the last one that has begun. rrweb is fed this window and no more.
 */
export interface WindowPlan {
  /** Index into the segments, not their number. */
  first: number;
  /** Inclusive. */
  last: number;
}

/** `undefined` when nothing can be played at all. */
export function planWindow(segments: readonly Segment[], atMs: number): WindowPlan | undefined {
  const firstPlayable = segments.findIndex((segment) => segment.snapshot);
  if (firstPlayable < 0) return undefined;
  let last = firstPlayable;
  for (let i = firstPlayable; i < segments.length && segments[i]!.startMs <= atMs; i++) last = i;
  let first = last;
  while (!segments[first]!.snapshot) first--;
  return { first, last };
}

/**
 * Up to when the events of a segment count, exclusive: the next snapshot begins the page anew. What is later belongs to a
 * page that was left, whose clock went a little ahead, and its node ids mean other nodes of the new one.
 */
export const validUntilMs = (segments: readonly Segment[], index: number): number =>
  segments.find(({ snapshot }, i) => i > index && snapshot)?.startMs ?? Infinity;

/** What to load next while playing: the segment after the window, once less than `aheadMs` is left. */
export function planAhead(
  segments: readonly Segment[],
  last: number,
  atMs: number,
  aheadMs: number,
): number | undefined {
  const next = segments[last + 1];
  return next && next.startMs - atMs < aheadMs ? last + 1 : undefined;
}

/**
 * How many events a replayer at `atMs` never looks at again: all before the last page that began by then. rrweb itself
 * skips them when it goes on, but would hold them as long as it plays. At least one, the sentinel.
 */
export function passedEvents(events: readonly { type: number; timestamp: number }[], atMs: number): number {
  const page = events.findLastIndex(({ type, timestamp }) => type === EventType.meta && timestamp <= atMs);
  return Math.max(1, page);
}
