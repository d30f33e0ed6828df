import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { Bench, flush, recording, until } from './test-page.ts';

const chromium = inject('chromium');

/** Each control with what comes of a click on it, and whether it is dead then. */
const CONTROLS: [id: string, html: string, script: string, isDead: boolean][] = [
  ['nothing', '<button>x</button>', '', true],
  ['pointer', '<div style="cursor:pointer">x</div>', '', true],
  ['onclick', '<p>x</p>', 'el.onclick = () => {}', true],
  ['role', '<span role="menuitem">x</span>', '', true],
  ['nowhere', '<a href="#">x</a>', 'el.onclick = (e) => e.preventDefault()', true],
  ['words', '<p>x</p>', '', false],
  ['field', '<input value="x">', '', false],
  ['choice', '<select><option>x</select>', '', false],
  ['picture', '<canvas style="cursor:pointer"></canvas>', '', false],
  ['disabled', '<button disabled>x</button>', '', false],
  ['dom', '<button>x</button>', 'el.onclick = () => el.after("!")', false],
  ['soon', '<button>x</button>', 'el.onclick = () => setTimeout(() => el.after("!"), 100)', false],
  ['press', '<button>x</button>', 'el.onpointerdown = () => el.after("!")', false],
  ['attribute', '<button>x</button>', 'el.onclick = () => el.setAttribute("aria-expanded", "true")', false],
  [
    'style',
    '<button>x</button>',
    'el.onclick = () => document.styleSheets[0].insertRule("p{color:red}")',
    false,
  ],
  ['shadow', '<button>x</button>', 'el.onclick = () => root.append("!")', false],
  ['fetch', '<button>x</button>', 'el.onclick = () => void fetch("/api")', false],
  [
    'xhr',
    '<button>x</button>',
    'el.onclick = () => { const r = new XMLHttpRequest(); r.open("GET", "/api"); r.send() }',
    false,
  ],
  ['beacon', '<button>x</button>', 'el.onclick = () => navigator.sendBeacon("/api", "x")', false],
  ['push', '<button>x</button>', 'el.onclick = () => history.pushState({}, "", "/pushed")', false],
  ['anchor', '<a href="#far">x</a>', '', false],
  ['scroll', '<button>x</button>', 'el.onclick = () => scrollBy(0, 40)', false],
  ['focus', '<button>x</button>', 'el.onclick = () => document.querySelector("#other").focus()', false],
  [
    'select',
    '<button>x</button>',
    'el.onclick = () => getSelection().selectAllChildren(document.querySelector("#far"))',
    false,
  ],
  ['tick', '<input type="checkbox">', '', false],
  ['label', '<label>x<input type="checkbox"></label>', '', false],
  ['details', '<details><summary>x</summary>y</details>', '', false],
  ['popover', '<button popovertarget="pop">x</button><div popover id="pop">y</div>', '', false],
  ['submit', '<form onsubmit="return false"><button>x</button></form>', '', false],
  ['alert', '<button>x</button>', 'el.onclick = () => alert("x")', false],
  [
    'copy',
    '<button>x</button>',
    'el.onclick = () => navigator.clipboard.writeText("x").catch(() => {})',
    false,
  ],
  [
    'file',
    '<button>x</button>',
    'const f = Object.assign(document.createElement("input"), { type: "file" }); el.onclick = () => f.click()',
    false,
  ],
  ['mail', '<a href="mailto:a@b.example">x</a>', '', false],
  ['tab', '<a href="/tab" target="_blank" rel="noopener">x</a>', '', false],
  ['late', '<button>x</button>', 'el.onclick = () => setTimeout(() => el.after("!"), 500)', true],
];
const PAGE = `<style>p{color:black}</style><input id="other"><div id="host"></div>
  ${CONTROLS.map(([id, html]) => `<div id="at-${id}">${html}</div>`).join('\n')}
  <div style="height:3000px"></div><p id="far">far</p>
  <script>
    const root = document.querySelector('#host').attachShadow({ mode: 'open' });
    ${CONTROLS.map(([id, , script]) => `{ const el = document.querySelector('#at-${id}').firstElementChild; ${script} }`).join('\n')}
  </script>`;
const DEAD_MS = 300;

describe.skipIf(!chromium)('dead clicks, in Chromium', () => {
  let bench: Bench;
  beforeAll(async () => void (bench = await Bench.start(chromium!)));
  afterEach(() => bench.closePages());
  afterAll(() => bench.stop());

  async function open(body: string): Promise<{ page: Page; dead(): Promise<string[]> }> {
    const collector = await bench.collector(body, '', `data-dead-ms="${DEAD_MS}" data-vitals="false"`);
    const page = await bench.page(collector);
    await page.route('**/api', (route) => route.fulfill({ body: '{}' }));
    page.on('dialog', (dialog) => void dialog.accept());
    page.on('filechooser', () => undefined);
    await recording(page);
    await meaningful(page);
    const dead = async (): Promise<string[]> => {
      await page.waitForTimeout(DEAD_MS + 100);
      await flush(page);
      return collector.custom('dead').map(({ selector }) => selector as string);
    };
    return { page, dead };
  }
  /** The chunk that watches has come. */
  const meaningful = (page: Page): Promise<unknown> =>
    page.waitForFunction(() => window.mutoscope.status().options !== undefined);

  test('what comes of a click, and what does not, decides whether it is dead', async () => {
    const { page, dead } = await open(PAGE);
    const expected: string[] = [];
    const found: string[] = [];
    let before = 0;
    for (const [id, , , isDead] of CONTROLS) {
      await page.locator(`#at-${id} > :first-child`).first().scrollIntoViewIfNeeded();
      const target = page.locator(`#at-${id} > :first-child`).first();
      const inner =
        id === 'details' ? target.locator('summary') : id === 'submit' ? target.locator('button') : target;
      const { x, y } = (await inner.boundingBox())!;
      await page.mouse.click(x + 4, y + 4);
      const after = (await dead()).length;
      if (after > before) found.push(id);
      before = after;
      if (isDead) expected.push(id);
      await page.bringToFront();
      await page.keyboard.press('Escape');
    }
    expect(found).toEqual(expected);
  }, 90_000);

  test('a key can click on nothing, too', async () => {
    const { page, dead } = await open(
      '<button id="a">A</button><button id="b" onclick="this.after(1)">B</button>',
    );
    for (const id of ['a', 'b']) {
      await page.focus(`#${id}`);
      await page.keyboard.press('Enter');
      await page.waitForTimeout(DEAD_MS + 50);
      await page.keyboard.press('Space');
      await page.waitForTimeout(DEAD_MS + 50);
    }
    expect(await dead()).toEqual(['#a', '#a']);
  });

  test('a dead click is told as the click was, with how long was waited', async () => {
    const collector = await bench.collector('<button>A</button>', '', `data-dead-ms="300"`);
    const page = await bench.page(collector);
    await recording(page);
    await meaningful(page);
    await page.click('button');
    await until(() => collector.custom('dead').length > 0, 'a dead click');
    expect(collector.custom('dead')).toEqual([{ ...collector.custom('click')[0], ms: 300 }]);
  });

  test('a clock and polling hide no dead click, and a counter that the click moves is no clock', async () => {
    const { page, dead } = await open(
      `<button id="none">x</button><button id="more" onclick="count.textContent++">+</button><b id="count">0</b>
       <p><i id="clock">0</i></p>
       <script>setInterval(() => { clock.textContent++; void fetch('/api') }, 100)</script>`,
    );
    await page.waitForTimeout(2 * DEAD_MS);
    for (let n = 0; n < 4; n++) {
      await page.click('#more');
      await page.waitForTimeout(200);
    }
    await page.click('#none');
    expect(await dead()).toEqual(['#none']);
  });

  test('a click in a frame lives by what happens in the frame or around it', async () => {
    const { page, dead } = await open(
      `<iframe id="frame" srcdoc="<button id=a>A</button><button id=b onclick='this.after(1)'>B</button>
        <button id=c onclick='top.document.body.append(1)'>C</button>"></iframe>`,
    );
    for (const id of ['a', 'b', 'c']) {
      await page.frameLocator('#frame').locator(`#${id}`).click();
      await page.waitForTimeout(DEAD_MS + 50);
    }
    expect(await dead()).toEqual(['#frame >>> #a']);
  });

  test('what was patched is as before, and is put back', async () => {
    const { page } = await open('<button>x</button>');
    const look = (): Promise<unknown> =>
      page.evaluate(() => [
        window.alert.name,
        window.fetch.length,
        String(window.fetch).includes('[native code]'),
        Object.keys(window.fetch),
      ]);
    expect(await look()).toEqual(['alert', 1, true, []]);
    const same = await page.evaluate(() => {
      const frame = document.createElement('iframe');
      const patched = [
        window.fetch,
        window.alert,
        XMLHttpRequest.prototype.send,
        HTMLElement.prototype.click,
      ];
      document.body.append(frame);
      window.mutoscope.stop();
      const now = [window.fetch, window.alert, XMLHttpRequest.prototype.send, HTMLElement.prototype.click];
      return now.map((method, index) => method !== patched[index]);
    });
    expect(same).toEqual([true, true, true, true]);
    expect(await look()).toEqual(['alert', 1, true, []]);
  });
});
