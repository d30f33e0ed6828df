import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readAll } from './fixtures/read-all.ts';
import { createDaysLake } from './fixture-days.ts';
import { LAYOUT_VERSION } from './layout.ts';
import { openLakeReader, openStore } from './store.ts';
import { decodeFile } from './x-hyparquet.ts';

const FIXTURES = join(import.meta.dirname, 'fixtures');
/** When the fixtures' sessions went on. */
const WRITTEN_MS = Date.UTC(2026, 10, 26, 12);
const versions = Array.from({ length: LAYOUT_VERSION }, (_, i) => i + 1);

test('there is a lake of each layout version', async () => {
  const found = (await readdir(FIXTURES)).filter((name) => /^lake-v\d+$/.test(name));
  expect(found.sort()).toEqual(versions.map((version) => `lake-v${version}`));
});

interface Expected {
  events: { session_id: string }[];
}
/** A store may put files of its own beside the lake. */
async function copyOf(version: number): Promise<{ copy: string; expected: Record<string, Expected> }> {
  const copy = await mkdtemp(join(tmpdir(), 'layout-'));
  await cp(join(FIXTURES, `lake-v${version}`), copy, { recursive: true });
  const expected = await readFile(join(FIXTURES, `lake-v${version}.json`), 'utf8');
  return { copy, expected: JSON.parse(expected) as Record<string, Expected> };
}

test.each(versions)('a lake of layout version %i is read as it was written', async (version) => {
  const { copy, expected } = await copyOf(version);
  expect(await readAll(copy, Object.keys(expected))).toEqual(expected);
  await rm(copy, { recursive: true });
});

test.each(versions)('a lake of layout version %i gets its sessions with a compaction', async (version) => {
  const { copy, expected } = await copyOf(version);
  const store = await openStore(copy);
  const lake = await createDaysLake(store);
  await lake.maintain().compact(WRITTEN_MS);
  for (const [project, { events }] of Object.entries(expected)) {
    const { files } = await openLakeReader(store, () => WRITTEN_MS).view(project);
    const told: Record<string, number> = {};
    for (const { table, key } of files)
      if (table === 'sessions')
        for (const row of await decodeFile(table, await store.get(key))) told[row.session_id] = row.events;
    expect(told).toEqual(countBy(events.map((row) => row.session_id)));
  }
  await lake.close();
  await rm(copy, { recursive: true });
});

function countBy(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
