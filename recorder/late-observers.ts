import { isBlocked, isScrollMasked } from './masking.ts';
import { idOf } from './node-ids.ts';
import { throttle, type Scene } from './observers.ts';
import { on, targetOf, type Stop } from './on.ts';
import { IncrementalSource } from './protocol.ts';

const MOVE_INTERVAL_MS = 50;
const MOVES_INTERVAL_MS = 500;
const MEDIA_INTERVAL_MS = 500;

function observeMoves(doc: Document, { tell, guard }: Scene): Stop {
  let moves: { x: number; y: number; target: EventTarget | null; atMs: number }[] = [];
  let isHeld = false;
  const send: (source: number) => void = throttle(
    guard((source: number) => {
      const nowMs = Date.now();
      // What has come under the mouse may have no id yet: once, that is waited for.
      if ((isHeld = !isHeld && idOf(moves.at(-1)!.target) < 0)) return send(source);
      const positions = moves.map(({ x, y, target, atMs }) => ({
        x,
        y,
        id: idOf(target),
        timeOffset: atMs - nowMs,
      }));
      moves = [];
      tell(source, { positions });
    }),
    MOVES_INTERVAL_MS,
  );
  const onMove = throttle(
    guard((event: MouseEvent & Partial<TouchEvent>) => {
      const { clientX: x, clientY: y } = event.changedTouches?.[0] ?? event;
      moves.push({ x, y, target: targetOf(event), atMs: Date.now() });
      const { type } = event;
      send(
        type === 'drag'
          ? IncrementalSource.drag
          : type === 'touchmove'
            ? IncrementalSource.touchMove
            : IncrementalSource.mouseMove,
      );
    }),
    MOVE_INTERVAL_MS,
  );
  // What is scrolled or built under a mouse at rest is hovered, and only mouseover tells.
  return on('mousemove mouseover touchmove drag', onMove, doc);
}

/** rrweb's numbers of interactions. */
const INTERACTIONS: Record<string, number> = {
  pointerup: 0,
  pointerdown: 1,
  click: 2,
  contextmenu: 3,
  dblclick: 4,
  focus: 5,
  blur: 6,
  touchcancel: 10,
};
const MOUSE = 0;
const TOUCH = 2;
const POINTERS: Record<string, number> = { mouse: MOUSE, pen: 1, touch: TOUCH };

function observePointer(doc: Document, { tell, guard }: Scene): Stop {
  let lastPointer: number | undefined;
  const onInteraction = guard((event: PointerEvent & Partial<TouchEvent>) => {
    const target = targetOf(event) as Node;
    if (isBlocked(target)) return;
    let type = INTERACTIONS[event.type]!;
    let pointerType = event.changedTouches ? TOUCH : POINTERS[event.pointerType];
    // A finger's press and release have numbers of their own: 7 and 9.
    if (pointerType === TOUCH && type < 2) type = 9 - 2 * type;
    if (pointerType !== undefined) {
      lastPointer = pointerType;
      if (type > 6 || (type < 2 && pointerType === MOUSE)) pointerType = undefined;
    } else if (type === 2) {
      pointerType = lastPointer;
      lastPointer = undefined;
    }
    const { clientX: x, clientY: y } = event.changedTouches?.[0] ?? event;
    tell(IncrementalSource.mouseInteraction, { type, id: idOf(target), x, y, pointerType });
  });
  return on(Object.keys(INTERACTIONS).join(' '), onInteraction, doc);
}

function observeMedia(doc: Document, { tell, guard }: Scene): Stop {
  const stops = ['play', 'pause', 'seeked', 'volumechange', 'ratechange'].map((name, type) => {
    const onMedia = guard((event: Event) => {
      const target = targetOf(event) as HTMLMediaElement | null;
      if (!target || isBlocked(target)) return;
      const { currentTime, volume, muted, playbackRate, loop } = target;
      const id = idOf(target);
      tell(IncrementalSource.mediaInteraction, { type, id, currentTime, volume, muted, playbackRate, loop });
    });
    return on(name, throttle(onMedia, MEDIA_INTERVAL_MS), doc);
  });
  return () => stops.forEach((stop) => stop());
}

function observeSelection(doc: Document, { tell, guard }: Scene): Stop {
  let wasCollapsed = true;
  const onSelection = guard(() => {
    const selection = doc.getSelection();
    if (!selection || (wasCollapsed && selection.isCollapsed)) return;
    wasCollapsed = selection.isCollapsed;
    const ranges = [];
    for (let index = 0; index < selection.rangeCount; index++) {
      const { startContainer, startOffset, endContainer, endOffset } = selection.getRangeAt(index);
      if (isBlocked(startContainer) || isBlocked(endContainer)) continue;
      // Offsets into a masked text tell its length.
      if (isScrollMasked(startContainer) || isScrollMasked(endContainer)) return;
      const [start, end] = [idOf(startContainer), idOf(endContainer)];
      if (start < 0 || end < 0) return;
      ranges.push({ start, startOffset, end, endOffset });
    }
    tell(IncrementalSource.selection, { ranges });
  });
  onSelection();
  return on('selectionchange', onSelection, doc);
}

/** What a replay can do without for a moment: what the mouse or a finger does, how media play, and what of a text is selected. */
export const lateObservers = [observeMoves, observePointer, observeMedia, observeSelection];
