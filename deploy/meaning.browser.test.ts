import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { chromium, type Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { SessionSummary, SqlAnswer } from '#api';
import { CHROMIUM_ARGS } from './chromium.ts';
import { startProcess, type Running } from './processes.ts';
import { freePort } from './servers.ts';

const KEYS = { FIRST_WRITE_KEY: 'wk_meaning_write_key', FIRST_API_KEY: 'ak_meaning_api_key_for_tests' };
const chromiumPath = inject('chromium');
const DEAD_MS = 400;

const page = (origin: string): string => `<!doctype html><title>Shop</title>
  <script async src="${origin}/r/loader.js" data-key="${KEYS.FIRST_WRITE_KEY}" data-console="true"
    data-dead-ms="${DEAD_MS}"></script>
  <h1>Shop</h1><button id="dead">Nothing</button>
  <button id="broken" onclick="throw new Error('it broke')">Broken</button>
  <button id="rejected" onclick="void Promise.reject(new Error('refused'))">Refused</button>
  <form id="f"><label>Name <input id="name"></label><label>Mail <input id="mail" type="email"></label></form>
  <form id="done" onsubmit="event.preventDefault(); status.textContent = 'sent'"><input id="word"><button>Send</button></form>
  <p id="status"></p><div style="height:3000px"></div>`;

/** What the recorder tells of a page comes out of SQL: recorded in Chromium, through collector and processor. */
describe.skipIf(!chromiumPath)('what a page means, in SQL', () => {
  let directory: string;
  let running: Running;
  let site: Server;
  let browser: Browser;
  let session: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'mutoscope-meaning-'));
    running = await startProcess({
      ...KEYS,
      ...{ DATA_DIR: directory, LISTEN: `127.0.0.1:${await freePort()}`, FIRST_ORIGINS: '*' },
      ...{ FLUSH_INTERVAL_MS: '150', REFRESH_INTERVAL_MS: '50' },
    });
    site = createServer((request, response) => {
      if (request.url === '/')
        return void response.setHeader('content-type', 'text/html').end(page(running.url));
      response.writeHead(request.url?.startsWith('/ok') ? 200 : 404).end('{}');
    });
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    browser = await chromium.launch({ executablePath: chromiumPath ?? '', args: CHROMIUM_ARGS });
    session = await visit();
    await untilFarewell();
  }, 60_000);
  afterAll(async () => {
    await browser.close();
    site.close();
    running.kill();
    await running.end();
    await rm(directory, { recursive: true, force: true });
  });

  async function visit(): Promise<string> {
    const tab = await browser.newPage();
    await tab.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/`);
    await tab.waitForFunction(() => 'mutoscope' in window && window.mutoscope.status().options !== undefined);
    await tab.waitForTimeout(500);
    await tab.evaluate(async () => {
      window.mutoscope.identify('user-17');
      await fetch('/ok?key=secret');
      await fetch('/missing', { method: 'POST' });
      navigator.sendBeacon('/ok', 'x');
      console.warn('careful', 'https://h/?k=secret');
    });
    await tab.click('#dead');
    await tab.waitForTimeout(DEAD_MS + 100);
    for (const id of ['broken', 'rejected', 'name', 'mail']) await tab.click(`#${id}`);
    await tab.keyboard.type('planted');
    await tab.click('#word');
    await tab.keyboard.type('planted');
    await tab.click('#done button');
    await tab.evaluate(() => scrollTo(0, 600));
    await tab.waitForTimeout(300);
    const { session: id } = await tab.evaluate(() => window.mutoscope.status());
    await tab.close({ runBeforeUnload: true });
    return id!;
  }
  /** The farewell brings the last vitals; it is in the lake a flush later. */
  async function untilFarewell(): Promise<void> {
    for (const endMs = Date.now() + 20_000; (await rows('FROM web_vitals')).length < 5; await delay(100))
      if (Date.now() > endMs) throw new Error('the farewell did not come into the lake');
  }
  const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(running.url + path, {
      ...init,
      headers: { authorization: `Bearer ${KEYS.FIRST_API_KEY}`, 'content-type': 'application/json' },
    });
  async function rows(sql: string): Promise<unknown[][]> {
    const response = await ask('/v1/sql', { method: 'POST', body: JSON.stringify({ sql }) });
    const answer = (await response.json()) as SqlAnswer;
    expect(answer, sql).toHaveProperty('rows');
    return answer.rows;
  }

  test.each<[view: string, sql: string, expected: unknown[][]]>([
    [
      'dead_clicks, where they were clicked',
      `SELECT d.selector, d.text, d.waited_ms, abs(epoch_ms(d.ts - c.ts)) < 50
       FROM dead_clicks d JOIN clicks c USING (session_id, selector)`,
      [['#dead', 'Nothing', DEAD_MS, true]],
    ],
    [
      'error_clicks',
      'SELECT selector, error, error_after_ms < 1000 FROM error_clicks ORDER BY ts',
      [
        ['#broken', 'Uncaught Error: it broke', true],
        ['#rejected', 'Error: refused', true],
      ],
    ],
    [
      'errors',
      `SELECT type, name, (props->>'$.stack') LIKE 'Error: %' FROM errors ORDER BY seq`,
      [
        ['error', 'Uncaught Error: it broke', true],
        ['unhandledrejection', 'Error: refused', true],
      ],
    ],
    [
      'forms',
      `SELECT event, selector, form, spent_ms >= 0 FROM forms ORDER BY seq`,
      [
        ['entered', '#name', '#f', true],
        ['blank', '#name', '#f', true],
        ['entered', '#mail', '#f', true],
        ['changed', '#mail', '#f', true],
        ['entered', '#word', '#done', true],
        ['invalid', '#mail', '#f', true],
        ['changed', '#word', '#done', true],
        ['submitted', '#done', '#done', true],
      ],
    ],
    [
      'form_abandonment',
      `SELECT form, fields_entered, fields_changed, fields_blank, fields_invalid, last_selector, last_text
       FROM form_abandonment`,
      [['#f', 2, 1, 1, 1, '#mail', 'Mail']],
    ],
    [
      'network',
      `SELECT kind, method, regexp_extract(request_url, '/[a-z].*'), status, failed FROM network
       WHERE request_url NOT LIKE '%favicon%' ORDER BY seq`,
      [
        ['fetch', 'GET', '/ok?key=', 200, false],
        ['fetch', 'POST', '/missing', 404, true],
        ['beacon', 'POST', '/ok', 0, false],
      ],
    ],
    [
      'web_vitals',
      `SELECT name, value >= 0, rating IN ('good', 'needs-improvement', 'poor') FROM web_vitals ORDER BY name`,
      ['CLS', 'FCP', 'INP', 'LCP', 'TTFB'].map((name) => [name, true, true]),
    ],
    ['identities', 'SELECT user_id, visitor_id FROM identities', [['user-17', null]]],
    ['console_lines', 'SELECT level, line FROM console_lines', [['warn', 'careful https://h/?k=']]],
    ['scrolls', 'SELECT max(y) FROM scrolls', [[600]]],
    [
      'recorder_health',
      `SELECT DISTINCT state, failures, page_errors, events_dropped, events_recorded > 10, props->>'$.options.console'
       FROM recorder_health WHERE page_errors > 0 AND state = 'recording'`,
      [['recording', 0, 2, 0, true, 'true']],
    ],
    ['sessions', 'SELECT dead_clicks, errors, user_id, visitor_id FROM sessions', [[1, 2, 'user-17', null]]],
  ])('%s', async (_view, sql, expected) => expect(await rows(sql)).toEqual(expected));

  test('the session list tells dead clicks and filters by them', async () => {
    const listed = async (query: string): Promise<SessionSummary[]> =>
      ((await (await ask(`/v1/sessions?${query}`)).json()) as { sessions: SessionSummary[] }).sessions;
    expect((await listed('signal=dead')).map(({ id, deadClicks }) => [id, deadClicks])).toEqual([
      [session, 1],
    ]);
    expect(await listed('signal=rage')).toEqual([]);
  });

  test('nothing typed and no query value is in what was recorded', async () => {
    const secrets =
      await rows(`SELECT count(*) FROM events WHERE concat_ws(' ', value, text, name, props, url)
      SIMILAR TO '.*(planted|secret).*'`);
    expect(secrets).toEqual([[0]]);
  });
});
