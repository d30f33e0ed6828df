import { tableFromIPC } from 'apache-arrow';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { SessionsAnswer, SqlAnswer } from './api.ts';
import {
  openFixtureLake,
  startQuery,
  type FixtureEvent,
  type FixtureLake,
  type FixtureServer,
} from './fixture-lake.ts';
import { A, B, KEY, NOW, PROJECTS, T0 } from './fixture-story.ts';

/** What the recorder's own events are in SQL, at the edges of the definitions. */
let lake: FixtureLake;
let server: FixtureServer;
const URL = 'https://shop.example/';
const at = (ms: number, type: string, more: Partial<FixtureEvent> = {}): FixtureEvent => ({
  ...{ tsMs: T0 + ms, type, url: URL, replayType: 5 },
  ...more,
});
const click = (ms: number, selector: string): FixtureEvent => at(ms, 'click', { selector, disabled: false });
const form = (ms: number, name: string, selector: string, of = '#f'): FixtureEvent =>
  at(ms, 'form', { name, selector, text: selector, duration_ms: 5, props: JSON.stringify({ form: of }) });
const vital = (ms: number, name: string, value: string, id: string): FixtureEvent =>
  at(ms, 'web-vital', { name, value, props: JSON.stringify({ rating: 'good', id }) });
const request = (ms: number, status: number, kind: string): FixtureEvent =>
  at(ms, 'network', {
    name: 'GET',
    value: URL,
    status,
    duration_ms: 9,
    props: JSON.stringify({ kind, bytes: 7 }),
  });

beforeAll(async () => {
  lake = await openFixtureLake();
  const events = [
    at(0, 'environment', { props: JSON.stringify({ userAgent: 'x', visitor: 'v-1' }) }),
    click(1000, '#early'),
    click(1500, '#cause'),
    at(1600, 'error', { name: 'first' }),
    at(1700, 'unhandledrejection', { name: 'second' }),
    at(2600, 'error', { name: 'too late' }),
    at(5234, 'dead', { selector: '#dead', text: 'Dead', duration_ms: 1234 }),
    form(6000, 'entered', '#name'),
    form(6100, 'blank', '#name'),
    form(6200, 'entered', '#mail'),
    form(6300, 'changed', '#mail'),
    form(6400, 'entered', '#q', '#search'),
    form(6500, 'submitted', '#search', '#search'),
    form(6600, 'invalid', '#never', '#other'),
    form(6700, 'entered', '#alone', ''),
    vital(7000, 'LCP', '812.5', 'a'),
    vital(7100, 'CLS', '0.1', 'b'),
    vital(7200, 'CLS', '0.25', 'b'),
    request(8000, 200, 'fetch'),
    request(8100, 503, 'xhr'),
    request(8200, 0, 'fetch'),
    request(8300, 0, 'beacon'),
    at(9000, 'console', { name: 'log', value: 'quiet' }),
    at(9100, 'console', { name: 'warn', value: 'careful' }),
    at(9200, 'identify', { name: 'u-1' }),
    at(9300, 'identify', { name: 'u-2' }),
    at(9400, 'scroll', { replayType: 3, node_id: 1, x: 0, y: 400 }),
    at(9500, 'recorder_health', {
      props: JSON.stringify({ state: 'offline', lastError: 'idle', failures: 2 }),
    }),
  ];
  await lake.flush([
    { project: 'one', id: A, events },
    { project: 'one', id: B, events: [click(60_000, '#other'), at(60_100, 'track', { name: 'x' })] },
  ]);
  server = await startQuery(lake, PROJECTS, { nowMs: NOW });
});
afterAll(async () => {
  await server.close();
  await lake.close();
});

async function rows(sql: string): Promise<unknown[][]> {
  const reply = await server.send('POST', '/v1/sql', { sql }, KEY);
  expect(reply.status, reply.text).toBe(200);
  return reply.json<SqlAnswer>().rows;
}

it.each<[what: string, sql: string, expected: unknown[][]]>([
  [
    'an error belongs to the last click before it, and a click to its first error',
    'SELECT selector, error, error_after_ms FROM error_clicks',
    [['#cause', 'first', 100]],
  ],
  [
    'a dead click is at the moment of the click',
    `SELECT selector, waited_ms, epoch_ms(ts) - ${T0}, replay_url LIKE '%at=${T0 + 4000}' FROM dead_clicks`,
    [['#dead', 1234, 4000, true]],
  ],
  ['rejections are errors', 'SELECT type, name FROM errors ORDER BY ts LIMIT 2', [['error', 'first'], ['unhandledrejection', 'second']]], // prettier-ignore
  ['every form event is there', 'SELECT count(*), count(DISTINCT form) FROM forms', [[8, 4]]],
  [
    'a form is abandoned when it was begun and not submitted',
    'SELECT form, fields_entered, fields_changed, fields_blank, fields_invalid, last_selector FROM form_abandonment',
    [['#f', 2, 1, 1, 0, '#mail']],
  ],
  [
    'the last value of a vital counts',
    'SELECT name, value, rating FROM web_vitals ORDER BY name',
    [
      ['CLS', 0.25, 'good'],
      ['LCP', 812.5, 'good'],
    ],
  ],
  [
    'a request has failed by its status or without one, but for a beacon',
    'SELECT kind, status, failed, bytes FROM network ORDER BY ts',
    [
      ['fetch', 200, false, 7],
      ['xhr', 503, true, 7],
      ['fetch', 0, true, 7],
      ['beacon', 0, false, 7],
    ],
  ],
  [
    'identities tell each id once, with the visitor',
    'SELECT user_id, visitor_id FROM identities ORDER BY identified_at',
    [
      ['u-1', 'v-1'],
      ['u-2', 'v-1'],
    ],
  ],
  ['health has columns', 'SELECT state, last_error, failures, bytes_sent FROM recorder_health', [['offline', 'idle', 2, null]]], // prettier-ignore
  ['scrolls have positions', 'SELECT node_id, y FROM scrolls', [[1, 400]]],
  ['console lines have levels', 'SELECT level, line FROM console_lines ORDER BY ts', [['log', 'quiet'], ['warn', 'careful']]], // prettier-ignore
  [
    'sessions count dead clicks and both kinds of errors, and know who it was',
    'SELECT dead_clicks, errors, visitor_id, user_id FROM sessions ORDER BY session_id',
    [
      [1, 3, 'v-1', 'u-2'],
      [0, 0, null, null],
    ],
  ],
])('%s', async (_what, sql, expected) => expect(await rows(sql)).toEqual(expected));

it('sessions with dead clicks, and those with nothing but a rejection, are found by their signal', async () => {
  for (const signal of ['dead', 'error']) {
    const { sessions } = (await server.get(`/v1/sessions?signal=${signal}`, KEY)).json<SessionsAnswer>();
    expect(sessions.map(({ id, deadClicks, errors }) => [id, deadClicks, errors])).toEqual([[A, 1, 3]]);
  }
});

it('markers are the moments worth a look, in the order in which they happened', async () => {
  const table = tableFromIPC((await server.get(`/v1/sessions/${A}/markers`, KEY)).bytes);
  const markers = table
    .toArray()
    .map(({ ts, type, label }) => [ts - T0, type, label] as [number, string, string]);
  expect(markers).toEqual(markers.toSorted((a, b) => a[0] - b[0]));
  expect(markers).toEqual([
    [1000, 'click', '#early'],
    [1500, 'click', '#cause'],
    [1600, 'error', 'first'],
    [1700, 'error', 'second'],
    [2600, 'error', 'too late'],
    [4000, 'dead', 'Dead'],
    [6100, 'form', 'blank: #name'],
    [6500, 'form', 'submitted: #search'],
    [6600, 'form', 'invalid: #never'],
    [7000, 'vital', 'LCP 812.5 good'],
    [7100, 'vital', 'CLS 0.1 good'],
    [7200, 'vital', 'CLS 0.25 good'],
    [8100, 'network', `GET ${URL} 503`],
    [8200, 'network', `GET ${URL}`],
    [9100, 'console', 'careful'],
  ]);
});
