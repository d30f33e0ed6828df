import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { build, type InlineConfig } from 'vite';
import solid from 'vite-plugin-solid';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { launchChromium } from './browser.ts';
import { TestCollector, type StoredEvent } from './test-collector.ts';
import { buildRecorder, flush, recording, until } from './test-page.ts';

/**
 * One sign-up in four frameworks, each with its own router: what is told of it, and whether its replay is the page.
 * The apps are in `fixtures/spa/`, built here from the npm packages as their users build them.
 */
const chromium = inject('chromium');
const REPLAYER = createRequire(import.meta.url)
  .resolve('@rrweb/replay')
  .replace(/dist\/[^/]+$/, 'dist/replay.umd.min.cjs');

const FRAMEWORKS: Record<string, { config: InlineConfig; redirect: string[][] }> = {
  react: {
    config: { oxc: { jsx: { runtime: 'automatic', importSource: 'react' } } },
    // <Navigate> is rendered at the address that it leaves.
    redirect: [
      ['push', '/signup', 'Home'],
      ['replace', '/signup/step-1', 'Who are you?'],
    ],
  },
  vue: {
    config: {
      resolve: { alias: [{ find: /^vue$/, replacement: 'vue/dist/vue.esm-bundler.js' }] },
      define: {
        __VUE_OPTIONS_API__: 'true',
        __VUE_PROD_DEVTOOLS__: 'false',
        __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
      },
    },
    redirect: [['push', '/signup/step-1', 'Who are you?']],
  },
  solid: { config: { plugins: [solid()] }, redirect: [['push', '/signup/step-1', 'Who are you?']] },
  angular: { config: {}, redirect: [['push', '/signup/step-1', 'Who are you?']] },
};

/** The page's tree as text. What a recording leaves out by design is left out on both sides. Runs in the browser. */
function domOf(where: string): string {
  const source = where === 'live' ? document : document.querySelector('iframe')!.contentDocument!;
  const root = source.documentElement.cloneNode(true) as HTMLElement;
  root.querySelector('head')!.remove();
  for (const element of [root, ...root.querySelectorAll('*')]) {
    if (element.matches('script,style,noscript')) element.remove();
    if (element.localName === 'input') {
      const { value, checked } = element as HTMLInputElement;
      element.setAttribute('data-state', `${value !== ''} ${checked}`);
      // The replayer puts the last one there.
      for (const name of ['value', 'checked', 'autocomplete']) element.removeAttribute(name);
    }
    // A state that no attribute of the page holds, and what Angular leaves there: attributes that no standard knows are masked.
    for (const name of ['data-rr-state', 'ng-version', 'routerlink']) element.removeAttribute(name);
    const attributes = [...element.attributes].map(({ name, value }) => {
      element.removeAttribute(name);
      // A place in the page is recorded under the address that the page had when the link came.
      if (name === 'href')
        return [name, new URL(value, document.baseURI).href.replace(/=[^&#]*/g, '=').replace(/^[^#]*#/, '#')];
      // The replayer's own.
      if (name === 'class') return [name, value.replace(/(^| )(rrweb-paused|:hover)(?= |$)/g, '').trim()];
      return [name, value];
    });
    for (const [name = '', value = ''] of attributes.sort())
      if (name !== 'class' || value) element.setAttribute(name, value);
  }
  const walker = source.createTreeWalker(root, NodeFilter.SHOW_COMMENT);
  const comments: Node[] = [];
  while (walker.nextNode()) comments.push(walker.currentNode);
  for (const comment of comments) (comment as Comment).remove();
  root.normalize();
  return root.outerHTML.replace(/(<\/?(?:html|body)[^>]*>)\s+/g, '$1').replace(/\s+(<\/body>)/g, '$1');
}

/** Sources of moves by mouse, by touch and while dragging. */
const MOUSE_PATHS = [1, 6, 12];

/** Replays as far as the first `count` events, for each count, and returns the tree that stands there. */
async function replay(page: Page, events: StoredEvent[], counts: number[]): Promise<string[]> {
  await page.evaluate(
    async (all) => {
      const state = window as unknown as {
        player: Player;
        rrwebReplay: { Replayer: new (...args: unknown[]) => Player };
      };
      state.player = new state.rrwebReplay.Replayer(all, {
        ...{ root: document.body, useVirtualDom: false, mouseTail: false },
      });
      const built = new Promise<void>((resolve) => state.player.on('fullsnapshot-rebuilded', resolve));
      state.player.pause(0);
      await built;
      // Left in, mouse paths would have the replayer go back by as much as they span, and apply again what came since.
    },
    events.filter(({ type, data }) => type !== 3 || !MOUSE_PATHS.includes(data.source!)),
  );
  const trees: string[] = [];
  for (const count of counts) {
    const positionMs = events[count - 1]!.timestamp - events[0]!.timestamp + 0.5;
    await page.evaluate((atMs) => (window as unknown as { player: Player }).player.pause(atMs), positionMs);
    trees.push(await page.evaluate(domOf, 'replay'));
  }
  return trees;
}
interface Player {
  on(event: string, listener: () => void): void;
  pause(positionMs: number): void;
}

/** Waits until nothing more comes of what the page did: what stands there then, and how many events led to it. */
async function settled(page: Page): Promise<{ tree: string; count: number }> {
  return page.evaluate(async (source) => {
    const treeOf = new Function(`return ${source}`)() as typeof domOf;
    // What is left for idle moments comes first.
    await new Promise((resolve) => requestIdleCallback(resolve, { timeout: 100 }));
    for (let before = -1; ;) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      await window.mutoscope.flush();
      const count = window.mutoscope.status().eventsRecorded;
      if (count === before) return { count, tree: treeOf('live') };
      before = count;
    }
  }, domOf.toString());
}

/** Clicks in the middle of it once it has stopped moving, whether or not it can be clicked. */
async function press(page: Page, selector: string): Promise<void> {
  const element = await page.waitForSelector(selector);
  await element.waitForElementState('stable');
  const { x, y, width, height } = (await element.boundingBox())!;
  await page.mouse.click(x + width / 2, y + height / 2);
}

async function arrived(page: Page, selector: string, title: string): Promise<void> {
  await page.waitForSelector(selector);
  await page.waitForFunction((expected) => document.title === expected, `${title} · Crumb`);
}

const STEPS: [what: string, act: (page: Page) => Promise<unknown>][] = [
  ['home', (page) => arrived(page, 'h1', 'Home')],
  [
    'sign-up',
    async (page) => {
      await press(page, '#nav-signup');
      await arrived(page, '#name', 'Who are you?');
      await page.locator('#name').pressSequentially('Ada');
      await page.waitForFunction(() => document.querySelector('#hint')!.textContent === 'Thank you');
    },
  ],
  ['step 2', (page) => press(page, '#continue').then(() => arrived(page, '#terms', 'Terms'))],
  [
    'a disabled Continue',
    async (page) => {
      await press(page, '#continue');
      await press(page, '#continue');
    },
  ],
  [
    'step 3',
    async (page) => {
      await press(page, '#terms');
      await press(page, '#continue:enabled');
      await arrived(page, '#hire', 'Bakers');
    },
  ],
  [
    'a list that grows and shrinks',
    async (page) => {
      // What moves when the list grows has moved before it is pressed.
      const listed = (count: number) =>
        page.waitForFunction((n) => document.querySelectorAll('.dismiss').length === n, count);
      for (let n = 1; n <= 3; n++) {
        await press(page, '#hire');
        await listed(n);
      }
      await press(page, '.dismiss >> nth=1');
      await listed(2);
    },
  ],
  ['done', (page) => press(page, '#finish').then(() => arrived(page, 'h1', 'Welcome'))],
  [
    'back and forward',
    async (page) => {
      await page.goBack();
      await arrived(page, '#terms', 'Terms');
      await page.goForward();
      await arrived(page, 'h1', 'Welcome');
    },
  ],
  ['a person', (page) => press(page, '#nav-person').then(() => arrived(page, '#to-notes', 'Person 7'))],
  ['a nested route', (page) => press(page, '#to-notes').then(() => arrived(page, '#notes', 'Notes'))],
  ['200 rows', (page) => press(page, '#nav-rows').then(() => arrived(page, '#reverse', 'Rows'))],
  ...['reverse', 'shuffle', 'thin', 'insert', 'edit'].map(
    (action): [string, (page: Page) => Promise<unknown>] => [
      `rows: ${action}`,
      (page) => press(page, `#${action}`),
    ],
  ),
  [
    'a dialog in a portal',
    async (page) => {
      await press(page, '#nav-dialog');
      await arrived(page, '#open', 'Dialog');
      await press(page, '#open');
      await page.waitForSelector('body > [role=dialog], body > div > [role=dialog]');
    },
  ],
  ['the dialog closed', (page) => press(page, '#close')],
  ['home again', (page) => press(page, '#nav-home').then(() => arrived(page, '#skip', 'Home'))],
  [
    'a link to a place in the page',
    async (page) => {
      await press(page, '#to-footer');
      await page.waitForFunction(() => location.hash === '#footer');
    },
  ],
  ['a redirect', (page) => press(page, '#skip').then(() => arrived(page, '#hire', 'Bakers'))],
];
const navigations = (redirect: string[][]): string[][] => [
  ...redirect,
  ['push', '/signup/step-2?plan=', 'Terms'],
  ['push', '/signup/step-3', 'Bakers'],
  ['replace', '/signup/done', 'Welcome'],
  ['pop', '/signup/step-2?plan=', 'Terms'],
  ['pop', '/signup/done', 'Welcome'],
  ['push', '/people/7?tab=&token=', 'Person 7'],
  ['push', '/people/7/notes', 'Notes'],
  ['push', '/rows', 'Rows'],
  ['push', '/dialog', 'Dialog'],
  ['push', '/', 'Home'],
  ['hash', '/#footer', 'Home'],
  ['replace', '/signup/step-3', 'Bakers'],
];
const CLICKS = [
  '#nav-signup',
  '#continue',
  '#continue disabled',
  '#continue disabled',
  '#terms',
  '#continue',
  ...['#hire', '#hire', '#hire', 'Dismiss', '#finish', '#nav-person', '#to-notes', '#nav-rows'],
  ...['#reverse', '#shuffle', '#thin', '#insert', '#edit'],
  ...['#nav-dialog', '#open', '#close', '#nav-home', '#to-footer', '#skip'],
];

describe.skipIf(!chromium)('in an app of one page', () => {
  let browser: Browser;
  let built: Awaited<ReturnType<typeof buildRecorder>>;
  const closing: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    [browser, built] = await Promise.all([launchChromium(chromium!), buildRecorder()]);
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });
  afterAll(async () => {
    await browser.close();
    await built.remove();
  });
  const newPage = async (): Promise<Page> => {
    const context = await browser.newContext();
    closing.push(() => context.close());
    context.setDefaultTimeout(20_000);
    return context.newPage();
  };
  async function serve(pages: Record<string, string>): Promise<TestCollector> {
    const collector = new TestCollector(built.folder);
    for (const [path, html] of Object.entries(pages)) collector.pages.set(path, html);
    await collector.listen();
    closing.push(() => collector.close());
    return collector;
  }
  /** Once the chunk is here that tells of moves, titles are those of their time. */
  async function ready(page: Page): Promise<void> {
    await recording(page);
    await flush(page);
  }
  async function buildApp(name: string): Promise<string> {
    const { config } = FRAMEWORKS[name]!;
    const { NODE_ENV } = process.env;
    // The test run has its own; here the packages shall be as their users ship them.
    process.env.NODE_ENV = 'production';
    await build({
      ...config,
      configFile: false,
      root: join(import.meta.dirname, 'fixtures/spa', name),
      logLevel: 'error',
      build: { outDir: built.folder, emptyOutDir: false, assetsDir: `app-${name}`, minify: false },
    });
    process.env.NODE_ENV = NODE_ENV;
    return readFile(join(built.folder, 'index.html'), 'utf8');
  }

  test.each(Object.keys(FRAMEWORKS))(
    '%s: every move is told with its address and title, every click, and the replay is the page at each step',
    async (name) => {
      const html = await buildApp(name);
      const collector = await serve({ '/': html, '/people/7/notes': html, '/viewer': '<!doctype html>' });
      const page = await newPage();
      const failures: string[] = [];
      page.on('pageerror', (error) => failures.push(String(error)));
      await page.goto(collector.url);
      await ready(page);
      const counts: number[] = [];
      const live: string[] = [];
      for (const [, act] of STEPS) {
        await act(page);
        const { count, tree } = await settled(page);
        counts.push(count);
        live.push(tree);
      }
      const moves = collector.custom('navigation').map(({ kind, url, title }) => {
        const { pathname, search, hash } = new URL(url as string);
        return [kind, pathname + search + hash, (title as string).replace(' · Crumb', '')];
      });
      expect(moves[0]!.slice(0, 2)).toEqual(['load', '/']);
      expect(moves.slice(1)).toEqual(navigations(FRAMEWORKS[name]!.redirect));
      expect(
        collector
          .custom('click')
          .map(({ selector, text, disabled }) =>
            [text === 'Dismiss' ? text : selector, ...(disabled ? ['disabled'] : [])].join(' '),
          ),
      ).toEqual(CLICKS);

      const viewer = await newPage();
      await viewer.goto(`${collector.url}/viewer`);
      await viewer.addScriptTag({ path: REPLAYER });
      const [instance] = collector.instances.values();
      const trees = await replay(viewer, collector.events([instance!]), counts);
      for (const [n, [what]] of STEPS.entries()) expect(trees[n], what).toBe(live[n]);
      expect(new Set(live).size).toBeGreaterThan(STEPS.length - 6);
      expect(JSON.stringify(collector.events())).not.toMatch(/hush|Ada/);
      expect([failures, collector.violations]).toEqual([[], []]);

      const deep = await newPage();
      await deep.goto(`${collector.url}/people/7/notes`);
      await ready(deep);
      await deep.waitForSelector('#notes');
      await settled(deep);
      expect(collector.custom('navigation').at(-1)).toMatchObject({ kind: 'load' });
    },
    120_000,
  );

  const told = (collector: TestCollector): string[][] =>
    collector
      .custom('navigation')
      .map(({ kind, url, title }) => [kind as string, new URL(url as string).pathname, title as string]);
  const pageOf = (body: string, head = ''): string =>
    `<!doctype html><html><head><title>First</title>${head}<script async src="/r/loader.js" data-key="wk_test"></script></head><body>${body}</body></html>`;

  test('moves by the Navigation API, by a captured or borrowed pushState and inside a view transition are told once', async () => {
    const collector = await serve({
      '/': pageOf(
        '<main>First</main>',
        `<script>var captured = history.pushState.bind(history);
           navigation.addEventListener('navigate', (event) => {
             if (!event.canIntercept || !event.info) return;
             event.intercept({ handler: async () => {
               await new Promise((resolve) => setTimeout(resolve, 60));
               document.title = event.info;
               document.querySelector('main').textContent = event.info;
             } });
           });</script>`,
      ),
    });
    const page = await newPage();
    await page.goto(collector.url);
    await ready(page);
    await page.evaluate(async () => {
      const { navigation, captured } = window as unknown as {
        captured: History['pushState'];
        navigation: {
          navigate(url: string, options: object): { finished: Promise<unknown> };
          back(): { finished: Promise<unknown> };
        };
      };
      const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 60));
      await navigation.navigate('/second', { info: 'Second' }).finished;
      await navigation.navigate('/third', { info: 'Third', history: 'replace' }).finished;
      await navigation.back().finished;
      document.title = 'Back';
      await pause();
      captured({}, '', '/captured');
      document.title = 'Captured';
      await pause();
      History.prototype.pushState.call(history, {}, '', '/borrowed');
      document.title = 'Borrowed';
      await pause();
      const transition = document.startViewTransition(async () => {
        history.pushState({}, '', '/shown');
        document.querySelector('main')!.innerHTML = '<h1>Shown</h1>';
        await pause();
        document.title = 'Shown';
      });
      await transition.finished;
    });
    const { tree } = await settled(page);
    expect(told(collector)).toEqual([
      ['load', '/', 'First'],
      ['push', '/second', 'Second'],
      ['replace', '/third', 'Third'],
      ['pop', '/', 'Back'],
      ['push', '/captured', 'Captured'],
      ['push', '/borrowed', 'Borrowed'],
      ['push', '/shown', 'Shown'],
    ]);
    collector.pages.set('/viewer', '<!doctype html>');
    const viewer = await newPage();
    await viewer.goto(`${collector.url}/viewer`);
    await viewer.addScriptTag({ path: REPLAYER });
    const events = collector.events();
    expect(await replay(viewer, events, [events.length])).toEqual([tree]);
  });

  test('History may be patched before us and after us, with and without the Navigation API, and is itself again', async () => {
    const patch = (name: string): string => `{ const { pushState } = history;
      history.pushState = function (...args) { seen.push('${name}'); return pushState.apply(this, args); }; }`;
    for (const withNavigation of [true, false]) {
      const collector = await serve({
        '/': pageOf(
          '',
          `<script>window.seen = [];${patch('before')}
          // As routers do.
          addEventListener('popstate', () => history.replaceState({ kept: 1 }, ''));</script>`,
        ),
      });
      const page = await newPage();
      if (!withNavigation) await page.addInitScript({ content: 'delete window.navigation' });
      await page.goto(collector.url);
      await ready(page);
      await page.addScriptTag({ content: `const ours = history.pushState;${patch('after')}` });
      await page.evaluate(() => history.pushState({}, '', '/one'));
      const state = await page.evaluate(async () => {
        location.hash = 'part';
        await new Promise((resolve) => setTimeout(resolve, 50));
        history.back();
        await new Promise((resolve) => setTimeout(resolve, 50));
        history.back();
        await new Promise((resolve) => setTimeout(resolve, 50));
        return history.state as unknown;
      });
      expect(state).toEqual({ kept: 1 });
      await page.evaluate(() => window.mutoscope.stop());
      await page.evaluate(() => history.pushState({}, '', '/unseen'));
      expect(await page.evaluate(() => (window as unknown as { seen: string[] }).seen)).toEqual([
        'after',
        'before',
        'after',
        'before',
      ]);
      await until(() => told(collector).length === 5, 'navigations');
      expect(told(collector).map(([kind, path]) => [kind, path])).toEqual([
        ['load', '/'],
        ['push', '/one'],
        ['hash', '/one'],
        ['hash', '/one'],
        ['pop', '/'],
      ]);
    }
  });
});
