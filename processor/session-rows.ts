import {
  ACTIVE_GAP_MS_MAX,
  BROWSERS,
  DEVICES,
  SYSTEMS,
  UTM_PARAMETERS,
  type EventRow,
  type SessionRow,
} from './layout.ts';
import { nameOf } from './user-agent.ts';

/** Columns of `events` of which a session's row is made. */
export const COLUMNS_FOLDED = [
  ...['project', 'session_id', 'rid', 'seq', 'ts', 'type', 'url', 'name', 'disabled', 'x', 'y', 'props'],
] as const satisfies (keyof EventRow)[];

/**
 * A row a session, out of rows of `events` in the order of a file, of which only one is looked at at a time. It says the
 * same as the SQL view `sessions`. Pure.
 */
export async function* sessionRows(
  rows: AsyncIterable<EventRow> | Iterable<EventRow>,
): AsyncGenerator<SessionRow> {
  let fold: Fold | undefined;
  for await (const row of rows) {
    if (fold && fold.session !== row.session_id) {
      yield rowOf(fold);
      fold = undefined;
    }
    fold ??= startFold(row);
    add(fold, row);
  }
  if (fold) yield rowOf(fold);
}

/** A value, and when it was told: epoch microseconds. */
interface Told<T> {
  us: number;
  value: T;
}
interface Fold {
  project: string;
  session: string;
  startUs: number;
  endUs: number;
  counts: Record<(typeof COUNTS)[number], number>;
  /** Of the page load that the last row was of. */
  rid: string;
  firstSeq: number;
  lastSeq: number;
  /** Last event of the visitor in it. */
  touchedUs: number | undefined;
  /** Numbers that the page loads so far took. */
  numbers: number;
  activeUs: number;
  firstUrl?: Told<string> | undefined;
  lastUrl?: Told<string> | undefined;
  environment?: Told<Record<string, unknown>> | undefined;
  visitor?: Told<string> | undefined;
  user?: Told<string> | undefined;
  width?: Told<number> | undefined;
  height?: Told<number> | undefined;
}
const COUNTS = [
  ...['events', 'pages', 'clicks', 'inputs', 'rage_clicks', 'dead_clicks', 'disabled_clicks', 'errors'],
] as const;

/** What the visitor does, and a page does not do by itself. */
const VISITOR_TYPES = new Set([
  ...[
    'move',
    'touchmove',
    'drag',
    'mousedown',
    'mouseup',
    'native_click',
    'click',
    'dblclick',
    'contextmenu',
  ],
  ...['touchstart', 'touchend', 'scroll', 'input', 'selection'],
]);

const startFold = ({ project, session_id: session, rid, seq, ts }: EventRow): Fold => ({
  ...{ project, session, rid, firstSeq: seq, lastSeq: seq, startUs: Number(ts), endUs: Number(ts) },
  counts: Object.fromEntries(COUNTS.map((name) => [name, 0])) as Fold['counts'],
  ...{ touchedUs: undefined, numbers: 0, activeUs: 0 },
});

function add(fold: Fold, row: EventRow): void {
  const { rid, seq, type, url } = row;
  const us = Number(row.ts);
  if (rid !== fold.rid) {
    fold.numbers += numbersOf(fold);
    [fold.rid, fold.firstSeq, fold.touchedUs] = [rid, seq, undefined];
  }
  fold.lastSeq = seq;
  fold.startUs = Math.min(fold.startUs, us);
  fold.endUs = Math.max(fold.endUs, us);
  fold.counts.events++;
  const count = countOf(row);
  if (count) fold.counts[count]++;
  if (type === 'click' && row.disabled) fold.counts.disabled_clicks++;
  if (url) {
    fold.firstUrl = earlier(fold.firstUrl, us, url);
    fold.lastUrl = later(fold.lastUrl, us, url);
  }
  if (VISITOR_TYPES.has(type)) {
    const gapUs = us - (fold.touchedUs ?? us);
    if (gapUs > 0 && gapUs <= ACTIVE_GAP_MS_MAX * 1000) fold.activeUs += gapUs;
    fold.touchedUs = us;
  }
  if (type === 'identify') fold.user = later(fold.user, us, row.name);
  if (type === 'environment') {
    const fields = fieldsOf(row.props);
    fold.environment = earlier(fold.environment, us, fields);
    fold.visitor = earlier(fold.visitor, us, textOf(fields?.visitor));
  }
  if ((type === 'meta' || type === 'viewport') && row.x !== undefined && row.x > 0) {
    fold.width = earlier(fold.width, us, row.x);
    fold.height = earlier(fold.height, us, row.y);
  }
}

function countOf({ type, name }: EventRow): (typeof COUNTS)[number] | undefined {
  switch (type) {
    case 'navigation':
      return name === 'replace' ? undefined : 'pages';
    case 'click':
      return 'clicks';
    case 'input':
      return 'inputs';
    case 'rage':
      return 'rage_clicks';
    case 'dead':
      return 'dead_clicks';
    case 'error':
    case 'unhandledrejection':
      return 'errors';
    default:
      return undefined;
  }
}

const numbersOf = ({ firstSeq, lastSeq }: Fold): number => lastSeq - firstSeq + 1;

/** Of two at one instant the first row counts. */
const earlier = <T>(held: Told<T> | undefined, us: number, value: T | undefined): Told<T> | undefined =>
  value === undefined || (held && held.us <= us) ? held : { us, value };
/** Of two at one instant the last row counts. */
const later = <T>(held: Told<T> | undefined, us: number, value: T | undefined): Told<T> | undefined =>
  value === undefined || (held && held.us > us) ? held : { us, value };

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
function fieldsOf(props: string | undefined): Record<string, unknown> | undefined {
  if (props === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(props);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return undefined;
  }
}

const INT32_MAX = 0x7fffffff;
const msOf = (us: number): number => Math.min(Math.floor(us / 1000), INT32_MAX);

function rowOf(fold: Fold): SessionRow {
  const { project, session, startUs, endUs, counts } = fold;
  const told = fold.environment?.value ?? {};
  const userAgent = textOf(told.userAgent);
  const firstUrl = fold.firstUrl?.value ?? '';
  const row: SessionRow = {
    project,
    session_id: session,
    visitor_id: fold.visitor?.value,
    user_id: fold.user?.value,
    started_at: BigInt(startUs),
    ended_at: BigInt(endUs),
    duration_ms: msOf(endUs - startUs),
    active_ms: msOf(fold.activeUs),
    ...counts,
    gaps: Math.min(fold.numbers + numbersOf(fold) - counts.events, INT32_MAX),
    first_url: firstUrl,
    last_url: fold.lastUrl?.value ?? '',
    referrer: textOf(told.referrer) || undefined,
    ...Object.fromEntries(UTM_PARAMETERS.map((name) => [`utm_${name}`, utmOf(firstUrl, name)])),
    user_agent: userAgent,
    browser: nameOf(BROWSERS, userAgent, 'other'),
    os: nameOf(SYSTEMS, userAgent, 'other'),
    device: nameOf(DEVICES, userAgent, 'desktop'),
    language: textOf(told.language),
    viewport_w: fold.width?.value,
    viewport_h: fold.height?.value,
    recorder_version: textOf(told.recorder),
  };
  return row;
}

const utmOf = (url: string, name: string): string | undefined =>
  new RegExp(`[?&]utm_${name}=([^&#]*)`).exec(url)?.[1] || undefined;
