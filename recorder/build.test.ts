import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { foldValues, valuesOf } from './fold-values.ts';
import { RECORDER } from './recorder-version.ts';
import { applyChanges, takeFunctions, UPSTREAM } from './rrweb-transforms.ts';
import { measure } from './size.ts';
import { buildRecorder } from './test-page.ts';

let built: Awaited<ReturnType<typeof buildRecorder>>;
beforeAll(async () => void (built = await buildRecorder()));
afterAll(() => built.remove());
const fileOf = (chunk: string): string =>
  readdirSync(built.folder).find((name) => name.startsWith(`${chunk}-`))!;
const textOf = (file: string): string => readFileSync(join(built.folder, file), 'utf8');

test('the core is at most 20.5 KB and the loader at most 1 KB, gzipped', () => {
  const { coreGzBytes, loaderGzBytes } = measure(built.folder);
  expect(coreGzBytes).toBeGreaterThan(10_000);
  expect(coreGzBytes).toBeLessThanOrEqual(20.5 * 1024);
  expect(loaderGzBytes).toBeLessThanOrEqual(1024);
});

test('the loader is a classic script that names the core beside it', () => {
  const core = fileOf('core');
  expect(readdirSync(built.folder)).toContain('integrity.json');
  const loader = readFileSync(join(built.folder, 'loader.js'), 'utf8');
  expect(loader).toContain(core);
  expect(() => new Function(loader)).not.toThrow();
});

test('neither postcss nor the replayer is in the bundle', () => {
  expect(textOf(fileOf('core'))).not.toMatch(/postcss|CssSyntaxError|replayer|BaseRRNode/i);
});

test('what few pages need stands in files of its own, named by their content, and not in the core', () => {
  const core = textOf(fileOf('core'));
  const lazy = readdirSync(built.folder).filter(
    (name) => /\.js$/.test(name) && !/^(core-|loader)/.test(name),
  );
  expect(lazy.length).toBeGreaterThan(2);
  // The core itself is one file.
  expect(core).not.toMatch(/^import\b|\bfrom ?["'`]\.\//m);
  for (const name of lazy) {
    expect(name).toMatch(/^[a-z-]+-[\w-]{8}\.js$/);
    // Someone fetches it, by this name.
    const others = [core, ...lazy.filter((other) => other !== name).map(textOf)];
    expect(others.some((text) => text.includes(name))).toBe(true);
    // Of its longer texts none is the core's, too.
    const texts = textOf(name).match(/(?<=`)[^`${}]{24,}(?=`)/g) ?? [];
    expect(texts.filter((text) => core.includes(text))).toEqual([]);
  }
});

test('the licences stand beside the files, and files with code of others say so', () => {
  expect(textOf(fileOf('core'))).toMatch(/^\/\*! mutoscope \| @rrweb\/record: see licenses\.txt \*\//);
  const licences = textOf('licenses.txt');
  for (const name of ['@rrweb/record', 'web-vitals']) expect(licences).toContain(`\n${name} `);
  expect(licences).toContain('The above copyright notice');
});

test('what is taken of rrweb, or changed in it, and has moved or stands there twice, fails the build', () => {
  const change = { why: 'test', find: 'abc', put: 'x' };
  expect(applyChanges('1abc2', [change])).toBe('1x2');
  expect(() => applyChanges('1ab2', [change])).toThrow('stands there 0 times (test)');
  expect(() => applyChanges('abcabc', [change])).toThrow('stands there 2 times');
  const one = 'function one() {\n  return {\n  };\n}\n';
  expect(takeFunctions(`let a;\n${one}function two() {\n}\n`, ['one'])).toBe(one);
  expect(() => takeFunctions(one, ['two'])).toThrow('two stands there 0 times');
  expect(() => takeFunctions(one + one, ['one'])).toThrow('one stands there 2 times');
});

test('tables and constants of the protocol become their values, and only these', () => {
  const values = valuesOf(`export const Table = {
  /** Of a, b: c. */
  one: 1,
  two: 0x02,
} as const;
export const SIZE = 2 * 1_000;
export const TEXT = 'x';
export const OTHER = { a: { b: 1 } } as const;
export const made = new Map();`);
  expect(Object.fromEntries(values)).toEqual({
    'Table.one': '1',
    'Table.two': '2',
    SIZE: '2000',
    TEXT: "'x'",
  });
  const folded = foldValues(
    "import { Table, f, SIZE } from './a.ts';\nf(Table.two, SIZE, a.SIZE, TEXTS)",
    values,
  );
  expect(folded.replaceAll(' ', '')).toBe("import{f,}from'./a.ts';\nf(2,2000,a.SIZE,TEXTS)");
  expect(foldValues("import { TEXT } from './a.ts';", values)).toBe('');
});

test('versions are those of the packages', () => {
  const require = createRequire(import.meta.url);
  const own = require('../package.json') as { version: string; devDependencies: Record<string, string> };
  expect(RECORDER).toBe(`mutoscope/${own.version}`);
  expect(own.devDependencies[UPSTREAM.name]).toBe(UPSTREAM.version);
});
