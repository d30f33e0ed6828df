import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Page } from 'playwright-core';
import { IncrementalSource, MASK } from './protocol.ts';
import type { StoredEvent, TestCollector } from './test-collector.ts';
import { Bench, flush, recording } from './test-page.ts';

const chromium = inject('chromium');

/** Letters that stand nowhere else, so that not even one typed character may be found. */
const TYPED = 'ЖЩЪЫЭЮЯѢ';
const SECRET = '密码安全';

const FORM = `
  <form>
    <input id="text"><input id="email" type="email"><input id="search" type="search"><input id="tel" type="tel">
    <input id="url" type="url"><input id="number" type="number"><input id="date" type="date">
    <textarea id="area" placeholder="Say more" aria-label="Wishes"></textarea><textarea id="filled">${TYPED}</textarea>
    <div id="editable" contenteditable="true"><b>${TYPED}</b></div>
    <input id="hidden" type="hidden" value="${TYPED}"><input id="preset" value="${TYPED}" title="was ${TYPED}" data-copy="${TYPED}">
    <div data-replicated-value="${TYPED}"><textarea id="grow">${TYPED}</textarea></div>
    <select id="select"><option>first</option><option value="${TYPED}">${TYPED}</option></select>
    <label><input id="check" type="checkbox" value="${TYPED}"> I agree</label>
    <input id="ignored" data-rr-ignore>
  </form>
  <section data-rr-mask><p id="masked" title="${TYPED}">${TYPED} <span aria-label="${TYPED}">${TYPED}</span></p></section>
  <section data-rr-block><p id="blocked" data-x="${TYPED}">${TYPED}</p><input id="inblock"></section>
  <div id="host" data-rr-mask></div><div id="plain">in the open</div>
  <a id="link" href="/a?token=${SECRET}&b=2#t=${SECRET}">link</a><img src="/i.png?sig=${SECRET}" alt="">
  <iframe id="frame" srcdoc="<p>${SECRET}</p>" data-rr-block></iframe>
  <div data-rr-mask><iframe id="inner" srcdoc="<p>${TYPED}</p><input value='${TYPED}'>"></iframe></div>`;
const SECRETS = `
  <input id="password" type="password"><input id="new" type="password" autocomplete="new-password">
  <input id="otp" autocomplete="one-time-code"><input id="cc" autocomplete="cc-number">
  <input id="cardNumber"><input name="user[passwd]"><input id="cvv"><input id="prefilled" type="password" value="${SECRET}">`;

const inputs = (collector: TestCollector): StoredEvent[] =>
  collector.events().filter((event) => event.type === 3 && event.data.source === IncrementalSource.input);
const wire = (collector: TestCollector): string =>
  collector
    .payloads()
    .map(({ json }) => json)
    .join('\n');
function expectNothingTyped(collector: TestCollector): void {
  const text = decodeURIComponent(wire(collector).replaceAll(/%(?![0-9A-F]{2})/g, '%25'));
  expect(text.length).toBeGreaterThan(1000);
  const leaked = [...TYPED, ...SECRET].filter((character) => text.includes(character));
  const around = leaked.map((character) =>
    text.slice(Math.max(0, text.indexOf(character) - 120), text.indexOf(character) + 10),
  );
  expect(around).toEqual([]);
}
async function started(page: Page): Promise<void> {
  await recording(page);
  await flush(page);
}

describe.skipIf(!chromium)('privacy in Chromium', () => {
  let bench: Bench;
  beforeAll(async () => void (bench = await Bench.start(chromium!)));
  afterEach(() => bench.closePages());
  afterAll(() => bench.stop());

  test('no typed character reaches the wire, whatever the kind of field and the way it got there', async () => {
    const collector = await bench.collector(FORM);
    const page = await bench.page(collector);
    await started(page);
    for (const id of ['text', 'email', 'search', 'tel', 'url', 'area', 'ignored', 'inblock'])
      await page.locator(`#${id}`).pressSequentially(TYPED);
    await page.locator('#number').pressSequentially('81518151815');
    await page.locator('#date').fill('1987-06-15');
    await page.locator('#editable').click();
    await page.keyboard.type(TYPED);
    await page.selectOption('#select', { index: 1 });
    await page.check('#check');
    await page.evaluate((text) => {
      const at = (id: string): HTMLInputElement => document.querySelector(`#${id}`)!;
      // By property, by attribute, by new nodes, by text, by clone, into shadow, after the mark is gone.
      at('text').value = text + 1;
      at('preset').setAttribute('value', text + 2);
      at('preset').setAttribute('data-copy', text);
      at('area').textContent = text + 3;
      at('editable').firstChild!.textContent = text;
      at('editable').append(text);
      at('masked').firstChild!.nodeValue = text + 4;
      at('masked').setAttribute('title', text + 5);
      at('blocked').textContent = text;
      at('blocked').setAttribute('data-x', text + 6);
      const copy = at('text').cloneNode(true) as HTMLInputElement;
      copy.value = text;
      document.body.append(copy);
      const shadow = at('host').attachShadow({ mode: 'open' });
      shadow.innerHTML = `<p>${text}<i title="${text}">x</i></p><input value="${text}">`;
      shadow.querySelector('p')!.append(text);
      at('editable').removeAttribute('contenteditable');
      at('select').append(new Option(text, text, true, true));
    }, TYPED);
    await flush(page);
    await page.evaluate((text) => {
      (document.querySelector('#host')!.shadowRoot!.querySelector('p')!.firstChild as Text).data = text;
      document.querySelector('#editable')!.firstChild!.textContent = text;
      const frame = document.querySelector<HTMLIFrameElement>('#inner')!.contentDocument!;
      frame.querySelector('p')!.firstChild!.nodeValue = text + 7;
      frame.body.append(text);
    }, TYPED);
    await flush(page);
    expectNothingTyped(collector);
    expect(wire(collector)).not.toMatch(/81518151815|1987-06-15/);
    for (const kept of ['in the open', 'Say more', '"aria-label":"Wishes"'])
      expect(wire(collector)).toContain(kept);
    expect(wire(collector)).toContain('/a?token=&b=#t=');
  });

  test('a field tells once that it was filled, with the mask, however many keys were pressed', async () => {
    const collector = await bench.collector('<input id="text" value=""><input id="check" type="checkbox">');
    const page = await bench.page(collector);
    await started(page);
    await page.locator('#text').pressSequentially('many keys');
    await page.check('#check');
    await flush(page);
    expect(inputs(collector).map(({ data }) => [data.text, data.isChecked])).toEqual([
      [MASK, false],
      [MASK, true],
    ]);
  });

  test('a secret field yields no input event and stands blank in every snapshot, also once its type is changed', async () => {
    const collector = await bench.collector(SECRETS);
    const page = await bench.page(collector);
    await started(page);
    const fields = await page.locator('input').all();
    for (const field of fields) await field.pressSequentially(SECRET);
    await page.evaluate(() => document.querySelector('#password')!.setAttribute('type', 'text'));
    await page.locator('#password').pressSequentially(SECRET);
    await flush(page);
    await page.reload();
    await started(page);
    expect(inputs(collector)).toEqual([]);
    expectNothingTyped(collector);
    const nodes = collector
      .events()
      .filter(({ type }) => type === 2)
      .map(({ data }) => JSON.stringify(data));
    expect(nodes.length).toBe(2);
    expect(nodes.join()).not.toContain(MASK);
    expect(nodes[1]).toContain('"id":"prefilled","type":"password","value":""');
  });

  test('clicks, errors and navigation tell neither values nor query values', async () => {
    const collector = await bench.collector(
      `<input id="field" aria-label="Your name" value="${TYPED}"><div id="around">Text <textarea>${TYPED}</textarea></div>
       <p data-rr-mask id="masked">${TYPED}</p><p data-rr-block id="blocked">${TYPED}</p><button id="wrong">Go</button>
       <script>wrong.onclick = () => { history.pushState({}, '', '/x?name=${SECRET}');
         throw new Error('cannot load https://user:pw@host/a?key=${SECRET}&q') }</script>`,
    );
    const page = await bench.page(collector);
    await started(page);
    for (const id of ['field', 'around', 'masked', 'blocked', 'wrong'])
      await page.click(`#${id}`, { position: { x: 2, y: 2 } });
    await flush(page);
    expectNothingTyped(collector);
    expect(collector.custom('click').map(({ text }) => text)).toEqual([
      'Your name',
      `Text ${MASK}`,
      MASK,
      'Go',
    ]);
    expect(collector.custom('navigation').at(-1)!.url).toMatch(/\/x\?name=$/);
    expect(collector.custom('error')[0]!.message).toBe('Uncaught Error: cannot load https://host/a?key=&q=');
  });

  describe.each([
    ['attribute', (name: string) => `data-rr-${name}`, ''],
    ['class', (name: string) => `class="rr-${name}"`, ''],
    [
      'selector',
      (name: string) => `data-my="${name}"`,
      ['mask', 'unmask', 'block', 'ignore'].map((name) => `data-${name}="[data-my=${name}]"`).join(' '),
    ],
  ])('marks by %s', (form, mark, tag) => {
    test('mask, unmask, block and ignore hold, the nearest one first, and nothing unmasks a secret', async () => {
      const collector = await bench.collector(
        `<section ${mark('mask')}><p title="${TYPED}">${TYPED}</p><p ${mark('unmask')}>shown in ${form}</p></section>
         <section ${mark('unmask')}><input id="shown" value="value in ${form}"><p>Written by anna@mail.example</p>
           <p ${mark('mask')}>${TYPED}<b>${TYPED}</b></p>
           <input id="secret" type="password" value="${SECRET}"><input id="code" autocomplete="one-time-code"></section>
         <section ${mark('block')} style="width: 321px"><p>${TYPED}</p><p ${mark('unmask')}>${TYPED}</p></section>
         <input id="ignored" ${mark('ignore')}><p id="host" ${mark('mask')}></p>`,
        '',
        tag,
      );
      const page = await bench.page(collector);
      await started(page);
      for (const id of ['shown', 'secret', 'code', 'ignored'])
        await page.locator(`#${id}`).pressSequentially(id === 'shown' ? ' and keys' : SECRET);
      await page.evaluate(
        ({ text, secret, shownMark }) => {
          const at = (id: string): HTMLInputElement => document.querySelector(`#${id}`)!;
          at('secret').type = 'text';
          at('code').autocomplete = 'off';
          at('secret').value = at('code').value = secret + 2;
          at('host').attachShadow({ mode: 'open' }).innerHTML =
            `<p>${text}</p><p ${shownMark}>shadow shown</p>`;
        },
        { text: TYPED, secret: SECRET, shownMark: mark('unmask') },
      );
      await flush(page);
      expectNothingTyped(collector);
      for (const shown of [
        `shown in ${form}`,
        ` and keysvalue in ${form}`,
        'anna@mail.example',
        'shadow shown',
      ])
        expect(wire(collector)).toContain(shown);
      expect(wire(collector)).toContain('"rr_width":"321px"');
      expect(inputs(collector).filter(({ data }) => data.text === '')).toEqual([]);
    });
  });

  test('strictly the page tells its shape and no text, but where a mark unmasks it', async () => {
    const collector = await bench.collector(
      `<h1 class="kept">${TYPED}</h1><button title="${TYPED}">${TYPED}</button><p data-rr-unmask>shown</p>
       <img alt="${TYPED}" src="/photos/${encodeURIComponent(TYPED)}/1.png"><a href="/people/${encodeURIComponent(TYPED)}">a</a>
       <div data-state="open" data-note="lowercase">x</div><p id="p"></p>
       <script>p.onclick = () => { throw new TypeError('${TYPED}') }</script>`,
      `<style>.kept::before { content: "${TYPED}"; color: red }</style>`,
      'data-privacy="strict"',
    );
    const page = await bench.page(collector);
    await started(page);
    await page.evaluate((text) => {
      document.querySelector('#p')!.textContent = text;
      document.title = text;
      history.pushState({}, '', `/people/${text}/edit`);
    }, TYPED);
    await page.click('button');
    await page.click('#p');
    await flush(page);
    expectNothingTyped(collector);
    expect(wire(collector)).not.toContain('lowercase');
    for (const kept of ['"class":"kept"', '"data-state":"open"', 'shown', 'color: red', '/people/*'])
      expect(wire(collector)).toContain(kept);
    expect(collector.custom('click')[0]!.text).toBe(MASK);
    expect(collector.custom('error')[0]!.message).toBe(`TypeError${MASK}`);
  });

  test('what was typed is not told where the page repeats it, and what was searched for is', async () => {
    const collector = await bench.collector(
      `<input id="name"><input id="search" type="search"><p id="hello"></p><p id="found"></p>`,
    );
    const page = await bench.page(collector);
    await started(page);
    await page.locator('#name').pressSequentially('Anna Berg');
    await page.locator('#search').pressSequentially('Red Shoes');
    await page.evaluate(() => {
      document.querySelector('#hello')!.textContent = 'Hello Anna Berg!';
      document.querySelector('#found')!.textContent = 'Red Shoes, 12 found';
    });
    await flush(page);
    expect(wire(collector)).not.toContain('Anna Berg');
    expect(wire(collector)).toContain(`Hello ${MASK}!`);
    expect(wire(collector)).toContain('Red Shoes, 12 found');
  });

  test('values of the query parameters that the site names are kept', async () => {
    const collector = await bench.collector(
      `<a href="/a?utm_source=news&page=2&name=anna">a</a>`,
      '',
      'data-keep-params="utm_*, page"',
    );
    const page = await bench.page(collector);
    await started(page);
    expect(wire(collector)).toContain('/a?utm_source=news&page=2&name=');
    expect(wire(collector)).not.toContain('anna');
  });

  test('the page itself is not written to', async () => {
    const collector = await bench.collector(SECRETS);
    const page = await bench.page(collector);
    // The loader's own link stands in the head for a while.
    const before = await page.evaluate(() => document.body.outerHTML);
    await started(page);
    await page.evaluate(() => document.querySelector('#password')!.setAttribute('type', 'text'));
    await flush(page);
    await page.evaluate(() => document.querySelector('#password')!.setAttribute('type', 'password'));
    expect(await page.evaluate(() => document.body.outerHTML)).toBe(before);
  });
});
