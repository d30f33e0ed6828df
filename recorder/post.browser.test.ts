import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { encodeFrame, FrameType } from './protocol.ts';
import type { StoredEvent, TestCollector } from './test-collector.ts';
import { Bench, flush, recording, until } from './test-page.ts';
import { TestProxy } from './test-proxy.ts';

const chromium = inject('chromium');

const BLOCKED = 'window.WebSocket = class { constructor() { throw new Error("blocked") } };';
/** Waits of more than a second pass eight times as fast. */
const HASTY = `for (const name of ['setTimeout', 'setInterval']) {
  const original = window[name];
  window[name] = (f, ms, ...rest) => original(f, ms > 2500 ? ms / 8 : ms, ...rest);
}`;
/** For the loader, and then never again. */
const IDLE_ONCE = `{ const original = requestIdleCallback; let first;
  window.requestIdleCallback = (...args) => (first ? 0 : (first = original(...args))); }`;
const status = (page: Page) => page.evaluate(() => window.mutoscope.status());
const seqs = (events: StoredEvent[]): number[] => events.map((event) => event.seq);
const oneTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const expectAll = (collector: TestCollector): void => {
  for (const instance of collector.instances.values()) {
    const events = collector.events([instance]);
    expect(seqs(events)).toEqual(oneTo(events.length));
  }
  expect(collector.violations).toEqual([]);
};

describe.skipIf(!chromium)('without a socket, in Chromium', () => {
  let bench: Bench;
  const proxies: TestProxy[] = [];
  beforeAll(async () => void (bench = await Bench.start(chromium!)));
  afterEach(async () => {
    await bench.closePages();
    for (const proxy of proxies.splice(0)) await proxy.close();
  });
  afterAll(() => bench.stop());

  const through = async (collector: TestCollector): Promise<TestProxy> => {
    const proxy = await new TestProxy(() => Number(new URL(collector.url).port)).listen();
    proxies.push(proxy);
    return proxy;
  };

  test.each([
    ['there is no WebSocket', 'delete window.WebSocket;', ''],
    ['WebSocket throws', BLOCKED, ''],
    [
      'the content security policy refuses it',
      '',
      `<meta http-equiv="Content-Security-Policy" content="connect-src http:">`,
    ],
  ])('where %s, everything comes by POST, and one session goes on over pages', async (_, init, head) => {
    const collector = await bench.collector('<p>hello</p>', head);
    const page = await bench.page(collector, init);
    await recording(page);
    expect((await status(page)).transport).toBe('post');
    for (let n = 1; n <= 30; n++) {
      await page.evaluate((at) => window.mutoscope.track('n', { at }), n);
      if (n % 10 === 0) await flush(page);
    }
    expect(await status(page)).toMatchObject({ state: 'recording', framesUnacked: 0, bytesBuffered: 0 });
    expect(collector.custom('track').length).toBe(30);
    await page.reload();
    await recording(page);
    await flush(page);
    expect(new Set([...collector.instances.values()].map(({ session }) => session)).size).toBe(1);
    // The first request of a session asks for its token alone.
    expect(collector.hellos.map(({ token }) => token).indexOf(undefined)).toBe(0);
    expect(collector.hellos.map(({ token }) => token).lastIndexOf(undefined)).toBe(0);
    expectAll(collector);
  });

  test('where a proxy refuses upgrades, batches go by POST, and later by a socket again', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const proxy = await through(collector);
    proxy.refusesUpgrades = true;
    const page = await bench.page(collector, HASTY, '/', proxy.url);
    await recording(page);
    expect((await status(page)).transport).toBe('post');
    expect(proxy.refused).toBe(2);
    await page.evaluate(() => window.mutoscope.track('by post'));
    await flush(page);
    expect(collector.socketCount).toBe(0);
    await until(() => proxy.refused === 3, 'a probe');
    expect((await status(page)).transport).toBe('post');
    // The next page of the session knows.
    await page.reload();
    await recording(page);
    expect((await status(page)).transport).toBe('post');
    proxy.refusesUpgrades = false;
    await page.waitForFunction(() => window.mutoscope.status().transport === 'socket');
    await page.evaluate(() => window.mutoscope.track('by socket'));
    const { posts } = collector;
    await flush(page);
    expect(collector.posts).toBe(posts);
    expect(collector.socketCount).toBe(1);
    expect(collector.custom('track').map(({ name }) => name)).toEqual(['by post', 'by socket']);
    expectAll(collector);
  });

  test('where upgrades vanish in silence, the first time-out is enough', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(
      collector,
      `${HASTY} window.WebSocket = class extends EventTarget { close() {} };`,
    );
    await page.waitForFunction(() => window.mutoscope?.status?.().transport === 'post');
    await recording(page);
    await flush(page);
    expectAll(collector);
  });

  test('an answer that was lost is asked for again, and nothing is stored twice', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(collector, BLOCKED);
    await recording(page);
    await flush(page);
    let lost = 0;
    // The request is taken in and stored, its answer is cut.
    collector.postLoss = () => ++lost <= 2;
    await page.evaluate(() => window.mutoscope.track('once'));
    await flush(page);
    expect(lost).toBeGreaterThanOrEqual(3);
    expect(collector.custom('track').length).toBe(1);
    expectAll(collector);
  });

  test('a proxy that says when to come back is heard', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(collector, BLOCKED);
    await recording(page);
    await flush(page);
    const times: number[] = [];
    collector.intercept = (response) => {
      if (times.push(Date.now()) > 1) return false;
      response.writeHead(503, { 'retry-after': '3' }).end('<h1>busy</h1>');
      return true;
    };
    await page.evaluate(() => window.mutoscope.track('patient'));
    await flush(page);
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(2990);
    expect(collector.custom('track').length).toBe(1);
  });

  test('the collector can ask for a snapshot, refuse, and stop the recorder by its answers', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(collector, BLOCKED);
    await recording(page);
    await flush(page);
    collector.postFrames = [encodeFrame({ type: FrameType.snap })];
    await page.evaluate(() => window.mutoscope.track('n'));
    await until(() => collector.events().filter(({ type }) => type === 2).length >= 2, 'the snapshot');
    collector.postFrames = [];
    await flush(page);
    collector.refuse = () => ({ code: 'stream_unavailable', message: 'full', retryAfterMs: 700 });
    await page.evaluate(() => window.mutoscope.track('kept'));
    await page.waitForFunction(() => window.mutoscope.status().lastError === 'stream_unavailable');
    collector.refuse = () => undefined;
    await flush(page);
    expect(collector.custom('track').length).toBe(2);
    expectAll(collector);
    collector.settings = { record: false };
    await page.evaluate(() => window.mutoscope.track('unwanted'));
    await page.waitForFunction(() => window.mutoscope.status().state === 'stopped');
    expect((await status(page)).reason).toBe('recording_disabled');
    expect(collector.custom('track').length).toBe(2);
  });

  test('a page that goes before it is welcomed arrives once, by one request', async () => {
    for (const init of ['', BLOCKED, IDLE_ONCE]) {
      const collector = await bench.collector('<p>hello</p>');
      collector.pages.set('/next', '<!doctype html><p>elsewhere</p>');
      collector.welcomes = false;
      const page = await bench.page(collector, init);
      await page.waitForFunction(() => (window.mutoscope?.status?.().eventsRecorded ?? 0) >= 2);
      await page.evaluate(() => {
        window.mutoscope.track('short');
        location.href = '/next';
      });
      await until(() => collector.custom('track').length > 0, 'the visit');
      expect(collector.custom('track').length).toBe(1);
      expect(collector.events().filter(({ type }) => type === 2).length).toBe(1);
      expectAll(collector);
      // Chromium may never close a context whose page is about to leave.
      await page.waitForURL('**/next');
    }
  });
});
