import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createRandom } from './samples.ts';
import { assetsIn, joinAssets, splitAssets } from './split-assets.ts';

const CSS = '.a { color: red; }\n'.repeat(100);
const png = (bytes: number, seed = 1): string => {
  const random = createRandom(seed);
  return `data:image/png;base64,${Buffer.from(Array.from({ length: bytes }, () => random() * 256)).toString('base64')}`;
};
const element = (tagName: string, attributes: object, ...childNodes: object[]): object => ({
  ...{ type: 2, id: 7, tagName, attributes, childNodes },
});
const text = (textContent: string): object => ({ type: 3, id: 8, textContent });

/** Splits and joins; the text must be the same. Returns what was left, and the assets. */
function roundTrip(payload: string): ReturnType<typeof splitAssets> {
  const split = splitAssets(payload);
  expect(joinAssets(split.payload, (name) => split.assets.get(name))).toBe(payload);
  expect(assetsIn(split.payload).sort()).toEqual([...split.assets.keys()].sort());
  for (const [name, bytes] of split.assets)
    expect(name.split('.')[0]).toBe(createHash('sha256').update(bytes).digest('hex'));
  return split;
}
const split = (data: unknown): ReturnType<typeof splitAssets> => roundTrip(JSON.stringify(data));

describe('what is taken out', () => {
  test.each([
    ['a sheet in an attribute', { node: element('link', { _cssText: CSS }) }],
    ['the text of a style element', { node: element('style', {}, text(CSS)) }],
    [
      'a rule of an adopted sheet',
      { source: 15, styles: [{ styleId: 1, rules: [{ rule: CSS, index: 0 }] }] },
    ],
    ['a replaced sheet', { source: 8, styleId: 1, replaceSync: CSS }],
  ])('is %s', (_, data) => {
    const { payload, assets } = split(data);
    expect([...assets.values()].map((bytes) => Buffer.from(bytes).toString())).toEqual([CSS]);
    expect(payload.length).toBeLessThan(200);
  });
  test('is a data: address, also within a style or a font, once for one content', () => {
    const { payload, assets } = split({
      node: element('img', {
        src: png(900),
        style: `background: url(${png(900)})`,
        srcset: `${png(800, 2)} 2x`,
      }),
      fontSource: `url(${png(900).replace('image/png', 'font/woff2')})`,
    });
    expect([...assets.keys()].map((name) => name.split('.')[1])).toEqual(['png', 'png', 'woff2']);
    expect(payload).toContain('"src":"data:image/png;base64,~asset:');
  });
});

describe('what stays', () => {
  test.each([
    ['a long text of the page', { node: element('p', {}, text('a secret '.repeat(500))) }],
    ['a text that holds a data: address', { node: element('p', {}, text(png(2000))) }],
    ['what was put into a field', { source: 5, id: 7, text: png(2000) }],
    ['a text told alone', { source: 0, texts: [{ id: 8, value: png(2000) }] }],
    ['a short sheet', { node: element('style', { _cssText: '.a { color: red; }' }) }],
    ['a short address', { node: element('img', { src: png(700) }) }],
    ['an address of no type of asset', { src: png(900).replace('image/png', 'video/webm') }],
    ['an asset over the bound', { node: element('style', { _cssText: CSS.repeat(1000) }) }],
    ['half a surrogate pair', { node: element('style', { _cssText: `${CSS}\ud83d` }) }],
    ['a sheet that is also said', { node: element('style', { _cssText: CSS }, element('p', {}, text(CSS))) }],
  ])('is %s', (_, data) => expect(split(data).assets.size).toBe(0));

  test('is what was escaped in another way', () => {
    const payload = JSON.stringify({ _cssText: CSS }).replace('color', '\\u0063olor');
    expect(roundTrip(payload).assets.size).toBe(0);
  });
  test('is an address whose last bits are odd', () => {
    expect(split({ src: `data:image/png;base64,${'A'.repeat(1025)}B==` }).assets.size).toBe(0);
  });
  test('is what is no JSON', () => {
    roundTrip(`${CSS}"~asset:`.repeat(3));
  });
});

test('what reads like a reference comes back as it was', () => {
  const name = `${'0'.repeat(64)}.css`;
  for (const look of [
    `~asset:${name}~`,
    `~~asset:${name}~`,
    '~asset:',
    '~~~asset:~',
    '~',
    `\u007easset:${name}~`,
  ])
    for (const around of ['', '~', 'x~'])
      expect(split({ text: around + look + around, _cssText: look + CSS + look }).assets.size).toBe(1);
  roundTrip(`"data:image/png;base64,${'A'.repeat(1024)}~asset:${name}~"`);
});

test('an asset that is missing, and a reference that is none, are told', () => {
  const { payload } = split({ _cssText: CSS });
  expect(() => joinAssets(payload, () => undefined)).toThrow(/^no asset [0-9a-f]{64}\.css$/);
  expect(() => joinAssets('"~asset:nothing"', () => undefined)).toThrow(
    'no reference to an asset: ~asset:nothing',
  );
});

test('any JSON comes back to the byte', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e6);
  console.log(`SEED=${seed}`);
  const random = createRandom(seed);
  const int = (below: number): number => Math.floor(random() * below);
  const pick = <T>(list: readonly T[]): T => list[int(list.length)]!;
  const PARTS = [
    '~',
    '~asset:',
    `${'a'.repeat(64)}.css~`,
    CSS,
    png(900),
    'data:image/png;base64,',
    '\ud83d',
    '\ude00',
    '😀',
    '"',
    '\\',
    '\n',
    '\u2028',
    '\0',
    'é',
    '{',
    ',',
  ];
  const KEYS = [
    '_cssText',
    'textContent',
    'rule',
    'src',
    'text',
    'childNodes',
    'attributes',
    'isStyle',
    '~asset:',
    '__proto__',
  ];
  const string = (): string => Array.from({ length: int(6) }, () => pick(PARTS)).join('');
  const literal = (value: string): string =>
    random() < 0.5 || JSON.stringify(value).includes('\\')
      ? JSON.stringify(value)
      : JSON.stringify(value).replace(/[a-e~/]/g, (char) =>
          random() < 0.02
            ? `\\u00${char.charCodeAt(0).toString(16)}`
            : char === '/' && random() < 0.1
              ? '\\/'
              : char,
        );
  const json = (depth: number): string => {
    const roll = depth ? int(8) : 0;
    const space = random() < 0.1 ? ' \n' : '';
    if (roll < 3) return literal(string());
    if (roll === 3) return pick(['1', '-0', '1e5', '1.50', 'true', 'null']);
    const items = Array.from({ length: int(4) }, () => json(depth - 1));
    if (roll < 6)
      return `{${space}${items.map((item) => `${literal(pick(KEYS))}:${space}${item}`).join(',')}}`;
    return `[${items.join(`,${space}`)}]`;
  };
  let found = 0;
  for (let round = 0; round < 300; round++)
    found += roundTrip(`{"tagName":"style","childNodes":[${json(4)}],"a":${json(4)}}`).assets.size;
  expect(found).toBeGreaterThan(50);
});
