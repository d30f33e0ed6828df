import { expect, test } from 'vitest';
import { sanitize } from './sanitize.ts';

const link = (
  attributes: Record<string, unknown>,
): { tagName: string; attributes: Record<string, unknown> } => ({
  tagName: 'link',
  attributes,
});

test('links that would connect lose what makes them do so, at any depth', () => {
  const preconnect = link({ rel: 'preconnect', href: 'https://x.test' });
  const inlined = link({ rel: 'stylesheet', _cssText: 'a{}' });
  sanitize({
    type: 2,
    timestamp: 0,
    data: { node: { childNodes: [{ childNodes: [preconnect, inlined] }] } },
  });
  expect(preconnect.attributes).toEqual({ href: 'https://x.test' });
  expect(inlined.attributes.rel).toBe('stylesheet');
});

test('so do those that come later, and those that are turned into one', () => {
  const later = link({ rel: 'dns-prefetch', href: 'https://x.test' });
  const change = { attributes: { rel: 'prefetch', href: 'https://x.test' } as Record<string, unknown> };
  sanitize({ type: 3, timestamp: 0, data: { source: 0, adds: [{ node: later }], attributes: [change] } });
  expect(later.attributes.rel).toBeUndefined();
  expect(change.attributes).toEqual({ href: 'https://x.test' });
});

test('a page cannot lead the stage elsewhere after a while', () => {
  const meta = { tagName: 'meta', attributes: { 'http-equiv': 'Refresh', content: '0;url=https://x.test' } };
  sanitize({ type: 2, timestamp: 0, data: { node: meta } });
  expect(meta.attributes).toEqual({ content: '0;url=https://x.test' });
});

test('fonts with an address are dropped, fonts with their bytes stay', () => {
  const font = (fontSource: string, buffer: boolean): unknown =>
    sanitize({ type: 3, timestamp: 0, data: { source: 10, family: 'F', fontSource, buffer } });
  expect(font('url(https://x.test/f.woff2)', false)).toBeUndefined();
  expect(font('url(data:font/woff2;base64,AA)', false)).toBeDefined();
  expect(font('[1,2]', true)).toBeDefined();
});
