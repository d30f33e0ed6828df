import { EventType, IncrementalSource } from '#protocol';
import { TIMESTAMP_MS_MAX, type RecordedEvent } from './decode-batch.ts';
import type { EventRow, ReplayRow } from './layout.ts';

/** Where a batch's events come from. */
export interface BatchOrigin {
  project: string;
  session: string;
  rid: string;
  /** Ordinal of the first event in the rid. */
  firstSeq: number;
  /** Add to an event's timestamp to get server time. */
  offsetMs: number;
  receivedMs: number;
  /** Address at the rid's last event before, when known. */
  url?: string | undefined;
}

/** Longest strings kept, in UTF-16 units. A payload over `props` is replaced by a note that it was. */
export const TEXT_MAX = {
  text: 80,
  url: 2048,
  selector: 512,
  name: 256,
  word: 64,
  value: 1024,
  props: 8192,
  /** Of a request that was recorded with its bodies. */
  bodies: 40_960,
} as const;
/** An event cannot have happened after it was received; a little more than the clocks' error is forgiven. */
const AHEAD_MS_MAX = 60_000;

/**
 * The events of one batch as rows of both tables, and the address after the last of them. Never throws on what an
 * event holds: fields of an unexpected kind are left out, an unknown kind of event is named `rrweb_<n>`.
 * Of `meta` and `viewport` events `x` and `y` are width and height.
 */
export function toRows(
  events: readonly RecordedEvent[],
  origin: BatchOrigin,
): { events: EventRow[]; replay: ReplayRow[]; url: string | undefined } {
  let url = origin.url;
  const out = { events: [] as EventRow[], replay: [] as ReplayRow[], url };
  events.forEach((event, i) => {
    const key = {
      project: origin.project,
      session_id: origin.session,
      rid: origin.rid,
      seq: origin.firstSeq + i,
      ts: timestampMicros(event.timestamp, origin),
    };
    const typed = describe(event);
    url = typed.url ?? url;
    out.events.push({ ...key, url, ...typed });
    // Nothing to play: what stood where is told by `asset_ref`.
    if (typed.type === 'asset' && event.type === EventType.custom) return;
    out.replay.push({
      ...key,
      type: event.type,
      kind: 'event',
      payload: JSON.stringify(event.data ?? null),
    });
  });
  // What comes before the first known address happened on it.
  const first = out.events.find((row) => row.url !== undefined)?.url;
  for (const row of out.events) {
    if (row.url !== undefined) break;
    row.url = first;
  }
  out.url = url;
  return out;
}

function timestampMicros(timestamp: number, { offsetMs, receivedMs }: BatchOrigin): bigint {
  // A clock that is far off must not lead out of what a column can hold.
  const ms = Math.max(timestamp + offsetMs, -TIMESTAMP_MS_MAX);
  return BigInt(Math.round((ms > receivedMs + AHEAD_MS_MAX ? receivedMs : ms) * 1000));
}

type Typed = Omit<EventRow, 'project' | 'session_id' | 'rid' | 'seq' | 'ts'>;
type Fields = Record<string, unknown>;

function describe({ type, data }: RecordedEvent): Typed {
  const fields = fieldsOf(data);
  switch (type) {
    case EventType.domContentLoaded:
      return { type: 'domcontentloaded' };
    case EventType.load:
      return { type: 'load' };
    case EventType.fullSnapshot:
      return { type: 'snapshot' };
    case EventType.meta:
      return { type: 'meta', url: text(fields.href, 'url'), x: int(fields.width), y: int(fields.height) };
    case EventType.custom:
      return describeCustom(text(fields.tag, 'word') || 'custom', fields.payload);
    case EventType.plugin:
      return { type: 'plugin', name: text(fields.plugin, 'name') };
    case EventType.incrementalSnapshot:
      return describeIncremental(fields);
    default:
      return { type: `rrweb_${type}` };
  }
}

function describeCustom(tag: string, payload: unknown): Typed {
  const fields = fieldsOf(payload);
  switch (tag) {
    case 'click':
      return { type: tag, ...target(fields) };
    case 'rage':
      return { type: tag, ...target(fields), props: json({ count: fields.count }) };
    case 'navigation':
      return {
        type: tag,
        url: text(fields.url, 'url'),
        name: text(fields.kind, 'name'),
        props: json(payload),
      };
    case 'dead':
      return { type: tag, ...target(fields), duration_ms: int(fields.ms) };
    case 'form':
      return {
        type: tag,
        ...target(fields),
        name: text(fields.kind, 'name'),
        duration_ms: int(fields.ms),
        props: json({ form: text(fields.form, 'selector') }),
      };
    case 'network': {
      const { method, kind, bytes, request, response } = fields;
      return {
        type: tag,
        name: text(method, 'name'),
        value: text(fields.url, 'value'),
        status: int(fields.status),
        duration_ms: int(fields.ms),
        props: json({ kind, bytes, request, response }, TEXT_MAX.bodies),
      };
    }
    case 'web-vital':
      return {
        type: tag,
        name: text(fields.name, 'name'),
        value: number(fields.value),
        props: json({ rating: fields.rating, id: fields.id }),
      };
    case 'console':
      return { type: tag, name: text(fields.level, 'name'), value: text(fields.text, 'value') };
    case 'identify':
      return { type: tag, name: text(fields.visitor, 'name'), props: json(payload) };
    case 'error':
    case 'unhandledrejection':
      return { type: tag, name: text(fields.message, 'name'), props: json(payload) };
    case 'asset':
    case 'asset_ref':
      return { type: tag, name: text(fields.name, 'name'), props: json(payload) };
    case 'canvas':
      return { type: tag, node_id: int(fields.id) };
    case 'track':
      return { type: tag, name: text(fields.name, 'name'), props: json(fields.props) };
    default:
      return { type: tag, props: json(payload) };
  }
}

const target = (fields: Fields): Partial<Typed> => ({
  node_id: int(fields.id),
  tag: text(fields.tag, 'word'),
  role: text(fields.role, 'word'),
  selector: text(fields.selector, 'selector'),
  text: text(fields.text, 'text'),
  disabled: typeof fields.disabled === 'boolean' ? fields.disabled : undefined,
  x: int(fields.x),
  y: int(fields.y),
});

function describeIncremental(data: Fields): Typed {
  const place = { node_id: int(data.id), x: int(data.x), y: int(data.y) };
  switch (data.source) {
    case IncrementalSource.mutation:
      return {
        type: 'mutation',
        adds: count(data.adds),
        removes: count(data.removes),
        attrs: count(data.attributes),
        texts: count(data.texts),
      };
    case IncrementalSource.mouseMove:
      return { type: 'move', ...lastPosition(data) };
    case IncrementalSource.touchMove:
      return { type: 'touchmove', ...lastPosition(data) };
    case IncrementalSource.drag:
      return { type: 'drag', ...lastPosition(data) };
    case IncrementalSource.mouseInteraction:
      return { type: nameIn(INTERACTIONS, data.type) ?? 'interaction', ...place };
    case IncrementalSource.scroll:
      return { type: 'scroll', ...place };
    case IncrementalSource.viewportResize:
      return { type: 'viewport', x: int(data.width), y: int(data.height) };
    case IncrementalSource.input:
      return { type: 'input', node_id: place.node_id, value: text(data.text, 'value') };
    default: {
      const type = nameIn(SOURCES, data.source);
      return type ? { type, node_id: place.node_id } : { type: `rrweb_3_${int(data.source) ?? 'unknown'}` };
    }
  }
}

/** Indexed by rrweb's `MouseInteractions`. */
const INTERACTIONS = [
  'mouseup',
  'mousedown',
  'native_click',
  'contextmenu',
  'dblclick',
  'focus',
  'blur',
  'touchstart',
  'touchmove_departed',
  'touchend',
  'touchcancel',
];
const SOURCES: Readonly<Record<number, string>> = {
  [IncrementalSource.mediaInteraction]: 'media',
  [IncrementalSource.styleSheetRule]: 'style',
  [IncrementalSource.styleDeclaration]: 'style',
  [IncrementalSource.canvasMutation]: 'canvas',
  [IncrementalSource.font]: 'font',
  [IncrementalSource.log]: 'log',
  [IncrementalSource.selection]: 'selection',
  [IncrementalSource.adoptedStyleSheet]: 'adopted',
  [IncrementalSource.customElement]: 'custom_element',
};

/** Of a number alone: any other key might lead to what no table has, or nowhere. */
const nameIn = (names: Readonly<Record<number, string>>, key: unknown): string | undefined =>
  typeof key === 'number' ? names[key] : undefined;

function lastPosition(data: Fields): Partial<Typed> {
  const { id, x, y } = fieldsOf(Array.isArray(data.positions) ? data.positions.at(-1) : undefined);
  return { node_id: int(id), x: int(x), y: int(y) };
}

const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null ? (value as Fields) : {};
const count = (value: unknown): number => (Array.isArray(value) ? value.length : 0);

function int(value: unknown): number | undefined {
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined;
  return Math.min(Math.max(Math.round(value), -0x80000000), 0x7fffffff);
}

function text(value: unknown, bound: keyof typeof TEXT_MAX): string | undefined {
  if (typeof value !== 'string') return undefined;
  return value.slice(0, TEXT_MAX[bound]).replace(/[\uD800-\uDBFF]$/, '');
}

const number = (value: unknown): string | undefined =>
  typeof value === 'number' && Number.isFinite(value) ? String(value) : undefined;

function json(value: unknown, charsMax: number = TEXT_MAX.props): string | undefined {
  if (value === undefined || value === null) return undefined;
  const written = JSON.stringify(value);
  return written.length > charsMax ? '{"truncated":true}' : written;
}
