import axe from 'axe-core';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { launchBrowser } from '../x-playwright-core.ts';
import { MOCK_KEY, MOCK_SESSION, startMockQuery, type MockQuery } from '../mock-query.ts';
import { appConfig } from '../vite.config.ts';

const chromium = inject('chromium');

describe.skipIf(!chromium)('the app', () => {
  let dir: string;
  let browser: Browser;
  let mock: MockQuery;
  let context: BrowserContext;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'app-'));
    await build(appConfig(dir));
    browser = await launchBrowser(chromium!);
  });
  afterAll(async () => {
    await browser?.close();
    await rm(dir, { recursive: true, force: true });
  });
  beforeEach(async () => {
    mock = await startMockQuery(dir);
    context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
    page = await context.newPage();
    complaints = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      // The recorded page's own addresses are refused, loudly, by the stage's policy; that is as it should be.
      if (message.type() === 'error' && !message.text().includes('planted.test'))
        complaints.push(message.text());
    });
  });
  afterEach(async () => {
    await context.close();
    await mock.close();
  });

  const signedIn = async (path = '/'): Promise<void> => {
    await page.goto(`${mock.origin}${path}#key=${MOCK_KEY}`);
    await page.getByText('kneadly', { exact: true }).waitFor({ state: 'attached' });
  };
  const playerIs = (state: string): Promise<unknown> =>
    page.waitForFunction((wanted) => document.querySelector('session-player')?.state === wanted, state);
  const violations = async (): Promise<string[]> => {
    await page.evaluate(axe.source);
    return page.evaluate(async () => {
      const { axe: engine } = globalThis as unknown as { axe: typeof axe };
      const { violations: found } = await engine.run(document, { iframes: false });
      return found.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id} ${JSON.stringify(target)}`));
    });
  };

  test('a sign-in link signs in and leaves the address at once', async () => {
    await signedIn();
    expect(page.url()).toBe(`${mock.origin}/`);
    await page.reload();
    await page.getByRole('link', { name: /5 Oct/ }).first().waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(/sign-in/);
    expect(await page.evaluate(() => JSON.stringify({ ...sessionStorage }))).not.toContain(MOCK_KEY);
    expect(complaints).toEqual([]);
  });

  test('without a key a page asks for one, refuses a wrong one, and then shows what was wanted', async () => {
    await page.goto(`${mock.origin}/sql`);
    await page.waitForURL(/sign-in\?next=%2Fsql/);
    await page.getByLabel('API key').fill('ak_wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('Nobody has this key').waitFor();
    await page.getByLabel('API key').fill(MOCK_KEY);
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/sql$/);
  });

  test('a next that leads to another site is not followed', async () => {
    await page.goto(`${mock.origin}/sign-in?next=//evil.test/`);
    await page.getByLabel('API key').fill(MOCK_KEY);
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: /5 Oct/ }).first().waitFor();
    expect(new URL(page.url()).origin).toBe(mock.origin);
  });

  test('sessions can be searched, filtered, paged, and opened by keyboard', async () => {
    await signedIn();
    const rows = page.locator('.sessions tbody tr');
    await expect.poll(() => rows.count()).toBe(50);
    await page.getByRole('button', { name: 'Show older sessions' }).click();
    await expect.poll(() => rows.count()).toBe(100);
    await page.getByRole('button', { name: 'Rage clicks' }).click();
    await page.waitForURL(/signal=rage/);
    await expect.poll(() => rows.count()).toBeLessThan(50);
    expect(await rows.count()).toBe(await page.locator('.sessions .badge.is-rage').count());
    await page.keyboard.press('/');
    await page.keyboard.type('nowhere-at-all');
    await page.getByRole('heading', { name: 'No session fits' }).waitFor();
    await page.getByRole('button', { name: 'Show all sessions' }).click();
    await expect.poll(() => rows.count()).toBe(50);
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.waitForURL(new RegExp(`/sessions/${MOCK_SESSION}$`));
    expect(complaints).toEqual([]);
  });

  test('a project without sessions is told how to record', async () => {
    await page.route('**/v1/sessions?*', (route) =>
      route.fulfill({ json: { sessions: [], freshness: { asOfMs: 0, files: 0 } } }),
    );
    await signedIn();
    await page.getByRole('heading', { name: 'No session yet' }).waitFor();
    expect(await page.locator('.snippet pre').innerText()).toContain(`${mock.origin}/r/loader.js`);
    expect(await violations()).toEqual([]);
  });

  test('new sessions are announced, those shown go on in place, and a focused row stays', async () => {
    await page.clock.install();
    let live: { id: string; clicks: number }[] = [];
    await page.route('**/v1/sessions?*', async (route) => {
      const answer = (await (await route.fetch()).json()) as { sessions: { id: string; clicks: number }[] };
      answer.sessions = [...live, ...answer.sessions];
      const first = answer.sessions.find(({ id }) => id === MOCK_SESSION);
      if (live.length && first) first.clicks = 4321;
      await route.fulfill({ json: answer });
    });
    await signedIn();
    const rows = page.locator('.sessions tbody tr');
    await expect.poll(() => rows.count()).toBe(50);
    await page.keyboard.press('j');
    const { summary } = mock.manifest;
    live = [1, 2].map((n) => ({ ...summary, id: `0199b3c9-5b40-7000-8000-00000000000${n}` }));
    await page.clock.runFor(10_500);
    const hint = page.getByRole('button', { name: '2 new sessions' });
    await hint.waitFor();
    expect(await rows.count(), 'nothing moved under the reader').toBe(50);
    expect(await rows.first().innerText()).toContain('4321');
    expect(await page.evaluate(() => document.activeElement?.getAttribute('href'))).toContain(MOCK_SESSION);
    await hint.click();
    await expect.poll(() => rows.count()).toBe(52);
    await hint.waitFor({ state: 'hidden' });
    expect(complaints).toEqual([]);
  });

  test('each page says in the tab what it is', async () => {
    const title = (wanted: RegExp): Promise<void> => expect.poll(() => page.title()).toMatch(wanted);
    await page.goto(`${mock.origin}/`);
    await title(/^Sign in · Mutoscope$/);
    await signedIn();
    await title(/^Sessions · Mutoscope$/);
    await page.getByRole('link', { name: /5 Oct/ }).first().click();
    await title(/^5 Oct, \d\d:\d\d:\d\d · Mutoscope$/);
    await page.getByRole('link', { name: 'SQL' }).click();
    await title(/^SQL · Mutoscope$/);
    await page.goto(`${mock.origin}/nowhere`);
    await title(/^Nothing here · Mutoscope$/);
    const icon = await page.locator('link[rel=icon]').getAttribute('href');
    expect((await page.request.get(new URL(icon!, mock.origin).href)).headers()['content-type']).toBe(
      'image/svg+xml',
    );
  });

  test('the sign-in button is never dead: without a key it says what is missing', async () => {
    await page.goto(`${mock.origin}/sign-in`);
    await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('key');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('Enter the key first').waitFor();
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('key');
  });

  test('what is no session offers nothing to copy or delete', async () => {
    await signedIn('/sessions/0199b3c8-5b40-7000-8000-ffffffffffff');
    await playerIs('failed');
    expect(await page.getByRole('button', { name: /Delete|Copy session link/ }).count()).toBe(0);
  });

  test.each([390, 820])('no page scrolls sideways at %i px', async (width) => {
    await page.setViewportSize({ width, height: 800 });
    const wide = (): Promise<number> =>
      page.evaluate(() => Math.max(document.documentElement.scrollWidth, ...[...document.querySelectorAll('.top, .facts, .tools, .run-bar, session-player')].map((box) => box.scrollWidth)) - innerWidth); // prettier-ignore
    await page.goto(`${mock.origin}/sign-in`);
    await page.getByLabel('API key').waitFor();
    expect(await wide(), 'sign-in').toBeLessThanOrEqual(0);
    await signedIn('/?search=nowhere-at-all');
    await page.getByRole('heading', { name: 'No session fits' }).waitFor();
    expect(await wide(), 'no session').toBeLessThanOrEqual(0);
    await page.goto(`${mock.origin}/`);
    await page.locator('.sessions tbody tr').first().waitFor();
    expect(await wide(), 'sessions').toBeLessThanOrEqual(0);
    await page.goto(`${mock.origin}/sql`);
    await page.locator('.cm-content').click();
    await page.keyboard.press('Control+Enter');
    await page.locator('.result tbody tr').first().waitFor();
    expect(await wide(), 'sql').toBeLessThanOrEqual(0);
    await page.goto(`${mock.origin}/sessions/${MOCK_SESSION}`);
    await playerIs('paused');
    const buttons = page.locator('session-player .controls button:visible');
    for (const box of await Promise.all((await buttons.all()).map((button) => button.boundingBox())))
      expect(box!.x + box!.width, 'playback').toBeLessThanOrEqual(width);
    expect(await wide(), 'session').toBeLessThanOrEqual(0);
  });

  test('a session plays at the moment of its link, with the keyboard at once, and can be deleted', async () => {
    await signedIn(`/sessions/${MOCK_SESSION}?at=${mock.manifest.startMs + 4480}`);
    await playerIs('paused');
    expect(await page.evaluate(() => document.querySelector('session-player')!.positionMs)).toBe(4480);
    await page.keyboard.press('Space');
    await playerIs('playing');
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('button', { name: 'Delete session' }).click();
    await page.waitForURL(`${mock.origin}/`);
    await page.getByRole('link', { name: /5 Oct/ }).first().waitFor();
    expect(await page.locator(`a[href*="${MOCK_SESSION}"]`).count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  test('SQL runs by keyboard, and a row opens its session at its moment by one click', async () => {
    await signedIn('/sql');
    await page.locator('.cm-content').click();
    await page.keyboard.press('Control+Enter');
    await page.locator('.result tbody tr').first().waitFor();
    await expect
      .poll(() => page.locator('.run-note').innerText())
      .toMatch(/7 rows in 31 ms · fresh as of 5 Oct/);
    expect(await page.locator('.result td.number').first().innerText()).toBe('3');
    await page.getByRole('link', { name: 'Play the session of row 1' }).click();
    await page.waitForURL(/sessions\/.*\?at=/);
    await playerIs('paused');
    expect(await page.evaluate(() => document.querySelector('session-player')!.positionMs)).toBe(6000);
    await page.goBack();
    await page.locator('.cm-content').waitFor();
    expect(await page.locator('.cm-content').innerText(), 'the statement is still there').toContain(
      'disabled_clicks',
    );
    expect(complaints).toEqual([]);
  });

  const write = async (sql: string): Promise<void> => {
    await page.locator('.cm-content').click();
    await page.keyboard.press('Control+a');
    await page.keyboard.insertText(sql);
  };

  test('SQL errors stand beside the statement with their code, and a long run can be cancelled', async () => {
    await signedIn('/sql');
    await page.locator('.cm-content').waitFor();
    await page.keyboard.press('Control+Enter');
    await page.locator('.result tbody tr').first().waitFor();
    await write('DROP TABLE events');
    await page.getByRole('button', { name: 'Run' }).click();
    expect(await page.getByRole('alert').innerText()).toContain('sql_not_select');
    expect(await page.locator('.result').count(), 'rows of another statement').toBe(0);
    await write('SELECT forever()');
    await page.keyboard.press('Control+Enter');
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('Cancelled.').waitFor();
    expect(await page.getByRole('alert').count()).toBe(0);
  });

  test('a large result is cut, says so, and holds only the rows in view', async () => {
    await signedIn('/sql');
    await write('SELECT * FROM generate_series(1, 2000)');
    await page.keyboard.press('Control+Enter');
    await page.getByText('Cut: there are more rows').waitFor();
    expect(await page.locator('.result tbody tr').count()).toBeLessThan(100);
    await page.locator('.result-box').evaluate((box) => void (box.scrollTop = box.scrollHeight));
    await page.getByRole('link', { name: 'Play the session of row 2000' }).waitFor();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'CSV' }).click(),
    ]);
    expect(await readFile((await download.path())!, 'utf8')).toBe('session_id,clicks\r\na,1\r\n');
  });

  test('names of views and columns are completed', async () => {
    await signedIn('/sql');
    await page.getByText('disabled_clicks', { exact: true }).waitFor();
    await write('SELECT * FROM disab');
    await page.keyboard.press('Control+Space');
    await page.locator('.cm-tooltip-autocomplete').getByText('disabled_clicks').waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.type(' WHERE t');
    const first = page.locator('.cm-tooltip-autocomplete li').first();
    await expect.poll(() => first.innerText(), { message: 'columns before key words' }).toMatch(/^(ts|text)/);
    await page.keyboard.press('Control+Enter');
    await page.locator('.result tbody tr').first().waitFor();
    expect(await page.locator('.cm-tooltip-autocomplete').count(), 'nothing covers the statement').toBe(0);
    const watch = page.locator('.result').getByRole('link', { name: /^\/sessions\// });
    await watch.first().click();
    await page.waitForURL(/sessions\/.*\?at=/);
  });

  test.each(['light', 'dark'] as const)('every page is accessible, in %s', async (colorScheme) => {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.goto(`${mock.origin}/sign-in`);
    await page.getByLabel('API key').waitFor();
    expect(await violations(), 'sign-in').toEqual([]);
    await signedIn();
    await page.locator('.sessions tbody tr').first().waitFor();
    expect(await violations(), 'sessions').toEqual([]);
    await page.goto(`${mock.origin}/nowhere`);
    await page.getByRole('heading', { name: 'Nothing here' }).waitFor();
    expect(await violations(), 'not found').toEqual([]);
    await page.goto(`${mock.origin}/sessions/${MOCK_SESSION}?at=${mock.manifest.startMs + 4480}`);
    await playerIs('paused');
    expect(await violations(), 'session').toEqual([]);
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
    expect(await violations(), 'keyboard help').toEqual([]);
    await page.goto(`${mock.origin}/sql`);
    await page.locator('.cm-content').click();
    await page.keyboard.press('Control+Enter');
    await page.locator('.result tbody tr').first().waitFor();
    await page.locator('summary').first().click();
    expect(await violations(), 'sql').toEqual([]);
  });

  test('the theme can be forced, and is remembered', async () => {
    await signedIn();
    const ground = (): Promise<string> =>
      page.evaluate(() => getComputedStyle(document.querySelector('.top')!).backgroundColor);
    const light = await ground();
    const button = page.getByRole('button', { name: /^Theme/ });
    await button.click();
    expect(await ground()).toBe(light);
    await button.click();
    const dark = await ground();
    expect(dark).not.toBe(light);
    await page.reload();
    await page.locator('.top').waitFor();
    expect(await ground()).toBe(dark);
  });
});
