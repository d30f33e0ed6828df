import type { RecordedEvent } from './batcher.ts';
import type { Extra, ExtraHost } from './extras.ts';
import { EventType, IncrementalSource } from './protocol.ts';

/**
 * A frame of another origin runs a recorder of its own and hands its events to the page around it:
 *
 *   frame                                   page
 *     ── { mutoscope: 'frame', key } ──▶      to the page's origin; again until answered
 *     ◀── { mutoscope: 'page', key }, port    to the frame's origin; its own recorder falls silent
 *     ══ events ══▶                           by the port: ids become the page's, the document a child of the frame
 *     ◀══ 'snapshot' ══                       whenever the page took one of its own
 *
 * Each side must list the other's origin in its option, for who a frame or a page is only its origin says, and must
 * have the same write key. What is masked is masked where it is recorded, so in the frame.
 */
interface Greeting {
  mutoscope: 'frame' | 'page' | 'call';
  key: string;
}

/** Until the page around has had time to begin. A `call` from it begins anew. */
const GREETINGS_MAX = 10;
const GREETING_INTERVAL_MS = 300;
/** rrweb counts ids from 1; those of frames begin where it will never be. A column of the lake has 31 bits. */
const FIRST_ID = 1e9;
/** Of a frame's custom events those that mean the same in the page's recording. */
const KEPT_TAGS = ['click', 'rage', 'dead', 'error', 'track', 'canvas'];

export function start(host: ExtraHost): Extra {
  const { options, guard, fail } = host;
  const origins = options.crossOriginFrames.split(/[\s,]+/).filter(Boolean);
  const stopped = new AbortController();
  const { signal } = stopped;
  const ports = new Map<HTMLIFrameElement, MessagePort>();
  let nextId = FIRST_ID;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isAdopted = false;

  const greet = (
    to: Window,
    origin: string,
    mutoscope: Greeting['mutoscope'],
    ports: MessagePort[] = [],
  ): void => to.postMessage({ mutoscope, key: options.key } satisfies Greeting, origin, ports);

  const onMessage = guard(({ data, origin, source, ports: [port] }: MessageEvent<Greeting | null>) => {
    if (!origins.includes(origin) || data?.key !== options.key || !source) return;
    if (data.mutoscope === 'frame') adopt(source as Window, origin);
    else if (source !== parent) return;
    else if (data.mutoscope === 'call') {
      isAdopted = false;
      seek(GREETINGS_MAX);
    } else if (port) hand(port);
  });
  addEventListener('message', onMessage, { signal });

  // In a frame.
  const seek = guard((left: number) => {
    clearTimeout(timer);
    if (isAdopted || left <= 0) return;
    // Where the browser tells it, the one origin that can be meant; another would only make it warn.
    const around = location.ancestorOrigins?.[0];
    for (const origin of origins) if (!around || around === origin) greet(parent, origin, 'frame');
    timer = setTimeout(() => seek(left - 1), GREETING_INTERVAL_MS);
  });
  /** Of several answers the last counts: the page has closed the port of the one before. */
  function hand(port: MessagePort): void {
    isAdopted = true;
    clearTimeout(timer);
    port.onmessage = guard(() => host.snapshotSoon());
    host.divert(guard((event) => port.postMessage(event)));
  }
  if (parent !== window) seek(GREETINGS_MAX);

  // In the page around.
  function adopt(frame: Window, origin: string): void {
    const element = Array.from(document.querySelectorAll('iframe')).find(
      ({ contentWindow }) => contentWindow === frame,
    );
    if (!element || host.isPrivate(element)) return;
    ports.get(element)?.close();
    const { port1, port2 } = new MessageChannel();
    ports.set(element, port1);
    let ids = new Map<number, number>();
    let styleIds = new Map<number, number>();
    let rootId = 0;
    const idIn =
      (known: () => Map<number, number>) =>
      (id: number): number => {
        if (id > 0 && !known().has(id)) known().set(id, nextId++);
        return known().get(id) ?? id;
      };
    const nodeId = idIn(() => ids);
    const styleId = idIn(() => styleIds);
    port1.onmessage = guard(({ data: event }: MessageEvent<RecordedEvent>) => {
      const parentId = host.idOf(element);
      if (!isWanted(event) || parentId <= 0 || host.isPrivate(element)) return;
      if (event.type === EventType.fullSnapshot) {
        ids = new Map();
        styleIds = new Map();
        const { node } = event.data as { node: { id: number } };
        rootId = nodeId(node.id);
        translate(node, nodeId, styleId, rootId);
        event.type = EventType.incrementalSnapshot;
        event.data = {
          source: IncrementalSource.mutation,
          ...{ adds: [{ parentId, nextId: null, node }], removes: [], texts: [], attributes: [] },
          isAttachIframe: true,
        };
      } else if (!rootId) return;
      else if (event.type === EventType.custom) place(event.data as Custom, element, nodeId);
      else translate(event.data, nodeId, styleId, rootId);
      host.emit(event);
    });
    greet(frame, origin, 'page', [port2]);
  }

  /** A frame that began before this page did has given up asking. */
  const call = guard((element: HTMLIFrameElement) => {
    const { src, contentWindow } = element;
    const origin = URL.canParse(src) ? new URL(src).origin : '';
    if (contentWindow && origins.includes(origin)) greet(contentWindow, origin, 'call');
  });
  document.querySelectorAll('iframe').forEach(call);
  if (!origins.length) fail('cross_origin_off: crossOriginFrames lists no origin');

  return {
    onSnapshot: () => {
      for (const [element, port] of ports)
        if (element.isConnected) port.postMessage('snapshot');
        else {
          port.close();
          ports.delete(element);
        }
    },
    stop: () => {
      stopped.abort();
      clearTimeout(timer);
      for (const port of ports.values()) port.close();
    },
  };
}

interface Custom {
  tag: string;
  payload: { id?: number; x?: number; y?: number };
}

function isWanted({ type, data, timestamp }: RecordedEvent): boolean {
  if (typeof data !== 'object' || data === null || !Number.isFinite(timestamp)) return false;
  if (type === EventType.custom) return KEPT_TAGS.includes((data as Custom).tag);
  if (type === EventType.incrementalSnapshot)
    return (data as { source: number }).source !== IncrementalSource.viewportResize;
  return type === EventType.fullSnapshot;
}

/** What was clicked in a frame was clicked where the frame stands. */
function place({ tag, payload }: Custom, element: Element, nodeId: (id: number) => number): void {
  if (tag === 'error' || tag === 'track') return;
  if (typeof payload.id === 'number') payload.id = nodeId(payload.id);
  const { left, top } = element.getBoundingClientRect();
  if (typeof payload.x === 'number') payload.x = Math.round(payload.x + left + element.clientLeft);
  if (typeof payload.y === 'number') payload.y = Math.round(payload.y + top + element.clientTop);
}

const NODE_IDS = /^(id|parentId|nextId|previousId|rootId|start|end)$/;

/** Every id in the event's data becomes the page's, in place; nodes without a root get the document's. */
function translate(
  data: unknown,
  nodeId: (id: number) => number,
  styleId: (id: number) => number,
  rootId: number,
): void {
  const held = data as Record<string, unknown>;
  for (const [key, value] of Object.entries(held)) {
    if (typeof value === 'number') {
      if (NODE_IDS.test(key)) held[key] = nodeId(value);
      else if (key === 'styleId') held[key] = styleId(value);
    } else if (key === 'styleIds') held[key] = (value as number[]).map(styleId);
    // An element's attributes are the site's, whatever they are called.
    else if (typeof value === 'object' && value !== null && (key !== 'attributes' || Array.isArray(value)))
      translate(value, nodeId, styleId, rootId);
  }
  const isNode = typeof held.type === 'number' && typeof held.id === 'number' && held.source === undefined;
  if (isNode && held.type !== 0) held.rootId ??= rootId;
}
