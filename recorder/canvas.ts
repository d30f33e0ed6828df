import { dataUrlOf } from './data-url.ts';
import type { Extra, ExtraHost } from './extras.ts';
import { CANVAS_BYTES_MAX } from './protocol.ts';

const SIDE_PX_MAX = 1000;
const FPS_MAX = 10;
/** Looked at in one frame. */
const CANVASES_MAX = 10;
/** Of all canvases; past it frames are left out until a second is over. */
const BYTES_A_SECOND_MAX = 300_000;
/** Tried in turn until a picture is small enough: share of the size, quality. */
const ATTEMPTS: [number, number][] = [
  [1, 0.6],
  [1, 0.3],
  [0.5, 0.3],
  [0.25, 0.3],
];

/** Takes pictures of the canvases that can be seen, and tells those that changed. Replay draws pictures and runs nothing. */
export function start({ options, custom, fail, guard, idOf, isPrivate }: ExtraHost): Extra {
  if (typeof OffscreenCanvas === 'undefined') {
    fail('canvas_off: the browser has no OffscreenCanvas');
    return { stop: () => {} };
  }
  const everyMs = 1000 / Math.min(options.canvasFps, FPS_MAX);
  let told = new WeakMap<HTMLCanvasElement, string>();
  /** Being encoded; or of another origin's content, which nobody may read. */
  const left = new WeakSet<HTMLCanvasElement>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let frame = 0;
  let secondMs = 0;
  let bytes = 0;
  let isStopped = false;

  // A request made between frames is served after those that the page made for that frame before: what it draws is
  // there, and a WebGL buffer is not yet gone.
  const tick = guard(() => {
    timer = setTimeout(tick, everyMs);
    if (document.visibilityState === 'visible') frame = requestAnimationFrame(look);
  });
  const look = guard(() => {
    const nowMs = performance.now();
    if (nowMs - secondMs >= 1000) [secondMs, bytes] = [nowMs, 0];
    if (bytes >= BYTES_A_SECOND_MAX) return;
    for (const canvas of Array.from(document.querySelectorAll('canvas'))
      .filter(isShown)
      .slice(0, CANVASES_MAX))
      if (!left.has(canvas) && idOf(canvas) > 0 && !isPrivate(canvas)) {
        left.add(canvas);
        picture(canvas).then(
          () => left.delete(canvas),
          (error: unknown) => fail(`canvas: ${String(error)}`),
        );
      }
  });

  async function picture(canvas: HTMLCanvasElement): Promise<void> {
    const scale = Math.min(1, SIDE_PX_MAX / Math.max(canvas.width, canvas.height));
    // Copied within this call; what follows takes its time.
    const bitmap = await createImageBitmap(canvas);
    const before = told;
    for (const [share, quality] of ATTEMPTS) {
      const drawn = new OffscreenCanvas(
        Math.max(1, Math.round(canvas.width * scale * share)),
        Math.max(1, Math.round(canvas.height * scale * share)),
      );
      const context = drawn.getContext('2d')!;
      context.drawImage(bitmap, 0, 0, drawn.width, drawn.height);
      if (share === 1 && quality > 0.5 && isBlank(context) && !wasCleared(canvas)) break;
      const blob = await drawn.convertToBlob({ type: 'image/webp', quality });
      if (blob.size > CANVAS_BYTES_MAX) continue;
      const image = await dataUrlOf(blob);
      const id = idOf(canvas);
      // The page may have gone on: masks count when a picture is told, too.
      if (isStopped || id <= 0 || isPrivate(canvas)) break;
      if (before !== told || told.get(canvas) === image) break;
      told.set(canvas, image);
      bytes += blob.size;
      custom('canvas', { id, image, scale: drawn.width / canvas.width });
      break;
    }
    bitmap.close();
  }

  /** A WebGL buffer reads as blank when it was not drawn in this frame. To ask is safe only where there is a context. */
  const wasCleared = (canvas: HTMLCanvasElement): boolean =>
    told.has(canvas) && canvas.getContext('2d') !== null;

  tick();
  return {
    onSnapshot: () => void (told = new WeakMap()),
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
      cancelAnimationFrame(frame);
    },
  };
}

function isShown(canvas: HTMLCanvasElement): boolean {
  const { top, left, bottom, right, width, height } = canvas.getBoundingClientRect();
  return (
    width * height * canvas.width * canvas.height > 0 &&
    bottom > 0 &&
    right > 0 &&
    top < innerHeight &&
    left < innerWidth
  );
}

function isBlank(context: OffscreenCanvasRenderingContext2D): boolean {
  const { data } = context.getImageData(0, 0, context.canvas.width, context.canvas.height);
  return new Uint32Array(data.buffer).every((pixel) => pixel === 0);
}
