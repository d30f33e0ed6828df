import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import type { MarkerType, SchemaAnswer, Segment, SessionManifest, SessionSummary, SqlAnswer } from '#api';
import type { ReplayEvent } from './sanitize.ts';
import { encodeMarkers, encodeSegment, type MarkerRow } from './x-apache-arrow.ts';

/** A query service for tests: the contract of `#api` over a recorded fixture, and the built app's files. */
export const MOCK_KEY = 'ak_test';
export const MOCK_SESSION = '0199b3c8-5b40-7000-8000-000000000001';
/** The same, then the page is loaded again and all happens once more: node ids begin anew. */
export const MOCK_RELOADED = '0199b3c8-5b40-7000-8000-0000000f0002';

export interface MockQuery {
  origin: string;
  events: ReplayEvent[];
  manifest: SessionManifest;
  /** Milliseconds from one page load of MOCK_RELOADED to the next. */
  reloadMs: number;
  /** Paths under /v1 that were asked for, in order. */
  requests: string[];
  /** Answers for the paths that match, instead of the usual ones; status 0 cuts the connection. */
  fail: { path: RegExp; status: number; code: string }[];
  /** Paths that match wait for it. */
  hold?: { path: RegExp; until: Promise<void> };
  close(): Promise<void>;
}

export async function startMockQuery(appDir: string, csp = APP_CSP): Promise<MockQuery> {
  const fixture = await readFile(new URL('fixtures/signup.json', import.meta.url), 'utf8');
  const events = JSON.parse(fixture) as ReplayEvent[];
  const { segments, rows } = cut([events]);
  const markers = markersOf(events);
  const reloadMs = events.at(-1)!.timestamp - events[0]!.timestamp + 5;
  const loads = reloaded(events, reloadMs);
  const again = cut(loads);
  const count = (type: MarkerType): number => markers.filter((marker) => marker.type === type).length;
  const summary: SessionSummary = {
    id: MOCK_SESSION,
    startMs: events[0]!.timestamp,
    endMs: events.at(-1)!.timestamp,
    events: events.length,
    pages: count('navigation'),
    clicks: count('click') + count('disabled'),
    inputs: 2,
    rageClicks: count('rage'),
    deadClicks: count('dead'),
    disabledClicks: count('disabled'),
    errors: count('error'),
    firstUrl: 'https://kneadly.test/signup/step-2',
    lastUrl: 'https://kneadly.test/signup/step-3',
    browser: 'Chrome 156',
    os: 'Linux',
    viewport: [1280, 760],
    expiresMs: events[0]!.timestamp + 90 * 86_400_000,
    activity: [9, 14, 12, 3, 0, 0, 0, 6, 11, 4],
  };
  const manifest: SessionManifest = {
    id: MOCK_SESSION,
    startMs: summary.startMs,
    endMs: summary.endMs,
    segments,
    summary,
  };
  const sessions = manySessions(summary);
  const mock: MockQuery = {
    ...{ origin: '', events, manifest, reloadMs, requests: [], fail: [] },
    close: async () => {},
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url!, 'http://mock');
    const json = (value: unknown, status = 200): void =>
      void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    const refuse = (status: number, code: string): void =>
      json({ error: { code, message: `the mock says ${code}` } }, status);
    // As the query service does: any page may embed the element and ask; the key decides what it gets.
    response.setHeader('access-control-allow-origin', '*');
    if (request.method === 'OPTIONS') {
      response.setHeader('access-control-allow-headers', 'authorization, content-type, if-none-match');
      return void response.writeHead(204).end();
    }
    if (!url.pathname.startsWith('/v1/')) return serveApp(appDir, csp, url.pathname, response);
    mock.requests.push(url.pathname);
    const failure = mock.fail.find(({ path }) => path.test(url.pathname));
    if (failure?.status === 0) return void response.destroy();
    if (failure) return refuse(failure.status, failure.code);
    if (mock.hold?.path.test(url.pathname)) await mock.hold.until;
    if (request.headers.authorization !== `Bearer ${MOCK_KEY}`) return refuse(401, 'unauthorized');
    const [, , what, id, part, n] = url.pathname.split('/');
    if (what === 'me')
      return json({ project: 'kneadly', retentionDays: 90, scopes: ['query', 'play', 'erase'] });
    if (what === 'schema') return json(SCHEMA);
    if (what === 'sql') return sql(request, response, json, refuse);
    if (what === 'sessions' && !id) {
      const from = Number(url.searchParams.get('cursor') ?? 0);
      const limit = Number(url.searchParams.get('limit') ?? 50);
      const search = (url.searchParams.get('search') ?? '').toLowerCase();
      const signal = url.searchParams.get('signal');
      const counts = {
        rage: 'rageClicks',
        dead: 'deadClicks',
        disabled: 'disabledClicks',
        error: 'errors',
      } as const;
      const found = sessions.filter(
        (session) =>
          `${session.firstUrl} ${session.lastUrl}`.includes(search) &&
          (!signal || session[counts[signal as keyof typeof counts]] > 0),
      );
      const cursor = from + limit < found.length ? String(from + limit) : undefined;
      return json({
        sessions: found.slice(from, from + limit),
        cursor,
        freshness: { asOfMs: summary.endMs + 2000, files: 4 },
      });
    }
    if (id === MOCK_RELOADED && part) {
      const endMs = summary.endMs + reloadMs;
      if (part === 'manifest')
        return json({ ...manifest, id, endMs, segments: again.segments, summary: { ...summary, id, endMs } });
      return arrow(
        response,
        part === 'markers' ? encodeMarkers(markersOf(loads.flat())) : encodeSegment(again.rows[Number(n)]!),
      );
    }
    const session = sessions.find((known) => known.id === id);
    if (what !== 'sessions' || !session) return refuse(404, 'unknown_session');
    if (request.method === 'DELETE') {
      sessions.splice(sessions.indexOf(session), 1);
      return json({ session: id, requestedMs: summary.endMs, done: false }, 202);
    }
    if (!part) return json({ ...session, id });
    if (part === 'manifest') return json({ ...manifest, id });
    return arrow(response, part === 'markers' ? encodeMarkers(markers) : encodeSegment(rows[Number(n)]!));
  };
  const arrow = (response: ServerResponse, bytes: Uint8Array): void =>
    void response.writeHead(200, { 'content-type': 'application/vnd.apache.arrow.stream' }).end(bytes);
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  mock.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  mock.close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  };
  return mock;
}

/** Two page loads. What the first sent last was stamped by a clock ahead of the second's: it must not touch its page. */
function reloaded(events: ReplayEvent[], reloadMs: number): ReplayEvent[][] {
  const later = events.map((event) => ({ ...event, timestamp: event.timestamp + reloadMs }));
  const change = events.find(({ type, data }) => type === 3 && (data as { source: number }).source === 0)!;
  const node = (change.data as { attributes: { id: number }[] }).attributes[0]!;
  const attributes = [{ id: node.id, attributes: { 'data-left': 'behind' } }];
  const late = {
    type: 3,
    // After the snapshot of the second, and still in the last segment of the first.
    timestamp: later[0]!.timestamp + 40,
    data: { source: 0, texts: [], attributes, removes: [], adds: [] },
  };
  return [[...events, late], later];
}

/** Segments of about 3 s; each full snapshot and each page load begins one. */
function cut(loads: ReplayEvent[][]): { segments: Segment[]; rows: ReplayEvent[][] } {
  const rows: ReplayEvent[][] = [];
  for (const load of loads) {
    rows.push([]);
    for (const event of load) {
      const open = rows.at(-1)!;
      const full = open.length && event.timestamp - open[0]!.timestamp > 3000;
      if (open.length && (event.type === 4 || full)) rows.push([event]);
      else open.push(event);
    }
  }
  const segments = rows.map((part, n) => ({
    n,
    startMs: part[0]!.timestamp,
    endMs: part.at(-1)!.timestamp,
    rows: part.length,
    bytes: JSON.stringify(part).length,
    snapshot: part[0]!.type === 4,
  }));
  return { segments, rows };
}

function markersOf(events: ReplayEvent[]): MarkerRow[] {
  const markers: MarkerRow[] = [];
  let url = '';
  for (const { type, timestamp: ts, data } of events) {
    if (type !== 5) continue;
    const { tag, payload } = data as { tag: string; payload: Record<string, unknown> };
    if (tag === 'navigation') url = String(payload.url);
    const add = (markerType: MarkerType, label: unknown): number =>
      markers.push({ ts, type: markerType, label: String(label), url, node_id: Number(payload.id ?? -1) });
    if (tag === 'navigation') add('navigation', payload.title);
    else if (tag === 'click') add(payload.disabled ? 'disabled' : 'click', payload.text || payload.selector);
    else if (tag === 'rage') add('rage', payload.text);
    else if (tag === 'dead') add('dead', payload.text || payload.selector);
    else if (tag === 'error') add('error', payload.message);
    else if (tag === 'track') add('track', payload.name);
  }
  return markers;
}

/** The recorded one first, then made-up ones, always the same. */
function manySessions(first: SessionSummary): SessionSummary[] {
  let seed = 42;
  const random = (below: number): number => (seed = (seed * 16_807) % 2_147_483_647) % below;
  const pages = [
    '/',
    '/pricing',
    '/signup/step-1',
    '/signup/step-2',
    '/signup/step-3',
    '/signup/done',
    '/help',
  ];
  const agents = [['Chrome 156', 'Windows'], ['Safari 26', 'macOS'], ['Firefox 150', 'Linux'], ['Safari 26', 'iOS'], ['Edge 156', 'Windows'], ['Chrome 156', 'Android']]; // prettier-ignore
  return [
    first,
    ...Array.from({ length: 130 }, (_, i): SessionSummary => {
      const startMs = first.startMs - (i + 1) * 437_000 - random(200_000);
      const [browser, os] = agents[random(agents.length)] as [string, string];
      return {
        ...first,
        id: `0199b3c8-5b40-7000-8000-${String(i + 2).padStart(12, '0')}`,
        startMs,
        endMs: startMs + 4_000 + random(600_000),
        pages: 1 + random(7),
        clicks: random(60),
        inputs: random(12),
        rageClicks: random(7) ? 0 : 1 + random(4),
        deadClicks: i % 9 ? 0 : 2,
        disabledClicks: random(5) ? 0 : 1 + random(9),
        errors: random(6) ? 0 : 1 + random(3),
        firstUrl: `https://kneadly.test${pages[random(pages.length)]}`,
        lastUrl: `https://kneadly.test${pages[random(pages.length)]}`,
        browser,
        os,
        activity: Array.from({ length: 10 }, () => random(4) * random(25)),
      };
    }),
  ];
}

const SCHEMA: SchemaAnswer = {
  views: [
    {
      name: 'disabled_clicks',
      sentence: 'clicks on disabled controls',
      columns: [
        { name: 'session_id', type: 'VARCHAR', sentence: 'the session' },
        { name: 'ts', type: 'TIMESTAMP WITH TIME ZONE', sentence: 'when it happened' },
        { name: 'text', type: 'VARCHAR', sentence: 'accessible text of the control' },
        { name: 'url', type: 'VARCHAR', sentence: 'address of the page' },
      ],
    },
    {
      name: 'sessions',
      sentence: 'one row a session',
      columns: [
        { name: 'session_id', type: 'VARCHAR', sentence: 'the session' },
        { name: 'started_at', type: 'TIMESTAMP WITH TIME ZONE', sentence: 'first event' },
        { name: 'clicks', type: 'BIGINT', sentence: 'clicks in it' },
      ],
    },
  ],
};

async function sql(
  request: IncomingMessage,
  response: ServerResponse,
  json: (value: unknown, status?: number) => void,
  refuse: (status: number, code: string) => void,
): Promise<void> {
  let body = '';
  for await (const part of request) body += String(part);
  const { sql: text, format = 'json' } = JSON.parse(body) as { sql: string; format?: string };
  // A statement that ends only when the asker goes away.
  if (/pg_sleep|forever/.test(text)) return;
  if (/drop|delete/i.test(text)) return refuse(400, 'sql_not_select');
  if (/selec /i.test(text)) return refuse(400, 'sql_syntax');
  const wide = /generate_series/.test(text);
  const startMs = Date.UTC(2026, 9, 5, 9, 30, 0);
  const rows: SqlAnswer['rows'] = Array.from({ length: wide ? 2000 : 7 }, (_, i) => [
    i ? `0199b3c8-5b40-7000-8000-${String(i + 1).padStart(12, '0')}` : MOCK_SESSION,
    3 + ((i * 7) % 11),
    new Date(startMs + 6000).toISOString(),
    `/sessions/${MOCK_SESSION}?at=${startMs + 6000}`,
    i % 3 ? 'Continue' : null,
  ]);
  if (format === 'csv') {
    response.writeHead(200, { 'content-type': 'text/csv' }).end('session_id,clicks\r\na,1\r\n');
    return;
  }
  json({
    columns: [
      { name: 'session_id', type: 'VARCHAR' },
      { name: 'clicks', type: 'BIGINT' },
      { name: 'first_click', type: 'TIMESTAMP WITH TIME ZONE' },
      { name: 'replay_url', type: 'VARCHAR' },
      { name: 'text', type: 'VARCHAR' },
    ],
    rows,
    truncated: wide,
    elapsedMs: 31,
    freshness: { asOfMs: startMs + 60_000, files: 4 },
  } satisfies SqlAnswer);
}

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
/** What the app needs of a policy, and no more. */
export const APP_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src data:; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'";

async function serveApp(dir: string, csp: string, path: string, response: ServerResponse): Promise<void> {
  const file = extname(path) ? path : '/index.html';
  const bytes = await readFile(join(dir, file)).catch(() => undefined);
  if (!bytes) return void response.writeHead(404).end();
  response
    .writeHead(200, {
      'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
      ...(csp && { 'content-security-policy': csp }),
    })
    .end(bytes);
}
