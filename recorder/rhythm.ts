/** What has to be seen so often while nobody pressed anything … */
const BEATS_MIN = 2;
/** … the last time not longer ago than this, to count as going on by itself. */
const BEAT_AGE_MS_MAX = 10_000;
const KEYS_MAX = 500;

/** Knows what a page does by itself: clocks, tickers, polling. Pure: the time is an argument. */
export class Rhythm {
  readonly #beats = new Map<unknown, { count: number; atMs: number }>();

  /** `key` changed, and nobody had pressed anything for a while. */
  beat(key: unknown, atMs: number): void {
    const before = this.#beats.get(key);
    // The newest stand last.
    this.#beats.delete(key);
    const count = before && atMs - before.atMs <= BEAT_AGE_MS_MAX ? before.count : 0;
    // What one task changes twice is one beat.
    this.#beats.set(key, { count: before?.atMs === atMs ? count : count + 1, atMs });
    if (this.#beats.size > KEYS_MAX) this.#beats.delete(this.#beats.keys().next().value);
  }

  has(key: unknown, atMs: number): boolean {
    const beats = this.#beats.get(key);
    return !!beats && beats.count >= BEATS_MIN && atMs - beats.atMs <= BEAT_AGE_MS_MAX;
  }
}
