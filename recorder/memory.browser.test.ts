import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { Bench, flush, recording, untilFlushed } from './test-page.ts';

const chromium = inject('chromium');

declare global {
  interface Window {
    gone: WeakRef<Node>[];
  }
}

describe.skipIf(!chromium)('what the recorder holds of the page, in Chromium', () => {
  let bench: Bench;
  beforeAll(async () => void (bench = await Bench.start(chromium!)));
  afterEach(() => bench.closePages());
  afterAll(() => bench.stop());

  test('nodes, shadow roots and documents of frames that are gone are let go', async () => {
    const collector = await bench.collector('<main></main>');
    const page = await bench.page(collector);
    await recording(page);
    await untilFlushed(page, () => collector.events().some(({ type }) => type === 2));
    await page.evaluate(async () => {
      const main = document.querySelector('main')!;
      window.gone = [];
      const keep = (node: Node): void => void window.gone.push(new WeakRef(node));
      for (let n = 0; n < 200; n++) {
        const row = document.createElement('p');
        row.append(`row ${n}`, document.createElement('b'));
        keep(row.lastChild!);
        row.attachShadow({ mode: 'open' }).append('inside', document.createElement('i'));
        keep(row.shadowRoot!);
        main.append(row);
      }
      const frame = document.createElement('iframe');
      frame.srcdoc = '<p>inside</p>';
      const isLoaded = new Promise((resolve) => (frame.onload = resolve));
      main.append(frame);
      await isLoaded;
      keep(frame.contentDocument!);
    });
    await flush(page);
    const told = JSON.stringify(collector.events());
    expect(told).toContain('row 199');
    expect(told).toContain('isAttachIframe');
    await page.evaluate(() => {
      // Taken apart while it is out of the page: of that nobody is told.
      const main = document.querySelector('main')!;
      const rows = Array.from(main.children);
      main.replaceChildren();
      for (const row of rows) row.replaceChildren();
    });
    await flush(page);
    // Another frame comes: those that are gone are looked for then.
    await page.evaluate(() => void document.body.append(document.createElement('iframe')));
    await flush(page);
    const session = await page.context().newCDPSession(page);
    const left = async (): Promise<number> => {
      await session.send('HeapProfiler.collectGarbage');
      return page.evaluate(() => window.gone.filter((ref) => ref.deref()).length);
    };
    // The collector needs some rounds; what is held stays for all of them.
    for (let round = 0; round < 20 && (await left()); round++) await page.waitForTimeout(50);
    expect(await left()).toBe(0);
  });
});
