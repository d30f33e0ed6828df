import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { build } from 'vite';
import { launchChromium } from './browser.ts';
import type { Recorder } from './core.ts';
import { TestCollector } from './test-collector.ts';

declare global {
  interface Window {
    mutoscope: Recorder;
  }
}

/** Builds the recorder into a temporary folder. */
export async function buildRecorder(): Promise<{ folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'recorder-'));
  await build({
    configFile: join(import.meta.dirname, 'vite.config.ts'),
    logLevel: 'error',
    build: { outDir: folder },
  });
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** A browser and a built recorder for a file of tests. */
export class Bench {
  private readonly browser: Browser;
  private readonly built: Awaited<ReturnType<typeof buildRecorder>>;
  private readonly open: { close(): Promise<void> }[] = [];

  static async start(executablePath?: string): Promise<Bench> {
    const built = await buildRecorder();
    return new Bench(await launchChromium(executablePath), built);
  }
  constructor(browser: Browser, built: Awaited<ReturnType<typeof buildRecorder>>) {
    this.browser = browser;
    this.built = built;
  }

  /** A collector that serves `body` at `/` with the recorder in it; `tag` are further attributes of its tag. */
  async collector(body: string, head = '', tag = ''): Promise<TestCollector> {
    const collector = new TestCollector(this.built.folder);
    this.open.push(collector);
    collector.pages.set('/', pageOf(body, head, tag));
    await collector.listen();
    return collector;
  }
  /** A page that is open and recording. `init` runs before any script of the page; `base` may be a proxy's address. */
  async page(collector: TestCollector, init?: string, path = '/', base = collector.url): Promise<Page> {
    const context: BrowserContext = await this.browser.newContext();
    this.open.push(context);
    if (init) await context.addInitScript({ content: init });
    const page = await context.newPage();
    await page.goto(base + path);
    return page;
  }
  async closePages(): Promise<void> {
    for (const thing of this.open.splice(0).reverse()) await thing.close();
  }
  async stop(): Promise<void> {
    await this.closePages();
    await this.browser.close();
    await this.built.remove();
  }
}

export function pageOf(body: string, head = '', tag = ''): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Test page</title>${head}
<script async src="/r/loader.js" data-key="wk_test" ${tag}></script></head><body>${body}</body></html>`;
}

export async function recording(page: Page): Promise<void> {
  await page.waitForFunction(() => window.mutoscope?.status?.().state === 'recording');
}
/** Waits until all that the page recorded is acked. rrweb tells changes after the task that made them. */
export async function flush(page: Page): Promise<void> {
  await page.evaluate(async () => {
    await new Promise((resolve) => setTimeout(resolve));
    await window.mutoscope.flush();
  });
}
/** Waits for a condition on this side. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + 10_000; !condition();) {
    if (Date.now() > end) throw new Error(`did not come: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
/** Waits for what the page records in its own time. */
export async function untilFlushed(page: Page, condition: () => boolean): Promise<void> {
  for (const end = Date.now() + 10_000; !condition();) {
    if (Date.now() > end) throw new Error(`did not come: ${String(condition)}`);
    await page.waitForTimeout(50);
    await flush(page);
  }
}
