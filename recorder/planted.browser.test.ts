import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { CONTROL, PLACES, type Group } from './bench/planted.ts';
import { OwnRun } from './bench/test-own.ts';

const chromium = inject('chromium');

test('at least 80 secrets are planted, each in a place of its own with a marker of its own', () => {
  const needles = PLACES.flatMap((place) => place.needles);
  expect(PLACES.length).toBeGreaterThanOrEqual(80);
  expect(new Set(PLACES.map(({ name }) => name)).size).toBe(PLACES.length);
  for (const needle of needles) expect(needles.filter((other) => other.includes(needle))).toEqual([needle]);
});

describe.skipIf(!chromium)('planted secrets in Chromium', () => {
  let own: OwnRun;
  beforeAll(async () => void (own = await OwnRun.start(chromium!)));
  afterAll(() => own.stop());

  test('by default none reaches the wire but for three names in free text', async () => {
    const { texts, leaks } = await own.visit('default');
    expect(texts.join()).toContain(CONTROL.text);
    const groups = new Set<Group>(leaks.map(({ group }) => group));
    expect(
      leaks.map(({ name }) => name).length,
      JSON.stringify(leaks.map(({ name }) => name)),
    ).toBeLessThanOrEqual(3);
    expect([...groups].filter((group) => group !== 'text')).toEqual([]);
  });

  test('strictly none reaches the wire', async () => {
    const { texts, leaks } = await own.visit('strict');
    expect(texts.join()).toContain(CONTROL.className);
    expect(leaks.map(({ name }) => name)).toEqual([]);
  });
});
