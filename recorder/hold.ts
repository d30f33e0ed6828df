import type { ClosedBatch } from './batcher.ts';

/** What is held back reaches at least so far, and at most about as far again, into the past. */
export const HOLD_MS = 60_000;
/** Of incremental events' JSON, in UTF-16 units; the full snapshots, two at most, come on top. */
export const HOLD_CHARS_MAX = 5 * 1000 * 1000;

/** Batches from one full snapshot to the next; the page's first span has what came before its snapshot, too. */
interface Span<Page> {
  startMs: number;
  page: Page;
  batches: ClosedBatch[];
  hasSnapshot: boolean;
  /** Beside the snapshot. */
  chars: number;
  isRenewalDue: boolean;
}

export interface Held<Page> {
  batches: ClosedBatch[];
  /** Of the first of them. */
  startMs: number;
  /** The page then. Absent where nothing was let go: its own events tell it. */
  page?: Page;
}

/**
 * The last minute of a page, in memory, in spans that a replay can begin with. A span that is a minute old, or holds
 * half of what may be held, asks for a full snapshot, which begins the next; the span before goes when the new one
 * is a minute old, or both are too much. One that gets no snapshot in time goes, too, and nothing is held until one
 * comes.
 */
export class Hold<Page> {
  #spans: Span<Page>[] = [];
  #isPartial = false;
  readonly #onSnapshotWanted: () => void;

  constructor(onSnapshotWanted: () => void) {
    this.#onSnapshotWanted = onSnapshotWanted;
  }

  get chars(): number {
    return this.#spans.reduce((sum, { chars }) => sum + chars, 0);
  }

  add(batch: ClosedBatch, nowMs: number, page: Page): void {
    let last = this.#spans.at(-1);
    const { fullSnapshot } = batch;
    if (!last && this.#isPartial && !fullSnapshot) return this.#onSnapshotWanted();
    if (!last || (fullSnapshot && last.hasSnapshot)) {
      last = { startMs: nowMs, page, batches: [], hasSnapshot: false, chars: 0, isRenewalDue: false };
      this.#spans.push(last);
    }
    last.batches.push(batch);
    if (fullSnapshot) last.hasSnapshot = true;
    else last.chars += batch.json.length;
    const isOld = nowMs - last.startMs >= HOLD_MS || last.chars > HOLD_CHARS_MAX / 2;
    if (isOld && last.hasSnapshot && !last.isRenewalDue) {
      last.isRenewalDue = true;
      this.#onSnapshotWanted();
    }
    while (this.chars > HOLD_CHARS_MAX || (this.#spans[1] && nowMs - this.#spans[1].startMs >= HOLD_MS)) {
      this.#spans.shift();
      this.#isPartial = true;
    }
  }

  /** Nothing is held after that. */
  release(): Held<Page> | undefined {
    const [first] = this.#spans;
    if (!first) return undefined;
    const batches = this.#spans.splice(0).flatMap((span) => span.batches);
    return { batches, startMs: first.startMs, ...(this.#isPartial && { page: first.page }) };
  }
}
