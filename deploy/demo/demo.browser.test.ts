import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, inject, test } from 'vitest';
import { createHttp, createLog, createMetrics, listen, type Http } from '#service';
import { CHROMIUM_ARGS } from '../chromium.ts';
import { serveDemo } from './demo.ts';

const executablePath = inject('chromium');

describe.skipIf(!executablePath)('the demo site', () => {
  let http: Http, browser: Browser, url: string, page: Page;
  const pageErrors: Error[] = [];
  beforeAll(async () => {
    http = createHttp(createLog('silent'), createMetrics({ process: false }), () => []);
    serveDemo(http, { writeKey: 'wk_test' });
    url = await listen(http, '127.0.0.1:0');
    browser = await chromium.launch({ executablePath: executablePath!, args: CHROMIUM_ARGS });
  });
  afterAll(async () => {
    await browser?.close();
    await http?.close();
  });
  beforeEach(async () => {
    pageErrors.length = 0;
    page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    page.on('pageerror', (error) => pageErrors.push(error));
  });
  afterEach(async () => {
    await page.close();
    expect(pageErrors).toEqual([]);
  });

  /** What the page told the recorder, which is not there to take it. */
  const told = (): Promise<unknown> => page.evaluate('window.mutoscope?.q ?? []');
  async function fillFirstStep(): Promise<void> {
    await page.fill('#name', 'Anna Berg');
    await page.fill('#email', 'anna@bakery.example');
    await page.fill('#password', 'correct horse');
    await page.click('#next');
  }
  async function fillSecondStep(): Promise<void> {
    await page.fill('#company', 'Berg & Daughters');
    await page.selectOption('#team-size', '5-14');
    await page.selectOption('#country', 'AT');
  }

  test('hides what the disabled button waits for under the fold, and says nothing of it', async () => {
    await page.goto(`${url}/demo/`);
    await page.click('#start');
    await fillFirstStep();
    await fillSecondStep();
    expect(await page.locator('#continue').isDisabled()).toBe(true);
    const top = (selector: string): Promise<number> =>
      page.locator(selector).evaluate((element) => element.getBoundingClientRect().top);
    expect(await top('#continue')).toBeLessThan(760);
    expect(await top('#terms')).toBeGreaterThan(800);
    expect(await page.locator('.missing').count()).toBe(0);
    await page.check('#terms');
    expect(await page.locator('#continue').isEnabled()).toBe(true);
    await page.click('#continue');
    await page.click('#plan-branches');
    expect(await page.textContent('#bill-price')).toBe('€129.00');
    await page.click('#finish');
    expect(new URL(page.url()).pathname).toBe('/demo/signup/done');
    expect(await told()).toEqual([
      ['track', 'variant', { fix: false }],
      ['track', 'signed_up', { plan: 'branches' }],
    ]);
  });

  test('with the fix, has the checkbox above a button that says what is missing', async () => {
    await page.goto(`${url}/demo/signup/step-2?fix=1`);
    expect(await page.locator('#fix-switch').isChecked()).toBe(true);
    await page.click('#continue');
    expect(await page.locator('.missing').count()).toBe(4);
    expect(await page.evaluate('document.activeElement.id')).toBe('company');
    await fillSecondStep();
    expect(await page.locator('.missing').allTextContents()).toEqual(['Agree to the terms to go on']);
    await page.check('#terms');
    await page.click('#continue');
    expect(new URL(page.url()).pathname).toBe('/demo/signup/step-3');
    expect(await told()).toEqual([['track', 'variant', { fix: true }]]);
  });

  test('keeps the switch over a reload, and what was entered when going back', async () => {
    await page.goto(`${url}/demo/signup/step-1`);
    await page.locator('label[for=fix-switch]').click();
    await page.reload();
    expect(await page.locator('#fix-switch').isChecked()).toBe(true);
    await fillFirstStep();
    await page.goBack();
    expect(await page.inputValue('#name')).toBe('Anna Berg');
  });

  test('lets a first step with nothing in it not pass', async () => {
    await page.goto(`${url}/demo/signup/step-1`);
    await page.fill('#password', 'short');
    await page.click('#next');
    expect(new URL(page.url()).pathname).toBe('/demo/signup/step-1');
    expect(await page.locator('.missing').count()).toBe(3);
  });

  test.each([320, 390, 768])('does not scroll sideways at %i px', async (width) => {
    await page.setViewportSize({ width, height: 800 });
    for (const path of ['', 'signup/step-1', 'signup/step-2', 'signup/step-3', 'signup/done']) {
      await page.goto(`${url}/demo/${path}`);
      expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0);
    }
  });

  test('has no fault that axe can see', async () => {
    const axe = new URL(import.meta.resolve('axe-core/axe.min.js')).pathname;
    for (const path of ['', 'signup/step-1', 'signup/step-2?fix=1', 'signup/step-3', 'signup/done']) {
      await page.goto(`${url}/demo/${path}`);
      await page.addScriptTag({ path: axe });
      const faults = await page.evaluate(
        'axe.run().then(({ violations }) => violations.map(({ id, nodes }) => id + " " + nodes.map((node) => node.target)))',
      );
      expect(faults, path).toEqual([]);
    }
  });
});
