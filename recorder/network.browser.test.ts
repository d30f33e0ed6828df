import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import type { TestCollector } from './test-collector.ts';
import { Bench, flush, recording, untilFlushed } from './test-page.ts';

const chromium = inject('chromium');

describe.skipIf(!chromium)('requests and the console, in Chromium', () => {
  let bench: Bench;
  beforeAll(async () => void (bench = await Bench.start(chromium!)));
  afterEach(() => bench.closePages());
  afterAll(() => bench.stop());

  async function open(tag = '', body = '<p>x</p>', init?: string): Promise<[TestCollector, Page]> {
    const collector = await bench.collector(body, '', `data-vitals="false" ${tag}`);
    const page = await bench.page(collector, init);
    await page.route(/\/api\//, async (route) => {
      const { pathname } = new URL(route.request().url());
      if (pathname.endsWith('/refused')) return route.abort();
      const json = {
        token: 'planted-token',
        user: { name: 'Zoe', note: 'https://h/?k=planted-query' },
        n: 1,
      };
      const status = pathname.endsWith('/missing') ? 404 : 200;
      await route.fulfill({ status, json });
    });
    await recording(page);
    await page.waitForFunction(() => window.mutoscope.status().options !== undefined);
    return [collector, page];
  }
  const told = (collector: TestCollector): unknown[] =>
    collector
      .custom('network')
      .map(({ kind, method, url, status }) => [
        kind,
        method,
        (url as string).slice(collector.url.length),
        status,
      ]);

  test('requests of every kind are told once, with scrubbed addresses, and none of ours', async () => {
    const [collector, page] = await open();
    await page.evaluate(async () => {
      await fetch('/api/one?key=secret#part');
      await fetch(new Request('/api/two', { method: 'PUT', body: 'x' }));
      await fetch(new URL('/api/missing', location.href), { method: 'post' });
      await fetch('/api/refused').catch(() => undefined);
      const abort = new AbortController();
      const aborted = fetch('/api/three', { signal: abort.signal }).catch(() => undefined);
      abort.abort();
      await aborted;
      await fetch('data:text/plain,secret');
      const xhr = new XMLHttpRequest();
      for (const path of ['four', 'missing', 'refused']) {
        xhr.open('get', `/api/${path}`);
        xhr.send();
        await new Promise((resolve) => (xhr.onloadend = resolve));
      }
      xhr.open('GET', '/api/sync', false);
      xhr.send();
      navigator.sendBeacon('/api/five', 'four');
    });
    await flush(page);
    await flush(page);
    expect(told(collector)).toEqual([
      ['fetch', 'GET', '/api/one?key=#part', 200],
      ['fetch', 'PUT', '/api/two', 200],
      ['fetch', 'POST', '/api/missing', 404],
      ['fetch', 'GET', '/api/refused', 0],
      ['fetch', 'GET', '/api/three', 0],
      ['xhr', 'GET', '/api/four', 200],
      ['xhr', 'GET', '/api/missing', 404],
      ['xhr', 'GET', '/api/refused', 0],
      ['xhr', 'GET', '/api/sync', 200],
      ['beacon', 'POST', '/api/five', 0],
    ]);
    const all = collector.custom('network');
    for (const { ms } of all) expect(ms).toBeGreaterThanOrEqual(0);
    expect(all.map(({ bytes }) => bytes)).toEqual([
      ...[89, 89, 89],
      undefined,
      undefined,
      ...[89, 89, 0, 89, 4],
    ]);
    expect(all.every((request) => !('request' in request) && !('response' in request))).toBe(true);
  });

  test('a request that began before the recorder is told when it ends', async () => {
    const [collector, page] = await open('', '<script>void fetch("/api/early?a=b")</script>');
    await flush(page);
    await untilFlushed(page, () => told(collector).length > 0);
    expect(told(collector)).toEqual([['fetch', '', '/api/early?a=', 404]]);
  });

  test('the page sees requests as without us: results, throws, this, unhandled rejections', async () => {
    const [collector, page] = await open();
    const seen = await page.evaluate(async () => {
      const unhandled: string[] = [];
      addEventListener('unhandledrejection', (event) => {
        unhandled.push(String(event.promise === lone));
        event.preventDefault();
      });
      const lone = fetch('/api/refused');
      await new Promise((resolve) => setTimeout(resolve, 300));
      const answer = fetch('/api/one');
      const thrown = await fetch('http://[').catch((error: unknown) => (error as Error).name);
      const xhr = new XMLHttpRequest();
      const failed: string[] = [];
      try {
        xhr.send();
      } catch (error) {
        failed.push((error as Error).name);
      }
      try {
        XMLHttpRequest.prototype.open.call({} as XMLHttpRequest, 'GET', '/', true);
      } catch (error) {
        failed.push((error as Error).name);
      }
      try {
        xhr.open('GET', '/api/refused', false);
        xhr.send();
      } catch (error) {
        failed.push((error as Error).name);
      }
      return {
        unhandled,
        isPromise: answer instanceof Promise,
        isResponse: (await answer) instanceof Response,
        json: Object.keys((await (await fetch('/api/one')).json()) as object),
        thrown,
        failed,
      };
    });
    expect(seen).toEqual({
      unhandled: ['true'],
      isPromise: true,
      isResponse: true,
      json: ['token', 'user', 'n'],
      thrown: 'TypeError',
      failed: ['InvalidStateError', 'TypeError', 'NetworkError'],
    });
    expect(await page.evaluate(() => window.mutoscope.status().failures)).toBe(0);
    await flush(page);
    expect(told(collector).map((request) => (request as unknown[])[2])).toEqual(
      ['refused', 'refused', 'one', 'one'].map((name) => `/api/${name}`),
    );
  });

  test('one who patches over us stays in the chain when we stop, and we are silent', async () => {
    const [collector, page] = await open();
    const calls = await page.evaluate(async () => {
      const before = window.fetch;
      const seen: string[] = [];
      window.fetch = (...args) => (seen.push('theirs'), before(...args));
      const theirs = window.fetch;
      await fetch('/api/one');
      window.mutoscope.stop();
      const stays = window.fetch === theirs;
      await fetch('/api/two');
      return { seen, stays };
    });
    expect(calls).toEqual({ seen: ['theirs', 'theirs'], stays: true });
    await untilFlushed(page, () => told(collector).length > 0);
    expect(told(collector)).toEqual([['fetch', 'GET', '/api/one', 200]]);
  });

  test('network="off" tells none, and dead-ms="0" with it patches nothing', async () => {
    const init = 'window.before = [window.fetch, window.alert, XMLHttpRequest.prototype.open]';
    const [collector, page] = await open('data-network="off" data-dead-ms="0"', '<p>x</p>', init);
    const same = await page.evaluate(async () => {
      await fetch('/api/one');
      const { before } = window as unknown as { before: unknown[] };
      return [window.fetch, window.alert, XMLHttpRequest.prototype.open].map((now, n) => now === before[n]);
    });
    await flush(page);
    expect(same).toEqual([true, true, true]);
    expect(collector.custom('network')).toEqual([]);
  });

  test('bodies are told only when asked for, masked, of text and in bounds', async () => {
    const [collector, page] = await open('data-network="bodies"', '<input id="field">');
    await page.fill('#field', 'planted-typed');
    const kept = await page.evaluate(async () => {
      const post = (body: BodyInit, type = 'application/json'): Promise<Response> =>
        fetch('/api/one', { method: 'POST', body, headers: { 'content-type': type } });
      const first = await post(
        JSON.stringify({ cardNumber: 'planted-card', q: 'planted-typed', list: [1, 'ok'] }),
      );
      const json = (await first.json()) as { token: string };
      await post(new URLSearchParams({ a: 'planted-form' }), 'application/x-www-form-urlencoded');
      await post(`hello planted-typed`, 'text/plain');
      await post(new Blob(['planted-blob']));
      await post(JSON.stringify('x'.repeat(9000)));
      const xhr = new XMLHttpRequest();
      xhr.open('POST', '/api/one');
      xhr.send('{"password":"planted-password"}');
      await new Promise((resolve) => (xhr.onloadend = resolve));
      return json.token;
    });
    expect(kept).toBe('planted-token');
    await untilFlushed(page, () => collector.custom('network').length === 6);
    const response = '{"token":"·····","user":{"name":"Zoe","note":"https://h/?k="},"n":1}';
    expect(collector.custom('network').map(({ request, response }) => [request, response])).toEqual([
      ['{"cardNumber":"·····","q":"·····","list":[1,"ok"]}', response],
      ['a=', response],
      ['hello ·····', response],
      [undefined, response],
      [undefined, response],
      ['{"password":"·····"}', response],
    ]);
    expect(JSON.stringify(collector.events())).not.toContain('planted');
  });

  test('the console is told only when asked for, masked, shallow and in bounds', async () => {
    const [quiet, silent] = await open();
    await silent.evaluate(() => console.log('x'));
    await flush(silent);
    expect(quiet.custom('console')).toEqual([]);

    const [collector, page] = await open('data-console="true"', '<input id="field">');
    const native = await page.evaluate(() => console.log.name);
    expect(native).toBe('log');
    await page.waitForFunction(() => console.log.toString().includes('[native code]'));
    await page.fill('#field', 'planted-typed');
    await page.waitForTimeout(200);
    await page.evaluate(() => {
      let got = 0;
      const trap = {
        get secretly() {
          return ++got;
        },
        toJSON: () => ++got,
        toString: () => String(++got),
      };
      console.log('loaded %s', 'https://h/?k=planted', 3, null, undefined, true);
      console.warn({ password: 'planted-word', a: { b: { c: 1 } }, list: [1, 'two'] }, document.body);
      console.error(new RangeError('too far'), trap);
      console.info('field planted-typed', 'x'.repeat(5000));
      if (got) throw new Error('a getter ran');
      for (let n = 0; n < 1100; n++) console.debug(n);
    });
    await flush(page);
    const lines = collector.custom('console');
    expect(lines.slice(0, 2)).toEqual([
      { level: 'log', text: 'loaded %s https://h/?k= 3 null undefined true' },
      { level: 'warn', text: '{password: ·····, a: {b: {…}}, list: [1, "two"]} <body>' },
    ]);
    expect(lines[2]!.text).toMatch(
      /^RangeError: too far\n +at .+ \{secretly: …, toJSON: function, toString: function\}$/s,
    );
    expect(lines[3]!.text).toMatch(/^field ····· x{900,1024}$/);
    expect(lines.length).toBe(1000);
    expect(JSON.stringify(collector.events())).not.toContain('planted');
    expect(await page.evaluate(() => window.mutoscope.status().linesSkipped)).toBe(104);
  });
});
