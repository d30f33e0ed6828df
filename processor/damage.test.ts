import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '#service';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { examine } from './doctor.ts';
import { createDaysLake, type DaysLake } from './fixture-days.ts';
import { getJson, getJsonIfThere, newestRoot } from './lake-reader.ts';
import {
  paths,
  utcDate,
  type DamageReport,
  type DayManifest,
  type Erasure,
  type EventRow,
  type LakeFile,
} from './layout.ts';
import { openLakeReader, openStore, type Store } from './store.ts';
import { decodeFile } from './x-hyparquet.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const t0 = Date.now();
const start = Date.parse(utcDate(t0)) - 3 * DAY_MS;
const SHOP = 0;
const BANK = 1;

let dir: string;
let store: Store;
let lake: DaysLake;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'damage-'));
  store = await openStore(dir);
  lake = await createDaysLake(store);
});
afterEach(async () => {
  await lake.close();
  await rm(dir, { recursive: true, force: true });
});

async function rowsSeen(project: string): Promise<string[]> {
  const view = await openLakeReader(store, () => t0).view(project);
  const rows: EventRow[] = [];
  for (const { table, key } of view.files)
    if (table === 'events') rows.push(...(await decodeFile('events', await store.get(key))));
  return names(rows.filter((row) => row.project === project && !view.erased.has(row.session_id)));
}
const names = (rows: readonly EventRow[]): string[] =>
  rows.map(({ session_id, seq }) => `${session_id} ${seq}`).sort();

const rootKey = async (): Promise<string> =>
  paths.manifest('shop', (await newestRoot(store, 'shop'))!.version);
const dayKey = async (): Promise<string> => Object.values((await newestRoot(store, 'shop'))!.days)[0]!;
const fileKey = async (table: LakeFile['table']): Promise<string> =>
  (await getJson<DayManifest>(store, await dayKey())).files.find((file) => file.table === table)!.key;
/** Of the commit that the next compaction is to take in. */
const NEXT = 3;

const flipped = (bytes: Uint8Array): Uint8Array =>
  bytes.map((byte, i) => (i === bytes.length >> 1 ? byte ^ 0x40 : byte));
const cut = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, bytes.length >> 1);
const gone = (): undefined => undefined;

/** Which object is harmed, and how; `said`: the key of it that is told, if not its own. */
const HARMS: Record<
  string,
  [() => string | Promise<string>, (bytes: Uint8Array) => Uint8Array | undefined, said?: string]
> = {
  'a file of events with another bit': [() => fileKey('events'), flipped],
  'a file of events that is gone': [() => fileKey('events'), gone],
  'a file of replay that is cut off': [() => fileKey('replay'), cut],
  "a commit's file of events with another bit": [
    () => paths.l0File(SHOP, NEXT, 'nonce', 'r30', 'events'),
    flipped,
  ],
  "a commit's file of replay that is gone": [() => paths.l0File(SHOP, NEXT, 'nonce', 'r30', 'replay'), gone],
  'a commit that is cut off': [() => paths.commit(SHOP, NEXT), cut],
  'a first commit that is cut off': [() => paths.commit(SHOP, 1), cut],
  'a root manifest that is cut off': [rootKey, cut],
  'a root manifest that is gone': [rootKey, gone, paths.projectManifestPrefix('shop')],
  "a day's manifest that is cut off": [dayKey, cut],
  "a day's manifest that is gone": [dayKey, gone],
};

describe("what is damaged of one project's keeps nothing of another's back, and is whole again once it is put back", () => {
  test.each(Object.entries(HARMS))('%s', async (_, [keyOf, harm, said]) => {
    // Two that are to be merged, for the day is closed.
    for (let i = 0; i < 2; i++) {
      await lake.record({ startMs: start + i * HOUR_MS, count: 5, shard: SHOP });
      await lake.maintain().compact(start + 2 * HOUR_MS);
    }
    const [old] = await lake.record({ project: 'bank', startMs: start - 40 * DAY_MS, count: 3, shard: BANK });
    await lake.maintain().compact(start - 39 * DAY_MS);
    await lake.record({ startMs: start + 2 * HOUR_MS, count: 6, shard: SHOP });
    await lake.record({ startMs: start + DAY_MS, count: 7, shard: SHOP });
    await lake.record({ project: 'bank', startMs: start, count: 8, shard: BANK });
    const [secret] = await lake.record({ project: 'bank', startMs: start, count: 9, shard: BANK });
    await lake.erase('bank', secret!.session_id, t0);
    const [own] = await lake.record({ startMs: start, count: 4, shard: SHOP + 2 });
    await lake.erase('shop', own!.session_id, t0);
    const shop = names(lake.rows('shop'));
    const bank = names(lake.rows('bank').filter((row) => row.session_id !== old!.session_id));

    const key = await keyOf();
    const whole = await store.get(key);
    const harmed = harm(whole);
    if (harmed) await store.put(key, harmed);
    else await store.remove([key]);
    // As processors that begin anew, past every grace.
    let damaged = 0;
    for (const afterMs of [0, 2, 4, 26]) {
      const maintenance = lake.maintain(store, { onDamage: (objects) => (damaged = objects) });
      await maintenance.compact(t0 + afterMs * HOUR_MS);
      await maintenance.sweep(t0 + afterMs * HOUR_MS);
    }

    expect(damaged).toBeGreaterThan(0);
    const report = await getJson<DamageReport>(store, paths.damageReport);
    expect(report.objects.map((one) => one.key)).toContain(said ?? key);
    const config = readConfig({ STORE: dir, STREAM: join(dir, 'stream') });
    const checks = await examine(config, { now: () => t0, nonce: 'doctor' });
    const told = checks.filter(({ state }) => state === 'wrong').map(({ why }) => why);
    expect(told.join('\n')).toContain(said ?? key);
    // Whose rows stand in a commit, and in what is erased of it, nobody can tell: that waits.
    const isCommit = /\/l0\/.*\.json$/.test(key);
    const seen = await rowsSeen('bank').catch((error: Error) => error.message);
    expect(seen).toEqual(isCommit ? `${key} is not JSON` : bank);
    const root = (await newestRoot(store, 'bank'))!;
    expect(root.l0[BANK]).toBe(3);
    expect(Object.keys(root.days)).toEqual([utcDate(start)]);
    const erasure = await getJson<Erasure>(store, paths.erasure('bank', secret!.session_id));
    expect(erasure.done === undefined).toBe(isCommit);
    expect(erasure.left?.keys).toEqual(isCommit ? [key] : undefined);

    await store.put(key, whole);
    const maintenance = lake.maintain(store, { onDamage: (objects) => (damaged = objects) });
    await maintenance.sweep(t0 + 27 * HOUR_MS);
    expect(damaged).toBe(0);
    expect(await getJsonIfThere(store, paths.damageReport)).toBeUndefined();
    expect(await rowsSeen('shop')).toEqual(shop);
    expect((await getJson<Erasure>(store, paths.erasure('shop', own!.session_id))).done).toBeDefined();
  });
});
