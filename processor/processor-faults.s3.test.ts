import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import type { EventRow } from './layout.ts';
import { keyOf, openHarness, until, type Harness } from './processor.harness.ts';
import { openS3Store, S3_LIMITS } from './s3-store.ts';
import { append, createRandom, createSender, pageLoad, sessionAt } from './samples.ts';
import { openLakeReader, openStore, type Store } from './store.ts';
import { openFaultyS3, type Fault, type FaultyS3 } from './test-faulty-s3.ts';
import { decodeFile } from './x-hyparquet.ts';

const s3 = inject('s3');
process.env.AWS_ACCESS_KEY_ID = s3?.accessKey;
process.env.AWS_SECRET_ACCESS_KEY = s3?.secretKey;

const FAULTS: Fault[] = ['errorAfter', 'slowDown', 'resetAfter', 'cut', 'cutClean', 'hangAfter'];
const UNLISTED_MS = 1_500;

describe.skipIf(!s3)('over an S3 server whose answers fail, processors', () => {
  let lake: Harness;
  let faulty: FaultyS3;
  let through: Store;
  let direct: Store;
  beforeEach(async () => {
    lake = await openHarness();
    faulty = await openFaultyS3(s3!.endpoint);
    const bucket = `lake-${randomUUID()}`;
    direct = await openStore(`s3://${bucket}?endpoint=${s3!.endpoint}`);
    // Two attempts, so that the processor too sees failures.
    const limits = { ...S3_LIMITS, answerMsMax: 700, attemptsMax: 2, firstWaitMs: 20 };
    through = await openS3Store(`s3://${bucket}?endpoint=${faulty.endpoint}`, limits);
  });
  afterEach(async () => {
    faulty.fault = () => undefined;
    await lake.close();
    await through?.close();
    await direct?.close();
    await faulty.close();
  });

  const rows = async (): Promise<EventRow[]> => {
    const { files } = await openLakeReader(direct, Date.now).view('shop');
    const found: EventRow[] = [];
    for (const file of files)
      if (file.table === 'events') found.push(...(await decodeFile('events', await direct.get(file.key))));
    return found;
  };

  it('store each event once, also when lists tell late of new objects', { timeout: 90_000 }, async () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
    process.stdout.write(`processor over a faulty store: SEED=${seed}\n`);
    const random = createRandom(seed);
    const known = new Set<string>();
    faulty.fault = (request) => {
      const created = /^PUT \/[^/]+\/([^?]+)/.exec(request)?.[1];
      if (created && !known.has(created)) {
        known.add(created);
        faulty.unlisted.add(created);
        setTimeout(() => faulty.unlisted.delete(created), UNLISTED_MS);
      }
      return random() < 0.1 ? FAULTS[Math.floor(random() * FAULTS.length)] : undefined;
    };
    const env = { COMPACT_INTERVAL_MS: '1000', SWEEP_INTERVAL_MS: '1000' };
    for (let i = 0; i < 2; i++) lake.start({ store: through, env });
    const startMs = Date.now() - 60_000;
    const sent: string[] = [];
    for (let n = 0; n < 16; n++) {
      const id = sessionAt(startMs, n);
      const sender = createSender({ project: 'shop', session: id, rid: `rid-${n}` });
      for (let i = 0; i < 3; i++) {
        await append(lake.stream, sender.batch(pageLoad(5, startMs)));
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
      for (let seq = 1; seq <= 15; seq++) sent.push(`${id} rid-${n} ${seq}`);
    }
    const settled = async (): Promise<void> => expect((await rows()).map(keyOf).sort()).toEqual(sent.sort());
    for (let again = 0; again < 3; again++)
      await until(settled).catch((error: unknown) => {
        if (again === 2) throw error;
      });
    // Nor does what goes on afterwards lose or repeat any.
    await new Promise((resolve) => setTimeout(resolve, 2 * UNLISTED_MS));
    faulty.fault = () => undefined;
    await settled();
    expect(faulty.seen.length).toBeGreaterThan(100);
  });
});
