import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { openStream, shardOf, type Stream } from '#stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assemble, isRejected, openMessage } from './assembler.ts';
import { loadChain } from './chain.ts';
import { createErasures } from './erasures.ts';
import { flush } from './flush.ts';
import { encodeJson, getJson } from './lake-reader.ts';
import { tableOf } from './lake-scan.ts';
import { className, paths, sessionDate, type Commit, type Erasure, type EventRow } from './layout.ts';
import type { Maintenance } from './maintenance.ts';
import { quietMaintenance } from './test-maintenance.ts';
import {
  createRandom,
  createSender,
  pageLoad,
  sessionAt,
  withMethods,
  type Sender,
  type Sent,
} from './samples.ts';
import { openLakeReader, readReplayGroups, type Store } from './store.ts';
import { decodeFile } from './x-hyparquet.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const GRACE_MS = 600_000;

/** What retention, erasure and compaction do, on any adapter of the store; time is an argument. */
export function maintenanceContract(
  name: string,
  open: () => Promise<{ store: Store; close: () => Promise<void> }>,
): void {
  describe(name, () => {
    let store: Store;
    let close: () => Promise<void>;
    let stream: Stream;
    let dir: string;
    let nonces: number;
    const t0 = Date.now();

    beforeEach(async () => {
      ({ store, close } = await open());
      dir = await mkdtemp(join(tmpdir(), 'maintenance-'));
      stream = await openStream(dir, { bytesMax: 64 * 1024 * 1024 });
      nonces = 0;
    });
    afterEach(async () => {
      await stream.close();
      await close();
      await rm(dir, { recursive: true, force: true });
    });

    const nonce = (): string => `n${String(nonces++).padStart(6, '0')}`;
    const maintain = (graceMs = GRACE_MS): Maintenance => quietMaintenance({ store, stream, nonce, graceMs });

    /** One commit of what was sent; all of it must be of one shard. */
    async function commit(sent: readonly Sent[], nowMs = t0): Promise<Commit> {
      const shard = Number(sent[0]!.subject.split('.')[2]);
      const { fromSeq, seen } = await loadChain(store, shard, nowMs);
      const opened = sent.map((one, i) =>
        openMessage({ ...one, seq: fromSeq + i, appendedMs: nowMs }, nowMs),
      );
      const { batches, rejected } = assemble(
        opened.flatMap((one) => (isRejected(one) ? [] : [one])),
        seen.hasFrame,
        () => true,
      );
      const lastSeq = fromSeq + sent.length - 1;
      const flushed = await flush(
        { shard, fromSeq, lastSeq, resumeSeq: lastSeq + 1, batches, rejected },
        { store, erasures: createErasures(store, Date.now), seen, now: () => nowMs, nonce },
      );
      return flushed!.commit;
    }
    const record = (sender: Sender, mark: string, count = 12): Promise<Commit> =>
      commit(createSender(sender).batch(pageLoad(count, t0, mark)));

    async function rowsOf(project: string, nowMs = t0): Promise<EventRow[]> {
      const view = await openLakeReader(store, () => nowMs).view(project);
      const rows: EventRow[] = [];
      for (const file of view.files)
        if (file.table === 'events') rows.push(...(await decodeFile('events', await store.get(file.key))));
      return rows.filter((row) => row.project === project && !view.erased.has(row.session_id));
    }
    async function keysOf(prefix = ''): Promise<string[]> {
      const keys: string[] = [];
      for await (const { key } of store.list(prefix)) keys.push(key);
      return keys;
    }
    /** Objects in which the text stands, also inside compressed files. */
    async function objectsWith(text: string): Promise<string[]> {
      const found: string[] = [];
      for (const key of await keysOf()) {
        const bytes = Buffer.from(await store.get(key));
        const contents = [bytes.toString('latin1')];
        if (key.endsWith('.bin') && bytes[0] === 0x1f) contents.push(gunzipSync(bytes).toString());
        if (key.endsWith('.parquet')) {
          const rows = await decodeFile(tableOf(key), bytes);
          contents.push(
            JSON.stringify(rows, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
          );
        }
        if (contents.some((content) => content.includes(text))) found.push(key);
      }
      return found;
    }

    const first = sessionAt(t0, 1);
    const shard = shardOf(first);
    /** Others in the shard of the first, so that one commit can hold them all. */
    const others = Array.from({ length: 400 }, (_, n) => sessionAt(t0, n + 2)).filter(
      (id) => shardOf(id) === shard,
    );

    it('moves rows from commits into files of one project and day, seen once all the time', async () => {
      const shop = createSender({ project: 'shop', session: first, rid: 'a' });
      const bank = createSender({ project: 'bank', session: others[0]!, rid: 'b', retentionDays: 365 });
      await commit([
        ...shop.batch(pageLoad(8, t0)),
        ...bank.batch(pageLoad(5, t0)),
        ...shop.batch(pageLoad(3, t0)),
      ]);
      const before = await rowsOf('shop');
      expect(before).toHaveLength(11);
      await maintain().compact(t0);
      expect(await rowsOf('shop')).toEqual(before);
      expect(await rowsOf('bank')).toHaveLength(5);
      const { files, version } = await openLakeReader(store, () => t0).view('shop');
      expect(version).toBe(1);
      const date = sessionDate(first);
      expect(files.map(({ key }) => key.replace(/n\d+/, '*')).sort()).toEqual([
        paths.file('r30', 'events', 'shop', date, '*'),
        paths.file('r30', 'replay', 'shop', date, '*'),
        paths.file('r30', 'sessions', 'shop', date, '*'),
      ]);
    });

    it('merges files once there are many, and keeps the rules of row groups', async () => {
      const sender = createSender({ project: 'shop', session: first, rid: 'a' });
      const maintenance = maintain();
      for (let i = 0; i < 8; i++) {
        await commit(sender.batch(i % 4 ? pageLoad(9, t0).slice(4) : pageLoad(9, t0)));
        await maintenance.compact(t0);
      }
      const { files } = await openLakeReader(store, () => t0).view('shop');
      expect(files.map(({ table }) => table).sort()).toEqual(['events', 'replay', 'sessions']);
      const replay = files.find(({ table }) => table === 'replay')!;
      const groups = await readReplayGroups(store, replay);
      expect(groups.map(({ snapshot, rows }) => [snapshot, rows])).toEqual([
        [false, 2],
        [true, 24],
        [true, 22],
      ]);
      expect((await rowsOf('shop')).map(({ seq }) => seq)).toEqual(
        Array.from({ length: 48 }, (_, i) => i + 1),
      );
    });

    it('lets a row be gone from storage once its class is over, and not before', async () => {
      await record({ project: 'shop', session: first, rid: 'a' }, 'shortlived');
      await record({ project: 'shop', session: others[0]!, rid: 'b', retentionDays: 90 }, 'longerlived');
      const maintenance = maintain();
      await maintenance.sweep(t0);
      const untilMs = Date.parse(`${sessionDate(first)}T00:00:00Z`) + 32 * DAY_MS;
      await maintenance.sweep(untilMs - 1);
      expect(await objectsWith('shortlived')).not.toEqual([]);
      await maintenance.sweep(untilMs);
      expect((await rowsOf('shop', untilMs)).map(({ rid }) => rid)).not.toContain('a');
      await maintenance.sweep(untilMs + GRACE_MS);
      expect(await objectsWith('shortlived')).toEqual([]);
      expect(await rowsOf('shop', untilMs)).toHaveLength(12);
      expect(await objectsWith('longerlived')).not.toEqual([]);
    });

    it('does not move rows that are past their class out of a commit', async () => {
      await record({ project: 'shop', session: first, rid: 'a' }, 'shortlived');
      const late = t0 + 40 * DAY_MS;
      const maintenance = maintain();
      await maintenance.sweep(late);
      expect(await keysOf(paths.classPrefix('r30'))).toEqual([]);
      await maintenance.sweep(late + GRACE_MS);
      expect(await objectsWith('shortlived')).toEqual([]);
      expect(await loadChain(store, shard, late)).toMatchObject({ fromSeq: 2, resumeSeq: 2 });
    });

    it('leaves no byte of an erased session, and all of the others', async () => {
      const maintenance = maintain();
      const erased = createSender({ project: 'shop', session: first, rid: 'a' });
      await commit([
        ...erased.batch(pageLoad(12, t0, 'secretive')),
        ...createSender({ project: 'shop', session: others[0]!, rid: 'b' }).batch(pageLoad(7, t0, 'other')),
        ...createSender({ project: 'bank', session: others[1]!, rid: 'c' }).batch(pageLoad(4, t0, 'other')),
        ...erased.batch([], { payload: Buffer.from('{ secretive'), gzip: false }),
      ]);
      await maintenance.sweep(t0);
      await commit(erased.batch(pageLoad(6, t0, 'secretive')));
      const late = erased.batch(pageLoad(6, t0, 'secretive'));
      for (const { subject, bytes, id } of late) await stream.append(subject, bytes, id);
      expect(await objectsWith('secretive')).toHaveLength(4 + 5 + 1);

      const tombstone: Erasure = { v: 1, project: 'shop', session: first, requestedMs: t0 };
      await store.put(paths.erasure('shop', first), encodeJson(tombstone), { ifAbsent: true });
      expect((await rowsOf('shop')).map(({ rid }) => rid)).not.toContain('a');
      await maintenance.sweep(t0 + 1000);
      expect(await objectsWith('secretive')).toEqual([]);
      expect((await stream.state()).messages).toBe(0);
      expect(await rowsOf('shop')).toHaveLength(7);
      expect(await rowsOf('bank')).toHaveLength(4);
      const receipt = await getJson<Erasure>(store, paths.erasure('shop', first));
      expect(receipt.done).toMatchObject({ atMs: t0 + 1000, rows: 18, messages: 1 });
      expect(receipt.done?.filesRewritten).toHaveLength(3);

      // What comes after is dropped where it comes.
      await commit(erased.batch(pageLoad(6, t0, 'secretive')));
      expect(await objectsWith('secretive')).toEqual([]);
    });

    it('erases what a merge has left behind for readers that still use it', async () => {
      const maintenance = maintain();
      const sender = createSender({ project: 'shop', session: first, rid: 'a' });
      for (let i = 0; i < 8; i++) {
        await commit(sender.batch(pageLoad(5, t0, 'secretive')));
        await maintenance.compact(t0);
      }
      expect(
        (await objectsWith('secretive')).filter((key) => key.startsWith(paths.classPrefix('r30'))),
      ).toHaveLength(26);
      await store.put(
        paths.erasure('shop', first),
        encodeJson({ v: 1, project: 'shop', session: first, requestedMs: t0 } satisfies Erasure),
      );
      await maintenance.sweep(t0);
      expect(await objectsWith('secretive')).toEqual([]);
    });

    it('finds an erased session in files whose commit never came, and is not done before they are gone', async () => {
      const made = await record({ project: 'shop', session: first, rid: 'a' }, 'secretive');
      await record({ project: 'shop', session: others[0]!, rid: 'b' }, 'other');
      const bytes = await store.get(made.files.find(({ table }) => table === 'replay')!.key);
      const dead = paths.l0File(shard, 2, 'dead', className(30), 'replay');
      const underway = paths.l0File(shard, 3, 'underway', className(30), 'replay');
      for (const key of [dead, underway]) await store.put(key, bytes);
      const maintenance = maintain();
      const tombstone: Erasure = { v: 1, project: 'shop', session: first, requestedMs: t0 };
      await store.put(paths.erasure('shop', first), encodeJson(tombstone), { ifAbsent: true });
      await maintenance.sweep(t0);
      expect(await objectsWith('secretive')).toEqual([underway]);
      expect(await getJson<Erasure>(store, paths.erasure('shop', first))).toEqual({
        ...tombstone,
        underway: expect.objectContaining({ startedMs: t0, seqs: { a: [[1, 12]] } }),
        left: { atMs: t0, keys: [underway] },
      });

      await store.remove([underway]);
      await maintenance.sweep(t0 + 1000);
      const receipt = await getJson<Erasure>(store, paths.erasure('shop', first));
      expect(receipt.done).toMatchObject({ atMs: t0 + 1000, rows: 12 });
      expect(await rowsOf('shop')).toHaveLength(12);
    });

    it('quarantines nothing of a session that is erased meanwhile', async () => {
      const sender = createSender({ project: 'shop', session: first, rid: 'a' });
      const broken = sender.batch([], { payload: Buffer.from('{ secretive'), gzip: false });
      const real = store;
      let asked = false;
      store = withMethods(real, {
        put: async (key, bytes, options) => {
          if (key.startsWith(paths.quarantinePrefix) && !asked) {
            asked = true;
            const tombstone: Erasure = { v: 1, project: 'shop', session: first, requestedMs: t0 };
            await real.put(paths.erasure('shop', first), encodeJson(tombstone));
            await maintain().sweep(t0);
          }
          await real.put(key, bytes, options);
        },
      });
      await commit(broken);
      expect(asked).toBe(true);
      expect(await objectsWith('secretive')).toEqual([]);
    });

    it('removes what a crash left, and nothing that is named', async () => {
      await record({ project: 'shop', session: first, rid: 'a' }, 'page');
      const maintenance = maintain();
      await maintenance.sweep(t0);
      const date = sessionDate(first);
      const orphans = [
        paths.file(className(30), 'events', 'shop', date, 'orphan'),
        paths.l0File(shard, 99, 'orphan', className(30), 'replay'),
        paths.dayManifest('shop', date, 'orphan'),
      ];
      for (const key of orphans) await store.put(key, encodeJson({}));
      await maintenance.sweep(t0 + GRACE_MS);
      expect(await keysOf()).toEqual(expect.arrayContaining(orphans));
      await maintenance.sweep(t0 + 2 * HOUR_MS);
      const left = await keysOf();
      for (const key of orphans) expect(left).not.toContain(key);
      expect(await rowsOf('shop')).toHaveLength(12);
    });

    it('forgets commits after a while, but not what they dealt with, and never the newest', async () => {
      const maintenance = maintain();
      const sender = createSender({ project: 'shop', session: first, rid: 'a' });
      for (let i = 0; i < 3; i++) await commit(sender.batch(pageLoad(5, t0)));
      await maintenance.sweep(t0);
      await maintenance.sweep(t0 + 3 * HOUR_MS);
      expect(await keysOf(paths.l0ShardPrefix(shard))).toEqual([paths.commit(shard, 3)]);
      const chain = await loadChain(store, shard, t0 + 3 * HOUR_MS);
      expect(chain).toMatchObject({ fromSeq: 4, resumeSeq: 4 });
      expect([1, 2, 3, 4].map((frame) => chain.seen.hasFrame(first, 'a', frame))).toEqual([
        true,
        true,
        true,
        false,
      ]);
      expect((await loadChain(store, shard, t0 + 30 * HOUR_MS)).seen.hasFrame(first, 'a', 1)).toBe(false);
    });

    it('remembers no address of an erased session when it forgets its commit, and nothing for ever', async () => {
      await record({ project: 'shop', session: first, rid: 'a' }, 'secretive');
      await record({ project: 'shop', session: others[0]!, rid: 'b' }, 'other');
      const maintenance = maintain();
      await maintenance.sweep(t0);
      await store.put(
        paths.erasure('shop', first),
        encodeJson({ v: 1, project: 'shop', session: first, requestedMs: t0 } satisfies Erasure),
      );
      await maintenance.sweep(t0);
      await maintenance.sweep(t0 + 3 * HOUR_MS);
      expect(await keysOf(paths.seenPrefix)).toEqual([paths.seen(shard, 1)]);
      expect(await objectsWith('secretive')).toEqual([]);
      await maintenance.sweep(t0 + 30 * HOUR_MS);
      expect(await keysOf(paths.seenPrefix)).toEqual([]);
    });

    it('shows each row once whatever two maintainers and their clocks do', { timeout: 60_000 }, async () => {
      const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
      process.stdout.write(`${name}, two maintainers: SEED=${seed}\n`);
      const random = createRandom(seed);
      const maintainers = [maintain(), maintain()];
      const senders = [first, ...others.slice(0, 3)].map((session, i) =>
        createSender({
          project: i % 2 ? 'bank' : 'shop',
          session,
          rid: `rid-${i}`,
          retentionDays: i > 1 ? 90 : 30,
        }),
      );
      let nowMs = t0;
      const count = { shop: 0, bank: 0 };
      for (let step = 0; step < 30; step++) {
        const dice = random();
        if (dice < 0.5) {
          const i = Math.floor(random() * senders.length);
          const n = 1 + Math.floor(random() * 9);
          await commit(senders[i]!.batch(pageLoad(n, t0)), nowMs);
          count[i % 2 ? 'bank' : 'shop'] += n;
        } else if (dice < 0.8)
          await Promise.all(maintainers.map((one) => one.compact(nowMs).catch(ignoreVanished)));
        else {
          nowMs += Math.floor(random() * HOUR_MS);
          await Promise.all(maintainers.map((one) => one.sweep(nowMs).catch(ignoreVanished)));
        }
        for (const project of ['shop', 'bank'] as const) {
          const keys = (await rowsOf(project)).map((row) => `${row.session_id} ${row.rid} ${row.seq}`);
          expect(new Set(keys).size, `step ${step}, ${project}`).toBe(keys.length);
          expect(keys, `step ${step}, ${project}`).toHaveLength(count[project]);
        }
      }
    });
  });
}

/** One maintainer may remove what the other is about to read; that one begins again at its next interval. */
function ignoreVanished(error: unknown): void {
  if ((error as { code?: string }).code !== 'not_found') throw error;
}
