import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Page } from 'playwright-core';
import type { TestCollector } from './test-collector.ts';
import { Bench, flush, recording, until } from './test-page.ts';

const chromium = inject('chromium');

/** Keeps what our scripts ask of a page: listeners, observers, storage, sockets. */
const WATCH = `
  window.touched = [];
  const watch = (object, name) => {
    const original = object[name];
    object[name] = function (...args) {
      if (/\\/r\\//.test(new Error().stack)) touched.push(name + ' ' + args[0]);
      return original.apply(this, args);
    };
  };
  watch(EventTarget.prototype, 'addEventListener');
  watch(MutationObserver.prototype, 'observe');
  for (const name of ['getItem', 'setItem']) watch(Storage.prototype, name);
  window.WebSocket = class extends WebSocket { constructor(url) { super(url); touched.push('socket') } };
  window.natives = [history.pushState, CSSStyleSheet.prototype.insertRule];
`;
const touched = (page: Page): Promise<string[]> => page.evaluate('touched');
const isPatched = (page: Page): Promise<boolean> =>
  page.evaluate('history.pushState !== natives[0] || CSSStyleSheet.prototype.insertRule !== natives[1]');
const status = (page: Page): Promise<{ state: string; reason?: string; session?: string }> =>
  page.evaluate(() => window.mutoscope.status() as { state: string; reason?: string; session?: string });
const loaded = (page: Page): Promise<unknown> =>
  page.waitForFunction(() => window.mutoscope?.status?.().state !== 'connecting');
const kept = (page: Page): Promise<string[]> =>
  page.evaluate(() => [...Object.keys(localStorage), ...Object.keys(sessionStorage)]);
const wire = (collector: TestCollector): string =>
  collector
    .payloads()
    .map(({ json }) => json)
    .join('\n');

describe.skipIf(!chromium)('consent in Chromium', () => {
  let bench: Bench;
  beforeAll(async () => void (bench = await Bench.start(chromium!)));
  afterEach(() => bench.closePages());
  afterAll(() => bench.stop());

  test('before grant() there is no listener, no patch, no storage and no socket; after it there is a session', async () => {
    const collector = await bench.collector('<p>page</p>', '', 'data-consent="required" data-visitor-id');
    const page = await bench.page(collector, WATCH);
    await loaded(page);
    await page.evaluate(() => window.mutoscope.track('before', {}));
    expect(await status(page)).toMatchObject({ state: 'waiting', reason: 'consent_required' });
    expect(await touched(page)).toEqual([]);
    expect(await isPatched(page)).toBe(false);
    expect(await kept(page)).toEqual([]);
    expect(collector.hellos).toEqual([]);

    await page.evaluate(() => window.mutoscope.grant());
    await recording(page);
    await flush(page);
    expect(await isPatched(page)).toBe(true);
    expect(await touched(page)).toEqual(
      expect.arrayContaining(['socket', 'addEventListener pointerdown', 'setItem mutoscope.wk_test']),
    );
    expect(wire(collector)).toContain('page');
    expect(collector.custom('track')).toEqual([]);
    expect(collector.custom('environment')[0]!.visitor).toMatch(/^[\w-]{22}$/);
  });

  test('revoke() ends at once, drops what waits, and forgets session and visitor; grant() begins another session', async () => {
    const collector = await bench.collector(
      '<p id="p">page</p>',
      '',
      'data-consent="required" data-visitor-id',
    );
    const page = await bench.page(collector, WATCH);
    await loaded(page);
    await page.evaluate(() => window.mutoscope.grant());
    await recording(page);
    await flush(page);
    const { session } = await status(page);
    const [first] = collector.custom('environment');
    expect((await kept(page)).length).toBe(2);

    await page.evaluate(() => {
      document.querySelector('#p')!.textContent = 'dropped';
      window.mutoscope.track('dropped');
      window.mutoscope.revoke();
      document.querySelector('#p')!.textContent = 'after';
      window.mutoscope.track('after');
    });
    expect(await status(page)).toMatchObject({ state: 'waiting', reason: 'revoked' });
    expect(await kept(page)).toEqual([]);
    expect(await isPatched(page)).toBe(false);
    // Longer than a batch waits.
    await page.waitForTimeout(1500);
    expect(wire(collector)).not.toMatch(/dropped|after/);
    expect(await kept(page)).toEqual([]);

    await page.evaluate(() => window.mutoscope.grant());
    await recording(page);
    await flush(page);
    expect((await status(page)).session).not.toBe(session);
    const environments = collector.custom('environment');
    expect(environments.length).toBe(2);
    expect(environments[1]!.visitor).not.toBe(first!.visitor);
    expect(wire(collector)).toContain('after');
    expect(wire(collector)).not.toContain('dropped');
    expect(collector.violations).toEqual([]);
  });

  test('what the page asks for before the recorder is there counts, in its order', async () => {
    const collector = await bench.collector(
      `<script>window.mutoscope ??= { q: [] };
       mutoscope.q.push(['revoke'], ['track', 'lost'], ['grant'], ['identify', 'anna'], ['track', 'kept'])</script>`,
    );
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    expect(collector.custom('track').map(({ name }) => name)).toEqual(['kept']);
    expect(collector.custom('identify')).toEqual([{ visitor: 'anna' }]);

    const other = await bench.collector(
      `<script>(window.mutoscope ??= { q: [] }).q.push(['revoke'])</script>`,
    );
    const silent = await bench.page(other, WATCH);
    await loaded(silent);
    expect(await status(silent)).toMatchObject({ state: 'waiting', reason: 'revoked' });
    expect(await touched(silent)).toEqual([]);
    expect(other.hellos).toEqual([]);
  });

  test('whom the site named before consent is named with it, unless it was revoked between', async () => {
    const collector = await bench.collector('<p>page</p>', '', 'data-consent="required"');
    const page = await bench.page(collector);
    await loaded(page);
    await page.evaluate(() => {
      window.mutoscope.identify('forgotten');
      window.mutoscope.revoke();
      window.mutoscope.identify('anna');
      window.mutoscope.grant();
    });
    await recording(page);
    await flush(page);
    expect(collector.custom('identify')).toEqual([{ visitor: 'anna' }]);
  });

  test.each([
    ['globalPrivacyControl', true],
    ['doNotTrack', '1'],
  ])('where %s counts, nothing is recorded, whatever the page grants', async (name, value) => {
    const refusal = `Object.defineProperty(navigator, '${name}', { get: () => ${JSON.stringify(value)} });`;
    const collector = await bench.collector('<p>page</p>', '', 'data-honor-gpc');
    const page = await bench.page(collector, refusal + WATCH);
    await loaded(page);
    await page.evaluate(() => window.mutoscope.grant());
    expect(await status(page)).toMatchObject({ state: 'waiting', reason: 'gpc' });
    expect(await touched(page)).toEqual([]);
    expect(collector.hellos).toEqual([]);

    const other = await bench.collector('<p>page</p>');
    const recorded = await bench.page(other, refusal);
    await recording(recorded);
    await until(() => other.hellos.length > 0, 'a recording where it does not count');
  });

  test('a selector that is none stops the recorder before it reads anything', async () => {
    const collector = await bench.collector('<p class="a">secret</p>', '', 'data-block="p:::"');
    const page = await bench.page(collector);
    await page.waitForFunction(() => window.mutoscope?.status?.().lastError !== undefined);
    await page.waitForTimeout(1200);
    expect(await page.evaluate(() => window.mutoscope.status().lastError)).toContain('p:::');
    expect(wire(collector)).not.toContain('secret');
    expect(collector.hellos).toEqual([]);
  });
});
