import { EventType, IncrementalSource } from '#protocol';

/** Half open, epoch milliseconds. */
export interface Band {
  startMs: number;
  endMs: number;
}

/** Nothing that a visitor did for this long counts as idle. */
export const IDLE_MS = 5_000;
/** Playback goes on this long before the visitor does. */
export const IDLE_LEAD_MS = 700;

const VISITOR_SOURCES: ReadonlySet<number> = new Set([
  IncrementalSource.mouseMove,
  IncrementalSource.mouseInteraction,
  IncrementalSource.scroll,
  IncrementalSource.viewportResize,
  IncrementalSource.input,
  IncrementalSource.touchMove,
  IncrementalSource.drag,
  IncrementalSource.selection,
]);
const SOURCE = /^\{"source":(\d+)/;

/** Whether the visitor did it, told from the payload's first bytes: parsing all of them would cost 1 s per 100 MB. */
export function isVisitorAct(type: number, payload: string): boolean {
  if (type === EventType.meta) return true;
  if (type !== EventType.incrementalSnapshot) return false;
  const source = SOURCE.exec(payload)?.[1] ?? /"source":(\d+)/.exec(payload)?.[1];
  return source !== undefined && VISITOR_SOURCES.has(Number(source));
}

/** Spans of at least `idleMs` without an act. `acts` are sorted epoch milliseconds. */
export function idleBands(acts: readonly number[], span: Band, idleMs = IDLE_MS): Band[] {
  const bands: Band[] = [];
  let from = span.startMs;
  for (const act of [...acts, span.endMs]) {
    const to = Math.min(Math.max(act, span.startMs), span.endMs);
    if (to - from >= idleMs) bands.push({ startMs: from, endMs: to });
    from = Math.max(from, to);
  }
  return bands;
}

/** Where to jump from `atMs`, or undefined: into the end of the idle band that it lies in. */
export function skipTarget(bands: readonly Band[], atMs: number): number | undefined {
  const band = bands.find(({ startMs, endMs }) => startMs + IDLE_LEAD_MS <= atMs && atMs < endMs);
  const target = band && band.endMs - IDLE_LEAD_MS;
  return target !== undefined && target - atMs > 500 ? target : undefined;
}

/** Share of the busiest bucket, 0 to 1, for each of `buckets` equal spans; neighbours share a quarter. */
export function silhouette(acts: readonly number[], span: Band, buckets: number): number[] {
  const counts = new Array<number>(buckets).fill(0);
  const width = (span.endMs - span.startMs) / buckets || 1;
  for (const act of acts) {
    const i = Math.min(buckets - 1, Math.max(0, Math.floor((act - span.startMs) / width)));
    counts[i]!++;
  }
  const smooth = counts.map((count, i) => (counts[i - 1] ?? 0) / 4 + count / 2 + (counts[i + 1] ?? 0) / 4);
  const most = smooth.reduce((a, b) => Math.max(a, b), 0) || 1;
  // The root lifts quiet spans: one click must be visible beside a scroll storm.
  return smooth.map((count) => Math.sqrt(count / most));
}

/** Merges two sorted lists. */
export function mergeSorted(a: readonly number[], b: readonly number[]): number[] {
  const merged: number[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length;)
    merged.push(j >= b.length || (i < a.length && a[i]! <= b[j]!) ? a[i++]! : b[j++]!);
  return merged;
}
