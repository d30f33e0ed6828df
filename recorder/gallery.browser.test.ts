import { beforeAll, describe, expect, inject, test } from 'vitest';
import { Gallery, type Moment } from './gallery/test-gallery.ts';
import { PAGES } from './gallery/test-pages.ts';

/** Of the pixels of a page that are not masked. */
const DIFFERENT_PCT_MAX = 0.5;
/** A page that is masked all over proves nothing. */
const COVERED_PCT_MAX = 50;

const chromium = inject('chromium');
describe.skipIf(!chromium)('the gallery', () => {
  const results = new Map<string, Moment[] | Error>();
  beforeAll(async () => {
    const gallery = await Gallery.start(chromium);
    await gallery.compareAll(PAGES, (name, result) => void results.set(name, result));
    await gallery.stop();
  }, 900_000);

  test.each(PAGES.map((page) => [page.name, page] as const))(
    '%s looks as it did',
    (name, { acts, allowance }) => {
      const moments = results.get(name)!;
      if (moments instanceof Error) throw moments;
      expect(moments).toHaveLength(acts.filter((act) => typeof act === 'string').length);
      for (const { label, differentPct, coveredPct } of moments) {
        expect(differentPct, label).toBeLessThanOrEqual(allowance?.pct ?? DIFFERENT_PCT_MAX);
        expect(coveredPct, label).toBeLessThan(COVERED_PCT_MAX);
      }
    },
  );

  test('an allowance is not larger than what it allows for', () => {
    for (const { name, allowance } of PAGES) {
      if (!allowance) continue;
      const moments = results.get(name) as Moment[];
      const most = Math.max(...moments.map(({ differentPct }) => differentPct));
      expect(most, `${name}: ${allowance.reason}`).toBeGreaterThan(allowance.pct / 4);
    }
  });
});
