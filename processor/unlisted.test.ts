import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStream, shardOf, type Stream } from '#stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assemble, isRejected, openMessage } from './assembler.ts';
import { loadChain } from './chain.ts';
import { createErasures } from './erasures.ts';
import { flush } from './flush.ts';
import { createCommitCache } from './lake-reader.ts';
import { paths, type Commit } from './layout.ts';
import type { Maintenance } from './maintenance.ts';
import { quietMaintenance } from './test-maintenance.ts';
import { createSender, pageLoad, sessionAt, withMethods } from './samples.ts';
import { openLakeReader, type Store } from './store.ts';
import { openMemoryStore, type MemoryStore } from './test-memory-store.ts';

const t0 = Date.UTC(2026, 0, 10);
const session = sessionAt(t0, 1);
const shard = shardOf(session);
let dir: string;
let stream: Stream;
let memory: MemoryStore;
let nonces = 0;
const unlisted = new Set<string>();
/** Lists tell nothing of what is new. */
let late: Store;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'unlisted-'));
  stream = await openStream(dir, { bytesMax: 64 * 1024 * 1024 });
  memory = openMemoryStore(() => t0);
  unlisted.clear();
  late = withMethods<Store>(memory, {
    async *list(prefix) {
      for await (const object of memory.list(prefix)) if (!unlisted.has(object.key)) yield object;
    },
  });
});
afterEach(async () => {
  await stream.close();
  await rm(dir, { recursive: true, force: true });
});

const sender = createSender({ project: 'shop', session, rid: 'a' });
const nonce = (): string => `n${String(nonces++).padStart(6, '0')}`;
async function commit(count: number, store: Store = memory): Promise<Commit> {
  const { fromSeq, prevSeq, seen } = await loadChain(store, shard, t0);
  const opened = sender
    .batch(pageLoad(count, t0))
    .map((one, i) => openMessage({ ...one, seq: fromSeq + i, appendedMs: t0 }, t0));
  const frames = opened.flatMap((one) => (isRejected(one) ? [] : [one]));
  const { batches, rejected } = assemble(frames, seen.hasFrame, () => true);
  const lastSeq = fromSeq + opened.length - 1;
  const parts = { store, erasures: createErasures(store, () => t0), seen, now: () => t0, nonce };
  const input = { shard, fromSeq, prevSeq, lastSeq, resumeSeq: lastSeq + 1, batches, rejected };
  return (await flush(input, parts))!.commit;
}
const maintain = (store: Store): Maintenance => quietMaintenance({ store, stream, nonce, now: () => t0 });
const rowsVisible = async (): Promise<number> =>
  (await openLakeReader(memory, () => t0).view('shop')).files
    .filter(({ table }) => table === 'events')
    .reduce((sum, { rows }) => sum + rows, 0);

describe('when a list tells of a commit, but not yet of one before it', () => {
  it.each([
    ['the first', 0],
    ['a later one', 1],
  ])('%s is taken in all the same', async (_, which) => {
    const commits = [await commit(5), await commit(6), await commit(7)];
    unlisted.add(paths.commit(shard, commits[which]!.fromSeq));
    await maintain(late).compact(t0);
    unlisted.clear();
    expect(await rowsVisible()).toBe(18);
    await maintain(memory).compact(t0);
    expect(await rowsVisible()).toBe(18);
  });

  it('what it dealt with is known', async () => {
    const [first] = [await commit(5), await commit(6)];
    const [line] = first.sessions;
    unlisted.add(paths.commit(shard, first.fromSeq));
    const { seen } = await loadChain(late, shard, t0);
    expect(seen.hasFrame(session, 'a', line!.frames[0]![0])).toBe(true);
  });

  it('also of one that is folded into what was seen', async () => {
    const [first] = [await commit(5), await commit(6)];
    const [line] = first.sessions;
    const maintenance = maintain(memory);
    const later = t0 + 3 * 3_600_000;
    await maintenance.sweep(t0);
    await maintenance.sweep(later);
    expect(memory.objects.has(paths.commit(shard, first.fromSeq))).toBe(false);
    unlisted.add(paths.seen(shard, first.fromSeq));
    const { seen } = await loadChain(late, shard, later);
    expect(seen.hasFrame(session, 'a', line!.frames[0]![0])).toBe(true);
  });

  it('looks once for one that was removed', async () => {
    const [first] = [await commit(5), await commit(6)];
    await memory.remove([paths.commit(shard, first.fromSeq)]);
    const asked: string[] = [];
    const cache = createCommitCache(
      withMethods<Store>(memory, {
        get: async (key) => {
          asked.push(key);
          return memory.get(key);
        },
      }),
    );
    for (let i = 0; i < 3; i++) expect(await cache.list()).toHaveLength(1);
    expect(asked.filter((key) => key === paths.commit(shard, first.fromSeq))).toHaveLength(1);
  });
});
