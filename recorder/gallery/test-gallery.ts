import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { launchChromium } from '../browser.ts';
import { EventType } from '../protocol.ts';
import { TestCollector, type StoredEvent } from '../test-collector.ts';
import { buildRecorder, flush, recording, until } from '../test-page.ts';
import { compare, type Box, type Comparison } from './test-compare.ts';
import { maskedBoxes } from './test-masked-boxes.ts';
import type { GalleryPage } from './test-pages.ts';

export const VIEWPORT = { width: 960, height: 640 };
const FIXTURES = join(import.meta.dirname, '../fixtures/gallery');
/** Where the mouse was is told up to 550 ms later, or 1050 where what it is over is not told yet. */
const MOUSE_MS = 1200;
const ACT_TIMEOUT_MS = 20_000;
/** After this a person tries something else. */
const HUMAN_TIMEOUT_MS = 3000;
const PAGES_AT_ONCE = 4;
const ACT_PAUSE_MS = 200;

export interface Moment extends Comparison {
  page: string;
  label: string;
}
export interface Upload {
  page: string;
  acted: number;
  snapshotBytes: number;
  bytesPerMin: number;
}
interface ReplayPage {
  showAt(events: object[], atMs: number): Promise<void>;
}
interface Taken {
  label: string;
  /** By the page's clock: what was recorded up to here is shown. */
  atMs: number;
  png: Buffer;
  boxes: Box[];
}

/** The gallery's pages as a site builds them, with the recorder in them, and a browser. */
export class Gallery {
  private readonly browser: Browser;
  private readonly folder: string;
  private readonly remove: () => Promise<void>;

  static async start(executablePath?: string): Promise<Gallery> {
    const { folder, remove } = await buildRecorder();
    // As a site is published: what libraries do in development, as to style elements, is another thing.
    const { NODE_ENV } = process.env;
    process.env.NODE_ENV = 'production';
    await build({
      configFile: join(FIXTURES, 'vite.config.ts'),
      logLevel: 'error',
      build: { outDir: join(folder, 'gallery'), emptyOutDir: true },
    });
    if (NODE_ENV === undefined) delete process.env.NODE_ENV;
    else process.env.NODE_ENV = NODE_ENV;
    return new Gallery(await launchChromium(executablePath), folder, remove);
  }
  constructor(browser: Browser, folder: string, remove: () => Promise<void>) {
    this.browser = browser;
    this.folder = folder;
    this.remove = remove;
  }
  async stop(): Promise<void> {
    await this.browser.close();
    await this.remove();
  }

  /** Some pages at a time, for most of it is waiting. A page that fails is told by its error. */
  async compareAll(
    pages: readonly GalleryPage[],
    done: (name: string, moments: Moment[] | Error) => void,
  ): Promise<void> {
    const waiting = [...pages];
    const work = async (): Promise<void> => {
      for (let page = waiting.shift(); page; page = waiting.shift())
        done(page.name, await this.compare(page).catch((error: unknown) => error as Error));
    };
    await Promise.all(Array.from({ length: PAGES_AT_ONCE }, work));
  }

  /** Drives a page through its script and compares each of its moments with the replay of what it sent. */
  async compare({ name, acts, tag = '' }: GalleryPage): Promise<Moment[]> {
    const collector = await this.serve(name, tag);
    const context = await this.browser.newContext({ viewport: VIEWPORT });
    // The player's policy lets nothing be fetched; that images are still where they were is assumed here.
    const viewer = await this.browser.newContext({ viewport: VIEWPORT, bypassCSP: true });
    try {
      const page = await this.open(await context.newPage(), collector, name);
      const taken: Taken[] = [];
      for (const act of acts)
        if (typeof act === 'string') taken.push({ label: act, ...(await take(page)) });
        else await act(page);
      const events = collector.events().sort((a, b) => a.timestamp - b.timestamp);
      const stage = await viewer.newPage();
      await stage.goto(`${collector.url}/gallery/replay.html`);
      await stage.waitForFunction(() => 'showAt' in globalThis);
      const moments: Moment[] = [];
      for (const { label, atMs, png, boxes } of taken) {
        const known = events.filter(({ timestamp }) => timestamp <= atMs);
        await stage.evaluate(([shown, at]) => (globalThis as unknown as ReplayPage).showAt(shown, at), [
          known,
          atMs,
        ] as const);
        const replayed = await take(stage);
        moments.push({ page: name, label, ...compare(png, replayed.png, [...boxes, ...replayed.boxes]) });
      }
      return moments;
    } finally {
      await context.close();
      await viewer.close();
      await collector.close();
    }
  }

  /** Drives a page through its script. Returns what it sent, in order. */
  async record({ name, acts, tag = '' }: GalleryPage): Promise<StoredEvent[]> {
    const collector = await this.serve(name, tag);
    const context = await this.browser.newContext({ viewport: VIEWPORT });
    try {
      const page = await this.open(await context.newPage(), collector, name);
      for (const act of acts) {
        if (typeof act !== 'string') await act(page);
        await page.waitForTimeout(ACT_PAUSE_MS);
      }
      await page.waitForTimeout(MOUSE_MS);
      await flush(page);
      return collector.events().sort((a, b) => a.timestamp - b.timestamp);
    } finally {
      await context.close();
      await collector.close();
    }
  }

  /**
   * Bytes that a page sends while a visitor repeats its script for `forMs`, an act every 1 to 3 s (drawn from `seed`),
   * with the mouse moved in between: everything from the first frame on, the first snapshot too.
   */
  async upload({ name, acts, tag = '' }: GalleryPage, forMs: number, seed: number): Promise<Upload> {
    const collector = await this.serve(name, tag);
    const context = await this.browser.newContext({ viewport: VIEWPORT });
    try {
      let bytes = 0;
      const page = await context.newPage();
      page.on('websocket', (socket) =>
        socket.on('framesent', ({ payload }) => (bytes += payload.length + framing(payload.length))),
      );
      page.on('request', (request) => (bytes += request.postDataBuffer()?.length ?? 0));
      await this.open(page, collector, name);
      page.setDefaultTimeout(HUMAN_TIMEOUT_MS);
      const begin = Date.now();
      const snapshotBytes = bytes;
      const steps = acts.filter((act) => typeof act !== 'string');
      let acted = 0;
      for (; Date.now() - begin < forMs; acted++) {
        await page.waitForTimeout(400 + random());
        await wander(page, random() / 3, random() / 4);
        // What was opened the last time round may be in the way.
        await steps[acted % steps.length]!(page).catch(() => page.keyboard.press('Escape'));
      }
      await flush(page);
      return { page: name, acted, snapshotBytes, bytesPerMin: (bytes / (Date.now() - begin)) * 60_000 };
    } finally {
      await context.close();
      await collector.close();
    }
    function random(): number {
      return (seed = (seed * 16_807) % 2_147_483_647) % 2000;
    }
  }

  /** One collector a page: what it holds is of that page alone. */
  private async serve(name: string, tag: string): Promise<TestCollector> {
    const collector = new TestCollector(this.folder);
    const html = readFileSync(join(this.folder, 'gallery', `${name}.html`), 'utf8');
    const loader = `<script async src="/r/loader.js" data-key="wk_test" ${tag}></script>`;
    collector.pages.set(`/gallery/${name}.html`, html.replace('</head>', `${loader}</head>`));
    await collector.listen();
    return collector;
  }

  private async open(page: Page, collector: TestCollector, name: string): Promise<Page> {
    page.setDefaultTimeout(ACT_TIMEOUT_MS);
    await page.goto(`${collector.url}/gallery/${name}.html`);
    await recording(page);
    await flush(page);
    await until(
      () => collector.events().some(({ type }) => type === EventType.fullSnapshot),
      'full snapshot',
    );
    return page;
  }
}

/** A move of the mouse that takes 600 ms and does not run straight. */
async function wander(page: Page, x: number, y: number): Promise<void> {
  for (let step = 1; step <= 12; step++) {
    await page.mouse.move((x * step) / 12, y * Math.sin((Math.PI * step) / 24));
    await page.waitForTimeout(50);
  }
}

/** What a WebSocket puts before a payload that a browser sends, by RFC 6455. */
const framing = (bytes: number): number => 6 + (bytes > 65_535 ? 8 : bytes > 125 ? 2 : 0);

/** A screenshot of a page that has come to rest, without carets, endless animations at their beginning. */
async function take(page: Page): Promise<Omit<Taken, 'label'>> {
  await page.evaluate(atRest, MOUSE_MS);
  const isReplay = !(await page.evaluate(() => 'mutoscope' in globalThis));
  if (!isReplay) await flush(page);
  const atMs = await page.evaluate(() => Date.now());
  const boxes = await page.evaluate(maskedBoxes);
  await page.waitForTimeout(5);
  const png = await page.screenshot({ animations: 'disabled', caret: 'hide' });
  return { atMs, png, boxes };
}

/**
 * Runs in the page: waits for fonts, images, videos and animations that end, also in frames and shadow roots, and until
 * the mouse has been over the same element for `mouseMs`: a busy browser notices late what was scrolled under it.
 */
async function atRest(mouseMs: number): Promise<void> {
  const until = performance.now() + mouseMs + 3000;
  let hovered: Element | undefined;
  let sinceMs = performance.now();
  const roots = function* (root: Document | ShadowRoot): Generator<Document | ShadowRoot> {
    yield root;
    for (const element of root.querySelectorAll('*')) {
      if (element.shadowRoot) yield* roots(element.shadowRoot);
      const inner = (element as HTMLIFrameElement).contentDocument;
      if (inner) yield* roots(inner);
    }
  };
  const isMoving = (root: Document | ShadowRoot): boolean =>
    [...root.querySelectorAll('img')].some((img) => !img.complete && img.loading !== 'lazy') ||
    [...root.querySelectorAll('video')].some(
      (video) =>
        video.seeking || (video.readyState < 2 && video.currentSrc !== '' && video.preload !== 'none'),
    ) ||
    (root.nodeType === Node.DOCUMENT_NODE && (root as Document).fonts.status === 'loading') ||
    root
      .getAnimations()
      .some(
        (animation) =>
          animation.playState === 'running' && animation.effect?.getComputedTiming().endTime !== Infinity,
      );
  while (performance.now() < until) {
    const over = [...document.querySelectorAll(':hover')].at(-1);
    if (over !== hovered) sinceMs = performance.now();
    hovered = over;
    if (performance.now() - sinceMs >= mouseMs && ![...roots(document)].some(isMoving)) return;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}
