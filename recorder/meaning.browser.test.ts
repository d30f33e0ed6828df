import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { Bench, flush, recording, untilFlushed } from './test-page.ts';

const chromium = inject('chromium');

describe.skipIf(!chromium)('what the page means, in Chromium', () => {
  let bench: Bench;
  beforeAll(async () => void (bench = await Bench.start(chromium!)));
  afterEach(() => bench.closePages());
  afterAll(() => bench.stop());

  test('a click on a disabled control is told, however it is disabled', async () => {
    const collector = await bench.collector(
      `<style>#passing { pointer-events: none }</style>
       <button id="plain" disabled>Plain</button> <button id="nested" disabled><span>Nested</span></button>
       <fieldset disabled><button id="fieldset">Fieldset</button></fieldset>
       <div role="button" id="aria" aria-disabled="true">Aria</div>
       <p id="parent"><button id="passing" disabled>Passing</button></p>
       <input id="box" type="checkbox" disabled><label for="box" id="label">Label</label>
       <button id="enabled">Enabled</button>`,
    );
    const page = await bench.page(collector);
    await recording(page);
    for (const id of ['plain', 'nested', 'fieldset', 'aria', 'passing', 'label', 'enabled']) {
      const { x, y, width, height } = (await page.locator(`#${id}`).boundingBox())!;
      await page.mouse.click(x + width / 2, y + height / 2);
    }
    await flush(page);
    const clicks = collector.custom('click');
    expect(clicks.map(({ selector, text, disabled }) => [selector, text, disabled])).toEqual([
      ['#plain', 'Plain', true],
      ['#nested', 'Nested', true],
      ['#fieldset', 'Fieldset', true],
      ['#aria', 'Aria', true],
      ['#passing', 'Passing', true],
      ['#label', 'Label', true],
      ['#enabled', 'Enabled', false],
    ]);
    expect(clicks[0]).toMatchObject({ tag: 'button', role: 'button' });
    const snapshot = JSON.stringify(collector.events().find(({ type }) => type === 2));
    for (const { id } of clicks) expect(snapshot).toContain(`"id":${String(id)}`);
  });

  test('clicks before the chunk is here that tells of them are told once it is, as of when they were done', async () => {
    const collector = await bench.collector('<button id="a">A</button><button id="b" disabled>B</button>');
    collector.pages.set('/early', 'Nothing is recorded here.');
    const page = await bench.page(collector, undefined, '/early');
    let letPass = (): void => {};
    const passes = new Promise<void>((resolve) => (letPass = resolve));
    await page.route('**/meaning-*.js', async (route) => {
      await passes;
      await route.continue();
    });
    await page.goto(collector.url);
    await recording(page);
    await page.click('#a');
    await page.locator('#b').click({ force: true });
    await page.focus('#a');
    await page.keyboard.press('Enter');
    const before = Date.now();
    await page.waitForTimeout(300);
    letPass();
    await untilFlushed(page, () => collector.custom('click').length > 0);
    await page.click('#a');
    await flush(page);
    expect(collector.custom('click').map(({ selector, disabled }) => [selector, disabled])).toEqual([
      ['#a', false],
      ['#b', true],
      ['#a', false],
      ['#a', false],
    ]);
    const clicks = collector.events().filter(({ data }) => (data as { tag?: string }).tag === 'click');
    expect(clicks.map(({ timestamp }) => timestamp <= before)).toEqual([true, true, true, false]);
    // What came of the early ones nobody watched.
    await untilFlushed(page, () => collector.custom('dead').length > 0);
    expect(collector.custom('dead')).toHaveLength(1);
  });

  test.each([
    ['with', ''],
    ['without', 'delete window.navigation'],
  ])(
    'errors and navigations before the chunk is here are told once it is, %s the Navigation API',
    async (_, init) => {
      const collector = await bench.collector('<p>hello</p>');
      collector.pages.set('/early', 'Nothing is recorded here.');
      const page = await bench.page(collector, init, '/early');
      let letPass = (): void => {};
      const passes = new Promise<void>((resolve) => (letPass = resolve));
      await page.route('**/meaning-*.js', async (route) => {
        await passes;
        await route.continue();
      });
      await page.goto(collector.url);
      await recording(page);
      await page.evaluate(async () => {
        document.body.append(Object.assign(new Image(), { src: '/none.png' }));
        setTimeout(() => {
          throw new TypeError('it broke early');
        });
        void Promise.reject(new RangeError('too far'));
        history.pushState({}, '', '/second?q=secret');
        await new Promise((resolve) => setTimeout(resolve, 20));
        history.replaceState({}, '', '/third');
        location.hash = 'part';
        await new Promise((resolve) => setTimeout(resolve, 20));
        const { navigation } = window as { navigation?: { navigate(url: string, options: object): unknown } };
        if (navigation) {
          const entries = navigation as unknown as EventTarget;
          entries.addEventListener(
            'navigate',
            (event) => (event as unknown as { intercept(): void }).intercept(),
            {
              once: true,
            },
          );
          navigation.navigate('/fourth', { history: 'push' });
        } else history.pushState({}, '', '/fourth');
        await new Promise((resolve) => setTimeout(resolve, 20));
        location.hash = 'more';
        await new Promise((resolve) => setTimeout(resolve, 20));
        document.title = 'Third';
      });
      const before = Date.now();
      await page.waitForTimeout(100);
      const flushed = page.evaluate(() => window.mutoscope.flush());
      expect(collector.custom('error')).toEqual([]);
      letPass();
      await flushed;
      expect(collector.custom('error').map(({ message }) => message)).toEqual([
        'Uncaught TypeError: it broke early',
      ]);
      expect(collector.custom('unhandledrejection')).toMatchObject([{ message: 'RangeError: too far' }]);
      expect(
        collector
          .custom('navigation')
          .map(({ kind, url, title }) => [kind, (url as string).slice(collector.url.length), title]),
      ).toEqual([
        ['load', '/', 'Test page'],
        ['push', '/second?q=', 'Third'],
        ['replace', '/third', 'Third'],
        ['hash', '/third#part', 'Third'],
        ['push', '/fourth', 'Third'],
        ['hash', '/fourth#more', 'Third'],
      ]);
      const told = collector
        .events()
        .filter(({ data }) => /^(error|unhandled|navigation)/.test((data as { tag?: string }).tag ?? ''));
      expect(told.map(({ timestamp }) => timestamp <= before)).not.toContain(false);
      await page.evaluate(() => history.back());
      await untilFlushed(page, () => collector.custom('navigation').length > 6);
      expect(collector.custom('navigation').at(-1)).toMatchObject({ kind: 'hash' });
      expect(await page.evaluate(() => window.mutoscope.status().pageErrors)).toBe(2);
    },
  );

  test('a page whose chunk does not come is recorded without what that tells, and says so', async () => {
    const collector = await bench.collector('<p>hello</p>');
    collector.pages.set('/early', 'Nothing is recorded here.');
    const page = await bench.page(collector, undefined, '/early');
    await page.route('**/meaning-*.js', (route) => route.abort());
    await page.goto(collector.url);
    await recording(page);
    // What comes before the snapshot is in it.
    await flush(page);
    await page.evaluate(() => document.body.append('more'));
    await flush(page);
    const types = collector.events().map(({ type }) => type);
    expect([types.includes(2), types.includes(3)]).toEqual([true, true]);
    expect(await page.evaluate(() => window.mutoscope.status().lastError)).toContain('chunk_failed');
  });

  test('a click by key counts once, one by script or through a label not at all', async () => {
    const collector = await bench.collector(
      `<button id="button">Press</button><label id="label"><input id="box" type="checkbox"> Agree</label>`,
    );
    const page = await bench.page(collector);
    await recording(page);
    await page.focus('#button');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Space');
    await page.evaluate(() => document.querySelector<HTMLElement>('#button')!.click());
    await page.click('#label', { position: { x: 40, y: 8 } });
    await page.focus('#box');
    await page.keyboard.press('Space');
    await flush(page);
    expect(collector.custom('click').map(({ selector }) => selector)).toEqual([
      '#button',
      '#button',
      '#label',
      '#box',
    ]);
  });

  test('the third quick click on one target, and each after it, is rage', async () => {
    const collector = await bench.collector('<button id="a" disabled>A</button><button id="b">B</button>');
    const page = await bench.page(collector);
    await recording(page);
    const press = (id: string, times: number): Promise<void> =>
      page.evaluate(
        ([target, count]) => {
          for (let n = 0; n < count; n++)
            for (const type of ['pointerdown', 'pointerup'])
              document
                .querySelector(`#${target}`)!
                .dispatchEvent(
                  new PointerEvent(type, { bubbles: true, composed: true, pointerId: 1, button: 0 }),
                );
        },
        [id, times] as const,
      );
    await press('a', 2);
    await press('b', 2);
    await press('a', 4);
    await flush(page);
    expect(collector.custom('click').length).toBe(8);
    expect(collector.custom('rage').map(({ selector, count }) => [selector, count])).toEqual([
      ['#a', 3],
      ['#a', 4],
    ]);
  });

  test('selectors are unique and of at most five steps', async () => {
    const rows = '<div><span>x</span><span class="y"><i>deep</i></span></div>'.repeat(3);
    const collector = await bench.collector(
      `<main><section>${rows}</section><section><div>${rows}</div></section></main><input name="the[name]"><p data-testid='q"t'>t</p>`,
    );
    const page = await bench.page(collector);
    await recording(page);
    const targets = page.locator('i, span:first-child, input, p');
    for (let n = 0; n < (await targets.count()); n++) await targets.nth(n).click();
    await flush(page);
    const selectors = collector.custom('click').map(({ selector }) => selector as string);
    expect(selectors.length).toBe(14);
    for (const [n, selector] of selectors.entries()) {
      expect(selector.split(' > ').length).toBeLessThanOrEqual(5);
      expect(await page.locator(selector).count()).toBe(1);
      const same = await targets
        .nth(n)
        .evaluate((node, found) => node === document.querySelector(found), selector);
      expect(same).toBe(true);
    }
  });

  test('each way to change the address is told, with its kind, and the page sees History as before', async () => {
    const collector = await bench.collector('<a id="hash" href="#part">x</a>');
    const page = await bench.page(collector);
    await recording(page);
    expect(
      await page.evaluate(() => {
        history.pushState({ n: 1 }, '', '/one?secret=1');
        history.replaceState({ n: 2 }, '', '/two');
        history.replaceState({ n: 3 }, '', '/two');
        return history.state as unknown;
      }),
    ).toEqual({ n: 3 });
    await page.click('#hash');
    await page.evaluate(async () => {
      // A move within a page ends with `hashchange`, which comes after `popstate`.
      for (const last of ['hashchange', 'popstate']) {
        const done = new Promise((resolve) => addEventListener(last, resolve, { once: true }));
        history.back();
        await done;
      }
    });
    await flush(page);
    const told = collector
      .custom('navigation')
      .map(({ kind, url }) => [kind, new URL(url as string).href.slice(collector.url.length)]);
    expect(told).toEqual([
      ['load', '/'],
      ['push', '/one?secret='],
      ['replace', '/two'],
      ['hash', '/two#part'],
      ['hash', '/two'],
      ['pop', '/'],
    ]);
    expect(collector.custom('navigation')[0]!.title).toBe('Test page');
  });

  test('a navigation bears the title that the page gives it next, and comes before what follows it', async () => {
    const collector = await bench.collector('<p>x</p>');
    const page = await bench.page(collector);
    await recording(page);
    // By then the chunk is here that tells of navigations.
    await flush(page);
    await page.evaluate(() => {
      history.pushState({}, '', '/one');
      document.title = 'One';
      window.mutoscope.track('arrived');
      document.title = 'Too late';
    });
    await flush(page);
    const told = collector.events().filter(({ data }) => data.tag === 'navigation' || data.tag === 'track');
    expect(told.map(({ data }) => data.payload!.title ?? data.payload!.name)).toEqual([
      'Test page',
      'One',
      'arrived',
    ]);
  });

  test('uncaught errors and rejections are told apart, with scrubbed stacks, and repeated ones counted', async () => {
    const collector = await bench.collector('<p>x</p>');
    const page = await bench.page(collector);
    await recording(page);
    await page.evaluate(async () => {
      const fail = (): void => {
        throw new TypeError('it broke at https://host/a?key=secret');
      };
      void Promise.reject(new RangeError('too far'));
      void Promise.reject('no error at all');
      await new Promise((resolve) => setTimeout(resolve, 20));
      for (let n = 0; n < 5; n++) setTimeout(fail);
      for (let n = 0; n < 150; n++)
        setTimeout(() => {
          throw new Error(`number ${n}`);
        });
      await new Promise((resolve) => setTimeout(resolve, 50));
    });
    await flush(page);
    const errors = collector.custom('error');
    const broken = errors.filter(({ message }) => /it broke/.test(message as string));
    expect(broken.map(({ message, count }) => [message, count])).toEqual(
      [1, 2, 4].map((count) => ['Uncaught TypeError: it broke at https://host/a?key=', count]),
    );
    expect(broken[0]!.stack).toMatch(/^TypeError: it broke at https:\/\/host\/a\?key=\n +at fail/);
    expect(JSON.stringify(collector.events())).not.toContain('secret');
    const rejections = collector.custom('unhandledrejection');
    expect(rejections.map(({ message }) => message)).toEqual(['RangeError: too far', 'no error at all']);
    expect(rejections[0]!.stack).toMatch(/^RangeError: too far\n/);
    expect(errors.length + rejections.length).toBe(100);
    expect(await page.evaluate(() => window.mutoscope.status().pageErrors)).toBe(157);
  });

  test('visibility and the environment are told', async () => {
    const collector = await bench.collector('<p>x</p>');
    const page = await bench.page(collector);
    await recording(page);
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await flush(page);
    expect(collector.custom('visibility')).toEqual([{ visible: true }]);
    const [environment] = collector.custom('environment');
    expect(environment).toMatchObject({
      recorder: 'mutoscope/0.1.0',
      language: expect.any(String) as string,
    });
  });

  test('clicks inside frames and shadow roots are told in the coordinates of the page', async () => {
    const frame = '<style>body{margin:0}</style><button style="margin:20px;width:60px">Pay</button>';
    const collector = await bench.collector(
      `<style>body{margin:0}</style><div style="height:50px"></div>
       <iframe id="pay" style="border:5px solid;margin-left:40px;display:block" srcdoc='${frame}'></iframe>
       <div id="host"></div><div id="later"></div>`,
    );
    const page = await bench.page(collector);
    await page.evaluate(() => {
      const root = document.querySelector('#host')!.attachShadow({ mode: 'open' });
      root.innerHTML = '<button>Shadow</button>';
    });
    await recording(page);
    await page.frameLocator('#pay').locator('button').click();
    await page.evaluate(
      (html) =>
        new Promise((resolve) => {
          const nested = document.createElement('iframe');
          nested.id = 'nested';
          nested.onload = resolve;
          nested.srcdoc = `<iframe srcdoc="${html.replaceAll('"', '&quot;')}"></iframe>`;
          document.querySelector('#later')!.append(nested);
        }),
      frame,
    );
    await page.frameLocator('#nested').frameLocator('iframe').locator('button').click();
    await page.locator('#host button').click();
    await flush(page);
    const clicks = collector.custom('click');
    expect(clicks.map(({ selector, text }) => [selector, text])).toEqual([
      ['#pay >>> button', 'Pay'],
      ['#nested >>> iframe >>> button', 'Pay'],
      ['#host >>> button', 'Shadow'],
    ]);
    const box = (await page.frameLocator('#pay').locator('button').boundingBox())!;
    expect(clicks[0]).toMatchObject({ x: 95, y: Math.round(box.y + box.height / 2) });
    expect(collector.events().filter(({ type }) => type === 3).length).toBeGreaterThan(0);
    for (const { id } of clicks) expect(id).toBeGreaterThan(0);
  });

  test('how many clicks are rage, and how far apart, is the site’s to say', async () => {
    const tag = 'data-rage-clicks="2" data-rage-gap-ms="60000"';
    const collector = await bench.collector('<button id="a">A</button>', '', tag);
    const page = await bench.page(collector);
    await recording(page);
    await page.click('#a');
    await page.waitForTimeout(400);
    await page.click('#a');
    await flush(page);
    expect(collector.custom('rage').map(({ count }) => count)).toEqual([2]);
  });
});
