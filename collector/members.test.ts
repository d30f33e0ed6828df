import { describe, expect, test } from 'vitest';
import { living } from './living.ts';
import { describeMembers } from './members.contract.ts';
import { MEMBER_TTL_MS, openMembers } from './stream.ts';

describe('the one process of the embedded log', () => {
  describeMembers(async () => ({
    open: () => openMembers('a/directory', { place: 'here' }),
    remove: async () => {},
  }));
});

test('who announces no more is alive until others announce themselves a whole ttl later', () => {
  const at = (...times: [string, number][]): string[] => [
    ...living(
      new Map(times.map(([id, announcedMs]) => [id, { note: '', announcedMs }])),
      MEMBER_TTL_MS,
    ).keys(),
  ];
  expect(at()).toEqual([]);
  expect(at(['a', 0])).toEqual(['a']);
  expect(at(['a', 1000], ['b', 1000 + MEMBER_TTL_MS - 1])).toEqual(['a', 'b']);
  expect(at(['a', 1000], ['b', 1000 + MEMBER_TTL_MS])).toEqual(['b']);
  expect(at(['b', 1000 + MEMBER_TTL_MS], ['c', 999 + MEMBER_TTL_MS], ['a', 1000])).toEqual(['b', 'c']);
});
