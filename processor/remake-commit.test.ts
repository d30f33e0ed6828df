import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '#service';
import { fsck } from './fsck.ts';
import { newestRoot } from './lake-reader.ts';
import { paths, type Commit } from './layout.ts';
import { keyOf, openHarness, until, type Harness } from './processor.harness.ts';
import { findGaps, fromSeqIn } from './remake-commit.ts';
import { repair } from './repair.ts';
import { append, createSender, pageLoad, sessionAt } from './samples.ts';
import { encodeEventsFile } from './store.ts';
import { quietMaintenance } from './test-maintenance.ts';
import { decodeFile } from './x-hyparquet.ts';

const t0 = Date.now();
const options = { nowMs: t0, graceMs: 600_000 };
const session = sessionAt(t0, 1);
const EVENTS = 12;
let lake: Harness;
/** Of the session's shard, ascending. */
let commits: Commit[];
let sender: ReturnType<typeof createSender>;
let made = 0;

const key = ({ shard, fromSeq }: Commit): string => paths.commit(shard, fromSeq);
const rows = async (): Promise<string[]> => (await lake.rows('shop')).map(keyOf).sort();
const mend = () =>
  repair({ store: lake.store, nonce: () => `r${made++}`, log: createLog('silent') }, options);
const wrong = async (): Promise<string[]> =>
  (await fsck(lake.store, options)).findings.flatMap(({ level, code }) => (level === 'wrong' ? [code] : []));
/** Sends one more batch, and waits until all that was sent is read. */
async function flushOne(): Promise<void> {
  const { service, ran } = lake.start();
  await append(lake.stream, [sender.batch(pageLoad(EVENTS, t0 + 1000 * sent))].flat());
  sent++;
  await until(async () => expect(await rows()).toHaveLength(sent * EVENTS));
  await service.drain();
  await service.stop();
  await ran;
}
let sent = 0;

beforeEach(async () => {
  lake = await openHarness();
  sender = createSender({ project: 'shop', session, rid: 'rid-1' });
  sent = 0;
  while (sent < 4) await flushOne();
  commits = (await lake.commits()).toSorted((a, b) => a.fromSeq - b.fromSeq);
  expect(commits).toHaveLength(4);
});
afterEach(() => lake.close());

describe('a commit that cannot be read or is gone', () => {
  it.each([
    ['the first is cut off', [0], 'cut'],
    ['one between two others is cut off', [1], 'cut'],
    ['one between two others is gone', [2], 'gone'],
    ['two between two others are gone', [1, 2], 'gone'],
    ['two in a row are cut off', [1, 2], 'cut'],
    ['the last is cut off', [3], 'cut'],
    ['all are cut off', [0, 1, 2, 3], 'cut'],
  ])('is made of its data files: %s', async (_, which, how) => {
    const before = await rows();
    for (const at of which) {
      const harmed = key(commits[at]!);
      if (how === 'gone') await lake.store.remove([harmed]);
      else await lake.store.put(harmed, (await lake.store.get(harmed)).subarray(0, 40));
    }
    expect(await wrong()).toContain(how === 'gone' ? 'commit_hole' : 'bad_commit');
    const { done } = await mend();
    expect(done.join('\n')).toContain('is made anew, with');
    expect(await wrong()).toEqual([]);
    expect(await rows()).toEqual(before);
    // Messages that are read once more, and those that are new.
    await flushOne();
    expect(new Set(await rows()).size).toBe(5 * EVENTS);
    const { store, stream } = lake;
    await quietMaintenance({ store, stream, nonce: () => `m${made++}` }).compact(t0);
    const { l0 } = (await newestRoot(store, 'shop'))!;
    expect(Object.values(l0)).toEqual([(await lake.commits()).at(-1)!.fromSeq]);
    expect(await rows()).toHaveLength(5 * EVENTS);
    expect(await wrong()).toEqual([]);
  });

  it('counts a row once that another owner had written too, for this commit and beyond it', async () => {
    const { shard, fromSeq } = commits[1]!;
    const all = (
      await Promise.all(
        commits
          .flatMap(({ files }) => files)
          .filter(({ table }) => table === 'events')
          .map(({ key }) => lake.store.get(key).then((bytes) => decodeFile('events', bytes))),
      )
    ).flat();
    const loser = paths.l0File(shard, fromSeq, 'loser', 'r30', 'events');
    const { bytes } = await encodeEventsFile(
      loser,
      'r30',
      all.filter(({ seq }) => seq > EVENTS + 3),
    );
    await lake.store.put(loser, bytes);
    const before = await rows();
    await lake.store.remove([key(commits[1]!)]);
    await mend();
    expect(await rows()).toEqual(before);
    expect(await wrong()).toEqual([]);
  });

  it('is told with its shard and bounds', () => {
    const commit = (shard: number, fromSeq: number, lastSeq: number) =>
      [paths.commit(shard, fromSeq), { shard, fromSeq, lastSeq } as Commit] as const;
    const bad = (shard: number, fromSeq: number) => [paths.commit(shard, fromSeq), undefined] as const;
    expect(fromSeqIn(paths.l0File(3, 41, 'nonce', 'r30', 'replay'))).toBe(41);
    expect(
      findGaps(
        new Map([
          commit(1, 1, 40),
          commit(1, 41, 57),
          commit(1, 80, 99),
          bad(2, 7),
          bad(2, 9),
          commit(2, 12, 12),
          bad(2, 20),
        ]),
      ),
    ).toEqual([
      { shard: 1, fromSeq: 58, nextSeq: 80 },
      { shard: 2, fromSeq: 7, nextSeq: 9 },
      { shard: 2, fromSeq: 9, nextSeq: 12 },
      { shard: 2, fromSeq: 13, nextSeq: 20 },
      { shard: 2, fromSeq: 20, nextSeq: undefined },
    ]);
    expect(findGaps(new Map([commit(0, 5, 9), commit(0, 10, 10)]))).toEqual([]);
  });
});
