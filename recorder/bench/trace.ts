/** What a recorder costs, read from a trace of Chromium. Pure. Times in the trace are microseconds. */
export interface TraceEvent {
  name: string;
  ph: string;
  ts: number;
  dur?: number;
  /** Of the thread's own time, which other work on the machine does not lengthen. */
  tdur?: number;
  pid: number;
  tid: number;
  args: { data?: { url?: string; allottedMilliseconds?: number } };
}
export interface Cost {
  /** All tasks of the main thread. */
  busyMs: number;
  /** The longest time that the recorder's own functions took within one task. */
  worstTaskMs: number;
  /** Mean and 99th percentile over frames of 1/60 s of the time that the recorder's functions took from the page. */
  frameMeanMs: number;
  frameP99Ms: number;
}

const FRAME_US = 1e6 / 60;

/**
 * Costs by phase: a phase lasts from the mark `begin:NAME` to `end:NAME`.
 *
 * Of the recorder is each outermost function call whose script is the recorder's. What it does in an idle callback is
 * time that the browser had to give away, and is counted among frames only where it goes beyond what was allotted; in
 * the worst task it counts in full. What the page's own calls spend in patched functions shows in `busyMs` alone.
 */
export function costsOf(events: readonly TraceEvent[], isOwn: (url: string) => boolean): Map<string, Cost> {
  const marks = events.filter(({ name }) => /^(begin|end):/.test(name));
  const { pid, tid } = marks[0] ?? {};
  const main = events
    .filter((event) => event.pid === pid && event.tid === tid && event.ph === 'X')
    .sort((a, b) => a.ts - b.ts || (b.dur ?? 0) - (a.dur ?? 0));
  const costs = new Map<string, Cost>();
  for (const begin of marks.filter(({ name }) => name.startsWith('begin:'))) {
    const name = begin.name.slice('begin:'.length);
    const end = marks.find((mark) => mark.name === `end:${name}`);
    if (!end) continue;
    const within = main.filter(({ ts }) => ts >= begin.ts && ts < end.ts);
    const frames = new Array<number>(Math.ceil((end.ts - begin.ts) / FRAME_US)).fill(0);
    let [busy, worst] = [0, 0];
    let task = { end: 0, own: 0 };
    let idle = { end: 0, left: 0 };
    let ownEnd = 0;
    for (const { name: kind, ts, dur = 0, tdur = dur, args } of within) {
      if (/RunTask$/.test(kind) && ts >= task.end) {
        busy += tdur;
        task = { end: ts + dur, own: 0 };
      } else if (kind === 'FireIdleCallback')
        idle = { end: ts + dur, left: (args.data?.allottedMilliseconds ?? 0) * 1000 };
      else if (/^(FunctionCall|EvaluateScript)$/.test(kind) && ts >= ownEnd && isOwn(args.data?.url ?? '')) {
        ownEnd = ts + dur;
        task.own += tdur;
        worst = Math.max(worst, task.own);
        const given = ts < idle.end ? Math.min(tdur, idle.left) : 0;
        if (given) idle.left -= given;
        frames[Math.floor((ts - begin.ts) / FRAME_US)]! += tdur - given;
      }
    }
    frames.sort((a, b) => a - b);
    costs.set(name, {
      busyMs: busy / 1000,
      worstTaskMs: worst / 1000,
      frameMeanMs: frames.reduce((sum, us) => sum + us, 0) / frames.length / 1000,
      frameP99Ms: frames[Math.floor(frames.length * 0.99)]! / 1000,
    });
  }
  return costs;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2 : NaN;
}
