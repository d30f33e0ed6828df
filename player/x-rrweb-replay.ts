import { Replayer } from '@rrweb/replay';
import type { eventWithTime } from '@rrweb/types';
import { EventType, type ClickPayload } from '#protocol';
import { createPictures } from './canvas.ts';
import type { Engine, EngineListener } from './engine.ts';
import type { ReplayEvent } from './sanitize.ts';
import { restoreStates, STATE_RULES } from './states.ts';
import { passedEvents } from './window.ts';

/** Nothing may leave the stage: no image, style, font, frame or medium that the recording names by address. */
export const STAGE_CSP =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; font-src data: blob:; media-src 'none'";
/** A click this close to the moment sought is drawn, so that a link to a click shows the click. */
const CLICK_NEAR_MS = 250;
/** Epoch milliseconds as doubles are a quarter of a microsecond apart. */
const RESOLUTION_MS = 0.001;

const forReplayer = (events: ReplayEvent[]): eventWithTime[] => events as unknown as eventWithTime[];

interface Stage {
  replayer: Replayer;
  host: HTMLElement;
}

/**
 * rrweb's Replayer behind the Engine port. Each `show` makes a new one, hidden until it stands, from events that no other
 * replayer has seen: going back in one that has played is where its known faults are. What of it must not be used:
 * the virtual DOM (events added behind the head are lost), canvas replay (runs scripts), skipInactive and live mode.
 */
export function createRrwebEngine(
  root: HTMLElement,
  listener: EngineListener,
  options: { mouseTail: boolean },
): Engine {
  let current: Stage | undefined;
  let pending: Stage | undefined;
  let speed = 1;
  let originMs = 0;
  /** What has been applied: everything up to here, on the time base of the events. */
  let appliedMs = 0;

  const close = (stage: Stage | undefined): void => {
    stage?.replayer.destroy();
    stage?.host.remove();
  };
  const positionMs = (): number => current?.replayer.getCurrentTime() ?? 0;

  return {
    positionMs,
    async show(events, span, position) {
      close(pending);
      const host = document.createElement('div');
      host.className = 'stage-host';
      host.style.visibility = 'hidden';
      root.append(host);
      // The sentinels fix the time base and keep the machine from finishing when the loaded events run out.
      const fed = [
        { type: EventType.domContentLoaded, timestamp: span.startMs, data: {} },
        ...events,
        { type: EventType.domContentLoaded, timestamp: span.endMs + 1, data: {} },
      ];
      const replayer = new Replayer(forReplayer(fed), {
        root: host,
        speed,
        useVirtualDom: false,
        UNSAFE_replayCanvas: false,
        showWarning: false,
        showDebug: false,
        skipInactive: false,
        triggerFocus: false,
        insertStyleRules: STATE_RULES,
        plugins: [restoreStates()],
        mouseTail: options.mouseTail && { duration: 600, lineWidth: 2, strokeStyle: '#4263eb' },
      });
      const stage: Stage = { replayer, host };
      pending = stage;
      protect(replayer);
      let size: [number, number] | undefined;
      replayer.on('resize', (dimension) => {
        const { width, height } = dimension as { width: number; height: number };
        size = [width, height];
        if (current === stage) listener.onResize(width, height);
      });
      replayer.on('event-cast', (event) => {
        const click = current === stage && clickOf(event as ReplayEvent);
        if (click) listener.onClick({ ...click, still: false });
      });
      const pictures = createPictures(
        (id) => replayer.getMirror().getNode(id),
        () => replayer.iframe.contentDocument,
      );
      replayer.on('event-cast', (event) => pictures.onEvent(event as ReplayEvent));
      replayer.on('fullsnapshot-rebuilded', pictures.onSnapshot);
      replayer.on('finish', () => {
        if (current === stage) listener.onEnd();
      });
      const built = new Promise<void>((resolve) => {
        replayer.on('fullsnapshot-rebuilded', () => resolve());
      });
      replayer.pause(position);
      await built;
      // A snapshot that lies after the position is built by a timer, with its size: one more turn.
      if (!size) await new Promise((resolve) => setTimeout(resolve));
      if (pending !== stage) return false;
      pending = undefined;
      close(current);
      current = stage;
      originMs = span.startMs;
      appliedMs = originMs + position - RESOLUTION_MS;
      host.style.visibility = '';
      if (size) listener.onResize(size[0], size[1]);
      const near = nearestClick(fed, originMs + position);
      if (near) listener.onClick({ ...near, still: true });
      return true;
    },
    append(events) {
      const { replayer } = current!;
      for (const event of forReplayer(events)) replayer.addEvent(event);
      const held = replayer.service.state.context.events;
      // The start sentinel stays: positions count from it.
      held.splice(1, passedEvents(held, originMs + positionMs()) - 1);
    },
    play() {
      if (!current) return;
      const { replayer } = current;
      // Left alone rrweb would go on from the first position of the last mouse path, up to half a second back, and
      // apply again what came since. It believes the last event that it is told of.
      const mark = { type: EventType.domContentLoaded, timestamp: appliedMs, data: {} };
      replayer.service.send({ type: 'CAST_EVENT', payload: { event: forReplayer([mark])[0]! } });
      replayer.play(appliedMs + RESOLUTION_MS - originMs);
    },
    pause() {
      if (!current?.replayer.service.state.matches('playing')) return;
      current.replayer.pause();
      appliedMs = originMs + positionMs();
    },
    setSpeed(value) {
      speed = value;
      current?.replayer.setConfig({ speed });
    },
    document: () => current?.replayer.iframe.contentDocument ?? undefined,
    boundsOf(nodeId) {
      const node = current?.replayer.getMirror().getNode(nodeId);
      return node && 'getBoundingClientRect' in node ? (node as Element).getBoundingClientRect() : undefined;
    },
    dispose() {
      close(pending);
      close(current);
      pending = current = undefined;
    },
  };
}

/** Before anything is rebuilt: the policy outlives `document.open`, by which every snapshot begins. */
function protect(replayer: Replayer): void {
  const { iframe } = replayer;
  iframe.title = 'Recorded page';
  iframe.tabIndex = -1;
  const frame = iframe.contentDocument!;
  const meta = frame.createElement('meta');
  meta.httpEquiv = 'Content-Security-Policy';
  meta.content = STAGE_CSP;
  frame.head.append(meta);
}

function clickOf(event: ReplayEvent): { kind: 'click' | 'rage'; payload: ClickPayload } | undefined {
  if (event.type !== EventType.custom) return undefined;
  const { tag, payload } = event.data as { tag: string; payload: ClickPayload };
  return tag === 'click' || tag === 'rage' ? { kind: tag, payload } : undefined;
}

function nearestClick(events: ReplayEvent[], atMs: number): ReturnType<typeof clickOf> {
  let found: ReturnType<typeof clickOf>;
  let distance = CLICK_NEAR_MS;
  for (const event of events) {
    const away = Math.abs(event.timestamp - atMs);
    const click = away <= distance ? clickOf(event) : undefined;
    if (!click) continue;
    found = click;
    distance = away;
  }
  return found;
}
