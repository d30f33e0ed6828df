import { createHash } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { launchChromium } from './browser.ts';
import { checkImports, integrityOf } from './integrity.ts';
import { TestCollector } from './test-collector.ts';
import { Bench, buildRecorder, flush, recording, until, untilFlushed } from './test-page.ts';

const chromium = inject('chromium');
/** Collected before anything of the page runs. */
const REPORTS = `window.refused = []; document.addEventListener('securitypolicyviolation',
  (event) => refused.push(event.effectiveDirective + ' ' + event.blockedURI))`;
const meta = (policy: string): string => `<meta http-equiv="Content-Security-Policy" content="${policy}">`;
const refused = (page: Page): Promise<string[]> =>
  page.evaluate(() => (window as unknown as { refused: string[] }).refused);
const tracked = (collector: TestCollector): unknown[] =>
  collector.custom('track').map(({ name, props }) => [name, props]);

describe.skipIf(!chromium)('the loader in Chromium', () => {
  let bench: Bench;
  let browser: Browser;
  let built: Awaited<ReturnType<typeof buildRecorder>>;
  const closing: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    [bench, browser, built] = await Promise.all([
      Bench.start(chromium!),
      launchChromium(chromium!),
      buildRecorder(),
    ]);
  });
  afterEach(async () => {
    await bench.closePages();
    for (const close of closing.splice(0).reverse()) await close();
  });
  afterAll(async () => {
    await bench.stop();
    await browser.close();
    await built.remove();
  });
  /** A server of files, and a collector; two of them are two origins. */
  const serve = async (dir: string, pages: Record<string, string> = {}): Promise<TestCollector> => {
    const collector = new TestCollector(dir);
    for (const [path, html] of Object.entries(pages)) collector.pages.set(path, html);
    await collector.listen();
    closing.push(() => collector.close());
    return collector;
  };
  const open = async (url: string): Promise<Page> => {
    const context = await browser.newContext();
    closing.push(() => context.close());
    await context.addInitScript({ content: REPORTS });
    const page = await context.newPage();
    await page.goto(url);
    return page;
  };

  test('a page may be as strict as it likes: script-src and connect-src of the collector are all that is needed', async () => {
    const collector = await bench.collector(
      '<p>strict</p>',
      meta(
        "default-src 'none'; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'",
      ),
    );
    const page = await bench.page(collector, REPORTS);
    await recording(page);
    await untilFlushed(page, () => collector.events().some(({ type }) => type === 2));
    await page.evaluate(() => document.body.append('more'));
    await flush(page);
    expect(collector.events().some(({ type }) => type === 3)).toBe(true);
    expect(await refused(page)).toEqual([]);
  });

  test('a collector of another origin needs its address in both, a nonce with strict-dynamic is enough for scripts', async () => {
    const collector = await serve(built.folder);
    const tag = `async src="${collector.url}/r/loader.js" data-key="wk_test" crossorigin`;
    const connect = `connect-src ${collector.url} ${collector.url.replace('http', 'ws')}; require-trusted-types-for 'script'`;
    const site = await serve(built.folder, {
      '/listed': `${meta(`default-src 'none'; script-src ${collector.url}; ${connect}`)}<script ${tag}></script>`,
      '/nonce': `${meta(`default-src 'none'; script-src 'nonce-n1' 'strict-dynamic'; ${connect}`)}<script nonce="n1" ${tag}></script>`,
    });
    for (const path of ['/listed', '/nonce']) {
      const page = await open(site.url + path);
      await recording(page);
      await flush(page);
      expect(await refused(page)).toEqual([]);
    }
    expect(new Set(collector.hellos.map(({ url }) => new URL(url).pathname))).toEqual(
      new Set(['/listed', '/nonce']),
    );
  });

  test('a core that was tampered with does not run, and the page is told why it is not recorded', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'tampered-'));
    closing.push(() => rm(dir, { recursive: true, force: true }));
    await cp(built.folder, dir, { recursive: true });
    const { pinned, integrity } = JSON.parse(await readFile(join(dir, 'integrity.json'), 'utf8')) as {
      pinned: string;
      integrity: Record<string, string>;
    };
    const core = Object.keys(integrity).find((name) => name.startsWith('core-'))!;
    await writeFile(join(dir, core), `window.tampered = true;${await readFile(join(dir, core), 'utf8')}`);
    const collector = await serve(dir, {
      '/': `<script async src="/r/loader.js" data-key="wk_test"></script>`,
      '/pinned': `<script async src="/r/${pinned}" data-key="wk_test"></script>`,
    });
    for (const path of ['/', '/pinned']) {
      const page = await open(collector.url + path);
      await page.waitForFunction(() => window.mutoscope?.status?.().state === 'stopped');
      const { status, run } = await page.evaluate(async () => {
        window.mutoscope.track('nobody hears it');
        await window.mutoscope.flush();
        return { status: window.mutoscope.status(), run: 'tampered' in window };
      });
      expect(status.lastError).toMatch(/^not_loaded: .*core-.*not what it was/);
      expect(run).toBe(false);
    }
    expect(collector.hellos).toEqual([]);
  });

  test('a browser without module preloading checks nothing, unless the page has an import map that does', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'unchecked-'));
    closing.push(() => rm(dir, { recursive: true, force: true }));
    await cp(built.folder, dir, { recursive: true });
    const { integrity } = JSON.parse(await readFile(join(dir, 'integrity.json'), 'utf8')) as {
      integrity: Record<string, string>;
    };
    const core = Object.keys(integrity).find((name) => name.startsWith('core-'))!;
    const map = JSON.stringify({ integrity: { [`/r/${core}`]: integrity[core] } });
    const tag = `<script async src="/r/loader.js" data-key="wk_test"></script>`;
    const collector = await serve(dir, {
      '/': tag,
      '/map': `<script type="importmap">${map}</script>${tag}`,
    });
    const old = async (path: string): Promise<string> => {
      const context = await browser.newContext();
      closing.push(() => context.close());
      await context.addInitScript({ content: 'DOMTokenList.prototype.supports = () => false' });
      const page = await context.newPage();
      await page.goto(collector.url + path);
      await page.waitForFunction(() => /recording|stopped/.test(window.mutoscope?.status?.().state ?? ''));
      return page.evaluate(() => window.mutoscope.status().state);
    };
    expect([await old('/'), await old('/map')]).toEqual(['recording', 'recording']);
    await writeFile(join(dir, core), `${await readFile(join(dir, core), 'utf8')}/* tampered with */`);
    expect([await old('/'), await old('/map')]).toEqual(['recording', 'stopped']);
  });

  test('a page may pin a version of the loader by its hash', async () => {
    const { pinned, integrity } = JSON.parse(
      await readFile(join(built.folder, 'integrity.json'), 'utf8'),
    ) as {
      pinned: string;
      integrity: Record<string, string>;
    };
    const pin = (hash: string): string =>
      `<script async src="/r/${pinned}" integrity="${hash}" crossorigin data-key="wk_test"></script>`;
    const wrong = integrityOf('another loader');
    const collector = await serve(built.folder, {
      '/': pin(integrity[pinned]!),
      '/wrong': `${pin(wrong)}<script>var failed = 0; document.querySelector('script').onerror = () => failed++</script>`,
    });
    const page = await open(collector.url);
    await recording(page);
    await flush(page);
    expect(collector.hellos.length).toBe(1);
    const refusing = await open(`${collector.url}/wrong`);
    await refusing.waitForFunction(() => 'failed' in window && window.failed === 1);
    expect(await refusing.evaluate(() => 'mutoscope' in window)).toBe(false);
  });

  test('every hash in integrity.json is that of its file', async () => {
    const { integrity } = JSON.parse(await readFile(join(built.folder, 'integrity.json'), 'utf8')) as {
      integrity: Record<string, string>;
    };
    expect(Object.keys(integrity).length).toBeGreaterThanOrEqual(3);
    for (const [name, hash] of Object.entries(integrity)) {
      const bytes = await readFile(join(built.folder, name));
      expect(hash, name).toBe(`sha384-${createHash('sha384').update(bytes).digest('base64')}`);
    }
  });

  test('a chunk that was tampered with is not imported, a sound one is', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'chunks-'));
    closing.push(() => rm(dir, { recursive: true, force: true }));
    const part = (name: string): string => `export const name = '${name}';`;
    const hashes = new Map(['sound.js', 'wrong.js'].map((name) => [name, integrityOf(part(name))]));
    const core =
      'window.sound = () => import("./sound.js"); window.wrong = () => import(`./wrong.js`); window.other = () => import("./other.js");';
    await writeFile(join(dir, 'core.js'), checkImports(core, hashes));
    await writeFile(join(dir, 'sound.js'), part('sound.js'));
    await writeFile(join(dir, 'wrong.js'), part('tampered with'));
    await writeFile(join(dir, 'other.js'), part('unknown'));
    const site = await serve(dir, { '/': '<script type="module" src="/r/core.js"></script>' });
    const page = await open(site.url);
    const load = (which: string): Promise<string> =>
      page.evaluate(
        (name) =>
          (window as unknown as Record<string, () => Promise<{ name: string }>>)[name]!().then(
            (module) => module.name,
            () => 'refused',
          ),
        which,
      );
    expect([await load('sound'), await load('wrong'), await load('other')]).toEqual([
      'sound.js',
      'refused',
      'unknown',
    ]);
    expect(await page.locator('link').count()).toBe(0);
  });

  test('what the page calls before the core is there is done in order, whoever made the queue', async () => {
    const collector = await bench.collector(
      `<script>
         (window.mutoscope ??= { q: [], track(...a) { this.q.push(['track', ...a]) } }).track('first', { n: 1 });
         const early = window.mutoscope;
         early.q.push(['identify', 'somebody'], ['no such thing']);
       </script>`,
    );
    const page = await bench.page(collector);
    await page.waitForFunction(() => window.mutoscope?.status);
    await page.evaluate(async () => {
      window.mutoscope.track('second');
      await window.mutoscope.flush();
    });
    await recording(page);
    await page.evaluate(() => {
      (window.mutoscope as unknown as { q: unknown[][] }).q.push(['track', 'by the old queue']);
      window.mutoscope.track('third');
    });
    await flush(page);
    expect(tracked(collector)).toEqual([
      ['first', { n: 1 }],
      ['second', {}],
      ['by the old queue', {}],
      ['third', {}],
    ]);
    expect(collector.custom('identify')).toEqual([{ visitor: 'somebody' }]);
  });

  test('a page that said stop before the core was there is not recorded at all', async () => {
    const collector = await bench.collector(
      `<script>window.mutoscope = { q: [['track', 'never'], ['stop']] }</script>`,
    );
    const page = await bench.page(collector);
    await page.waitForFunction(() => window.mutoscope?.status?.().state === 'stopped');
    await page.evaluate(() => window.mutoscope.flush());
    expect(collector.hellos).toEqual([]);
  });

  test('the page holds nothing of the loader once the core runs, and a second copy does nothing', async () => {
    const collector = await bench.collector('<p>x</p>');
    const page = await bench.page(collector);
    await recording(page);
    const head = (): Promise<string> =>
      page.evaluate(() => Array.from(document.head.children, ({ localName }) => localName).join(' '));
    // The links go with the chunks that they check.
    await expect.poll(head).toBe('meta title script');
    await page.addScriptTag({ url: `${collector.url}/r/loader.js` });
    await flush(page);
    await until(() => collector.events().length > 3, 'events');
    expect(collector.instances.size).toBe(1);
  });

  test('a page without a key, or with a base address of its own, is no trouble', async () => {
    const site = await serve(built.folder, {
      '/keyless': `<script async src="/r/loader.js"></script>`,
      '/deep/page': `<base href="/deep/er/"><script async src="/r/loader.js" data-key="wk_test"></script><a href="x">x</a>`,
    });
    const keyless = await open(`${site.url}/keyless`);
    await keyless.waitForFunction(() => window.mutoscope?.status?.().state === 'stopped');
    expect(await keyless.evaluate(() => window.mutoscope.status().lastError)).toContain('no data-key');
    await keyless.evaluate(() => window.mutoscope.track('nobody hears it'));
    const page = await open(`${site.url}/deep/page`);
    await recording(page);
    await page.evaluate(() => history.pushState({}, '', 'further?q=1'));
    await flush(page);
    expect(site.custom('navigation').map(({ url }) => new URL(url as string).pathname)).toEqual([
      '/deep/page',
      '/deep/er/further',
    ]);
  });
});
