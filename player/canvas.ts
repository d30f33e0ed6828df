import { EventType, IncrementalSource } from '#protocol';
import type { ReplayEvent } from './sanitize.ts';

/** No other text may stand in a style of ours. */
const PICTURE = /^data:image\/(webp|png|jpeg);base64,[A-Za-z0-9+/]+=*$/;

interface MutationData {
  source: number;
  adds?: unknown[];
  attributes?: { id: number; attributes: Record<string, unknown> }[];
}

/**
 * Shows the recorder's pictures of canvases. Where no scripts run a canvas shows nothing that is drawn into it, and has
 * no size; so a picture becomes its content, in the size that the canvas had, or nothing of that size does.
 */
export function createPictures(
  nodeOf: (id: number) => Node | null,
  document: () => Document | null,
): {
  /** Of every event, after it was applied. */
  onEvent(event: ReplayEvent): void;
  /** Ids mean other nodes from now on. */
  onSnapshot(): void;
} {
  const content = new Map<number, string>();
  const due = new Set<number>();
  let isScheduled = false;

  // A seek applies all up to its moment at one go: of these only the last is shown.
  const schedule = (): void => {
    if (!isScheduled) queueMicrotask(show);
    isScheduled = true;
  };
  const show = (): void => {
    isScheduled = false;
    for (const id of due) {
      const node = nodeOf(id);
      if (node?.nodeName === 'CANVAS') setContent(node as HTMLCanvasElement, content.get(id)!);
    }
    due.clear();
    for (const canvas of document()?.getElementsByTagName('canvas') ?? [])
      if (!canvas.style.content) setContent(canvas, emptyOf(canvas));
  };
  return {
    onEvent({ type, data }) {
      if (type === EventType.custom) {
        const { tag, payload } = data as {
          tag: string;
          payload: { id: number; image: string; scale?: number };
        };
        if (tag !== 'canvas' || !PICTURE.test(payload.image)) return;
        const { id, image, scale = 1 } = payload;
        content.set(id, scale > 0 && scale < 1 ? `image-set(url("${image}") ${scale}x)` : `url("${image}")`);
        due.add(id);
        schedule();
      }
      const { source, adds, attributes } = (data ?? {}) as MutationData;
      if (type !== EventType.incrementalSnapshot || source !== IncrementalSource.mutation) return;
      // A style that the page gave has taken the place of ours.
      const styled = attributes?.filter((one) => 'style' in one.attributes) ?? [];
      for (const { id } of styled) if (content.has(id)) due.add(id);
      if (adds?.length || styled.length) schedule();
    },
    onSnapshot() {
      content.clear();
      due.clear();
      schedule();
    },
  };
}

const setContent = ({ style }: HTMLElement, value: string): void => style.setProperty('content', value);

const emptyOf = ({ width, height }: HTMLCanvasElement): string =>
  `url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='${width}' height='${height}'/%3E")`;
