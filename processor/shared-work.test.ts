import { MEMBER_TTL_MS, SHARDS, shardOf, type Members } from '#stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { paths } from './layout.ts';
import { keyOf, openHarness, until, type Harness, type Started } from './processor.harness.ts';
import { append, createSender, pageLoad, sessionAt, withMethods } from './samples.ts';
import { shareOf } from './share.ts';
import { StoreError, type Store } from './store.ts';

/** Members who hear of each other at once. */
function createCircle(): (id: string) => Members {
  const notes = new Map<string, string>();
  const hearers = new Set<() => void>();
  const tell = (): void => hearers.forEach((hear) => hear());
  return (id) => ({
    id,
    ttlMs: MEMBER_TTL_MS,
    announce: async (note) => void (notes.set(id, note), tell()),
    list: () => new Map(notes),
    onNews: (hear) => void hearers.add(hear),
    leave: async () => void (notes.delete(id), tell()),
  });
}

let lake: Harness;
let join: (id: string) => Members;
let sent: string[];
beforeEach(async () => {
  lake = await openHarness();
  join = createCircle();
  sent = [];
});
afterEach(() => lake.close());

const startMs = Date.now() - 60_000;
async function record(count = 40): Promise<void> {
  for (let n = sent.length; count-- > 0; n = sent.length) {
    const session = sessionAt(startMs, n);
    await append(
      lake.stream,
      createSender({ project: 'shop', session, rid: `rid-${n}` }).batch(pageLoad(5, startMs)),
    );
    for (let seq = 1; seq <= 5; seq++) sent.push(`${session} rid-${n} ${seq}`);
  }
}
const stored = (): Promise<void> =>
  until(async () => expect((await lake.rows('shop')).map(keyOf).sort()).toEqual(sent.toSorted()));
const metric = async ({ context }: Started, name: string): Promise<number> =>
  Number(new RegExp(`^mutoscope_${name} (\\d+)`, 'm').exec(await context.metrics.text())![1]);

describe('of processors that share the work', () => {
  it('each works on its shards alone, and says what is wrong with those', async () => {
    const down = withMethods(lake.store, {
      put: async () => {
        throw new StoreError('store_unavailable', 'the store is down');
      },
    });
    const one = lake.start({ members: join('one'), store: down });
    await record();
    // A shard is no trouble while it is tried again.
    const troubled = (): number[] =>
      one.service.problems().map((problem) => Number(/^shard (\d+): the store is down/.exec(problem)?.[1]));
    const ever = new Set<number>();
    await until(async () => {
      for (const shard of troubled()) ever.add(shard);
      expect(ever).toEqual(new Set(sent.map((key) => shardOf(key.split(' ')[0]!))));
    });
    expect(await metric(one, 'shards_owned')).toBe(SHARDS);

    const other = lake.start({ members: join('other') });
    const { shards: left } = shareOf('one', ['one', 'other']);
    await until(async () => {
      expect(troubled()).not.toEqual([]);
      expect(troubled().filter((shard) => !left.includes(shard))).toEqual([]);
    });
    expect(await metric(one, 'shards_owned')).toBe(SHARDS / 2);
    await until(async () => expect(await metric(other, 'shards_owned')).toBe(SHARDS / 2));

    await one.service.stop();
    await stored();
    expect(await metric(other, 'shards_owned')).toBe(SHARDS);
    expect(await metric(other, 'commit_conflicts_total')).toBe(0);
  });

  it('one alone maintains the lake, until it goes', async () => {
    const ids = ['one', 'other'];
    const sweeper = ids.find((id) => shareOf(id, ids).sweeps)!;
    const maintained = new Set<string>();
    const started = new Map<string, Started>();
    for (const id of ids) {
      const telling: Store = withMethods(lake.store, {
        put: async (key, ...rest) => {
          if (key.startsWith(paths.manifestPrefix)) maintained.add(id);
          await lake.store.put(key, ...rest);
        },
      });
      const env = { COMPACT_INTERVAL_MS: '1000', SWEEP_INTERVAL_MS: '1000' };
      started.set(id, lake.start({ members: join(id), store: telling, env }));
    }
    for (const one of started.values())
      await until(async () => expect(await metric(one, 'shards_owned')).toBe(SHARDS / 2));
    await record();
    await stored();
    await until(async () => expect([...maintained]).toEqual([sweeper]));
    await record();
    await stored();
    expect([...maintained]).toEqual([sweeper]);
    await started.get(sweeper)!.service.drain();
    await record();
    await until(async () => expect(maintained.size).toBe(2));
    await stored();
  });
});
