/**
 * Records the corpus that `make bench-lake` measures: SESSIONS sessions of three kinds of application by real Chromium
 * with the built recorder, as they were sent, into `.cache/corpus/<version>-<seed>/`. What is there is kept.
 *
 * People think for most of a session. Here each thought is seconds by the page's clock that pass at once, with all of
 * its timers; in between the clock goes as clocks go. CORPUS_SECONDS bounds it: what was recorded by then is the corpus, and the
 * next run goes on with it.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { launchChromium } from '../browser.ts';
import { encodeFrame, encodeFrames } from '../protocol.ts';
import { TestCollector } from '../test-collector.ts';
import { buildRecorder, flush, recording } from '../test-page.ts';
import { corpusPage, KINDS } from './test-corpus-pages.ts';
import { createWriter, type Writer } from './test-words.ts';

const VERSION = 'v1';
const SEED = Number(process.env.SEED ?? 5);
const SESSIONS = Number(process.env.SESSIONS ?? 200);
const SECONDS = Number(process.env.CORPUS_SECONDS ?? 330);
const PAGES_AT_ONCE = Number(process.env.PAGES_AT_ONCE ?? 6);
const OUT = join(import.meta.dirname, '../../.cache/corpus', `${VERSION}-${SEED}`);
const LIST = join(OUT, 'corpus.json');

interface Recorded {
  n: number;
  file: string;
  kind: string;
  startMs: number;
  recordedMs: number;
  events: number;
}
const sessions = existsSync(LIST) ? (JSON.parse(readFileSync(LIST, 'utf8')) as Recorded[]) : [];
const known = new Set(sessions.map(({ n }) => n));
const missing = Array.from({ length: SESSIONS }, (_, n) => n).filter((n) => !known.has(n));
if (!missing.length) {
  console.log(`the corpus is there: ${sessions.length} sessions in ${OUT}`);
  process.exit();
}
mkdirSync(OUT, { recursive: true });
const { folder, remove } = await buildRecorder();
const browser = await launchChromium();
const beginMs = Date.now();
async function work(): Promise<void> {
  while (missing.length && Date.now() - beginMs < SECONDS * 1000) await record(missing.shift()!);
}
await Promise.all(Array.from({ length: PAGES_AT_ONCE }, work));
await browser.close();
await remove();
if (!sessions.length) throw new Error('no session could be recorded');
writeFileSync(`${LIST}.draft`, JSON.stringify(sessions.sort((a, b) => a.n - b.n)));
renameSync(`${LIST}.draft`, LIST);
const minutes = sessions.reduce((sum, { recordedMs }) => sum + recordedMs, 0) / 60_000;
console.log(
  `${sessions.length} of ${SESSIONS} sessions, seed ${SEED}, ${minutes.toFixed(0)} recorded minutes, after ${((Date.now() - beginMs) / 1000).toFixed(0)} s: ${OUT}`,
);
if (sessions.length < SESSIONS) console.log('the next run records what is missing');

async function record(n: number): Promise<void> {
  const kind = KINDS[n % KINDS.length]!;
  const writer = createWriter(SEED * 100_000 + n);
  const collector = new TestCollector(folder);
  collector.pages.set(
    '/',
    corpusPage(kind, writer, '<script async src="/r/loader.js" data-key="wk_test"></script>'),
  );
  await collector.listen();
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    await page.clock.install();
    await page.goto(collector.url);
    await recording(page);
    await flush(page);
    const acts = 18 + writer.int(18);
    for (let act = 0; act < acts; act++) {
      await page.clock.runFor(2000 + writer.int(9000));
      await useSomething(page, writer);
    }
    await page.clock.runFor(1500);
    await flush(page);
    if (collector.violations.length) throw new Error(collector.violations.join('; '));
    const events = collector.events();
    const times = events.map(({ timestamp }) => timestamp).sort((a, b) => a - b);
    const frames = [...collector.instances.values()].flatMap(({ frames }) => frames.slice(1));
    const file = `${String(n).padStart(5, '0')}.frames`;
    writeFileSync(
      join(OUT, file),
      encodeFrames(frames.map(({ payload, ...header }) => encodeFrame(header, payload))),
    );
    const startMs = times[0]!;
    sessions.push({ n, file, kind, startMs, recordedMs: times.at(-1)! - startMs, events: events.length });
  } catch (error) {
    console.error(`session ${n} (${kind}) is left out: ${(error as Error).message.split('\n')[0]}`);
  } finally {
    await context.close();
    await collector.close();
  }
}

/** A wandering mouse, a look elsewhere on the page, a click, or some words. */
async function useSomething(page: Page, writer: Writer): Promise<void> {
  for (let move = writer.int(4); move >= 0; move--) {
    await page.mouse.move(writer.int(1280), 60 + writer.int(700), { steps: 6 });
    await page.clock.runFor(120 + writer.int(400));
  }
  const way = writer.random();
  if (way < 0.35) {
    for (let turn = 1 + writer.int(3); turn > 0; turn--) {
      await page.mouse.wheel(0, (writer.int(4) ? 1 : -1) * (100 + writer.int(500)));
      await page.clock.runFor(150);
    }
    return;
  }
  const selector = way < 0.8 ? '.act' : '.text';
  const boxes = await page.locator(selector).count();
  const target = page.locator(selector).nth(writer.int(boxes));
  await target.click({ timeout: 1500, noWaitAfter: true }).catch(() => undefined);
  await page.clock.runFor(300 + writer.int(500));
  if (selector === '.text')
    for (const word of writer.words(1 + writer.int(7)).split(' ')) {
      await page.keyboard.type(`${word} `);
      await page.clock.runFor(200 + writer.int(600));
    }
  // What opened is read and closed.
  if (await page.locator('#close').isVisible()) {
    await page.clock.runFor(1000 + writer.int(3000));
    await page
      .locator('#close')
      .click({ timeout: 1500 })
      .catch(() => page.keyboard.press('Escape'));
  }
}
