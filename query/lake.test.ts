import { expect, it } from 'vitest';
import { StoreError, type LakeView } from '#store';
import { createLake } from './lake.ts';

const gone = new StoreError('not_found', 'a file is not there');

/** Each look at the store is told from the others by its `asOfMs`. */
function lakeOfLooks(): { lake: ReturnType<typeof createLake>; looks: () => number } {
  let looks = 0;
  const view = (project: string): Promise<LakeView> =>
    Promise.resolve({
      project,
      files: [],
      erased: new Set<string>(),
      asOfMs: ++looks,
    } as unknown as LakeView);
  return { lake: createLake({ view } as never, { refreshMs: 60_000, now: () => 0 }), looks: () => looks };
}

it('what was read of a look that names a file that is gone is read of another look', async () => {
  const { lake, looks } = lakeOfLooks();
  await lake.read('shop', () => Promise.resolve());
  const seen: number[] = [];
  const answer = await lake.read('shop', ({ asOfMs }) => {
    seen.push(asOfMs);
    return asOfMs < 3 ? Promise.reject(gone) : Promise.resolve('read');
  });
  expect([answer, seen, looks()]).toEqual(['read', [1, 2, 3], 3]);
});

it('but not for ever, and not for another reason', async () => {
  const { lake, looks } = lakeOfLooks();
  await expect(lake.read('shop', () => Promise.reject(gone))).rejects.toBe(gone);
  expect(looks()).toBe(4);
  const other = new Error('another');
  await expect(lake.read('shop', () => Promise.reject(other))).rejects.toBe(other);
  expect(looks()).toBe(4);
});
