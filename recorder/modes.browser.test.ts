import { chromium as browserType, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { encodeJsonFrame, FrameType } from './protocol.ts';
import type { StoredEvent, TestCollector } from './test-collector.ts';
import { Bench, buildRecorder, flush, pageOf, recording, until } from './test-page.ts';

const chromium = inject('chromium');

const status = (page: Page) => page.evaluate(() => window.mutoscope.status());
const seqs = (events: StoredEvent[]): number[] => events.map((event) => event.seq);
const oneTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const snapshots = (collector: TestCollector): number =>
  collector.events().filter(({ type }) => type === 2).length;
/** Makes Math.random say these, over and over. */
const drawing = (...numbers: number[]): string =>
  `{ const draws = ${JSON.stringify(numbers)}; let at = 0; Math.random = () => draws[at++ % draws.length]; }`;

describe.skipIf(!chromium)('the back-forward cache of Chromium', () => {
  // It builds the recorder, too.
  const timeout = 120_000;
  test('keeps a recorded page, which connects again and takes a snapshot', { timeout }, async () => {
    const browser = await browserType.launch({
      executablePath: chromium!,
      args: ['--no-sandbox', '--disable-gpu', '--enable-features=BackForwardCache'],
      ignoreDefaultArgs: ['--disable-back-forward-cache'],
    });
    const bench = new Bench(browser, await buildRecorder());
    try {
      const collector = await bench.collector('<p>hello</p>');
      collector.pages.set('/next', pageOf('<p>elsewhere</p>'));
      // Playwright loses sight of a page that comes back: it tells of itself.
      const page = await bench.page(
        collector,
        `addEventListener('pageshow', ({ persisted }) => {
           const [{ notRestoredReasons }] = performance.getEntriesByType('navigation');
           if (persisted || notRestoredReasons) mutoscope.track('back', { persisted, notRestoredReasons });
         });`,
      );
      await recording(page);
      await flush(page);
      const { rid } = await status(page);
      await page.evaluate(() => {
        window.mutoscope.track('leaving');
        location.href = '/next';
      });
      await page.waitForURL('**/next');
      await recording(page);
      await flush(page);
      await page.evaluate(() => void setTimeout(() => history.back()));
      await until(() => collector.custom('track').length === 2, 'the page');
      expect(collector.custom('track')).toEqual([
        { name: 'leaving', props: {} },
        { name: 'back', props: { persisted: true, notRestoredReasons: null } },
      ]);
      const ofPage = (): StoredEvent[] => collector.events([collector.instances.get(rid)!]);
      await until(() => ofPage().filter(({ type }) => type === 2).length === 2, 'a snapshot');
      expect(seqs(ofPage())).toEqual(oneTo(ofPage().length));
      expect(collector.instances.size).toBe(2);
      expect(new Set([...collector.instances.values()].map(({ session }) => session)).size).toBe(1);
      expect(collector.violations).toEqual([]);
    } finally {
      await bench.stop();
    }
  });
});

describe.skipIf(!chromium)('modes, in Chromium', () => {
  let bench: Bench;
  beforeAll(async () => void (bench = await Bench.start(chromium!)));
  afterEach(() => bench.closePages());
  afterAll(() => bench.stop());

  const stopped = (page: Page) =>
    page.waitForFunction(() => window.mutoscope?.status?.().state === 'stopped');

  test('a session that is not sampled opens no socket, on no page of it, and says why', async () => {
    const collector = await bench.collector('<p>hello</p>', '', 'data-sample-rate="0.5"');
    const page = await bench.page(collector, drawing(0.7, 0.1));
    await stopped(page);
    expect(await status(page)).toMatchObject({ reason: 'not_sampled', eventsRecorded: 0 });
    await page.evaluate(() => window.mutoscope.track('unheard'));
    await page.reload();
    await stopped(page);
    expect((await status(page)).reason).toBe('not_sampled');
    await page.goto('about:blank');
    expect([collector.hellos.length, collector.posts]).toEqual([0, 0]);
  });

  test('a sampled session is recorded on all its pages, however the draw falls on the next', async () => {
    const collector = await bench.collector('<p>hello</p>', '', 'data-sample-rate="0.5"');
    const page = await bench.page(collector, drawing(0.3));
    await recording(page);
    expect(collector.hellos[0]!.draw).toBe(0.3);
    await page.addInitScript({ content: drawing(0.9) });
    collector.settings = { record: true, sampleRate: 0 };
    await page.reload();
    await recording(page);
    await flush(page);
    expect(new Set([...collector.instances.values()].map(({ session }) => session)).size).toBe(1);
  });

  test("of the page's and the project's sample rate the smaller one counts", async () => {
    for (const [tag, sampleRate, draw, isRecorded] of [
      ['data-sample-rate="0.5"', 0.2, 0.3, false],
      ['data-sample-rate="0.5"', 0.2, 0.1, true],
      ['data-sample-rate="0.2"', 0.9, 0.1, true],
      ['', 0.2, 0.3, false],
    ] as const) {
      const collector = await bench.collector('<p>hello</p>', '', tag);
      collector.settings = { record: true, sampleRate };
      const page = await bench.page(collector, drawing(draw));
      if (isRecorded) {
        await recording(page);
        await flush(page);
        expect(snapshots(collector)).toBe(1);
        continue;
      }
      await stopped(page);
      expect((await status(page)).reason).toBe('not_sampled');
      await page.reload();
      await stopped(page);
      await page.goto('about:blank');
      expect(collector.hellos.length).toBe(1);
      expect([collector.events().length, collector.posts]).toEqual([0, 0]);
    }
  });

  test('the kill switch stops a recorder that runs, and the next page may record again', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    const { session } = await status(page);
    const settings = { record: false };
    collector.broadcast(
      encodeJsonFrame(FrameType.welcome, {
        ...{ session, token: `token:${session}`, lastFrame: 1, serverMs: Date.now(), settings },
      }),
    );
    await stopped(page);
    expect((await status(page)).reason).toBe('recording_disabled');
    const count = collector.events().length;
    await page.evaluate(() => window.mutoscope.track('unheard'));
    await page.reload();
    await recording(page);
    expect(collector.hellos.at(-1)!.token).toBe(`token:${session}`);
    expect(collector.posts).toBe(0);
    expect(collector.custom('track')).toEqual([]);
    expect(collector.events().length).toBeGreaterThanOrEqual(count);
  });

  test('on-error: nothing leaves a page without an error, not even at its end', async () => {
    const collector = await bench.collector('<p>hello</p>', '', 'data-mode="on-error"');
    const page = await bench.page(collector);
    await page.waitForFunction(() => window.mutoscope?.status?.().state === 'holding');
    expect((await status(page)).reason).toBe('no_error');
    await page.evaluate(() => window.mutoscope.track('held'));
    await page.waitForFunction(() => window.mutoscope.status().eventsRecorded > 4);
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await page.goto('about:blank');
    expect([collector.hellos.length, collector.posts]).toEqual([0, 0]);
  });

  test('on-error: an error sends what was before it and all that follows, on the next page, too', async () => {
    for (const [cause, tag] of [
      ['setTimeout(() => { throw new Error("broken") })', 'error'],
      ['void Promise.reject(new Error("broken"))', 'unhandledrejection'],
      ['void mutoscope.flush()', undefined],
    ] as const) {
      const collector = await bench.collector('<p>hello</p>', '', 'data-mode="on-error"');
      const page = await bench.page(collector);
      await page.waitForFunction(() => window.mutoscope?.status?.().state === 'holding');
      await page.waitForFunction(() => document.readyState === 'complete');
      await page.evaluate(() => window.mutoscope.track('before'));
      await page.evaluate(cause);
      await recording(page);
      await page.evaluate(() => window.mutoscope.track('after'));
      await flush(page);
      const events = collector.events();
      expect(seqs(events)).toEqual(oneTo(events.length));
      expect(events[0]!.data.tag).toBe('environment');
      expect(snapshots(collector)).toBe(1);
      const told = events.flatMap(({ data }) =>
        /track|error|rejection/.test(data.tag ?? '') ? [data.tag] : [],
      );
      expect(told).toEqual(['track', ...(tag ? [tag] : []), 'track']);
      await page.reload();
      await recording(page);
      await flush(page);
      expect(collector.instances.size).toBe(2);
      expect(new Set([...collector.instances.values()].map(({ session }) => session)).size).toBe(1);
    }
  });

  test('on-error: an error before the chunk is here that tells of it lets go what was before it, too', async () => {
    const collector = await bench.collector('<p>hello</p>', '', 'data-mode="on-error"');
    collector.pages.set('/early', 'Nothing is recorded here.');
    const page = await bench.page(collector, undefined, '/early');
    let letPass = (): void => {};
    const passes = new Promise<void>((resolve) => (letPass = resolve));
    await page.route('**/meaning-*.js', async (route) => {
      await passes;
      await route.continue();
    });
    await page.goto(collector.url);
    await page.waitForFunction(() => window.mutoscope?.status?.().state === 'holding');
    await page.evaluate(() => {
      window.mutoscope.track('before');
      setTimeout(() => {
        throw new Error('broken');
      });
    });
    await page.waitForTimeout(100);
    expect(collector.hellos).toEqual([]);
    letPass();
    await recording(page);
    await flush(page);
    expect(collector.custom('track')).toHaveLength(1);
    expect(collector.custom('error')).toMatchObject([{ message: 'Uncaught Error: broken' }]);
  });

  test('on-error: what is sent of an old page begins with where it was and a full snapshot', async () => {
    const collector = await bench.collector('<p>hello</p>', '', 'data-mode="on-error"');
    const page = await bench.page(collector);
    await page.waitForFunction(() => (window.mutoscope?.status?.().eventsRecorded ?? 0) >= 4);
    // Minutes pass, with something every 20 s.
    for (let minute = 0; minute < 9; minute++) {
      await page.evaluate((n) => {
        const { now } = Date;
        Date.now = () => now() + 20_000;
        history.replaceState(null, '', `/at-${n}`);
        window.mutoscope.track('tick', { n });
      }, minute);
      // A batch has to close.
      await page.waitForTimeout(1100);
    }
    await page.evaluate(
      () =>
        void setTimeout(() => {
          throw new Error('broken');
        }),
    );
    await recording(page);
    await flush(page);
    const events = collector.events();
    expect(seqs(events)).toEqual(oneTo(events.length));
    const [environment, navigation, ...rest] = events;
    expect([environment!.data.tag, navigation!.data.tag]).toEqual(['environment', 'navigation']);
    expect(navigation!.data.payload!.url).toMatch(/\/at-[1-6]$/);
    expect(navigation!.timestamp).toBe(environment!.timestamp);
    expect(rest.slice(0, 2).map(({ type }) => type)).toEqual([4, 2]);
    const span = events.at(-1)!.timestamp - events[0]!.timestamp;
    expect(span).toBeGreaterThanOrEqual(59_000);
    expect(span).toBeLessThanOrEqual(145_000);
  });

  test('a tab that was made from another one is a session of its own', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    const stored = await page.evaluate(() => JSON.stringify({ ...sessionStorage }));
    // A page that this one opens begins with a copy of its sessionStorage, as a duplicated tab does.
    const [copy] = await Promise.all([
      page.waitForEvent('popup'),
      page.evaluate(() => {
        const w = window.open('/')!;
        Object.assign(window, { copied: JSON.stringify({ ...w.sessionStorage }) });
      }),
    ]);
    expect(await page.evaluate('copied')).toBe(stored);
    await recording(copy);
    await flush(copy);
    const [first, second] = [(await status(page)).session, (await status(copy)).session];
    expect(second).not.toBe(first);
    // Both go on with what is theirs.
    for (const [tab, session] of [
      [page, first],
      [copy, second],
    ] as const) {
      await tab.reload();
      await recording(tab);
      expect((await status(tab)).session).toBe(session);
    }
  });

  test('events of a session that is over are sent to it, although the page goes on with another', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    const first = await status(page);
    collector.acks = collector.keeps = false;
    await page.evaluate(() => window.mutoscope.track('late'));
    await page.waitForFunction(() => window.mutoscope.status().framesUnacked > 0);
    await page.evaluate(() => {
      const { now } = Date;
      Date.now = () => now() + 31 * 60_000;
      window.mutoscope.track('anew');
    });
    await page.waitForFunction((rid) => window.mutoscope.status().rid !== rid, first.rid);
    collector.acks = collector.keeps = true;
    collector.cut();
    await until(() => collector.custom('track').length === 2, 'both events');
    const { rid, session } = await status(page);
    expect(collector.instances.get(first.rid)!.session).toBe(first.session);
    expect(session).not.toBe(first.session);
    const names = (of: string) =>
      collector
        .events([collector.instances.get(of)!])
        .flatMap(({ data }) => (data.tag === 'track' ? [data.payload!.name] : []));
    expect([names(first.rid), names(rid)]).toEqual([['late'], ['anew']]);
  });

  test('a page that goes right after stop() still sends what was recorded', async () => {
    const collector = await bench.collector('<p>hello</p>');
    collector.pages.set('/next', '<!doctype html><p>elsewhere</p>');
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    await page.evaluate(() => {
      window.mutoscope.track('end');
      window.mutoscope.stop();
      location.href = '/next';
    });
    await page.waitForURL('**/next');
    await until(() => collector.custom('track').length === 1, 'the last event');
    await page.goto(collector.url);
    await recording(page);
    expect(new Set([...collector.instances.values()].map(({ session }) => session)).size).toBe(1);
  });

  test('the gap that a full buffer left is told with what was lost', { timeout: 60_000 }, async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    collector.credit({ frames: 0, bytes: 0 });
    await page.evaluate(() => {
      const noise = (): string => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(5900))));
      for (let n = 0; n < 1000; n++) window.mutoscope.track('noise', { n, text: noise() });
      void window.mutoscope.flush();
    });
    await page.waitForFunction(() => window.mutoscope.status().eventsDropped > 0);
    collector.credit({ frames: 8, bytes: 1e6 });
    await flush(page);
    await until(() => collector.custom('gap').length > 0, 'the gap');
    await flush(page);
    const { eventsDropped, eventsRecorded } = await status(page);
    const events = collector.events();
    expect(events.length).toBe(eventsRecorded - eventsDropped);
    const gaps = collector.custom('gap') as { events: number; bytes: number; reason: string }[];
    expect(gaps.reduce((sum, gap) => sum + gap.events, 0)).toBe(eventsDropped);
    // Base64 of noise: six bits a character, which gzip finds.
    expect(gaps.reduce((sum, gap) => sum + gap.bytes, 0) / eventsDropped).toBeGreaterThan(5900 * 0.9);
    expect(gaps[0]!.reason).toBe('buffer_full');
  });
});
