import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { openStream, shardOf, type Stream } from '#stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assemble, isRejected, openMessage } from './assembler.ts';
import { loadChain } from './chain.ts';
import { createErasures } from './erasures.ts';
import { flush } from './flush.ts';
import { encodeJson, getJson } from './lake-reader.ts';
import { className, paths, sessionDate, type Erasure, type EventRow } from './layout.ts';
import type { Maintenance } from './maintenance.ts';
import { quietMaintenance } from './test-maintenance.ts';
import { findIn } from './readable.ts';
import { checkReceipt, readReceiptKeys } from './receipt.ts';
import { append, createSender, pageLoad, sessionAt, withMethods, type Sent } from './samples.ts';
import { openLakeReader, type Store } from './store.ts';
import { blocksOf } from './x-avsc.ts';
import { decodeFile } from './x-hyparquet.ts';

const GRACE_MS = 600_000;
const MARK = 'planted-secretive';

interface Opened {
  store: Store;
  close: () => Promise<void>;
  /** Of the stream; default: a log in a directory. */
  streamed?: string;
  /** What the store has of it beside the objects as they are, each as bytes by its name. */
  older?: () => Promise<Map<string, Uint8Array>>;
}

/** Erasure, on any adapter of the store; time is an argument. @param stride of so many effects one is tried; STRIDE=1 for all */
export function eraseContract(name: string, open: () => Promise<Opened>, stride: number): void {
  const step = Number(process.env.STRIDE ?? stride);
  const seeded = (): number => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e6));
    process.stdout.write(`${name}: SEED=${seed} STRIDE=${step}\n`);
    return seed % step;
  };
  describe(name, () => {
    let store: Store;
    let close: Opened['close'];
    let older: Opened['older'];
    let stream: Stream;
    let dir: string;
    let nonces: number;
    const t0 = Date.now();

    beforeEach(async () => {
      const opened = await open();
      ({ store, close, older } = opened);
      dir = await mkdtemp(join(tmpdir(), 'erase-'));
      stream = await openStream(opened.streamed ?? dir, { bytesMax: 64 * 1024 * 1024 });
      nonces = 0;
    });
    afterEach(async () => {
      await stream.close();
      await close();
      await rm(dir, { recursive: true, force: true });
    });

    const nonce = (): string => `n${String(nonces++).padStart(6, '0')}`;
    const maintain = (on: Store = store, streamed: Stream = stream): Maintenance =>
      quietMaintenance({ store: on, stream: streamed, nonce, graceMs: GRACE_MS });

    const first = sessionAt(t0, 1);
    const shard = shardOf(first);
    const [second, bankers] = Array.from({ length: 400 }, (_, n) => sessionAt(t0, n + 2)).filter(
      (id) => shardOf(id) === shard,
    ) as [string, string];

    async function commit(sent: readonly Sent[]): Promise<void> {
      const { fromSeq, seen } = await loadChain(store, shard, t0);
      const opened = sent.map((one, i) => openMessage({ ...one, seq: fromSeq + i, appendedMs: t0 }, t0));
      const frames = opened.flatMap((one) => (isRejected(one) ? [] : [one]));
      const { batches, rejected } = assemble(frames, seen.hasFrame, () => true);
      const lastSeq = fromSeq + sent.length - 1;
      await flush(
        { shard, fromSeq, lastSeq, resumeSeq: lastSeq + 1, batches, rejected },
        { store, erasures: createErasures(store, Date.now), seen, now: () => t0, nonce },
      );
    }

    /** The session in every place: merged-away and live files, a commit, quarantine, stream; others beside it. */
    async function recordEverywhere() {
      const erased = createSender({ project: 'shop', session: first, rid: 'a' });
      const other = createSender({ project: 'shop', session: second, rid: 'b' });
      const bank = createSender({ project: 'bank', session: bankers, rid: 'c' });
      const maintenance = maintain();
      for (let i = 0; i < 2; i++) {
        await commit([
          ...erased.batch(pageLoad(6, t0, MARK)),
          ...other.batch(pageLoad(5, t0, 'other')),
          ...bank.batch(pageLoad(4, t0, 'other')),
        ]);
        await maintenance.compact(t0);
      }
      await commit([
        ...erased.batch(pageLoad(3, t0, MARK)),
        ...erased.batch([], { payload: Buffer.from(`{ ${MARK}`), gzip: false }),
      ]);
      await append(stream, erased.batch(pageLoad(3, t0, MARK)));
      await append(stream, other.batch(pageLoad(3, t0, 'other')));
      await append(stream, bank.batch(pageLoad(3, t0, 'other')));
      return erased;
    }
    const ask = (session = first, project = 'shop'): Promise<void> =>
      store.put(
        paths.erasure(project, session),
        encodeJson({ v: 1, project, session, requestedMs: t0 } satisfies Erasure),
        { ifAbsent: true },
      );
    const erasureOf = (session = first): Promise<Erasure> => getJson(store, paths.erasure('shop', session));

    async function keysOf(prefix = ''): Promise<string[]> {
      const keys: string[] = [];
      for await (const { key } of store.list(prefix)) keys.push(key);
      return keys;
    }
    /** Every object and message in which a needle can be read; by its own search, not the product's. */
    async function holding(...needles: string[]): Promise<string[]> {
      const found: string[] = [];
      for (const key of await keysOf()) {
        const bytes = await store.get(key);
        if (findIn([bytes, ...blocksOf(bytes)], needles).size) found.push(key);
      }
      for (const [name, bytes] of (await older?.()) ?? [])
        if (findIn([bytes, ...blocksOf(bytes)], needles).size) found.push(name);
      for await (const { seq, subject, bytes } of stream.read(1, 'rec.>'))
        if (findIn([Buffer.from(subject), bytes], needles).size) found.push(`stream#${seq}`);
      return found;
    }
    async function rowsOf(project: string): Promise<EventRow[]> {
      const view = await openLakeReader(store, () => t0).view(project);
      const rows: EventRow[] = [];
      for (const file of view.files)
        if (file.table === 'events') rows.push(...(await decodeFile('events', await store.get(file.key))));
      return rows.filter((row) => row.project === project && !view.erased.has(row.session_id));
    }
    /** What may have the id of the erased session in the end. */
    const isKept = (key: string): boolean =>
      key === paths.erasure('shop', first) ||
      (key.startsWith(paths.l0ShardPrefix(shard)) && key.endsWith('.json'));
    async function expectGone(): Promise<void> {
      expect(await holding(MARK)).toEqual([]);
      expect((await holding(first)).filter((key) => !isKept(key))).toEqual([]);
      expect((await rowsOf('shop')).map(({ rid, seq }) => `${rid} ${seq}`).sort()).toEqual(
        Array.from({ length: 10 }, (_, i) => `b ${i + 1}`).sort(),
      );
      expect(await rowsOf('bank')).toHaveLength(8);
    }

    it('gives a signed receipt of every object, row and message, and of what was searched', async () => {
      await recordEverywhere();
      const before = await holding(first);
      await ask();
      await maintain().sweep(t0 + 1000);
      await expectGone();
      const receipt = await erasureOf();
      const { done } = receipt;
      expect(receipt).not.toHaveProperty('underway');
      expect(done).toMatchObject({ atMs: t0 + 1000, startedMs: t0 + 1000, rows: 15, messages: 1 });
      for (const { key, before: was, after } of done!.objects!) {
        expect(was, key).toEqual({
          bytes: expect.any(Number),
          sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        });
        expect(await keysOf(key), key).toEqual(after?.key === key ? [key] : []);
        if (after) expect((await store.get(after.key)).length, key).toBe(after.bytes);
      }
      const named = new Set(done!.objects!.map(({ key }) => key));
      const untold = before.filter((key) => !named.has(key) && !isKept(key) && !/iceberg|stream#/.test(key));
      expect(untold).toEqual([]);
      expect(done!.filesRewritten).toHaveLength(5);
      expect(done!.scan).toMatchObject({ atMs: t0 + 1000, unsearched: [] });
      expect(done!.scan!.objects).toBeGreaterThan(10);
      expect(done!.scan!.messages).toBe(1);
      expect(done!.kept!.map(({ where }) => where).sort()).toEqual(
        [...(await holding(first)), 'stream'].sort(),
      );
      const [key] = await readReceiptKeys(store);
      const text = Buffer.from(await store.get(paths.erasure('shop', first))).toString();
      expect(checkReceipt(text, [key!.publicKey])).toEqual({ holds: true, receipt, keyId: key!.id });
    });

    it('is not done while the scan finds the id anywhere, says where, and is done when it is gone', async () => {
      await recordEverywhere();
      await ask();
      const date = sessionDate(first);
      const text = Buffer.from(`somewhere in ${first}, there`);
      const planted: [string, Buffer][] = [
        [paths.assetsPrefix('r30', 'shop', date) + 'x.svg', text],
        [`${paths.icebergTable('shop', 'events')}/metadata/00009999-x-0.avro`, zstdCompressSync(text)],
        [paths.dayManifest('shop', '2020-01-01', 'other'), text],
        [paths.quarantine(shard, 77, 'bin'), gzipSync(text)],
        [paths.seen(shard, 77), Buffer.from(encodeJson({ v: 1, shard, sessions: [], [first]: 1 }))],
      ];
      for (const [key, bytes] of planted) await store.put(key, bytes);
      await append(
        stream,
        createSender({ project: 'shop', session: second, rid: 'z' }).batch([{ href: `/sessions/${first}` }]),
      );
      const { lastSeq } = await stream.state();
      await maintain().sweep(t0 + 1000);
      expect(await erasureOf()).not.toHaveProperty('done');
      expect((await erasureOf()).left).toEqual({
        atMs: t0 + 1000,
        keys: expect.arrayContaining([`stream#${lastSeq}`, ...planted.slice(1).map(([key]) => key)]),
      });
      await store.remove(planted.map(([key]) => key));
      await stream.erase(`rec.shop.*.${second}.>`);
      await maintain().sweep(t0 + 2000);
      await expectGone();
      expect((await erasureOf()).done).toMatchObject({ atMs: t0 + 2000, startedMs: t0 + 1000, rows: 15 });
    });

    it(
      'loses nothing of the receipt when it ends at any effect and is done again',
      { timeout: 300_000 },
      async () => {
        let whole: Erasure['done'];
        for (let at = Infinity, effects = 0, n = 0; ; n++) {
          await recordEverywhere();
          await ask();
          let left = at;
          const effect = <A extends unknown[], R>(act: (...args: A) => Promise<R>) => {
            return async (...args: A): Promise<R> => {
              effects++;
              if (left-- <= 0) throw new Error('crash');
              return act(...args);
            };
          };
          const crashing = withMethods(store, {
            put: effect(store.put.bind(store)),
            remove: effect(store.remove.bind(store)),
          });
          const faulted = withMethods(stream, { erase: effect(stream.erase.bind(stream)) });
          if (at === Infinity) effects = 0;
          const run = maintain(crashing, faulted).sweep(t0 + 1000);
          if (at === Infinity) await run;
          else await expect(run).rejects.toThrow('crash');
          await maintain().sweep(t0 + 2000);
          await expectGone();
          const { done } = await erasureOf();
          const told = done!.objects!.map(({ key, after }) => `${key} ${after ? 'anew' : ''}`).sort();
          if (!whole) {
            whole = done;
            at = effects - 1 - seeded();
          } else {
            const all = whole.objects!.map(({ key, after }) => `${key} ${after ? 'anew' : ''}`).sort();
            expect(withoutNonces(told), `after ${at} effects`).toEqual(withoutNonces(all));
            expect([done!.rows, done!.filesRewritten.length], `after ${at} effects`).toEqual([15, 5]);
            if ((at -= step) < 0) break;
          }
          await close();
          ({ store, close, older } = await open());
          await stream.erase('rec.>');
        }
      },
    );

    it(
      'and what else is under way do not undo each other, whichever effect they meet at',
      { timeout: 300_000 },
      async () => {
        for (const [act, other] of [
          ['sweep', 'compact'],
          ['compact', 'sweep'],
          ['sweep', 'sweep'],
        ] as const)
          for (let at = seeded(), met = true; met; at += step) {
            await recordEverywhere();
            met = false;
            let count = 0;
            const meanwhile = async (): Promise<void> => {
              met = true;
              if (act === 'compact') await ask();
              await maintain()[other](t0);
            };
            const meeting = withMethods(store, {
              put: async (...args) => {
                if (count++ === at) await meanwhile();
                return store.put(...args);
              },
              remove: async (keys) => {
                if (count++ === at) await meanwhile();
                return store.remove(keys);
              },
            });
            if (act === 'sweep') await ask();
            await maintain(meeting)
              [act](t0)
              .catch((error: unknown) => {
                if ((error as { code?: string }).code !== 'not_found') throw error;
              });
            if (!met && act === 'compact') await ask();
            for (let i = 0; i < 2; i++) await maintain().sweep(t0 + 1000 + i);
            await expectGone();
            expect((await erasureOf()).done?.rows, `${other} in ${act}, effect ${at}`).toBe(15);
            await close();
            ({ store, close, older } = await open());
            await stream.erase('rec.>');
          }
      },
    );

    it('keeps out what a session that is erased goes on to send, until it has ended', async () => {
      const erased = await recordEverywhere();
      await ask();
      const maintenance = maintain();
      for (let i = 0; i < 3; i++) {
        await append(stream, erased.batch(pageLoad(3, t0, MARK)));
        await maintenance.sweep(t0 + i);
        await commit(erased.batch(pageLoad(3, t0, MARK)));
        await append(stream, erased.batch(pageLoad(3, t0, MARK)));
        expect((await erasureOf()).done).toBeDefined();
      }
      await maintenance.sweep(t0 + 10);
      await expectGone();
      // One that comes while it is removed is no reason to begin again: it is removed by the next sweep.
      await ask(second);
      const late = withMethods(store, {
        put: async (...args) => {
          await append(stream, createSender({ project: 'shop', session: second, rid: 'b' }).batch([{}]));
          return store.put(...args);
        },
      });
      await maintain(late).sweep(t0 + 20);
      expect((await erasureOf(second)).done).toBeDefined();
      await maintain().sweep(t0 + 30);
      expect(await holding(second)).toEqual(
        expect.not.arrayContaining([expect.stringMatching(/^stream|parquet$/)]),
      );
      expect(await rowsOf('bank')).toHaveLength(8);
    });

    it('searches a class that is no plan of ours, too', async () => {
      const own = createSender({ project: 'shop', session: first, rid: 'a', retentionDays: 45 });
      await commit(own.batch(pageLoad(3, t0, MARK)));
      await maintain().compact(t0);
      await ask();
      await maintain().sweep(t0);
      const { done } = await erasureOf();
      expect(done?.rows).toBe(3);
      expect(done?.scan?.prefixes).toContain(paths.dayPrefix('r45', 'events', 'shop', sessionDate(first)));
    });

    it('removes manifests of the day whose roots were collected before', async () => {
      await recordEverywhere();
      const roots = (await keysOf(paths.projectManifestPrefix('shop'))).filter(
        (key) => !key.includes('/day/'),
      );
      await store.remove(roots.slice(0, -1));
      await ask();
      await maintain().sweep(t0);
      expect((await erasureOf()).done).toBeDefined();
      await expectGone();
    });

    it('writes each file of a day anew once, for any number of sessions', async () => {
      await recordEverywhere();
      await ask();
      await ask(second);
      const puts: string[] = [];
      const watched = withMethods(store, {
        put: (key, ...rest) => {
          puts.push(key);
          return store.put(key, ...rest);
        },
      });
      await maintain(watched).sweep(t0);
      expect((await erasureOf()).done?.rows).toBe(15);
      expect((await erasureOf(second)).done?.rows).toBe(10);
      expect(await rowsOf('shop')).toEqual([]);
      expect(await rowsOf('bank')).toHaveLength(8);
      expect(puts.filter((key) => key.startsWith(paths.classPrefix(className(30))))).toEqual([]);
      expect(puts.filter((key) => /manifest.*\d{12}\.json$/.test(key))).toHaveLength(2);
    });
  });
}

const withoutNonces = (keys: string[]): string[] => keys.map((key) => key.replace(/n\d{6}/g, '*')).sort();
