import pixelmatch from 'pixelmatch';
import { PNG } from 'pngjs';

/** In CSS pixels of the viewport, which are those of the pictures. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}
export interface Comparison {
  /** Pixels that differ, in per cent of those that are not covered. */
  differentPct: number;
  /** Pixels under a box, in per cent of all. */
  coveredPct: number;
  /** The pictures with their boxes covered, and what differs in red: PNG. */
  live: Buffer;
  replayed: Buffer;
  difference: Buffer;
}

/** How far two colours may be apart, 0 to 1, in pixelmatch's perceptual measure; its own default. */
const THRESHOLD = 0.1;
const COVER = [208, 208, 216, 255] as const;

/**
 * Compares two PNGs of one size, pixel by pixel. Anti-aliased pixels do not count. What lies under a box is covered
 * in both.
 * @throws Error when the sizes differ
 */
export function compare(livePng: Buffer, replayedPng: Buffer, boxes: Box[]): Comparison {
  const live = PNG.sync.read(livePng);
  const replayed = PNG.sync.read(replayedPng);
  const { width, height } = live;
  if (replayed.width !== width || replayed.height !== height)
    throw new Error(`replayed at ${replayed.width} × ${replayed.height}, recorded at ${width} × ${height}`);
  const covered = new Uint8Array(width * height);
  for (const box of boxes) {
    const [left, top] = [Math.max(0, Math.floor(box.x)), Math.max(0, Math.floor(box.y))];
    const [right, bottom] = [Math.ceil(box.x + box.width), Math.ceil(box.y + box.height)];
    for (let y = top; y < Math.min(bottom, height); y++)
      for (let x = left; x < Math.min(right, width); x++) {
        covered[y * width + x] = 1;
        for (const picture of [live, replayed]) picture.data.set(COVER, (y * width + x) * 4);
      }
  }
  const coveredCount = covered.reduce((sum, one) => sum + one, 0);
  const difference = new PNG({ width, height });
  const different = pixelmatch(live.data, replayed.data, difference.data, width, height, {
    threshold: THRESHOLD,
    includeAA: false,
  });
  return {
    differentPct: (100 * different) / Math.max(1, width * height - coveredCount),
    coveredPct: (100 * coveredCount) / (width * height),
    live: PNG.sync.write(live),
    replayed: PNG.sync.write(replayed),
    difference: PNG.sync.write(difference),
  };
}
