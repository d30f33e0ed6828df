import { chromium as playwright, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { buildFuzz, Gallery, PAGES, recordFuzz, stockRecorder } from '#recordings';
import { eventsOf, decodeCheckpoint, encodeCheckpoint } from './checkpoints.ts';
import { Fold } from './fold.ts';
import { createRandom } from './samples.ts';
import { createFoldEvents } from './test-fold-events.ts';
import { openReplay, replay, type PlayedEvent } from './test-replayed-page.ts';

/**
 * At moments all over a recording: what rrweb's replayer shows after a checkpoint is, node for node, what it shows after
 * all events up to there; and so it is at the end, when the rest of the events followed the checkpoint.
 */
/** FUZZ_SECONDS bounds each run by seeds, SEED runs that one alone, GALLERY those pages. */
const SECONDS = Number(process.env.FUZZ_SECONDS ?? 10);
const ONE = process.env.SEED;
const MOMENTS = 4;

const chromium = inject('chromium');

describe.skipIf(!chromium)('a checkpoint, in Chromium', () => {
  let browser: Browser;
  let stage: Page;
  const counts = { equal: 0, unequal: 0, skipped: 0 };

  beforeAll(async () => {
    browser = await playwright.launch({ executablePath: chromium!, args: ['--no-sandbox'] });
    stage = await openReplay(browser);
  });
  afterAll(async () => {
    await browser?.close();
    console.log(`figure fold_equal ${counts.equal} checkpoints`);
    console.log(`figure fold_unequal ${counts.unequal} checkpoints`);
    console.log(`${counts.skipped} parts of events skipped`);
  });

  /** Returns where it differs first, with what stands around it. */
  function difference(expected: string[], found: string[]): string | undefined {
    if (expected.join('\n') === found.join('\n')) return undefined;
    const at = expected.findIndex((line, i) => line !== found[i]);
    const near = (lines: string[]): string => lines.slice(Math.max(0, at - 2), at + 3).join('\n');
    return `line ${at} of ${expected.length}\nall events:\n${near(expected)}\ncheckpoint:\n${near(found)}`;
  }

  /** Checkpoints before events drawn by seed, and after the last. */
  async function compareAll(events: PlayedEvent[], seed: number): Promise<string[]> {
    const random = createRandom(seed);
    const first = events.findIndex(({ type }) => type === 2) + 1;
    const at = Array.from(
      { length: MOMENTS - 1 },
      () => first + Math.floor(random() * (events.length - first)),
    );
    const wrong: string[] = [];
    const fold = new Fold();
    const recorded = JSON.stringify(events);
    const last = await replay(stage, events);
    let next = 0;
    // From a meta on rrweb looks at nothing before.
    const moments = [...new Set(at)].filter((index) => events[index]!.type !== 2);
    for (const index of [...moments, events.length].sort((a, b) => a - b)) {
      for (; next < index; next++) fold.apply({ ...events[next]!, ts: events[next]!.timestamp });
      const ts = (events[index] ?? events.at(-1)!).timestamp;
      const checkpoint = eventsOf(decodeCheckpoint(encodeCheckpoint(fold.checkpoint(ts)!)), ts);
      const isLast = index === events.length;
      const before = isLast ? last : await replay(stage, events.slice(0, index));
      const differs = [difference(before, await replay(stage, checkpoint))];
      if (!isLast)
        differs.push(difference(last, await replay(stage, [...checkpoint, ...events.slice(index)])));
      for (const [i, text] of differs.entries())
        if (text) wrong.push(`${i ? 'at the end, from' : 'at'} event ${index} of ${events.length}, ${text}`);
      counts[differs.some(Boolean) ? 'unequal' : 'equal']++;
    }
    counts.skipped += fold.skipped;
    expect(JSON.stringify(events)).toBe(recorded);
    return wrong;
  }

  /** Seed after seed until the time is over; what differs, with its seed. */
  async function bySeed(compare: (seed: number) => Promise<string[]>): Promise<string[]> {
    const end = Date.now() + SECONDS * 1000;
    const first = Number(ONE ?? Date.now() % 1e6);
    const failures: string[] = [];
    let seed = first;
    for (; ONE ? seed === first : Date.now() < end && failures.length < 5; seed++)
      failures.push(...(await compare(seed)).map((text) => `SEED=${seed} ${text}`));
    console.log(`${seed - first} seeds from SEED=${first} on`);
    return failures;
  }

  test(
    'is the page of events that nobody recorded',
    async () => {
      const failures = await bySeed((seed) => compareAll(createFoldEvents(seed, 20 + (seed % 200)), seed));
      expect(failures.join('\n\n')).toBe('');
    },
    (SECONDS + 60) * 1000,
  );

  async function changing(plugins?: Parameters<typeof buildFuzz>[0]): Promise<string[]> {
    const fuzz = await buildFuzz(plugins);
    const page = await (await browser.newContext({ viewport: { width: 600, height: 400 } })).newPage();
    const failures = await bySeed(async (seed) =>
      compareAll(await recordFuzz(page, fuzz.file, seed, 18 + (seed % 40)), seed),
    );
    await fuzz.remove();
    return failures;
  }

  test('is the page that changed at random', { timeout: (SECONDS + 120) * 1000 }, async () => {
    expect((await changing()).join('\n\n')).toBe('');
  });

  test(
    'is the page that changed at random, as rrweb itself recorded it',
    { timeout: (SECONDS + 120) * 1000 },
    async () => {
      const ours = { ...counts };
      const failures = await changing([stockRecorder()]);
      const equal = counts.equal - ours.equal;
      const unequal = counts.unequal - ours.unequal;
      Object.assign(counts, ours);
      console.log(`figure fold_foreign_equal ${equal} checkpoints`);
      console.log(`figure fold_foreign_unequal ${unequal} checkpoints`);
      // Its ids come back with what was in a shadow root or frame that went. rrweb, which still knows them, then shows a
      // kept node besides what is told again, or leaves a frame empty; after a checkpoint it does neither.
      expect(unequal, failures.join('\n\n')).toBeLessThanOrEqual(MOMENTS + equal / 5);
    },
  );

  test('is the page of the gallery', { timeout: 600_000 }, async () => {
    const gallery = await Gallery.start(chromium);
    const failures: string[] = [];
    const only = process.env.GALLERY?.split(',');
    const waiting = PAGES.filter(({ name }) => !only || only.includes(name));
    const recorded = new Map<string, PlayedEvent[]>();
    // Most of it is waiting.
    const work = async (): Promise<void> => {
      for (let page = waiting.shift(); page; page = waiting.shift())
        recorded.set(page.name, await gallery.record(page));
    };
    await Promise.all([work(), work(), work(), work()]);
    for (const [name, events] of recorded)
      failures.push(...(await compareAll(events, 1)).map((text) => `${name} ${text}`));
    await gallery.stop();
    expect(failures.join('\n\n')).toBe('');
  });
});
