import { SHARDS } from '#stream';
import { describe, expect, it } from 'vitest';
import { createRandom } from './samples.ts';
import { shareOf } from './share.ts';

const random = createRandom(7);
const ids = (count: number): string[] =>
  Array.from({ length: count }, () => Math.floor(random() * 2 ** 52).toString(36));
/** Whose each shard is; throws where it is several's. */
function owners(members: readonly string[]): Map<number, string> {
  const found = new Map<number, string>();
  for (const id of members)
    for (const shard of shareOf(id, members).shards) {
      expect(found.has(shard)).toBe(false);
      found.set(shard, id);
    }
  return found;
}

describe('shards are shared out', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8, 16, 20])('among %i, each to one, evenly, with one sweeper', (count) => {
    for (let again = 0; again < 20; again++) {
      const members = ids(count);
      expect(owners(members).size).toBe(SHARDS);
      const shares = members.map((id) => shareOf(id, members));
      const counts = shares.map(({ shards }) => shards.length);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      expect(shares.filter(({ sweeps }) => sweeps)).toHaveLength(1);
    }
  });

  it('alike by all, in whatever order they know of each other', () => {
    const members = ids(5);
    for (const id of members) expect(shareOf(id, members.toReversed())).toEqual(shareOf(id, members));
  });

  it.each([2, 3, 4, 5, 6, 7, 8])('such that few move when one of %i goes, or comes', (count) => {
    let moved = 0;
    let least = 0;
    for (let again = 0; again < 200; again++) {
      const members = ids(count);
      const [before, after] = [owners(members), owners(members.slice(1))];
      for (const [shard, id] of before) {
        if (after.get(shard) !== id) moved++;
        if (id === members[0]) least++;
      }
    }
    // Sharing out by a count of the members would move nearly all.
    expect(moved).toBeLessThan(2.3 * least);
    expect(moved / 200).toBeLessThanOrEqual(SHARDS / 2);
  });

  it('and the sweeper changes only with the one who went', () => {
    for (let again = 0; again < 100; again++) {
      const members = ids(4);
      const sweeper = members.find((id) => shareOf(id, members).sweeps)!;
      const gone = members.find((id) => id !== sweeper)!;
      const rest = members.filter((id) => id !== gone);
      expect(shareOf(sweeper, rest).sweeps).toBe(true);
    }
  });
});
