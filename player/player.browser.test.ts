import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import type { SessionPlayer } from './element.ts';
import { launchBrowser } from './x-playwright-core.ts';
import { MOCK_KEY, MOCK_RELOADED, MOCK_SESSION, startMockQuery, type MockQuery } from './mock-query.ts';
import { ELEMENT_FILE, elementConfig } from './vite.config.ts';

declare global {
  var player: SessionPlayer;
  var told: [string, unknown][];
  /** The replayed page, less what only tells the replayer's state. */
  var stageHtml: () => string;
}

const PAGE = `<!doctype html><html lang="en"><title>Host</title>
<style>html, body { margin: 0; height: 100% } #a, #b { height: 100% }</style>
<script type="module" src="/${ELEMENT_FILE}"></script><div id="a"></div><div id="b"></div>`;
const chromium = inject('chromium');

describe.skipIf(!chromium)('the player', () => {
  let dir: string;
  let browser: Browser;
  let mock: MockQuery;
  let page: Page;
  /** Stands for every stranger's server that the recorded page names. */
  let stranger: Server;
  let strangerHeard = 0;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'player-'));
    await build(elementConfig(dir));
    await writeFile(join(dir, 'index.html'), PAGE);
    await writeFile(join(dir, 'host.html'), '<!doctype html><div id="a" style="height: 100vh"></div>');
    stranger = createServer((socket) => {
      strangerHeard++;
      socket.destroy();
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => stranger.once('listening', resolve));
    const { port } = stranger.address() as AddressInfo;
    browser = await launchBrowser(chromium!, `MAP planted.test:80 127.0.0.1:${port}`);
    // Without a policy of its own: what keeps requests in must be the stage's.
    mock = await startMockQuery(dir, '');
  });
  afterAll(async () => {
    await browser?.close();
    await mock?.close();
    await new Promise((resolve) => stranger?.close(resolve));
    await rm(dir, { recursive: true, force: true });
  });
  beforeEach(async () => {
    mock.fail = [];
    mock.hold = undefined;
    mock.requests.length = 0;
    page = await browser.newPage({ viewport: { width: 1300, height: 800 } });
    await page.goto(`${mock.origin}/`);
    await page.waitForFunction(() => customElements.get('session-player'));
    await page.evaluate(() => {
      globalThis.told = [];
      globalThis.stageHtml = () => {
        const root = globalThis.player.stageDocument!.documentElement.cloneNode(true) as HTMLElement;
        for (const element of [root, ...root.querySelectorAll('*')]) {
          element.classList.remove(':hover', 'rrweb-paused');
          if (!element.className) element.removeAttribute('class');
        }
        const inputs = [...globalThis.player.stageDocument!.querySelectorAll('input')];
        return root.outerHTML + JSON.stringify(inputs.map(({ value, checked }) => [value, checked]));
      };
    });
  });
  afterEach(() => page.close());

  const open = async (attributes: Record<string, string> = {}, key = MOCK_KEY): Promise<void> => {
    await page.evaluate(
      ([all, token]) => {
        const player = document.createElement('session-player');
        for (const [name, value] of Object.entries(all)) player.setAttribute(name, value);
        player.tokenProvider = async () => token;
        for (const name of ['sp-ready', 'sp-time', 'sp-state', 'sp-error'])
          document.addEventListener(name, (event) =>
            globalThis.told.push([name, (event as CustomEvent).detail]),
          );
        globalThis.player = player;
        document.getElementById('a')!.append(player);
      },
      [{ session: MOCK_SESSION, ...attributes }, key] as const,
    );
  };
  const state = (wanted: string): Promise<unknown> =>
    page.waitForFunction((phase) => globalThis.player.state === phase, wanted);
  const openPaused = async (attributes?: Record<string, string>): Promise<void> => {
    await open(attributes);
    await state('paused');
  };
  const seek = async (positionMs: number): Promise<void> => {
    await page.evaluate((ms) => globalThis.player.seek(ms), positionMs);
    await state('paused');
  };
  const html = (): Promise<string> => page.evaluate(() => globalThis.stageHtml());
  const stageText = (): Promise<string> =>
    page.evaluate(() => globalThis.player.stageDocument!.body.innerText);
  const position = (): Promise<number> => page.evaluate(() => globalThis.player.positionMs);
  const duration = (): number => mock.manifest.endMs - mock.manifest.startMs;
  const firstOf = (type: 'disabled' | 'step-3'): number => {
    const event = mock.events.find(({ data }) => {
      const { tag, payload } = data as { tag?: string; payload?: { disabled?: boolean; url?: string } };
      return type === 'disabled' ? tag === 'click' && payload?.disabled : payload?.url?.includes('step-3');
    });
    return event!.timestamp - mock.manifest.startMs;
  };

  test('shows the first moment, says so, and fetches with the bearer it is given', async () => {
    await openPaused();
    expect(await stageText()).toContain('Tell us about your bakery');
    const ready = await page.evaluate(() => globalThis.told.find(([name]) => name === 'sp-ready')?.[1]);
    expect(ready).toEqual({ durationMs: duration(), startMs: mock.manifest.startMs });
    expect(mock.requests.slice(0, 2)).toContain(`/v1/sessions/${MOCK_SESSION}/manifest`);
  });

  test('plays to the end, past a later full snapshot, and again from the start', async () => {
    await open({ autoplay: '', speed: '16' });
    await state('ended');
    expect(await stageText()).toContain('Welcome to Kneadly');
    expect(await position()).toBe(duration());
    await page.evaluate(() => globalThis.player.play());
    await page.waitForFunction(
      () => globalThis.player.state === 'playing' && globalThis.player.positionMs < 5000,
    );
    expect(await stageText()).toContain('Tell us about your bakery');
    const states = await page.evaluate(() => globalThis.told.filter(([name]) => name === 'sp-state'));
    expect(states.map(([, detail]) => (detail as { state: string }).state)).toContain('ended');
  });

  test('the DOM after a seek is the DOM of playing up to there, at several moments', async () => {
    await openPaused({ speed: '4' });
    await page.locator('session-player').getByRole('button', { name: 'Skip idle' }).click();
    const played: { positionMs: number; dom: string }[] = [];
    for (const wanted of [1500, 4700, 6200, 31_200, 32_500, 33_500]) {
      // What lies between is played, too, only the idle half minute not all of it.
      if (wanted > 30_000 && (await position()) < 29_000)
        await page.evaluate(() => globalThis.player.seek(29_000));
      await page.evaluate((ms) => {
        globalThis.player.play();
        return new Promise<void>((resolve) => {
          const look = (): void => {
            if (globalThis.player.positionMs < ms) return void requestAnimationFrame(look);
            globalThis.player.pause();
            resolve();
          };
          look();
        });
      }, wanted);
      played.push({ positionMs: await position(), dom: await html() });
    }
    for (const { positionMs, dom } of [...played].reverse()) {
      await seek(positionMs);
      expect(await html(), `at ${positionMs}`).toBe(dom);
    }
    expect(new Set(played.map(({ dom }) => dom)).size).toBeGreaterThan(3);
  });

  test('seeking back and forth always gives a moment the same DOM', async () => {
    await openPaused();
    let seed = 20_261_005;
    console.log(`seed ${seed}`);
    const moments = [0, 900, 4480, 5600, 30_990, 32_400, duration()];
    const first = new Map<number, string>();
    for (let i = 0; i < 18; i++) {
      seed = (seed * 48_271) % 2_147_483_647;
      const moment = moments[seed % moments.length]!;
      await seek(moment);
      const dom = await html();
      expect(dom, `at ${moment}, step ${i}`).toBe(first.get(moment) ?? dom);
      first.set(moment, dom);
    }
    expect(first.size).toBeGreaterThan(3);
  });

  test('of many seeks at once the last one counts', async () => {
    await openPaused();
    await page.evaluate(() => {
      for (let ms = 0; ms <= 33_000; ms += 500) globalThis.player.seek(ms);
    });
    await state('paused');
    expect(await position()).toBe(33_000);
    expect(await stageText()).toContain('Choose a plan');
    expect(await page.locator('session-player iframe').count()).toBe(1);
  });

  test('masked inputs show as masked', async () => {
    await openPaused({ t: '4' });
    const values = await page.evaluate(() =>
      ['company', 'vat'].map(
        (id) => (globalThis.player.stageDocument!.getElementById(id) as HTMLInputElement).value,
      ),
    );
    expect(values).toEqual(['·····', '·····']);
  });

  test('a link to a click on a disabled control shows the click, and which control', async () => {
    await openPaused({ at: String(mock.manifest.startMs + firstOf('disabled')) });
    const ripple = page.locator('session-player .ripple.is-disabled b');
    expect(await ripple.innerText()).toBe('disabled');
    const [drawn, real] = await page.evaluate(() => {
      const outline = globalThis.player.shadowRoot!.querySelector<HTMLElement>('.disabled-control')!;
      const button = globalThis.player.stageDocument!.querySelector<HTMLButtonElement>('#continue:disabled')!;
      const { x, y, width, height } = button.getBoundingClientRect();
      const { left, top, width: drawnWidth, height: drawnHeight } = outline.style;
      return [
        [left, top, drawnWidth, drawnHeight].map(parseFloat).map(Math.round),
        [x, y, width, height].map(Math.round),
      ];
    });
    expect(drawn).toEqual(real);
  });

  test('idle spans are skipped', async () => {
    await open({ t: '5.5', autoplay: '' });
    await state('playing');
    // 24 s of idleness lie between: without skipping the test would time out.
    await page.waitForFunction(() => globalThis.player.positionMs > 30_000, undefined, { timeout: 8000 });
    expect(await page.evaluate(() => globalThis.player.state)).not.toBe('ended');
  });

  test('waits for a segment that is late, and plays on when it comes', async () => {
    let release!: () => void;
    mock.hold = { path: /segments\/1$/, until: new Promise((resolve) => (release = resolve)) };
    await open({ autoplay: '', speed: '8' });
    await page.waitForFunction(
      () => globalThis.player.state === 'waiting' && globalThis.player.positionMs > 2000,
    );
    release();
    await page.waitForFunction(() => globalThis.player.positionMs > 5000);
    expect(
      await page.evaluate(() => globalThis.player.stageDocument!.querySelectorAll('#continue').length),
    ).toBe(1);
  });

  test('nothing leaves the stage: no image, style, font, preload or connection', async () => {
    await page.evaluate(() => {
      new Image().src = 'http://planted.test/trap-works';
    });
    await expect.poll(() => strangerHeard).toBeGreaterThan(0);
    strangerHeard = 0;
    await open({ autoplay: '', speed: '16' });
    await state('ended');
    await seek(1000);
    expect(strangerHeard).toBe(0);
    expect(await html(), 'the recording does name it').toContain('planted.test');
    const frame = page.locator('session-player iframe');
    expect(await frame.getAttribute('sandbox')).toBe('allow-same-origin');
  });

  test.each([
    [401, 'unauthorized', 'Not signed in'],
    [404, 'unknown_session', 'No such session'],
    [503, 'store_unavailable', 'This session cannot be played'],
    [0, 'unreachable', 'No answer'],
  ])('a manifest that fails with %i says so, and can be tried again', async (status, code, title) => {
    mock.fail = [{ path: /manifest/, status, code }];
    await open();
    await state('failed');
    const alert = page.locator('session-player').getByRole('alert');
    expect(await alert.innerText()).toContain(title);
    expect(await alert.innerText()).toContain(code);
    const error = await page.evaluate(() => {
      const [, detail] = globalThis.told.find(([name]) => name === 'sp-error')!;
      return (detail as { error: { code: string } }).error.code;
    });
    expect(error).toBe(code);
    mock.fail = [];
    await alert.getByRole('button', { name: 'Try again' }).click();
    await state('paused');
    expect(await stageText()).toContain('Tell us about your bakery');
  });

  test('a wrong bearer is an error, not a blank page', async () => {
    await open({}, 'ak_wrong');
    await state('failed');
  });

  test('the keyboard plays, seeks, steps, sets the speed and explains itself', async () => {
    await openPaused();
    const root = page.locator('session-player .player');
    await root.focus();
    await page.keyboard.press('Space');
    await state('playing');
    await page.keyboard.press('Space');
    await state('paused');
    await seek(1000);
    await page.keyboard.press('ArrowRight');
    await expect.poll(position).toBe(6000);
    await page.keyboard.press('ArrowLeft');
    await expect.poll(position).toBe(1000);
    await page.keyboard.press('n');
    await expect.poll(position).toBe(firstOf('disabled'));
    await page.keyboard.press('4');
    expect(await page.getByRole('button', { name: '4× speed' }).getAttribute('aria-pressed')).toBe('true');
    await state('paused');
    const before = await position();
    await page.keyboard.press('.');
    await expect.poll(position).toBeGreaterThan(before);
    await state('paused');
    await page.keyboard.press(',');
    await expect.poll(position).toBeLessThanOrEqual(before);
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    const slider = page.getByRole('slider');
    await slider.focus();
    await page.keyboard.press('End');
    await expect.poll(position).toBe(duration());
    await page.keyboard.press('Home');
    await expect.poll(position).toBe(0);
    expect(await slider.getAttribute('aria-valuetext')).toBe('0 seconds of 33 seconds');
  });

  test('the event list goes where it is clicked, and the timeline where it is pressed', async () => {
    await openPaused();
    const events = page.getByRole('region', { name: 'Events' });
    await events.getByRole('button', { name: /step-3/ }).click();
    await expect.poll(position).toBe(firstOf('step-3'));
    await events.getByRole('button', { name: /^Disabled clicks/ }).click();
    expect(await events.getByRole('listitem').count()).toBe(mock.manifest.summary.disabledClicks);
    await events.getByRole('searchbox').fill('no such thing');
    expect(await events.innerText()).toContain('No event fits');
    const track = (await page.locator('session-player .track').boundingBox())!;
    await page.mouse.click(track.x + track.width * 0.6, track.y + 45);
    await expect.poll(position).toBeCloseTo(duration() * 0.6, -3);
  });

  test('the event list is one stop for Tab, and the arrows move in it', async () => {
    await openPaused();
    const focused = (): Promise<string> =>
      page.evaluate(() => (globalThis.player.shadowRoot!.activeElement as HTMLElement).innerText);
    const rows = page.locator('session-player .event-row');
    await rows.first().focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    expect(await focused()).toBe(await rows.nth(2).innerText());
    await page.keyboard.press('End');
    expect(await focused()).toBe(await rows.last().innerText());
    await page.keyboard.press('Enter');
    await state('paused');
    expect(await position()).toBeGreaterThan(30_000);
    await page.keyboard.press('Tab');
    expect(await page.evaluate(() => globalThis.player.shadowRoot!.activeElement!.role)).toBe('slider');
    await page.keyboard.press('Shift+Tab');
    expect(await focused()).toBe(await rows.last().innerText());
  });

  test('the event list follows the position', async () => {
    await openPaused();
    const current = page.locator('session-player .event-row[aria-current]');
    const inView = (): Promise<boolean> =>
      current.evaluate((row) => {
        const list = row.closest('ol')!.getBoundingClientRect();
        const { top, bottom } = row.getBoundingClientRect();
        return top >= list.top && bottom <= list.bottom;
      });
    await page.setViewportSize({ width: 1300, height: 500 });
    await seek(duration());
    await expect.poll(() => current.innerText()).toContain('signed_up');
    expect(await inView()).toBe(true);
    await seek(900);
    await expect.poll(() => current.innerText()).toContain('#company');
    expect(await inView()).toBe(true);
  });

  test('over two page loads each moment shows its own page, whichever way it is come to', async () => {
    await openPaused({ session: MOCK_RELOADED });
    const moments = [600, 4480, 32_500, 33_600];
    const dom = new Map<number, string>();
    for (const moment of moments) {
      await seek(moment);
      dom.set(moment, await html());
    }
    expect(new Set(dom.values()).size, 'the moments differ').toBeGreaterThan(2);
    // Node ids begin anew with each load: a page built on the other's would differ.
    for (const moment of [33_600, 600, 32_500, 4480]) {
      await seek(moment + mock.reloadMs);
      expect(await html(), `second load, ${moment}`).toBe(dom.get(moment));
      await seek(moment);
      expect(await html(), `first load, ${moment}`).toBe(dom.get(moment));
    }
  });

  test('plays from one page load into the next; what the first sent late does not touch the second', async () => {
    await openPaused({ session: MOCK_RELOADED });
    await seek(4480);
    const wanted = await html();
    await seek(32_900);
    await page.evaluate(() => globalThis.player.play());
    await page.waitForFunction((ms) => globalThis.player.positionMs > ms, mock.reloadMs + 600);
    await page.evaluate(() => globalThis.player.pause());
    expect(await stageText()).toContain('Tell us about your bakery');
    expect(await html()).not.toContain('data-left');
    await seek(mock.reloadMs + 4480);
    expect(await html()).toBe(wanted);
  });

  test('the event list leads from one page load to the other and back', async () => {
    await openPaused({ session: MOCK_RELOADED });
    const events = page.getByRole('region', { name: 'Events' });
    await events.getByRole('button', { name: /^Navigations/ }).click();
    const rows = events.locator('.event-row');
    const perLoad = (await rows.count()) / 2;
    const { startMs, summary } = mock.manifest;
    expect(perLoad).toBe(summary.pages);
    const inLoad = mock.events
      .filter(({ data }) => (data as { tag?: string }).tag === 'navigation')
      .map(({ timestamp }) => timestamp - startMs);
    const navigations = [...inLoad, ...inLoad.map((ms) => ms + mock.reloadMs)];
    const url = page.locator('session-player .bar .url');
    for (const row of [perLoad, 2 * perLoad - 1, 0, perLoad - 1]) {
      await rows.nth(row).click();
      await expect
        .poll(() => rows.nth(row).getAttribute('aria-current'), { message: `row ${row}` })
        .toBe('true');
      await state('paused');
      expect(await position()).toBe(navigations[row]);
      expect(await url.innerText()).toContain(row % perLoad ? 'step-3' : 'step-2');
      expect(await stageText()).toContain('Tell us about your bakery');
    }
  });

  test('in a page of another origin it loads, is given its bearer, plays, and links to its own server', async () => {
    const host = await startMockQuery(dir, '');
    try {
      await page.goto(`${host.origin}/host.html`);
      await page.addScriptTag({ type: 'module', url: `${mock.origin}/${ELEMENT_FILE}` });
      await page.evaluate(() => void (globalThis.told = []));
      host.requests.length = mock.requests.length = 0;
      await open({ src: `${mock.origin}/`, t: '4.48' });
      await state('paused');
      expect(await stageText()).toContain('Tell us about your bakery');
      await page.evaluate(() => globalThis.player.play());
      await state('playing');
      expect(host.requests, 'nothing is asked of the host').toEqual([]);
      expect(mock.requests).toContain(`/v1/sessions/${MOCK_SESSION}/manifest`);
      await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: host.origin });
      await page.evaluate(() => globalThis.player.pause());
      await page.getByRole('button', { name: 'Copy link to this moment' }).click();
      await expect
        .poll(() => page.evaluate(() => navigator.clipboard.readText()))
        .toContain(`${mock.origin}/sessions/${MOCK_SESSION}?at=`);
      await page.evaluate(() => {
        globalThis.player.tokenProvider = async () => 'ak_wrong';
        globalThis.player.setAttribute('session', '0199b3c8-5b40-7000-8000-000000000002');
      });
      await state('failed');
      expect(await page.locator('session-player').getByRole('alert').innerText()).toContain('unauthorized');
    } finally {
      await host.close();
    }
  });

  test('moved to another place it goes on where it was', async () => {
    await openPaused();
    await seek(4480);
    await page.evaluate(() => document.getElementById('b')!.append(globalThis.player));
    await page.waitForFunction(() => globalThis.player.state === 'paused' && globalThis.player.stageDocument);
    expect(await position()).toBe(4480);
    await page.evaluate(() => globalThis.player.remove());
    expect(await page.evaluate(() => globalThis.player.stageDocument)).toBeUndefined();
  });

  test('attributes set later seek, and another session begins anew', async () => {
    await openPaused();
    await page.evaluate(() => globalThis.player.setAttribute('t', '32.5'));
    await expect.poll(position).toBe(32_500);
    await page.evaluate(() =>
      globalThis.player.setAttribute('session', '0199b3c8-5b40-7000-8000-ffffffffffff'),
    );
    await state('failed');
    await page.evaluate((id) => globalThis.player.setAttribute('session', id), MOCK_SESSION);
    await state('paused');
    expect(await position()).toBe(32_500);
  });

  test('importing it where there is no document does nothing and throws nothing', async () => {
    const url = JSON.stringify(pathToFileURL(join(dir, ELEMENT_FILE)).href);
    const script = `console.log(Object.keys(await import(${url})).sort().join())`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
    expect(stdout.trim()).toBe('PlayerError,SessionPlayer,mount');
  });
});
