import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { slimReplay } from './rrweb-transform.ts';

const upstream = (): string =>
  readFileSync(
    createRequire(import.meta.url)
      .resolve('@rrweb/replay')
      .replace('replay.cjs', 'replay.js'),
    'utf8',
  );

test('the replay bundle that is installed is slimmed', () => {
  const slim = slimReplay(upstream());
  expect(slim).toContain('return adaptCssOnce(cssText);');
  expect(slim).not.toContain('= requirePostcss');
});

test('where upstream’s text has moved, the build fails and says which', () => {
  expect(() => slimReplay(upstream().replace('requirePostcss$1();', 'requirePostcss$9();'))).toThrow(
    /expected once, found 0 times: var postcssExports\$1/,
  );
  expect(() => slimReplay(upstream() + upstream())).toThrow(/found 2 times/);
});

test('MathML is built in its namespace, and nothing of HTML is', () => {
  const [, names] = /\/\^(\([^/]+\))\$\/\.test\(tagName\)/.exec(slimReplay(upstream()))!;
  const isMath = new RegExp(`^${names}$`);
  for (const name of ['math', 'mi', 'mn', 'mo', 'mfrac', 'munderover', 'annotation-xml'])
    expect(isMath.test(name), name).toBe(true);
  for (const name of ['main', 'map', 'mark', 'menu', 'meta', 'meter', 'math-field'])
    expect(isMath.test(name), name).toBe(false);
});
