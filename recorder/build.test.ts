import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RECORDER } from './recorder-version.ts';
import { applyChanges, compact, UPSTREAM } from './rrweb-transforms.ts';
import { measure } from './size.ts';
import { buildRecorder } from './test-page.ts';

let built: Awaited<ReturnType<typeof buildRecorder>>;
beforeAll(async () => void (built = await buildRecorder()));
afterAll(() => built.remove());

test('the core is at most 24 KB and the loader at most 1 KB, gzipped', () => {
  const { coreGzBytes, loaderGzBytes } = measure(built.folder);
  expect(coreGzBytes).toBeGreaterThan(10_000);
  expect(coreGzBytes).toBeLessThanOrEqual(24 * 1024);
  expect(loaderGzBytes).toBeLessThanOrEqual(1024);
});

test('the loader is a classic script that names the core beside it', () => {
  const files = readdirSync(built.folder);
  const core = files.find((name) => name.startsWith('core-'))!;
  expect(files.sort()).toEqual([core, 'loader.js']);
  const loader = readFileSync(join(built.folder, 'loader.js'), 'utf8');
  expect(loader).toContain(core);
  expect(() => new Function(loader)).not.toThrow();
});

test('neither postcss nor the replayer is in the bundle', () => {
  const core = readdirSync(built.folder).find((name) => name.startsWith('core-'))!;
  expect(readFileSync(join(built.folder, core), 'utf8')).not.toMatch(
    /postcss|CssSyntaxError|replayer|BaseRRNode/i,
  );
});

test('a change whose text has moved, or stands there twice, fails the build', () => {
  const change = { why: 'test', find: 'abc', put: 'x' };
  expect(applyChanges('1abc2', [change])).toBe('1x2');
  expect(applyChanges('1abc2}3', [{ ...change, until: '}' }])).toBe('1x}3');
  expect(() => applyChanges('1ab2', [change])).toThrow('stands there 0 times (test)');
  expect(() => applyChanges('abcabc', [change])).toThrow('stands there 2 times');
  expect(() => applyChanges('1abc2', [{ ...change, until: '}' }])).toThrow('no "}"');
  expect(() => compact('nothing')).toThrow('no enum EventType');
});

test('versions are those of the packages', () => {
  const require = createRequire(import.meta.url);
  const own = require('../package.json') as { version: string; devDependencies: Record<string, string> };
  expect(RECORDER).toBe(`mutoscope/${own.version}`);
  expect(own.devDependencies[UPSTREAM.name]).toBe(UPSTREAM.version);
});
