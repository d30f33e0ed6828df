import { afterEach, expect, test } from 'vitest';
import { MASK } from './protocol.ts';
import { isCardNumber, scrubCss, scrubPersonal, scrubResource, scrubUrl, setScrubbing } from './scrub.ts';
import { scrubText } from './scrub-text.ts';

afterEach(() => setScrubbing(false, ''));

test.each([
  ['/a?a=1&b', '/a?a=&b='],
  ['https://site.example/p', 'https://site.example/p'],
  ['https://site.example/p?', 'https://site.example/p?'],
  ['https://site.example/?q=anna=b&&x=1', 'https://site.example/?q=&=&x='],
  ['https://anna:pw@site.example/p', 'https://site.example/p'],
  ['//anna@site.example/p', '//site.example/p'],
  ['/a#section-2', '/a#section-2'],
  ['/a#access_token=abc&state=1', '/a#access_token=&state='],
  ['/a?x=1#/route?name=anna', '/a?x=#/route?name='],
  ['/cart;jsessionid=12AB/items', '/cart;jsessionid=/items'],
  [`/a?${'t'.repeat(41)}`, '/a?='],
  ['mailto:info@site.example?subject=hello', 'mailto:'],
  ['tel:+4930123456', 'tel:'],
  ['blob:https://site.example/0e1f', 'blob:'],
  ['data:text/plain,anna', 'data:,'],
  ['javascript:go("anna")', 'javascript:'],
  ['/reset/Zm9vYmFyMTIzNDU2Nzg5MGFi', '/reset/*'],
  ['/orders/0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', '/orders/0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b'],
  ['/guides/how-to-build-a-house-in-2024', '/guides/how-to-build-a-house-in-2024'],
  ['/people/anna.berg%40mail.example/edit', '/people/*/edit'],
  ['/npm/vue@3.5.45/dist/vue.js', '/npm/vue@3.5.45/dist/vue.js'],
  ['/a?anna@mail.example', '/a?='],
  ['', ''],
])('%s becomes %s', (url, scrubbed) => {
  expect(scrubUrl(url)).toBe(scrubbed);
});

test('scrubbing twice changes nothing more', () => {
  for (const url of ['/a?a=1&b#c=d', 'https://u:p@h/?x', '/a#/r?b=1'])
    expect(scrubUrl(scrubUrl(url))).toBe(scrubUrl(url));
});

test('URLs inside a message are scrubbed, its words are kept', () => {
  expect(scrubText('cannot load "https://h/a?key=1&b" (status=404): why? see /x?q=2#t=3')).toBe(
    'cannot load "https://h/a?key=&b=" (status=404): why? see /x?q=#t=',
  );
});

test.each([
  ['Write to anna.berg+x@mail.example.co, please', `Write to ${MASK}, please`],
  ['MÜLLER@FIRMA.DE', MASK],
  ['4539 1488 0343 6467', MASK],
  ['4539148803436467 and 5500-0000-0000-0004', `${MASK} and ${MASK}`],
  ['IBAN DE89 3704 0044 0532 0130 00', `IBAN ${MASK}`],
  ['+49 (0)30 1234-567', MASK],
  ['SSN 123-45-6789', `SSN ${MASK}`],
])('%s is personal by its form', (text, scrubbed) => {
  expect(scrubPersonal(text)).toBe(scrubbed);
});

test.each([
  'No secret here, 100 % sure',
  '4539 1488 0343 6468',
  '1764000000000',
  'vue@3.5.45.min.js',
  '@anna follows @ben',
  '0.4539148803436467',
  '2026-11-23 21:40:49',
  'width: 33.3333333333333%',
])('%s stays', (text) => {
  expect(scrubPersonal(text)).toBe(text);
});

test('a long text without a blank costs no more than its length', () => {
  const began = performance.now();
  for (const part of ['a', '4', 'a.', '1 ', 'a@']) scrubPersonal(part.repeat(100_000 / part.length) + '@');
  expect(performance.now() - began).toBeLessThan(1000);
});

test('Luhn tells card numbers from other numbers', () => {
  expect(['4539148803436467', '371449635398431', '6011 0009 9013 9424'].map(isCardNumber)).toEqual([
    true,
    true,
    true,
  ]);
  expect(['4539148803436468', '0000', '1234567890123456'].map(isCardNumber)).toEqual([false, false, false]);
});

test('what a replay loads keeps its path, and pictures in the URL stay', () => {
  for (const url of ['/assets/index-a1b2c3d4e5f6a7b8c9.css', 'data:image/png;base64,iVBORw0KGgo'])
    expect(scrubResource(url)).toBe(url);
  expect(scrubResource('data:image/svg+xml,<svg><text>Anna</text></svg>')).toBe('data:,');
  expect(scrubResource('data:application/json,{}')).toBe('data:,');
});

test('strictly, of a path only a first word is kept', () => {
  setScrubbing(true, 'page');
  expect(scrubUrl('https://site.example/people/anna-berg/4711?page=2#profile')).toBe(
    'https://site.example/people/*/*?page=#*',
  );
  expect(scrubUrl('/')).toBe('/');
  expect(scrubUrl('/a1b2')).toBe('/*');
  expect(scrubText('TypeError: no user anna')).toBe(`TypeError${MASK}`);
});

test('parameters are kept by name and by beginning, never by a part of the name', () => {
  setScrubbing(false, ' utm_*,page ');
  expect(scrubUrl('/?utm_source=a&page=2&homepage=3&x=4')).toBe('/?utm_source=a&page=2&homepage=&x=');
  expect(scrubUrl('/?page=anna@mail.example')).toBe('/?page=*');
});

test('quoted sentences in a message are masked, names of properties are not', () => {
  expect(scrubText(`no user "Anna Berg", can't read 'length' of undefined`)).toBe(
    `no user "${MASK}", can't read 'length' of undefined`,
  );
  expect(scrubText('bad token a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7')).toBe(`bad token ${MASK}`);
});

test('style sheets keep their looks and lose query values and personal texts', () => {
  expect(scrubCss('.a { background: url("/i.png?u=1") } @import "/b.css?u=2";')).toBe(
    '.a { background: url("/i.png?u=") } @import "/b.css?u=";',
  );
  expect(scrubCss('.a::after { content: "anna@mail.example" }')).toBe(`.a::after { content: "${MASK}" }`);
  for (const css of [
    '.a::after { content: "\\f101"; font-family: "Open Sans" }',
    ':root { --font-sans: "Segoe UI", Roboto; --size: 12px; --color: #FFAA00 }',
    '.a { background: url(data:image/svg+xml;base64,PHN2Zz4=) }',
  ])
    expect(scrubCss(css)).toBe(css);
  expect(scrubCss(`--who: 'Anna Berg'; --size: 12px`, true)).toBe(`--who:"${MASK}"; --size: 12px`);
});
