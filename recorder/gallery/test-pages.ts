import type { Page } from 'playwright-core';

/** A text is a moment: there the page is compared with its replay. */
export type Act = string | ((page: Page) => Promise<unknown>);

export interface GalleryPage {
  /** `fixtures/gallery/NAME.html`. */
  name: string;
  /** What a visitor does. It can be done again from where it ends. */
  acts: Act[];
  /** Further attributes of the loader's tag. */
  tag?: string;
  /** More may differ than elsewhere, and why. */
  allowance?: { pct: number; reason: string };
}

const click =
  (selector: string): Act =>
  (page) =>
    page.click(selector);
const hover =
  (selector: string): Act =>
  (page) =>
    page.hover(selector);
const type =
  (selector: string, text: string): Act =>
  async (page) => {
    await page.click(selector);
    await page.keyboard.type(text, { delay: 15 });
  };
const press =
  (key: string): Act =>
  (page) =>
    page.keyboard.press(key);
const scroll =
  (selector: string, dx: number, dy: number): Act =>
  async (page) => {
    await page.hover(selector);
    await page.mouse.wheel(dx, dy);
  };
/** To where nothing reacts to it. */
const away: Act = (page) => page.mouse.move(955, 635, { steps: 4 });
const drag =
  (from: string, to: string): Act =>
  async (page) => {
    await page.hover(from);
    await page.mouse.down();
    const box = (await page.locator(to).boundingBox())!;
    await page.mouse.move(box.x + box.width / 2, box.y + box.height - 6, { steps: 12 });
    await page.mouse.up();
  };

export const PAGES: readonly GalleryPage[] = [
  {
    name: 'bootstrap',
    acts: [
      'at rest',
      ...[click('#q1'), click('#next'), click('#news'), click('#r2'), type('#user', 'anna'), click('#send')],
      'invalid form, open answer, second slide',
      ...[type('#mail', 'anna@example.net'), click('#send'), click('#shop'), away],
      'toast and menu',
      ...[click('h5, .navbar-brand'), click('#terms')],
      'modal',
      click('#agree'),
    ],
  },
  {
    name: 'mui',
    acts: [
      'at rest',
      ...[click('#dark'), click('#tab-Baker'), type('#company', 'Kneadly'), away],
      'dark, second tab',
      ...[click('#order'), click('#yes'), click('#menu'), away],
      'drawer over a saved order',
      press('Escape'),
    ],
  },
  {
    name: 'grid',
    acts: [
      'at rest',
      scroll('.tabulator-tableholder', 0, 60_000),
      'scrolled by a thousand rows',
      ...[click('.tabulator-col[tabulator-field="price"]'), scroll('.tabulator-tableholder', 0, 900)],
      ...[click('.tabulator-row >> nth=5'), away],
      'sorted, selected',
    ],
  },
  {
    name: 'rich-text',
    acts: [
      'at rest',
      type('.ql-editor', 'And we come again. '),
      ...[press('Control+a'), click('.ql-bold'), click('.ql-list[value="ordered"]'), click('.ql-header')],
      'formatted, picker open',
      ...[press('Escape'), click('h1')],
    ],
  },
  {
    name: 'code-editor',
    acts: [
      'at rest',
      scroll('.cm-scroller', 0, 900),
      'scrolled',
      ...[click('.cm-line >> nth=3'), press('End'), type('.cm-line >> nth=4', 'SEL'), away],
      (page) => page.evaluate(() => (globalThis as unknown as { complete(): void }).complete()),
      'completions open',
      press('Escape'),
    ],
  },
  {
    name: 'charts-svg',
    acts: [
      'at rest',
      click('#more'),
      'changed',
      (page) => page.mouse.move(700, 250, { steps: 5 }),
      'hovered',
      away,
    ],
  },
  {
    name: 'charts-canvas',
    acts: ['at rest', click('#more'), away, 'changed'],
    allowance: { pct: 15, reason: 'canvases are recorded only with canvasFps' },
  },
  {
    name: 'shoelace',
    acts: [
      'at rest',
      ...[type('#name', 'Anna'), click('#m'), click('#save'), click('#tab-b'), click('#details'), away],
      'saved, second tab, details',
      ...[click('#drop sl-button'), away],
      'menu open',
      ...[press('Escape'), (page: Page) => page.evaluate(openDialog), away],
      'dialog',
      click('#stay'),
    ],
  },
  {
    name: 'components',
    acts: [
      'at rest',
      ...[click('#add'), click('#add'), click('gallery-card header'), away],
      'cards added',
      ...[click('#busy'), click('#late'), away],
      'custom state, late definition',
    ],
  },
  {
    name: 'styled',
    acts: ['at rest', click('#hue'), click('#more'), 'hovered', click('#dark'), click('#more'), away, 'dark'],
  },
  {
    name: 'adopted',
    allowance: {
      pct: 3,
      reason: 'rrweb sees rule.style.setProperty, not an assignment to rule.style.outline',
    },
    acts: [
      'at rest',
      ...[click('#replace'), click('#insert'), click('#set'), away],
      'replaced, inserted, set',
      ...[click('#share'), click('#delete'), click('#own-rule'), away],
      'shared, deleted, own rules',
      ...[click('#assign'), away],
      'assigned',
      ...[click('#drop'), away],
      'dropped',
    ],
  },
  {
    name: 'iframes',
    acts: [
      'at rest',
      ...[click('#add'), click('#change'), away],
      'added, changed, scrolled',
      ...[click('#move'), away],
      'another document',
    ],
  },
  {
    name: 'dialogs',
    acts: [
      'popover from the start',
      ...[click('#plain'), click('#d1 summary'), away],
      'plain dialog',
      ...[click('#all'), click('#open'), away],
      'popover',
      ...[press('Escape'), click('#modal'), away],
      'modal dialog with popover',
      ...[click('#ok'), click('#close'), away],
      'closed',
    ],
  },
  {
    name: 'forms',
    acts: [
      'focused from the start',
      ...[type('#name', 'Anna'), click('#c1'), click('#r1'), type('#t', 'No'), press('Tab')],
      'filled',
      click('#go'),
      'hovered, changed by script',
      ...[press('Tab'), away],
      'focus by keyboard',
      ...[click('#reset'), away],
      'reset',
    ],
  },
  {
    name: 'sticky',
    acts: [
      'scrolled from the start',
      ...[scroll('#list', 0, 300), scroll('#wide', 500, 0), scroll('#rtl', -400, 0), scroll('#snap', 420, 0)],
      'panes scrolled',
      ...[(page: Page) => page.mouse.move(800, 600), (page: Page) => page.mouse.wheel(0, 700)],
      'page scrolled',
      (page) => page.mouse.wheel(0, -700),
    ],
  },
  {
    name: 'motion',
    allowance: { pct: 2.5, reason: 'rrweb records no animation that element.animate() makes' },
    acts: [
      'at rest',
      ...[click('#go'), click('#raf'), away],
      'moved',
      ...[click('#style'), click('#waapi'), away],
      'styled, moved by WAAPI',
    ],
  },
  {
    name: 'modern-css',
    acts: [
      'at rest',
      ...[click('#tone'), click('#pick'), away],
      'another tone, picked',
      ...[click('#narrow'), click('#later'), away],
      'narrow, rules by script',
    ],
  },
  { name: 'svg-math', acts: ['at rest', click('#change'), click('#add'), away, 'changed, added'] },
  {
    name: 'text',
    acts: [
      'right to left',
      ...[click('#font'), click('#rows'), click('#write'), away],
      'rows added',
      ...[click('#flip'), away],
      'left to right',
    ],
  },
  {
    name: 'images',
    acts: ['at rest', click('#swap'), click('#more'), click('#bg'), away, 'swapped'],
    allowance: {
      pct: 7,
      reason:
        'blob: images need `assets`, alt texts are masked, and of a srcset a browser may take what it has already',
    },
  },
  {
    name: 'media',
    acts: [
      'at rest',
      ...[click('#play'), (page: Page) => page.waitForFunction(isPaused), away],
      'played and paused',
      ...[click('#seek'), click('#mute'), click('#add'), away],
      'sought, muted, added',
    ],
  },
  {
    name: 'sortable',
    acts: [
      'at rest',
      ...[drag('#todo li >> nth=0', '#doing li >> nth=0'), away],
      'dropped in the other list',
      ...[
        (page: Page) => page.hover('#todo li >> nth=0'),
        (page: Page) => page.mouse.down(),
        (page: Page) => page.mouse.move(200, 200, { steps: 8 }),
      ],
      'while dragged',
      (page) => page.mouse.up(),
    ],
  },
];

function openDialog(): void {
  (document.getElementById('dialog') as HTMLElement & { show(): void }).show();
}

function isPaused(): boolean {
  const clip = document.getElementById('clip') as HTMLVideoElement;
  return clip.paused && clip.currentTime > 0;
}
