import { describe, expect, it } from 'vitest';
import { dayIsClosed, MERGE_BYTES_MAX, planIntake, planMerges, unbroken, unexpired } from './compaction.ts';
import {
  takenIn,
  visibleFiles,
  type Commit,
  type CommitSession,
  type LakeFile,
  type ReplayRow,
  type RootManifest,
} from './layout.ts';
import { commitIsSpent, nextRoot, rootsInUse } from './manifest.ts';
import { addRange, inRanges, type Ranges } from './ranges.ts';
import { planReplayGroups } from './row-groups.ts';
import { createRandom } from './samples.ts';
import { tailStart } from './trim.ts';

const fileOf = (key: string, bytes = 1000, table: LakeFile['table'] = 'events'): LakeFile => ({
  key,
  table,
  class: 'r30',
  bytes,
  rows: 1,
  firstSession: 'a',
  lastSession: 'z',
  minMs: 0,
  maxMs: 1,
});
const commitOf = (shard: number, fromSeq: number, lastSeq: number, ...projects: string[]): Commit => ({
  v: 1,
  shard,
  fromSeq,
  lastSeq,
  resumeSeq: lastSeq + 1,
  committedMs: 0,
  files: [fileOf(`${shard}-${fromSeq}`)],
  sessions: projects.map((project): CommitSession => ({
    project,
    session: project,
    rid: 'rid',
    class: 'r30',
    frames: [],
    seqs: [],
    startMs: 0,
    endMs: 0,
    rows: 1,
  })),
});
const rootOf = (version: number, createdMs: number, l0: Record<string, number> = {}): RootManifest => ({
  v: 1,
  project: 'shop',
  version,
  createdMs,
  l0,
  days: {},
});

describe('row groups of replay rows', () => {
  const rowOf = (type: number, seq: number, rid = 'a', payload = '{}'): ReplayRow => ({
    project: 'p',
    session_id: 's',
    rid,
    seq,
    ts: 0n,
    type,
    kind: 'event',
    payload,
  });
  const rowsOf = (...types: number[]): ReplayRow[] => types.map((type, i) => rowOf(type, i + 1));

  it('begin at the meta event before a full snapshot', () => {
    expect(planReplayGroups(rowsOf(5, 4, 2, 3, 3, 4, 2, 3))).toEqual({ sizes: [1, 4, 3], snapshots: [1, 2] });
  });
  it('begin at a full snapshot without one', () => {
    expect(planReplayGroups(rowsOf(3, 2, 3, 4, 3))).toEqual({ sizes: [1, 4], snapshots: [1] });
  });
  it('do not cross recorder instances or sessions', () => {
    const rows = [rowOf(4, 1), rowOf(2, 2, 'b'), rowOf(3, 3, 'b'), { ...rowOf(3, 4, 'b'), session_id: 't' }];
    expect(planReplayGroups(rows)).toEqual({ sizes: [1, 2, 1], snapshots: [1] });
  });
  it('have at most 1,024 rows and 8 MB, unless one row alone is larger', () => {
    const many = Array.from({ length: 2500 }, (_, i) => rowOf(3, i + 1));
    expect(planReplayGroups(many).sizes).toEqual([1024, 1024, 452]);
    const mb = 'x'.repeat(1024 * 1024);
    const large = Array.from({ length: 10 }, (_, i) => rowOf(3, i + 1, 'a', mb));
    expect(planReplayGroups(large).sizes).toEqual([8, 2]);
    const huge = [rowOf(3, 1), rowOf(3, 2, 'a', mb.repeat(9)), rowOf(3, 3)];
    expect(planReplayGroups(huge).sizes).toEqual([1, 1, 1]);
  });
  it('of nothing are none', () => expect(planReplayGroups([])).toEqual({ sizes: [], snapshots: [] }));
});

describe('ranges', () => {
  it('hold what was added, whatever the order, in as few as can be', () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
    process.stdout.write(`ranges: SEED=${seed}\n`);
    const random = createRandom(seed);
    for (let round = 0; round < 200; round++) {
      const ranges: Ranges = [];
      const model = new Set<number>();
      for (let i = 0; i < 20; i++) {
        const from = Math.floor(random() * 60);
        const to = from + Math.floor(random() * 5);
        addRange(ranges, from, to);
        for (let n = from; n <= to; n++) model.add(n);
      }
      for (let n = -1; n < 70; n++) expect(inRanges(ranges, n)).toBe(model.has(n));
      for (let i = 1; i < ranges.length; i++) expect(ranges[i]![0]).toBeGreaterThan(ranges[i - 1]![1] + 1);
    }
  });
});

describe('what can be seen', () => {
  const commits = [commitOf(1, 1, 5, 'shop'), commitOf(1, 6, 9, 'shop', 'bank'), commitOf(2, 7, 7, 'bank')];
  it('is the files of the manifest and of commits it has not taken in', () => {
    const root = rootOf(3, 0, { 1: 1 });
    const day = { v: 1 as const, project: 'shop', date: '2026-01-01', files: [fileOf('day')] };
    expect(visibleFiles('shop', root, [day], commits).map(({ key }) => key)).toEqual(['day', '1-6']);
    expect(visibleFiles('bank', undefined, [], commits).map(({ key }) => key)).toEqual(['1-6', '2-7']);
    expect(visibleFiles('nobody', undefined, [], commits)).toEqual([]);
  });
  it('is of a commit only the files of classes in which the project has rows', () => {
    const mixed = {
      ...commitOf(1, 1, 1, 'shop'),
      files: [fileOf('own'), { ...fileOf('other'), class: 'r90' as const }],
    };
    expect(visibleFiles('shop', undefined, [], [mixed]).map(({ key }) => key)).toEqual(['own']);
  });
});

describe('compaction', () => {
  it('takes commits in only as far as the chain has no hole', () => {
    const chain = [
      commitOf(1, 1, 5, 'shop'),
      commitOf(1, 9, 9, 'shop'),
      commitOf(1, 10, 12, 'shop'),
      commitOf(2, 4, 4, 'shop'),
    ];
    expect(unbroken(chain).map(({ shard, fromSeq }) => [shard, fromSeq])).toEqual([
      [1, 1],
      [2, 4],
    ]);
    expect(planIntake('shop', rootOf(1, 0, { 1: 1 }), chain).map(({ shard }) => shard)).toEqual([2]);
  });
  it('merges when a tier is full, and only that tier', () => {
    const small = Array.from({ length: 8 }, (_, i) => fileOf(`small ${i}`));
    const larger = Array.from({ length: 7 }, (_, i) => fileOf(`larger ${i}`, 100_000));
    expect(planMerges(small.slice(1), false)).toEqual([]);
    expect(planMerges([...small, ...larger], false)).toEqual([small]);
    expect(planMerges([...small.slice(1), fileOf('replay', 1000, 'replay')], false)).toEqual([]);
  });
  it('merges what fits once the day is closed', () => {
    const files = [fileOf('a', MERGE_BYTES_MAX.events), fileOf('b', 2000), fileOf('c', 1000)];
    expect(planMerges(files, true).map((group) => group.map(({ key }) => key))).toEqual([['c', 'b']]);
    expect(planMerges([files[0]!, fileOf('bc', 3000)], true)).toEqual([]);
  });
  it('merges no more rows of events, and row groups of replay, than memory has room for', () => {
    const rows = [90_000, 90_000, 90_000].map((n) => ({ ...fileOf(`${n}`), rows: n }));
    expect(planMerges(rows, true).map((group) => group.length)).toEqual([2]);
    const groups = [1200, 600, 600].map((n) => ({
      ...fileOf(`${n}`, 1000, 'replay'),
      rows: 90_000,
      groups: n,
    }));
    expect(planMerges(groups, true).map((group) => group.map((file) => file.groups))).toEqual([[1200, 600]]);
  });
  it('holds a day for closed when no session of it can go on', () => {
    expect(dayIsClosed('2026-01-01', Date.UTC(2026, 0, 3, 0, 59))).toBe(false);
    expect(dayIsClosed('2026-01-01', Date.UTC(2026, 0, 3, 1))).toBe(true);
  });
  it('lets a day go when its class is over since a day', () => {
    const files = [fileOf('r30'), { ...fileOf('r90'), class: 'r90' as const }];
    expect(unexpired('2026-01-01', files, Date.UTC(2026, 1, 2) - 1)).toHaveLength(2);
    expect(unexpired('2026-01-01', files, Date.UTC(2026, 1, 2)).map(({ key }) => key)).toEqual(['r90']);
  });
});

describe('root manifests', () => {
  it('count up, remember the newest commit of each shard, and name the days in order', () => {
    const root = { ...rootOf(4, 0, { 1: 6, 2: 9 }), days: { '2026-01-03': 'c', '2026-01-01': 'a' } };
    const commits = [commitOf(1, 8, 8), commitOf(1, 7, 7), commitOf(3, 1, 1)];
    const next = nextRoot(
      { project: 'shop', root },
      { '2026-01-02': 'b', '2026-01-01': undefined },
      commits,
      5,
    );
    expect(next).toEqual({
      ...rootOf(5, 5, { 1: 8, 2: 9, 3: 1 }),
      days: { '2026-01-02': 'b', '2026-01-03': 'c' },
    });
    expect(Object.keys(next.days)).toEqual(['2026-01-02', '2026-01-03']);
    expect(takenIn(next, { shard: 1, fromSeq: 8 })).toBe(true);
    expect(takenIn(next, { shard: 1, fromSeq: 9 })).toBe(false);
  });
  it('are in use until a grace after they were followed', () => {
    const roots = [rootOf(1, 0), rootOf(2, 100), rootOf(3, 200)];
    expect(rootsInUse(roots, 209, 100).map(({ version }) => version)).toEqual([2, 3]);
    expect(rootsInUse(roots, 199, 100).map(({ version }) => version)).toEqual([1, 2, 3]);
    expect(rootsInUse(roots, 9999, 100).map(({ version }) => version)).toEqual([3]);
  });
  it('spend a commit once each project with rows in it took it in, a grace ago', () => {
    const commit = commitOf(1, 5, 6, 'shop', 'bank');
    const roots = (bankMs: number) => (project: string) => [
      rootOf(2, project === 'bank' ? bankMs : 0, { 1: 5 }),
    ];
    expect(commitIsSpent(commit, roots(50), 149, 100)).toBe(false);
    expect(commitIsSpent(commit, roots(50), 150, 100)).toBe(true);
    expect(commitIsSpent(commit, () => [], 150, 100)).toBe(false);
    expect(commitIsSpent(commitOf(1, 5, 6), () => [], 150, 100)).toBe(true);
  });
});

describe('the tail of the stream', () => {
  const samples = [
    { atMs: 0, lastSeq: 100 },
    { atMs: 3_000_000, lastSeq: 5000 },
    { atMs: 3_590_000, lastSeq: 9000 },
  ];
  it('keeps the newest minute', () => expect(tailStart(samples, 9500, 3_600_000)).toBe(5001));
  it('keeps a thousand messages, if they are no older than an hour', () => {
    expect(tailStart(samples, 9500, 3_700_000)).toBe(8501);
    expect(tailStart([{ atMs: 0, lastSeq: 9400 }], 9500, 3_600_000)).toBe(9401);
  });
  it('keeps everything while nothing is known', () => expect(tailStart([], 5000, 0)).toBe(1));
});
