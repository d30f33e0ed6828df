import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import type { TestCollector } from './test-collector.ts';
import { Bench, flush, recording } from './test-page.ts';

const chromium = inject('chromium');
describe.skipIf(!chromium)('states that no attribute holds', () => {
  let bench: Bench;
  beforeAll(async () => void (bench = await Bench.start(chromium)));
  afterEach(() => bench.closePages());
  afterAll(() => bench?.stop());

  /** Every state that was told, in snapshots and in mutations, in order. */
  const statesOf = (collector: TestCollector): (string | null)[] =>
    collector
      .payloads()
      .flatMap(({ json }) => [...json.matchAll(/"data-rr-state":(null|"[^"]*")/g)])
      .map(([, state]) => JSON.parse(state!) as string | null);

  test('focus, popovers and indeterminate boxes are told when they come and when they go', async () => {
    const collector = await bench.collector(
      '<button id="b">b</button><div popover="manual" id="p">p</div><input type="checkbox" id="c">',
      '<script>addEventListener("DOMContentLoaded", () => { p.showPopover(); c.indeterminate = true })</script>',
    );
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    expect(statesOf(collector)).toEqual(['popover-open', 'indeterminate']);
    await page.evaluate(() => {
      document.getElementById('p')!.hidePopover();
      document.getElementById('b')!.focus();
    });
    await page.waitForTimeout(100);
    await page.evaluate(() => {
      (document.getElementById('c') as HTMLInputElement).indeterminate = false;
      document.getElementById('b')!.blur();
    });
    await page.waitForTimeout(100);
    await flush(page);
    expect(statesOf(collector).slice(2).sort()).toEqual(['focus focus-visible', null, null, null]);
  });

  test('whether a secret field is valid is not told', async () => {
    const collector = await bench.collector(
      '<input id="mail" type="email" required><input id="word" type="password" required minlength="9">',
    );
    const page = await bench.page(collector);
    await recording(page);
    await page.type('#mail', 'anna@example.net');
    // While it still has the focus.
    await page.waitForTimeout(100);
    await flush(page);
    expect(statesOf(collector).at(-1)).not.toContain('invalid');
    await page.fill('#word', 'x');
    await page.fill('#word', 'correct horse');
    await page.waitForTimeout(100);
    await flush(page);
    const ids = collector
      .payloads()
      .flatMap(({ json }) => [...json.matchAll(/"id":"(mail|word)".*?"id":(\d+)/g)]);
    const toldOf = (name: string): string[] => {
      const id = Number(ids.find(([, found]) => found === name)![2]);
      return collector
        .events()
        .flatMap(
          ({ data }) => (data.attributes as { id: number; attributes: Record<string, string> }[]) ?? [],
        )
        .filter((changed) => changed.id === id)
        .map(({ attributes }) => attributes['data-rr-state']!);
    };
    expect(toldOf('mail').join(' ')).toMatch(/user-valid/);
    expect(toldOf('word')).toEqual(['focus focus-visible']);
  });

  test('sheets are told that are pushed onto the adopted ones, and that there are none any more', async () => {
    const collector = await bench.collector('<p>x</p>');
    const page = await bench.page(collector);
    await recording(page);
    const adopted = (): number[] =>
      collector
        .events()
        .filter(({ type, data }) => type === 3 && data.source === 15)
        .map(({ data }) => (data.styleIds as number[]).length);
    const change = async (script: string): Promise<number[]> => {
      await page.evaluate(script);
      await flush(page);
      return adopted();
    };
    expect(await change('document.adoptedStyleSheets.push(new CSSStyleSheet())')).toEqual([1]);
    expect(await change('void document.adoptedStyleSheets.length')).toEqual([1]);
    expect(await change('document.adoptedStyleSheets = []')).toEqual([1, 0]);
  });
});
