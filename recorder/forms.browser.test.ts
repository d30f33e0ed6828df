import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import type { TestCollector } from './test-collector.ts';
import { Bench, flush, recording, until, untilFlushed } from './test-page.ts';

const chromium = inject('chromium');

describe.skipIf(!chromium)('forms, vitals and health, in Chromium', () => {
  let bench: Bench;
  beforeAll(async () => void (bench = await Bench.start(chromium!)));
  afterEach(() => bench.closePages());
  afterAll(() => bench.stop());

  async function open(body: string, tag = ''): Promise<[TestCollector, Page]> {
    const collector = await bench.collector(body, '', tag);
    const page = await bench.page(collector);
    await recording(page);
    await page.waitForFunction(() => window.mutoscope.status().options !== undefined);
    return [collector, page];
  }

  test('what becomes of a field is told, and never its value', async () => {
    const [collector, page] = await open(
      `<form id="f" onsubmit="return false"><label>Name <input id="name" required></label>
        <label>Mail <input id="mail" type="email"></label><input id="word" type="password" aria-label="Word">
        <select id="pick"><option>a</option><option>b</option></select><input id="box" type="checkbox">
        <input id="quiet" data-rr-ignore><textarea id="more"></textarea><button>Send it</button></form>
        <div id="rich" contenteditable="true"></div>`,
    );
    await page.click('#name');
    await page.waitForTimeout(120);
    await page.click('#mail');
    await page.keyboard.type('planted');
    await page.click('#word');
    // The page says a moment later what it finds invalid.
    await page.waitForTimeout(120);
    await page.keyboard.type('planted');
    await page.focus('#pick');
    await page.selectOption('#pick', 'b');
    await page.click('#box');
    await page.click('#quiet');
    await page.keyboard.type('planted');
    await page.click('#rich');
    await page.keyboard.type('planted');
    await page.click('button');
    await page.fill('#name', 'planted');
    await page.fill('#mail', 'planted@example.org');
    await page.click('button');
    await flush(page);
    const form = collector.custom('form');
    expect(form.map(({ kind, selector }) => `${String(kind)} ${String(selector)}`)).toEqual([
      'entered #name',
      'blank #name',
      'entered #mail',
      'changed #mail',
      'entered #word',
      ...['invalid #mail', 'changed #word', 'entered #pick', 'changed #pick', 'entered #box', 'changed #box'],
      ...['entered #rich', 'changed #rich', 'invalid #name', 'entered #name'],
      ...['changed #name', 'entered #mail', 'changed #mail', 'submitted #f'],
    ]);
    expect(form[1]).toMatchObject({ tag: 'input', role: 'textbox', text: 'Name', form: '#f' });
    expect(form[1]!.ms).toBeGreaterThanOrEqual(100);
    const submitted = form.at(-1)!;
    expect(submitted).toMatchObject({ tag: 'form', text: 'Send it', form: '#f' });
    expect(submitted.ms).toBeGreaterThan(form[1]!.ms as number);
    expect(JSON.stringify(collector.events())).not.toContain('planted');
    const snapshot = JSON.stringify(collector.events().find(({ type }) => type === 2));
    for (const { id } of form) expect(snapshot).toContain(`"id":${String(id)}`);
  });

  test('a field that has the focus already, one in a frame, and one that the page is left from are told', async () => {
    const [collector, page] = await open(
      `<input id="first" autofocus><iframe id="frame" srcdoc="<input id=inner>"></iframe>`,
    );
    await page.frameLocator('#frame').locator('#inner').click();
    await page.keyboard.type('x');
    await page.goto('about:blank');
    await until(() => collector.custom('form').length >= 4, 'the farewell');
    expect(collector.custom('form').map(({ kind, selector }) => [kind, selector])).toEqual([
      ['entered', '#first'],
      ['blank', '#first'],
      ['entered', '#frame >>> #inner'],
      ['changed', '#frame >>> #inner'],
    ]);
  });

  test.each(['close', 'leave'])('the vitals make it when the page goes: %s', async (how) => {
    const [collector, page] = await open(
      `<h1>Largest</h1><button onclick="const end = performance.now() + 60; while (performance.now() < end);">x</button>`,
    );
    // The library's chunk, and a first paint.
    await untilFlushed(page, () => collector.custom('web-vital').length >= 2);
    await page.evaluate(() =>
      document.body.prepend(Object.assign(document.createElement('p'), { textContent: 'shift' })),
    );
    // The browser knows how long an interaction took once it has painted, and a busy one does not count every one.
    const isTimed = (): Promise<boolean> =>
      page.evaluate(
        () =>
          new Promise<boolean>((resolve) => {
            new PerformanceObserver((list) => {
              if (list.getEntriesByName('click').length) resolve(true);
            }).observe({ type: 'event', buffered: true, durationThreshold: 16 } as PerformanceObserverInit);
            setTimeout(resolve, 1000, false);
          }),
      );
    do await page.click('button');
    while (!(await isTimed()));
    // The library looks at it when the page is idle.
    await page.waitForTimeout(1000);
    if (how === 'close') await page.close({ runBeforeUnload: true });
    else await page.goto('about:blank');
    const names = (): unknown[] => collector.custom('web-vital').map(({ name }) => name);
    await until(() => new Set(names()).size === 5, `all vitals: ${names().join()}`);
    expect([...new Set(names())].sort()).toEqual(['CLS', 'FCP', 'INP', 'LCP', 'TTFB']);
    for (const { value, rating, id } of collector.custom('web-vital')) {
      expect(value).toBeGreaterThanOrEqual(0);
      expect(['good', 'needs-improvement', 'poor']).toContain(rating);
      expect(id).toMatch(/^v\d/);
    }
    expect(collector.violations).toEqual([]);
  });

  test('vitals="false" fetches no chunk for them', async () => {
    const [, page] = await open('<p>x</p>', 'data-vitals="false"');
    const names = await page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name));
    expect(names.some((name) => name.includes('meaning-'))).toBe(true);
    expect(names.filter((name) => /vitals|console|bodies/.test(name))).toEqual([]);
  });

  test('the health says whether, why and how much is recorded, at the start and with the farewell', async () => {
    const rows = '<p>row <b>x</b></p>'.repeat(8000);
    const [collector, page] = await open(rows, 'data-rage-clicks="5" data-vitals="false"');
    await page.evaluate(() =>
      setTimeout(() => {
        throw new Error('x');
      }),
    );
    collector.cut();
    await recording(page);
    await page.waitForFunction(() => window.mutoscope.status().reconnects === 1);
    await flush(page);
    const status = await page.evaluate(() => window.mutoscope.status());
    expect(status).toMatchObject({
      recorder: 'mutoscope/0.1.0',
      state: 'recording',
      options: { rageClicks: 5, vitals: false },
      pageErrors: 1,
      failures: 0,
      eventsDropped: 0,
      reconnects: 1,
    });
    expect(status.eventsRecorded).toBe(status.eventsAcked);
    expect(status.bytesSent).toBeGreaterThan(1000);
    const [atStart, ...later] = collector.custom('recorder_health');
    expect(atStart).toMatchObject({ options: { rageClicks: 5, vitals: false }, reconnects: 0 });
    expect(later).toEqual([]);
    await page.close({ runBeforeUnload: true });
    await until(() => collector.custom('recorder_health').length > 1, 'the farewell');
    expect(collector.custom('recorder_health').at(-1)).toMatchObject({ reconnects: 1, pageErrors: 1 });
  });
});
