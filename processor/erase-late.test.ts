import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStream, shardOf, type Stream } from '#stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assemble, isRejected, openMessage } from './assembler.ts';
import { loadChain } from './chain.ts';
import { createErasures } from './erasures.ts';
import { flush } from './flush.ts';
import { encodeJson, getJson } from './lake-reader.ts';
import { paths, type Erasure } from './layout.ts';
import type { Maintenance } from './maintenance.ts';
import { quietMaintenance } from './test-maintenance.ts';
import { createSender, pageLoad, sessionAt, withMethods } from './samples.ts';
import { StoreError, type Store } from './store.ts';
import { assetEvent } from './test-crash-model.ts';
import { openMemoryStore, type MemoryStore } from './test-memory-store.ts';

const HOUR_MS = 3_600_000;
const t0 = Date.UTC(2026, 0, 10, 12);
const session = sessionAt(t0, 1);
const shard = shardOf(session);
let dir: string;
let stream: Stream;
let memory: MemoryStore;
let nowMs: number;
let nonces = 0;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'erase-'));
  stream = await openStream(dir, { bytesMax: 64 * 1024 * 1024 });
  begin();
});
afterEach(async () => {
  await stream.close();
  await rm(dir, { recursive: true, force: true });
});
function begin(): void {
  nowMs = t0;
  memory = openMemoryStore(() => nowMs);
}

const nonce = (): string => `n${String(nonces++).padStart(6, '0')}`;
const now = (): number => nowMs;
const maintain = (store: Store): Maintenance => quietMaintenance({ store, stream, nonce, now });
/** One flush of a page, an asset and a batch that cannot be read. */
async function flushed(store: Store): Promise<void> {
  const sender = createSender({ project: 'shop', session, rid: 'a', receivedMs: t0 });
  const sent = [
    ...sender.batch([...pageLoad(6, t0, 'secretive'), assetEvent('secretive', t0)]),
    ...sender.batch([], { payload: Buffer.from('{ secretive'), gzip: false }),
  ];
  const { fromSeq, seen } = await loadChain(memory, shard, nowMs);
  const opened = sent.map((one, i) => openMessage({ ...one, seq: fromSeq + i, appendedMs: nowMs }, nowMs));
  const frames = opened.flatMap((one) => (isRejected(one) ? [] : [one]));
  const { batches, rejected } = assemble(frames, seen.hasFrame, () => true);
  const lastSeq = fromSeq + sent.length - 1;
  const input = { shard, fromSeq, lastSeq, resumeSeq: lastSeq + 1, batches, rejected };
  await flush(input, { store, erasures: createErasures(store, now), seen, now, nonce });
}
const requestErasure = (): Promise<void> =>
  memory.put(
    paths.erasure('shop', session),
    encodeJson({ v: 1, project: 'shop', session, requestedMs: nowMs } satisfies Erasure),
  );
const isDone = async (): Promise<boolean> =>
  (await getJson<Erasure>(memory, paths.erasure('shop', session))).done !== undefined;
const quarantined = (): string[] =>
  [...memory.objects.keys()].filter((key) => key.startsWith(paths.quarantinePrefix));
/** Data files, assets and quarantine: of the only session, so that none may be left. */
const left = (): string[] =>
  [...memory.objects.keys()].filter(
    (key) => /\.(parquet|png|bin)$/.test(key) || key.includes('/quarantine/'),
  );

/** From some effect on it answers no more; a removal has as many effects as keys. */
function mortal(
  effects: number,
  beforeDeath: () => Promise<void> = async () => {},
): Store & { dead: boolean } {
  const use = async (): Promise<void> => {
    if (effects-- > 0) return;
    if (!store.dead) await beforeDeath();
    store.dead = true;
    throw new StoreError('store_refused', 'dead');
  };
  const methods: Partial<Store> = {
    async put(...args) {
      await use();
      await memory.put(...args);
    },
    async remove(keys) {
      for (const key of keys) {
        await use();
        await memory.remove([key]);
      }
    },
  };
  const store = Object.assign(withMethods<Store & { dead: boolean }>(memory as never, methods), {
    dead: false,
  });
  return store;
}
async function survives(act: () => Promise<void>): Promise<void> {
  await act().catch((error: unknown) => {
    if (!(error instanceof StoreError)) throw error;
  });
}

describe('of an erased session nothing is left', () => {
  it('wherever the flush of it died', async () => {
    for (let effects = 0, store = mortal(0); effects === 0 || store.dead; effects++) {
      begin();
      store = mortal(effects);
      await survives(() => flushed(store));
      if (quarantined().some((key) => key.endsWith('.bin'))) expect(quarantined()).toHaveLength(2);
      await requestErasure();
      await maintain(memory).sweep(nowMs);
      expect(quarantined(), `dead at effect ${effects}`).toEqual([]);
    }
  });

  it('wherever the erasure itself died', async () => {
    for (let effects = 0, store = mortal(0); effects === 0 || store.dead; effects++) {
      begin();
      await flushed(memory);
      await requestErasure();
      store = mortal(effects);
      await survives(() => maintain(store).sweep(nowMs));
      await maintain(memory).sweep(nowMs);
      expect(left(), `dead at effect ${effects}`).toEqual([]);
      expect(await isDone()).toBe(true);
    }
  });

  it('a while after, when someone who died put what he held after the receipt', async () => {
    for (let effects = 0, store = mortal(0); effects === 0 || store.dead; effects++) {
      begin();
      const maintenance = maintain(memory);
      store = mortal(effects, async () => {
        await requestErasure();
        await maintenance.sweep(nowMs);
      });
      // What is put last is put after the erasure, and then the flush dies.
      const late = withMethods<Store>(store, {
        async put(key, bytes, how) {
          try {
            await store.put(key, bytes, how);
          } catch (error) {
            if (!key.endsWith('.json') || key.includes('/quarantine/')) await memory.put(key, bytes, how);
            throw error;
          }
        },
      });
      await survives(() => flushed(late));
      if (!store.dead) break;
      for (let i = 0; i < 3; i++) {
        nowMs += 2 * HOUR_MS;
        await maintenance.sweep(nowMs);
      }
      expect(left(), `dead at effect ${effects}`).toEqual([]);
    }
  });
});
