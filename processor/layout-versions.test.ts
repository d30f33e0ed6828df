import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readAll } from './fixtures/read-all.ts';
import { LAYOUT_VERSION } from './layout.ts';

const FIXTURES = join(import.meta.dirname, 'fixtures');
const versions = Array.from({ length: LAYOUT_VERSION }, (_, i) => i + 1);

test('there is a lake of each layout version', async () => {
  const found = (await readdir(FIXTURES)).filter((name) => /^lake-v\d+$/.test(name));
  expect(found.sort()).toEqual(versions.map((version) => `lake-v${version}`));
});

test.each(versions)('a lake of layout version %i is read as it was written', async (version) => {
  // A store may put files of its own beside the lake.
  const copy = await mkdtemp(join(tmpdir(), 'layout-'));
  await cp(join(FIXTURES, `lake-v${version}`), copy, { recursive: true });
  const expected = JSON.parse(await readFile(join(FIXTURES, `lake-v${version}.json`), 'utf8')) as object;
  expect(await readAll(copy, Object.keys(expected))).toEqual(expected);
  await rm(copy, { recursive: true });
});
