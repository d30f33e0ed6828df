import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog, readConfig } from '#service';
import { describe, expect, inject, it } from 'vitest';
import { expiryRules } from './classes.ts';
import { examine } from './doctor.ts';
import { createDaysLake, GRACE_MS } from './fixture-days.ts';
import { fsck } from './fsck.ts';
import { newestRoot } from './lake-reader.ts';
import { paths, utcDate } from './layout.ts';
import { repair } from './repair.ts';
import { openLakeReader, openStore } from './store.ts';

const s3 = inject('s3');
const t0 = Date.now();
const start = Date.parse(utcDate(t0)) - 3 * 86_400_000;

describe.skipIf(!s3)('a lake in a bucket', () => {
  process.env.AWS_ACCESS_KEY_ID = s3?.accessKey;
  process.env.AWS_SECRET_ACCESS_KEY = s3?.secretKey;

  it('is well once each class in use has its rule', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'doctor-s3-'));
    const STORE = `s3://doctor-${randomUUID()}/some/prefix?endpoint=${s3?.endpoint}`;
    const config = readConfig({ DATA_DIR: dir, STORE });
    const store = await openStore(STORE);
    const lake = await createDaysLake(store);
    const look = async (): Promise<string[]> =>
      (await examine(config, { now: Date.now, nonce: randomUUID() }))
        .filter(({ state }) => state !== 'ok')
        .map(({ name, why }) => `${name}: ${why}`);
    const missing = expiryRules().map(({ id }) => id);
    expect(await look()).toEqual([`lifecycle rules: not installed: ${missing.join(', ')}`]);
    await store.expireByAge(expiryRules());
    expect(await look()).toEqual([]);
    await lake.record({ startMs: start, count: 3, days: 45 });
    await lake.maintain().sweep(t0);
    // The first sweep reports before it compacts.
    await lake.maintain().sweep(t0);
    expect(await look()).toEqual(['lifecycle rules: not installed: mutoscope-r45']);
    await lake.close();
    await rm(dir, { recursive: true, force: true });
  });

  it('is found wrong and repaired as one in a directory', async () => {
    const store = await openStore(`s3://fsck-${randomUUID()}?endpoint=${s3?.endpoint}`);
    const lake = await createDaysLake(store);
    for (let i = 0; i < 3; i++) await lake.record({ startMs: start, count: 4, days: i ? 30 : 45 });
    await lake.maintain().sweep(t0);
    const options = { nowMs: t0, graceMs: GRACE_MS };
    const wrong = async (): Promise<string[]> =>
      (await fsck(store, options)).findings.filter(({ level }) => level === 'wrong').map(({ code }) => code);
    // Rows of `sessions` come back with the next compaction.
    const rows = async (): Promise<number> =>
      (await openLakeReader(store, () => t0).view('shop')).files
        .filter(({ table }) => table !== 'sessions')
        .reduce((sum, file) => sum + file.rows, 0);
    expect([await wrong(), await rows()]).toEqual([[], 24]);
    await store.remove([paths.manifest('shop', (await newestRoot(store, 'shop'))!.version)]);
    expect(await wrong()).toEqual(['root_lost']);
    let nonces = 0;
    await repair({ store, nonce: () => `r${nonces++}`, log: createLog('silent') }, options);
    expect([await wrong(), await rows()]).toEqual([[], 24]);
    await lake.close();
  });
});
