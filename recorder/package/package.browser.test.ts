import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { launchChromium } from '../browser.ts';
import { TestCollector } from '../test-collector.ts';
import { flush, recording, until } from '../test-page.ts';
import { makePackage } from './make.ts';
import { noticesOf, packagesOf } from './third-party.ts';

const chromium = inject('chromium');
const TSC = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');

/** A folder that has the packed package installed, as its users have it. */
let home: string;
let installed: string;
let integrity: Record<string, string>;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'package-'));
  await makePackage(join(home, 'made'));
  const npm = (cwd: string, ...args: string[]): string =>
    execFileSync('npm', [...args, '--cache', join(home, 'cache'), '--loglevel', 'error'], {
      cwd,
      encoding: 'utf8',
    });
  const tarball = npm(join(home, 'made'), 'pack', '--pack-destination', home).trim().split('\n').at(-1)!;
  await mkdir(join(home, 'site'));
  await writeFile(join(home, 'site/package.json'), '{ "private": true, "type": "module" }');
  npm(join(home, 'site'), 'install', '--offline', '--no-audit', '--no-fund', join(home, tarball));
  installed = join(home, 'site/node_modules/@mutoscope/recorder');
  integrity = JSON.parse(await readFile(join(installed, 'integrity.json'), 'utf8')) as Record<string, string>;
}, 120_000);
afterAll(() => rm(home, { recursive: true, force: true }));

describe('the package', () => {
  test('has all that it names, the hash of each script, its licences, and needs nothing else', async () => {
    const manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as {
      version: string;
      exports: Record<string, string | Record<string, string>>;
    };
    const root = createRequire(import.meta.url)('../../package.json') as { version: string };
    expect(manifest.version).toBe(root.version);
    for (const absent of ['dependencies', 'peerDependencies', 'private', 'scripts'])
      expect(manifest).not.toHaveProperty(absent);
    const paths = Object.values(manifest.exports).flatMap((entry) =>
      typeof entry === 'string' ? entry : Object.values(entry),
    );
    for (const path of [...paths, 'README.md', 'LICENSE', 'THIRD-PARTY-NOTICES.txt'])
      expect(existsSync(join(installed, path)), path).toBe(true);
    const scripts = globSync('**/*.js', { cwd: installed }).sort();
    expect(Object.keys(integrity)).toEqual(scripts);
    for (const name of scripts) {
      const bytes = await readFile(join(installed, name));
      expect(integrity[name]).toBe(`sha384-${createHash('sha384').update(bytes).digest('base64')}`);
    }
    expect(await readFile(join(installed, 'THIRD-PARTY-NOTICES.txt'), 'utf8')).toMatch(
      /@rrweb\/record 2.*MIT.*SmartX Inc/s,
    );
  });

  test('a package of unknown licence is not shipped in silence', async () => {
    const dir = join(home, 'node_modules/@some/thing');
    await mkdir(dir, { recursive: true });
    await writeFile(
      join(dir, 'package.json'),
      '{ "name": "@some/thing", "version": "1.0.0", "license": "MIT" }',
    );
    const ids = [`${dir}/dist/index.js`, `${dir}/dist/more.js`, '/home/site/main.js'];
    expect(packagesOf(ids)).toEqual([dir]);
    expect(() => noticesOf(ids)).toThrow('@some/thing comes without a licence');
  });

  test.each([
    { module: 'nodenext', moduleResolution: 'nodenext' },
    { module: 'esnext', moduleResolution: 'bundler' },
  ])('has types that stand alone, and refuse what is wrong, with $moduleResolution', async (options) => {
    const right = `import { record, type Recorder, type RecorderStatus, type RecordOptions } from '@mutoscope/recorder';
import type {} from '@mutoscope/recorder/loader';
const options: RecordOptions = { url: 'https://c.example', key: 'wk_x', consent: 'required', sampleRate: 0.5 };
const recorder: Recorder = record(options);
const status: RecorderStatus = recorder.status();
recorder.track('bought', { price: 3 });
window.mutoscope.identify(status.session ?? '');
export const done: Promise<void> = recorder.flush();`;
    const dir = join(home, 'site');
    await writeFile(join(dir, 'right.ts'), right);
    await writeFile(join(dir, 'wrong.ts'), right.replace("'required'", "'perhaps'").replace('3 }', '3 }, 1'));
    const compilerOptions = {
      ...{ strict: true, noEmit: true, skipLibCheck: false, types: [], target: 'es2022' },
      ...{ lib: ['es2022', 'dom'], ...options },
    };
    const project = { compilerOptions, files: ['right.ts', 'wrong.ts'] };
    await writeFile(join(dir, 'tsconfig.json'), JSON.stringify(project));
    const { stdout } = spawnSync(process.execPath, [TSC, '-p', dir], { encoding: 'utf8' });
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => /^.*wrong\.ts\((\d)/.exec(line)?.[1] ?? line),
    ).toEqual(['3', '6']);
    expect(stdout).toContain('"perhaps"');
    expect(stdout).toContain('Expected 1-2 arguments, but got 3');
  });

  test('can be imported on a server, where it does nothing', () => {
    const said = execFileSync(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `const before = Object.keys(globalThis).length; const all = await import('@mutoscope/recorder');
         console.log(Object.keys(all).join(), Object.keys(globalThis).length - before, typeof window);`,
      ],
      { cwd: join(home, 'site'), encoding: 'utf8' },
    );
    expect(said.trim()).toBe('record 0 undefined');
  });
});

describe.skipIf(!chromium)('the package in Chromium', () => {
  let browser: Browser;
  const closing: (() => Promise<unknown>)[] = [];
  beforeAll(async () => void (browser = await launchChromium(chromium!)));
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });
  afterAll(() => browser.close());
  const serve = async (dir: string): Promise<TestCollector> => {
    const collector = new TestCollector(dir);
    await collector.listen();
    closing.push(() => collector.close());
    return collector;
  };
  const open = async (url: string): Promise<Page> => {
    const context = await browser.newContext();
    closing.push(() => context.close());
    const page = await context.newPage();
    await page.goto(url);
    return page;
  };
  const expectRecorded = async (page: Page, collector: TestCollector, words: string): Promise<void> => {
    await recording(page);
    await page.evaluate(() => window.mutoscope.track('seen', { by: 'test' }));
    await flush(page);
    await until(() => collector.custom('track').length === 1, 'the track event');
    expect(JSON.stringify(collector.events().find(({ type }) => type === 2))).toContain(words);
    expect(collector.violations).toEqual([]);
  };

  test('a site that Vite builds from it is recorded', async () => {
    const collector = await serve(installed);
    const site = join(home, 'site');
    await writeFile(
      join(site, 'index.html'),
      '<h1>Built by Vite</h1><script type="module" src="./main.js"></script>',
    );
    await writeFile(
      join(site, 'main.js'),
      `import { record } from '@mutoscope/recorder';
       window.mutoscope = record({ url: '${collector.url}', key: 'wk_test' });`,
    );
    const outDir = join(home, 'built');
    await build({ root: site, configFile: false, logLevel: 'error', build: { outDir, emptyOutDir: true } });
    const host = await serve(outDir);
    host.pages.set('/', await readFile(join(outDir, 'index.html'), 'utf8'));
    await expectRecorded(await open(host.url), collector, 'Built by Vite');
  });

  test('the classic script records a plain page, checked by its hash, on its own or when it is told to', async () => {
    const page = (attributes: string, more = ''): string =>
      `<!doctype html><title>Plain</title><h1>A plain page</h1>
       <script src="/r/mutoscope.js" integrity="${integrity['mutoscope.js']}" crossorigin ${attributes}></script>${more}`;
    const own = await serve(installed);
    own.pages.set('/', page(`data-url="${own.url}/" data-key="wk_test"`));
    await expectRecorded(await open(own.url), own, 'A plain page');
    const told = await serve(installed);
    told.pages.set(
      '/',
      page(
        '',
        `<script>mutoscope.track('early');
           const first = mutoscope.record({ url: '${told.url}', key: 'wk_test' });
           window.same = first === mutoscope.record({ url: 'elsewhere', key: 'wk_other' });</script>`,
      ),
    );
    const plain = await open(told.url);
    await recording(plain);
    await flush(plain);
    expect(told.custom('track').map(({ name }) => name)).toEqual(['early']);
    expect(await plain.evaluate(() => (window as unknown as { same: boolean }).same)).toBe(true);
  });

  test('the loader may be served by the site itself and record to a collector elsewhere', async () => {
    const dir = join(home, 'hosted');
    await cp(join(installed, 'loader'), dir, { recursive: true });
    const [collector, host] = [await serve(installed), await serve(dir)];
    host.pages.set(
      '/',
      `<!doctype html><h1>Hosted</h1><script async src="/r/loader.js" integrity="${integrity['loader/loader.js']}"
         crossorigin data-url="${collector.url}/" data-key="wk_test"></script>`,
    );
    await expectRecorded(await open(host.url), collector, 'Hosted');
    expect(host.hellos).toEqual([]);
  });
});
