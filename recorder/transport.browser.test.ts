import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { encodeFrame, FrameFlag, FrameType, PAYLOAD_BYTES_MAX } from './protocol.ts';
import { Bench, flush, pageOf, recording, until } from './test-page.ts';
import type { StoredEvent } from './test-collector.ts';

const chromium = inject('chromium');

const seqs = (events: StoredEvent[]): number[] => events.map((event) => event.seq);
const oneTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const track = (from: number, to: number): string =>
  `for (let n = ${from}; n <= ${to}; n++) window.mutoscope.track('n', { n })`;

describe.skipIf(!chromium)('the transport in Chromium', () => {
  let bench: Bench;
  beforeAll(async () => void (bench = await Bench.start(chromium!)));
  afterEach(() => bench.closePages());
  afterAll(() => bench.stop());

  test('events arrive in order, exactly once, and begin with the environment', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    await page.evaluate(track(1, 50));
    await flush(page);
    const events = collector.events();
    expect(seqs(events)).toEqual(oneTo(events.length));
    // Health and vitals are told when their parts are here.
    const kinds = events
      .map((event) => event.data.tag ?? event.type)
      .filter((kind) => kind !== 'recorder_health' && kind !== 'web-vital');
    expect(kinds.slice(0, 4)).toEqual(['environment', 'navigation', 4, 2]);
    expect(collector.custom('track').map(({ props }) => (props as { n: number }).n)).toEqual(oneTo(50));
    const payloads = collector.payloads();
    expect(payloads.every(({ flags }) => flags & FrameFlag.gzip)).toBe(true);
    expect(payloads.filter(({ flags }) => flags & FrameFlag.fullSnapshot)).toHaveLength(1);
    expect(collector.violations).toEqual([]);
    const status = await page.evaluate(async () => {
      await window.mutoscope.flush();
      return window.mutoscope.status();
    });
    expect(status).toMatchObject({ state: 'recording', framesUnacked: 0, bytesBuffered: 0 });
    expect(status.eventsAcked).toBe(status.eventsRecorded);
    expect(collector.events().length).toBeGreaterThanOrEqual(status.eventsAcked);
    expect(status.rid).toMatch(/^[\w-]{16,32}$/);
  });

  test('what was not acked when the socket was cut is sent again, and nothing twice', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    const acked = [...collector.instances.values()][0]!.frames.length - 1;
    // Kept but not acked; then lost on the way; then nothing at all.
    collector.acks = false;
    await page.evaluate(track(1, 10));
    await page.evaluate(() => void window.mutoscope.flush());
    await until(() => collector.custom('track').length === 10, 'frames kept without an ack');
    collector.keeps = false;
    await page.evaluate(track(11, 20));
    await page.evaluate(() => void window.mutoscope.flush());
    await page.waitForFunction(() => window.mutoscope.status().framesUnacked >= 2);
    collector.cut();
    await page.waitForFunction(() => window.mutoscope.status().state !== 'recording');
    await page.evaluate(track(21, 30));
    collector.keeps = true;
    collector.acks = true;
    await flush(page);
    const events = collector.events();
    expect(seqs(events)).toEqual(oneTo(events.length));
    expect(collector.custom('track').map(({ props }) => (props as { n: number }).n)).toEqual(oneTo(30));
    expect(collector.hellos.length).toBe(2);
    expect(collector.hellos[1]!.token).toBe('token:session-1');
    expect(collector.hellos.map(({ ackedFrame }) => ackedFrame)).toEqual([0, acked]);
    expect(collector.violations).toEqual([]);
  });

  test('a payload over 256 KiB goes on in further frames', async () => {
    const collector = await bench.collector('<p id="big"></p>');
    // Random text does not compress, so that the snapshot spans frames.
    const fill = `document.addEventListener('DOMContentLoaded', () => {
      let seed = 7; let text = '';
      for (let n = 0; n < 700000; n++) text += String.fromCharCode(33 + ((seed = (seed * 48271) % 2147483647) % 90));
      document.querySelector('#big').textContent = text;
    })`;
    const page = await bench.page(collector, fill);
    await recording(page);
    await flush(page);
    const [instance] = collector.instances.values();
    const frames = instance!.frames.slice(1);
    const snapshot = frames.filter(({ flags }) => flags & FrameFlag.fullSnapshot);
    expect(snapshot.length).toBeGreaterThan(1);
    expect(
      snapshot
        .slice(0, -1)
        .every(({ flags, payload }) => flags & FrameFlag.more && payload.length === PAYLOAD_BYTES_MAX),
    ).toBe(true);
    expect(snapshot.at(-1)!.flags & FrameFlag.more).toBe(0);
    expect(new Set(snapshot.map(({ firstSeq }) => firstSeq)).size).toBe(1);
    const events = collector.events();
    expect(seqs(events)).toEqual(oneTo(events.length));
    expect(JSON.stringify(events.find(({ type }) => type === 2)).length).toBeGreaterThan(700_000);
    expect(collector.violations).toEqual([]);
  });

  test('a character of two units that lies where pieces are cut stays one', async () => {
    const collector = await bench.collector('<p id="odd"></p><p id="even"></p>');
    const page = await bench.page(
      collector,
      `addEventListener('DOMContentLoaded', () => {
         odd.textContent = '\u{1f600}'.repeat(100_000);
         even.textContent = 'a' + odd.textContent;
       });`,
    );
    await recording(page);
    await flush(page);
    const text = JSON.stringify(collector.events().map(({ data }) => data));
    const faces = '\u{1f600}'.repeat(100_000);
    expect(text.split(faces)).toHaveLength(3);
    expect(text).toContain(`"a${faces}"`);
    expect(text).not.toContain('\ufffd');
  });

  test('the session continues over a reload, with a new instance', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(collector);
    await recording(page);
    await page.reload();
    await recording(page);
    await flush(page);
    expect(collector.hellos.at(-1)!.token).toBe('token:session-1');
    const instances = [...collector.instances.values()];
    expect(instances.map(({ session }) => session)).toEqual(['session-1', 'session-1']);
    for (const instance of instances) {
      const events = collector.events([instance]);
      expect(seqs(events)).toEqual(oneTo(events.length));
    }
    expect(collector.violations).toEqual([]);
  });

  test('what happens just before the page goes arrives, also where no socket can be had', async () => {
    for (const init of [
      undefined,
      'window.WebSocket = class { constructor() { throw new Error("blocked") } }',
    ]) {
      const collector = await bench.collector('<p>hello</p>');
      collector.pages.set('/next', '<!doctype html><p>elsewhere</p>');
      const page = await bench.page(collector, init);
      if (!init) await recording(page);
      await page.waitForFunction(() => window.mutoscope?.status?.().eventsRecorded >= 4);
      await page.evaluate(() => {
        window.mutoscope.track('last', { words: 'just before' });
        location.href = '/next';
      });
      await until(() => collector.custom('track').length > 0, 'the last event');
      const [instance] = collector.instances.values();
      const events = collector.events([instance!]);
      expect(seqs(events)).toEqual(oneTo(events.length));
      expect(collector.custom('track')).toEqual([{ name: 'last', props: { words: 'just before' } }]);
      await until(() => collector.posts > 0, 'the post');
      expect(collector.violations).toEqual([]);
      // Chromium may never close a context whose page is about to leave.
      await page.waitForURL('**/next');
    }
  });

  test('a page that comes back from the back-forward cache connects again and takes a snapshot', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
    expect(await page.evaluate(() => window.mutoscope.status().state)).toBe('offline');
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
    await recording(page);
    await flush(page);
    expect(collector.events().filter(({ type }) => type === 2).length).toBe(2);
    expect(collector.violations).toEqual([]);
  });

  test('CREDIT 0 holds frames back, later CREDIT lets them go', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    collector.credit({ frames: 0, bytes: 0 });
    // Frames are read in order: the snapshot shows that CREDIT was.
    collector.broadcast(encodeFrame({ type: FrameType.snap }));
    await page.waitForFunction(() => window.mutoscope.status().bytesBuffered > 0);
    const before = collector.events().length;
    await page.evaluate(track(1, 3));
    await page.evaluate(() => void window.mutoscope.flush());
    await page.waitForFunction(() => window.mutoscope.status().bytesBuffered > 0);
    expect(collector.events().length).toBeLessThanOrEqual(before);
    expect(collector.custom('track')).toEqual([]);
    collector.credit({ frames: 8, bytes: 1e6 });
    await flush(page);
    expect(collector.custom('track').length).toBe(3);
  });

  test('what a bounded buffer cannot hold is dropped with a visible gap, and a full snapshot heals it', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    collector.credit({ frames: 0, bytes: 0 });
    await page.evaluate(() => {
      const noise = (): string => {
        const bytes = crypto.getRandomValues(new Uint8Array(5900));
        return btoa(String.fromCharCode(...bytes));
      };
      for (let n = 0; n < 900; n++) window.mutoscope.track('noise', { n, text: noise() });
      void window.mutoscope.flush();
    });
    await page.waitForFunction(() => window.mutoscope.status().lastError === 'buffer_full');
    collector.credit({ frames: 8, bytes: 1e6 });
    await flush(page);
    const events = collector.events();
    const gap = events.findIndex(({ seq }, index) => seq !== index + 1);
    expect(gap).toBeGreaterThan(0);
    expect(events.slice(gap).some(({ type }) => type === 2)).toBe(true);
    expect(seqs(events)).toEqual(seqs(events).sort((a, b) => a - b));
    expect(collector.violations).toEqual([]);
  });

  test('SNAP brings a full snapshot in a batch of its own', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    await page.evaluate(track(1, 1));
    collector.broadcast(encodeFrame({ type: FrameType.snap }));
    await until(() => collector.events().filter(({ type }) => type === 2).length === 2, 'the snapshot');
    const batch = collector.payloads().at(-1)!;
    expect((JSON.parse(batch.json) as StoredEvent[]).map(({ type }) => type).slice(0, 2)).toEqual([4, 2]);
    expect(batch.flags & FrameFlag.fullSnapshot).toBeTruthy();
  });

  test('a collector that forgot the instance gets a new one, with all that it needs', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    const rid = await page.evaluate(() => window.mutoscope.status().rid);
    collector.instances.clear();
    collector.cut();
    await page.waitForFunction(() => window.mutoscope.status().state !== 'recording');
    await page.evaluate(track(1, 5));
    await page.waitForFunction((old) => window.mutoscope.status().rid !== old, rid);
    await recording(page);
    await flush(page);
    await until(() => collector.events().some(({ type }) => type === 2), 'a snapshot');
    const instance = collector.instances.get(await page.evaluate(() => window.mutoscope.status().rid))!;
    const events = collector.events([instance]);
    expect(seqs(events)).toEqual(oneTo(events.length));
    expect(events[0]!.data.tag).toBe('environment');
    expect(collector.custom('track').length).toBe(5);
  });

  test('a refused token is forgotten and a new session begun', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const stale = JSON.stringify({ token: 'stale', startedMs: Date.now(), activeMs: Date.now() });
    collector.refuse = ({ token }) =>
      token === 'stale' ? { code: 'bad_token', message: 'forged' } : undefined;
    const page = await bench.page(
      collector,
      `sessionStorage.setItem('mutoscope.wk_test', ${JSON.stringify(stale)})`,
    );
    await recording(page);
    await flush(page);
    expect(collector.hellos.map(({ token }) => token)).toEqual(['stale', undefined]);
    const events = collector.events();
    expect(seqs(events)).toEqual(oneTo(events.length));
    expect(events.some(({ type }) => type === 2)).toBe(true);
  });

  test('an unknown key and the kill switch stop the recorder for good', async () => {
    for (const stopped of ['unknown_key', 'recording_disabled']) {
      const collector = await bench.collector('<p>hello</p>');
      if (stopped === 'unknown_key')
        collector.refuse = () => ({ code: 'unknown_key', message: 'no such key' });
      else collector.settings = { record: false };
      const page = await bench.page(collector);
      await page.waitForFunction(() => window.mutoscope?.status?.().state === 'stopped');
      const before = await page.evaluate(() => window.mutoscope.status());
      await page.evaluate(() => void (document.body.innerHTML = '<b>changed</b>'));
      await page.evaluate(track(1, 3));
      await flush(page);
      expect(await page.evaluate(() => window.mutoscope.status())).toEqual(before);
      expect(before.lastError).toBe(stopped);
      expect(collector.events()).toEqual([]);
    }
  });

  test('it records without sessionStorage, CompressionStream and requestIdleCallback', async () => {
    const collector = await bench.collector('<p>hello</p>');
    const page = await bench.page(
      collector,
      `delete window.CompressionStream; delete window.requestIdleCallback;
       Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('forbidden') } });`,
    );
    await recording(page);
    await flush(page);
    expect(collector.events().some(({ type }) => type === 2)).toBe(true);
    expect(collector.payloads().every(({ flags }) => (flags & FrameFlag.gzip) === 0)).toBe(true);
  });

  test('calls made before the core is there are recorded, and one that cannot be is refused without harm', async () => {
    const collector = await bench.collector(
      '<p>hello</p>',
      `<script>(window.mutoscope ??= { q: [], track(...a) { this.q.push(['track', ...a]) } }).track('early', { n: 1 })</script>`,
    );
    const page = await bench.page(collector);
    await recording(page);
    await page.evaluate(() => {
      const circle: Record<string, unknown> = {};
      circle.self = circle;
      window.mutoscope.track('circle', circle);
      window.mutoscope.track('huge', { text: 'x'.repeat(10_000) });
      window.mutoscope.identify('visitor-1');
    });
    await flush(page);
    expect(collector.custom('track')).toEqual([{ name: 'early', props: { n: 1 } }]);
    expect(collector.custom('identify')).toEqual([{ visitor: 'visitor-1' }]);
    expect(await page.evaluate(() => window.mutoscope.status().lastError)).toMatch(/^track_too_large/);
  });

  test('stop sends what is left, marks it final, and puts the page back as it was', async () => {
    const collector = await bench.collector('<input id="a">');
    const page = await bench.page(
      collector,
      `window.natives = () => [history.pushState, history.replaceState, Element.prototype.attachShadow,
         Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set].map(String).join();
       window.before = natives();`,
    );
    await recording(page);
    await page.evaluate(() => {
      window.mutoscope.track('end');
      window.mutoscope.stop();
    });
    await page.waitForFunction(() => window.mutoscope.status().state === 'stopped');
    expect(collector.custom('track').length).toBe(1);
    expect(collector.payloads().at(-1)!.flags & FrameFlag.final).toBeTruthy();
    expect(await page.evaluate('natives() === before')).toBe(true);
    const count = collector.events().length;
    await page.fill('#a', 'typed');
    await flush(page);
    expect(collector.events().length).toBe(count);
  });

  test('two copies of the loader record once', async () => {
    const collector = await bench.collector('<script async src="/r/loader.js" data-key="wk_test"></script>');
    const page = await bench.page(collector);
    await recording(page);
    await page.evaluate(() => new Promise((resolve) => requestIdleCallback(resolve, { timeout: 100 })));
    await flush(page);
    expect(collector.hellos.length).toBe(1);
  });

  test('a session that was idle too long ends, and the next event begins another', async () => {
    const collector = await bench.collector('<p>hello</p>');
    collector.pages.set('/later', pageOf('<p>later</p>'));
    const page = await bench.page(collector);
    await recording(page);
    await flush(page);
    const first = await page.evaluate(() => window.mutoscope.status());
    await page.evaluate(() => {
      const { now } = Date;
      Date.now = () => now() + 31 * 60_000;
      window.mutoscope.track('back again');
    });
    await page.waitForFunction((rid) => window.mutoscope.status().rid !== rid, first.rid);
    await recording(page);
    await flush(page);
    const second = await page.evaluate(() => window.mutoscope.status());
    expect(second.session).not.toBe(first.session);
    await until(
      () => collector.events([collector.instances.get(second.rid)!]).some(({ type }) => type === 2),
      'a snapshot',
    );
    expect(collector.custom('track').length).toBe(1);
  });
});
