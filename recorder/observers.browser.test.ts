import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { EventType, IncrementalSource } from './protocol.ts';
import { Bench, flush, recording } from './test-page.ts';

const chromium = inject('chromium');
const require = createRequire(import.meta.url);
const stockPath = require.resolve('@rrweb/record').replace('record.cjs', 'record.umd.min.cjs');

const BODY = `
<style id="sheet">p { color: red } @media screen { p { margin: 0 } }</style>
<img id="picture" srcset="a.png 1x,  b,c.png 2x, /d.png?e=(1,2) 3x ,f.png, ">
<input id="text"><input id="box" type="checkbox"><textarea id="area"></textarea>
<input type="radio" name="r" value="1" id="one"><input type="radio" name="r" value="2" id="two">
<select id="select"><option>a</option><option>b</option></select>
<p id="words">Words to be selected</p><button id="button">Press</button><video id="video"></video>
<div id="scroller" style="height:60px;overflow:auto"><div style="height:500px"></div></div>
<div id="other" style="height:60px;overflow:auto"><div style="height:500px"></div></div>
<div id="host"></div><p id="drag" draggable="true">Drag</p><div style="height:3000px"></div>`;
const PREPARE = `addEventListener('DOMContentLoaded', () => {
  document.querySelector('#host').attachShadow({ mode: 'open' }).innerHTML =
    '<div id="inner" style="height:40px;overflow:auto"><div style="height:300px"></div></div>';
  const style = Object.assign(document.createElement('style'), { id: 'parts' });
  style.append('p { margin: 0px; background: url(a.png) }', ' q > b{color:red} ', '@media print { p { margin: 0 } }');
  document.head.append(style);
});`;

interface Told {
  type: number;
  data: Record<string, unknown> & { source?: number; node?: Node; adds?: { node: Node }[] };
}
interface Node {
  id: number;
  tagName?: string;
  attributes?: Record<string, string>;
  childNodes?: Node[];
}

const MOVES: unknown[] = [IncrementalSource.mouseMove, IncrementalSource.touchMove, IncrementalSource.drag];

/**
 * Events by their source without what differs by nature: times, numbers of nodes (their names instead), and texts, which
 * are masked. Of moves, which are gathered by time, the kinds, and of touch and drag where the last one ended.
 */
function comparable(events: Told[]): { moves: Record<number, string>; rest: Record<number, unknown[]> } {
  const names = new Map<number, string>();
  const rest: Record<number, unknown[]> = { [IncrementalSource.mutation]: [] };
  const visit = (node: Node): void => {
    names.set(node.id, node.attributes?.id ?? node.tagName ?? 'text');
    const { _cssText, srcset } = node.attributes ?? {};
    if (_cssText ?? srcset)
      rest[IncrementalSource.mutation]!.push([
        _cssText?.split('/* rr_split */'),
        srcset?.replaceAll(/\?[^ ]*/g, '?'),
      ]);
    node.childNodes?.forEach(visit);
  };
  for (const { data } of events) {
    if (data.node) visit(data.node);
    if (data.source === IncrementalSource.mutation) for (const { node } of data.adds ?? []) visit(node);
  }
  const moves: Record<number, string> = {};
  for (const { type, data } of events) {
    const { source } = data;
    if (type !== EventType.incrementalSnapshot || source === IncrementalSource.mutation) continue;
    const text = JSON.stringify(data, (key, value: unknown) => {
      if (key === 'timeOffset' || key === 'text') return undefined;
      if (key === 'positions') return (value as unknown[]).at(-1);
      return /^(id|start|end)$/.test(key) ? (names.get(value as number) ?? value) : value;
    });
    if (MOVES.includes(source)) moves[source!] = source === IncrementalSource.mouseMove ? '' : text;
    else (rest[source!] ??= []).push(text);
  }
  return { moves, rest };
}

const pause = (page: Page): Promise<void> => page.waitForTimeout(620);

/** Everything that an observer listens for. */
async function act(page: Page): Promise<void> {
  await page.mouse.move(5, 5);
  await pause(page);
  await page.click('#button');
  await pause(page);
  await page.dblclick('#words');
  await page.click('#button', { button: 'right' });
  await pause(page);
  await page.locator('#text').pressSequentially('abc');
  await page.check('#box');
  await page.check('#one');
  await page.check('#two');
  await page.selectOption('#select', 'b');
  await pause(page);
  await page.evaluate(() => {
    document.querySelector<HTMLTextAreaElement>('#area')!.value = 'by script';
    document.querySelector<HTMLInputElement>('#box')!.checked = false;
    document.querySelector<HTMLSelectElement>('#select')!.selectedIndex = 0;
  });
  await pause(page);
  await page.evaluate(() => (document.querySelector('#scroller')!.scrollTop = 70));
  await pause(page);
  await page.evaluate(() =>
    document.querySelector('#host')!.shadowRoot!.querySelector('#inner')!.scrollTo(0, 9),
  );
  await pause(page);
  await page.evaluate(() => scrollTo(0, 40));
  await pause(page);
  await page.setViewportSize({ width: 900, height: 500 });
  await pause(page);
  await page.evaluate(() => {
    const { sheet } = document.querySelector<HTMLStyleElement>('#sheet')!;
    sheet!.insertRule('b { color: blue }', 1);
    sheet!.insertRule('i { color: blue }');
    sheet!.addRule('u', 'color: green');
    sheet!.deleteRule(0);
    sheet!.removeRule(0);
    const media = Array.from(sheet!.cssRules).find((rule) => rule instanceof CSSMediaRule)!;
    media.insertRule('q { color: red }', 1);
    (media.cssRules[1] as CSSStyleRule).style.setProperty('color', 'pink', 'important');
    (media.cssRules[1] as CSSStyleRule).style.removeProperty('color');
    media.deleteRule(0);
    const adopted = new CSSStyleSheet();
    adopted.replaceSync('em { color: red }');
    document.adoptedStyleSheets = [adopted];
    adopted.replaceSync('em { color: blue }');
    adopted.insertRule('s { color: red }');
    document.querySelector('#host')!.shadowRoot!.adoptedStyleSheets = [adopted];
    customElements.define('x-defined', class extends HTMLElement {});
    for (const type of ['play', 'pause', 'seeked', 'volumechange', 'ratechange'])
      document.querySelector('#video')!.dispatchEvent(new Event(type));
    const touch = new Touch({
      identifier: 1,
      target: document.querySelector('#button')!,
      clientX: 3,
      clientY: 4,
    });
    for (const type of ['touchmove', 'touchcancel'])
      touch.target.dispatchEvent(
        new TouchEvent(type, { bubbles: true, composed: true, changedTouches: [touch] }),
      );
    for (const pointerType of ['touch', 'pen'])
      for (const type of ['pointerdown', 'pointerup', 'click'])
        touch.target.dispatchEvent(new PointerEvent(type, { bubbles: true, composed: true, pointerType }));
    touch.target.dispatchEvent(new MouseEvent('click', { bubbles: true }));
  });
  await pause(page);
  await page.evaluate(() => {
    const drag = new DragEvent('drag', { bubbles: true, clientX: 7, clientY: 8 });
    document.querySelector('#drag')!.dispatchEvent(drag);
  });
  await pause(page);
}

describe.skipIf(!chromium)('observers in Chromium', () => {
  let bench: Bench;
  beforeAll(async () => void (bench = await Bench.start(chromium!)));
  afterEach(() => bench.closePages());
  afterAll(() => bench.stop());

  test('what is done on a page is told as rrweb itself tells it', { timeout: 60_000 }, async () => {
    const collector = await bench.collector(BODY);
    const page = await bench.page(collector, PREPARE);
    await recording(page);
    await pause(page);
    await act(page);
    await flush(page);
    const ours = comparable(collector.events() as unknown as Told[]);

    const stock = await bench.page(collector, PREPARE, '/?stock');
    await stock.context().route('**/loader.js', (route) => route.abort());
    await stock.reload();
    await stock.evaluate(readFileSync(stockPath, 'utf8'));
    await stock.evaluate(() => {
      const { rrwebRecord, told } = Object.assign(window as never, { told: [] }) as {
        told: object[];
        rrwebRecord: { record(options: object): void };
      };
      rrwebRecord.record({
        emit: (event: object) => told.push(event),
        slimDOMOptions: 'all',
        maskInputOptions: { input: true, textarea: true, select: true },
        maskInputFn: (text: string) => text && '·····',
      });
    });
    await act(stock);
    const theirs = comparable(await stock.evaluate(() => (window as never as { told: Told[] }).told));
    expect(Object.values(theirs.rest).flat().length).toBeGreaterThan(40);
    expect(Object.keys(theirs.moves)).toHaveLength(3);
    expect(ours).toEqual(theirs);
  });

  test('what comes under the mouse before it is told is what the mouse is told to be over', async () => {
    const collector = await bench.collector('<ul></ul>');
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    await pause(page);
    await page.evaluate(() => {
      const rows = Array.from({ length: 4000 }, (_, at) => {
        const row = document.createElement('li');
        row.id = `row-${at}`;
        return row;
      });
      document.querySelector('ul')!.replaceChildren(...rows);
      rows[3999]!.dispatchEvent(new MouseEvent('mouseover', { bubbles: true, clientX: 7, clientY: 8 }));
    });
    await pause(page);
    await pause(page);
    await flush(page);
    const told = collector.events() as unknown as Told[];
    const added = told.flatMap(({ data }) => data.adds ?? []).map(({ node }) => node);
    const row = added.find(({ attributes }) => attributes?.id === 'row-3999')!;
    const moves = told.filter(({ data }) => data.source === IncrementalSource.mouseMove);
    expect(moves.map(({ data }) => (data.positions as { id: number }[]).at(-1)!.id)).toEqual([row.id]);
  });

  test('patched methods answer and throw as before, and are put back', async () => {
    const collector = await bench.collector(
      '<style id="sheet">p { color: red }</style><div id="host"></div>',
    );
    const page = await bench.page(
      collector,
      `window.natives = () => [CSSStyleSheet.prototype.insertRule, CSSStyleSheet.prototype.addRule,
         CSSGroupingRule.prototype.deleteRule, CSSStyleDeclaration.prototype.setProperty, Element.prototype.attachShadow,
         CustomElementRegistry.prototype.define, Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set,
         Object.getOwnPropertyDescriptor(document, 'adoptedStyleSheets')];
       window.before = natives();`,
    );
    await recording(page);
    // Watched once the page is idle.
    await page.evaluate(() => window.mutoscope.flush());
    const seen = await page.evaluate(() => {
      const { sheet } = document.querySelector<HTMLStyleElement>('#sheet')!;
      const { natives, before } = window as never as { natives(): unknown[]; before: unknown[] };
      const thrown = (f: () => unknown): string => {
        try {
          f();
          return 'nothing';
        } catch (error) {
          return (error as Error).name;
        }
      };
      return {
        patched: natives().filter((native, index) => native !== before[index]).length,
        index: sheet!.insertRule('b {}', 1),
        added: sheet!.addRule('b', '', 0),
        badRule: thrown(() => sheet!.insertRule('}{')),
        badIndex: thrown(() => sheet!.deleteRule(99)),
        badName: thrown(() => customElements.define('nodash', class extends HTMLElement {})),
        badHost: thrown(() => document.createElement('img').attachShadow({ mode: 'open' })),
        badAdopted: thrown(() => (document.adoptedStyleSheets = [1 as never])),
        root: document.querySelector('#host')!.attachShadow({ mode: 'open' }) instanceof ShadowRoot,
      };
    });
    expect(seen).toEqual({
      patched: 8,
      index: 1,
      added: -1,
      badRule: 'SyntaxError',
      badIndex: 'IndexSizeError',
      badName: 'SyntaxError',
      badHost: 'NotSupportedError',
      badAdopted: 'TypeError',
      root: true,
    });
    const left = await page.evaluate(() => {
      window.mutoscope.stop();
      const { natives, before } = window as never as { natives(): unknown[]; before: unknown[] };
      return natives().flatMap((native, index) => (native === before[index] ? [] : [index]));
    });
    expect(left).toEqual([]);
  });
});
