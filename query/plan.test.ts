import { expect, it } from 'vitest';
import type { LakeFile, ReplayRow } from '#layout';
import type { ReplayGroup } from '#store';
import { cutRows, decodeAddress, encodeAddress, groupsOf, planSegments, type GroupInFile } from './plan.ts';

const FILE: LakeFile = {
  ...{ key: 'f', table: 'replay', class: 'r30', bytes: 1, rows: 1, firstSession: 's', lastSession: 's' },
  ...{ minMs: 0, maxMs: 0 },
};
const group = (
  firstRid: string,
  firstSeq: number,
  lastSeq: number,
  minMs: number,
  more: Partial<ReplayGroup> = {},
) => ({
  file: FILE,
  group: {
    ...{ index: 0, project: 'p', session: 's', firstRid, firstSeq, lastSeq, minMs, maxMs: minMs + 10 },
    ...{ rows: lastSeq - firstSeq + 1, start: 0, end: 100, bytes: 100, snapshot: false, chunks: [] },
    ...more,
  } satisfies ReplayGroup,
});
const never = (): number => 0;
const spans = (groups: GroupInFile[], cutoff = never) =>
  planSegments(groups, cutoff).map(({ rid, firstSeq, lastSeq, snapshot }) => [
    rid,
    firstSeq,
    lastSeq,
    snapshot,
  ]);

it('joins small neighbours, and begins anew at a snapshot, at another instance and at the bound of rows', () => {
  const flushes = [
    group('a', 1, 100, 0, { snapshot: true }),
    group('a', 101, 300, 20),
    group('a', 301, 400, 40, { snapshot: true }),
    group('b', 1, 1000, 60, { snapshot: true }),
    group('b', 1001, 1100, 80),
  ];
  const expected = [
    ['a', 1, 300, true],
    ['a', 301, 400, true],
    ['b', 1, 1000, true],
    ['b', 1001, 1100, false],
  ];
  expect(spans(flushes)).toEqual(expected);
  expect(spans(flushes.toReversed())).toEqual(expected);
});

it('plays one instance in the order of seq whatever its clock says, and instances in the order of time', () => {
  expect(spans([group('b', 1, 900, 100), group('b', 901, 1800, 50), group('a', 1, 900, 70)])).toEqual([
    ['a', 1, 900, false],
    ['b', 1, 900, false],
    ['b', 901, 1800, false],
  ]);
});

it('plays no row twice where one group covers another', () => {
  expect(spans([group('a', 1, 500, 0), group('a', 1, 200, 0), group('a', 201, 400, 20)])).toEqual([
    ['a', 1, 500, false],
  ]);
});

it('leaves out what ended before the cutoff; a snapshot that begins before it is none', () => {
  const groups = [
    group('a', 1, 2, 0),
    group('a', 3, 4, 95, { snapshot: true, maxMs: 120 }),
    group('a', 5, 6, 200),
  ];
  const [first] = planSegments(groups, () => 100);
  expect(first).toMatchObject({ firstSeq: 3, lastSeq: 6, snapshot: false, startMs: 100 });
});

it('an address is a safe integer and comes back whole', () => {
  for (const address of [
    { ordinal: 0, firstSeq: 1, lastSeq: 1 },
    { ordinal: 1023, firstSeq: 2 ** 27 - 1, lastSeq: 2 ** 27 - 1 + 65_535 },
  ]) {
    const n = encodeAddress(address);
    expect(Number.isSafeInteger(n)).toBe(true);
    expect(decodeAddress(n)).toEqual(address);
  }
  expect(decodeAddress(-1)).toBeUndefined();
  expect(decodeAddress(0.5)).toBeUndefined();
});

it('a segment named before a compaction is the same rows after it', () => {
  const before = [
    group('a', 1, 100, 0, { snapshot: true }),
    group('a', 101, 300, 20),
    group('a', 301, 900, 40),
  ];
  const after = [group('a', 1, 1000, 0, { snapshot: true }), group('z', 1, 5, 500)];
  const rowsOf = (groups: GroupInFile[], n: number): number[] => {
    const address = decodeAddress(n)!;
    const found = groupsOf(address, groups, never);
    const parts = found.groups.map(({ group: { firstSeq, lastSeq } }) => ({
      rows: Array.from({ length: lastSeq - firstSeq + 1 }, (_, i) => row(firstSeq + i)),
      cutoffMs: 0,
    }));
    return cutRows(parts, address.firstSeq, found.lastSeq).map(({ seq }) => seq);
  };
  for (const { n } of planSegments(before.slice(0, 2), never))
    expect(rowsOf(after, n)).toEqual(rowsOf(before, n));
  expect(groupsOf({ ordinal: 7, firstSeq: 1, lastSeq: 2 }, after, never).groups).toEqual([]);
});

const row = (seq: number, tsMs = 0): ReplayRow =>
  ({ seq, ts: BigInt(tsMs) * 1000n, kind: 'event', rid: 'a' }) as ReplayRow;
it('cuts rows to their seqs, once each, and to the millisecond of the cutoff', () => {
  const rows = [row(1, 99), row(2, 100), row(3, 101), row(4, 102)];
  const parts = [
    { rows, cutoffMs: 100 },
    { rows: [row(3, 101)], cutoffMs: 100 },
  ];
  expect(cutRows(parts, 1, 3).map(({ seq }) => seq)).toEqual([2, 3]);
});
