import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { putOnce } from './put-once.ts';
import { openS3Store, S3_LIMITS, type S3StoreLimits } from './s3-store.ts';
import { createRandom } from './samples.ts';
import { isStoreError, openStore, type Store, type StoreObject } from './store.ts';
import { storeContract } from './store.contract.ts';
import { first, openFaultyS3, type Fault, type FaultyS3 } from './test-faulty-s3.ts';

const s3 = inject('s3');
process.env.AWS_ACCESS_KEY_ID = s3?.accessKey;
process.env.AWS_SECRET_ACCESS_KEY = s3?.secretKey;

const MB = 1024 * 1024;
/** With the smallest parts that S3 takes; patient, for the server may be busy. */
const LIMITS: S3StoreLimits = { ...S3_LIMITS, firstWaitMs: 20, partBytes: 5 * MB };
/** For what hangs; more attempts, for what only takes long fails too. */
const HASTY: S3StoreLimits = { ...LIMITS, answerMsMax: 1_000, bytesPerMsMin: 3_000, attemptsMax: 9 };
const HANGS: Fault[] = ['hang', 'hangAfter', 'trickle'];
const FAULTS: Fault[] = [
  'error',
  'errorAfter',
  'slowDown',
  'conflict',
  'reset',
  'resetAfter',
  'hang',
  'hangAfter',
  'cut',
  'cutClean',
  'trickle',
];
/** Those of which the others are lesser kinds, when they do not end. */
const LASTING: Fault[] = ['error', 'errorAfter', 'slowDown', 'resetAfter', 'cutClean', 'trickle'];
const small = new TextEncoder().encode('0123456789'.repeat(20));
const large = new Uint8Array(11 * MB).map((_, i) => (i * 7) >> 5);

/** What is done, and which of its requests fails. */
type Act = [what: string, request: RegExp, act: (store: Store, key: string) => Promise<unknown>];
const ACTS: Act[] = [
  ['put', /^PUT /, (store, key) => store.put(key, small)],
  ['put if absent', /^PUT /, (store, key) => store.put(key, small, { ifAbsent: true })],
  ['begin of a large put', /^POST .*uploads/, (store, key) => store.put(key, large)],
  ['part of a large put', /^PUT .*partNumber=2/, (store, key) => store.put(key, large)],
  ['end of a large put', /^POST .*uploadId/, (store, key) => store.put(key, large)],
  [
    'end of a large put if absent',
    /^POST .*uploadId/,
    (store, key) => store.put(key, large, { ifAbsent: true }),
  ],
  ['get', /^GET /, (store, key) => store.get(`there/${key}`)],
  ['get of a range', /^GET /, (store, key) => store.get(`there/${key}`, { start: 5, end: 105 })],
  ['list', /^GET .*list-type=2/, (store, key) => listed(store, `there/${key}`)],
  ['remove', /^POST .*delete/, (store, key) => store.remove([`there/${key}`, `there/${key}-2`])],
];

async function listed(store: Store, prefix: string): Promise<StoreObject[]> {
  const found: StoreObject[] = [];
  for await (const object of store.list(prefix)) found.push(object);
  return found;
}

describe.skipIf(!s3)('before an S3 server, a network that fails', () => {
  const bucket = `faults-${randomUUID()}`;
  let faulty: FaultyS3;
  let through: Store;
  /** By whether they are hasty, and how often they try. */
  const others: Record<'hasty' | 'twice' | 'hastyTwice', Store | undefined> = {
    hasty: undefined,
    twice: undefined,
    hastyTwice: undefined,
  };
  let direct: Store;
  /** Faults of the requests that tell of a key; tests run side by side, each with its own. */
  const plans = new Map<string, FaultyS3['fault']>();
  beforeAll(async () => {
    const locate = (endpoint: string): string => `s3://${bucket}?endpoint=${endpoint}`;
    faulty = await openFaultyS3(s3!.endpoint);
    faulty.fault = (request) => {
      for (const [told, fault] of plans) if (request.includes(told)) return fault(request);
      return undefined;
    };
    direct = await openStore(locate(s3!.endpoint));
    through = await openS3Store(locate(faulty.endpoint), LIMITS);
    others.hasty = await openS3Store(locate(faulty.endpoint), HASTY);
    others.twice = await openS3Store(locate(faulty.endpoint), { ...LIMITS, attemptsMax: 2 });
    others.hastyTwice = await openS3Store(locate(faulty.endpoint), { ...HASTY, attemptsMax: 2 });
  });
  afterAll(async () => {
    await through?.close();
    for (const other of Object.values(others)) await other?.close();
    await direct?.close();
    await faulty?.close();
  });

  /** What must hold of the object whether the act came to pass or not. */
  const wholeOrAbsent = async (key: string, bytes: Uint8Array): Promise<boolean> => {
    try {
      expect(Buffer.compare(await direct.get(key), bytes)).toBe(0);
      return true;
    } catch (error) {
      if (isStoreError(error, 'not_found')) return false;
      throw error;
    }
  };

  const fails = (...[what, request, act]: Act): void => {
    const bytes = what.includes('large') ? large : small;
    const nameFor = (fault: string): string => `${what.replaceAll(' ', '-')}-act/${fault}`;
    const fits = (made: string): boolean => request.test(made);
    const during = async <T>(name: string, fault: FaultyS3['fault'], does: () => Promise<T>): Promise<T> => {
      const told = what === 'rules' ? 'lifecycle' : `/${name}`;
      plans.set(told, fault);
      return does().finally(() => plans.delete(told));
    };

    it.each(FAULTS)('comes to pass once after %s', async (fault) => {
      const name = nameFor(`${fault}-once`);
      for (const there of [name, `${name}-2`]) await direct.put(`there/${there}`, small);
      const store = HANGS.includes(fault) ? others.hasty! : through;
      const answer = await during(name, first(1, fault, fits), () => act(store, name));
      if (what.includes('put')) {
        expect(await wholeOrAbsent(name, bytes)).toBe(true);
        await expect(through.put(name, small, { ifAbsent: true })).rejects.toMatchObject({
          code: 'already_exists',
        });
      }
      if (what.includes('large')) {
        // Only an upload of whose begin the answer was lost can stay behind: one less than were begun.
        const begun = faulty.seen.filter((made) => made.includes(`/${name}?uploads`));
        expect((await uploadsOf(bucket, name)).length).toBeLessThan(begun.length);
      }
      if (what === 'get') expect(answer).toEqual(small);
      if (what === 'get of a range') expect(answer).toEqual(small.subarray(5, 105));
      if (what === 'list')
        expect(answer).toMatchObject([{ key: `there/${name}` }, { key: `there/${name}-2` }]);
      if (what === 'remove') expect(await listed(direct, `there/${name}`)).toEqual([]);
      if (what === 'rules') expect(answer).toEqual({ installed: true });
    });

    it.each(LASTING)('ends in bounded time, whole or not at all, while %s lasts', async (fault) => {
      const name = nameFor(`${fault}-lasts`);
      for (const there of [name, `${name}-2`]) await direct.put(`there/${there}`, small);
      const store = (HANGS.includes(fault) ? others.hastyTwice : others.twice)!;
      const beganMs = performance.now();
      const lasting = (made: string): Fault | undefined => (fits(made) ? fault : undefined);
      const answer = await during(name, lasting, () => act(store, name)).then(
        (done: unknown) => ({ done }),
        (error: unknown) => ({ error }),
      );
      // Two attempts, each 1 s and what 11 MB need, three times over where a large put begins anew, on a busy machine.
      expect(performance.now() - beganMs).toBeLessThan(20_000);
      if ('error' in answer) expect(answer.error).toMatchObject({ code: 'store_unavailable' });
      if (what === 'rules') expect(answer).toMatchObject({ done: { installed: false } });
      if (what.startsWith('get')) expect(answer).toHaveProperty('error');
      if (what === 'list') expect(answer).toHaveProperty('error');
      if (what.includes('put')) {
        const isThere = await wholeOrAbsent(name, bytes);
        // The answer to a put has no body that could break off, and one if absent finds its own object.
        if ('done' in answer) expect(isThere).toBe(true);
        expect(await putOnce(through, name, bytes)).toBe(true);
        expect(await wholeOrAbsent(name, bytes)).toBe(true);
      }
    });
  };
  describe.concurrent.each(ACTS)('%s', fails);
  describe('rules', () =>
    fails('rules', /^(PUT|GET) .*lifecycle/, (store) =>
      store.expireByAge([{ id: 'a', prefix: 'x/', days: 3 }]),
    ));

  it('a conditional put that reaches the store after its repetition overwrites nothing', async () => {
    let late: Promise<void> | undefined;
    faulty.hold = (request) => {
      if (late || !request.startsWith('PUT ')) return undefined;
      return (late = delay(HASTY.answerMsMax + 300));
    };
    await others.hasty!.put('late/object', small, { ifAbsent: true });
    await direct.put('late/object', large);
    await late;
    await delay(200);
    expect(await wholeOrAbsent('late/object', large)).toBe(true);
    faulty.hold = () => undefined;
  });

  it('a large put gives the answer to its own conflict, also when another writer is quicker', async () => {
    plans.set('quicker/object', (request) => {
      if (!/^POST .*uploadId/.test(request)) return undefined;
      return direct.put('quicker/object', small).then(() => 'conflict' as const);
    });
    await expect(through.put('quicker/object', large, { ifAbsent: true })).rejects.toMatchObject({
      code: 'store_unavailable',
    });
    plans.clear();
    await expect(through.put('quicker/object', large, { ifAbsent: true })).rejects.toMatchObject({
      code: 'already_exists',
    });
    expect(await wholeOrAbsent('quicker/object', small)).toBe(true);
  });

  it('rules of others are kept when the list of them breaks off', async () => {
    const other = { id: 'o', prefix: 'o/', days: 5 };
    const elsewhere = await openStore(`s3://${bucket}/elsewhere?endpoint=${s3!.endpoint}`);
    await elsewhere.expireByAge([other, { ...other, id: 'p', prefix: 'p/' }]);
    for (let cut = 1; cut <= 3; cut++) {
      plans.set('lifecycle', first(cut, 'cutClean'));
      await through.expireByAge([{ id: 'mine', prefix: 'm/', days: 4 }]);
      expect(await elsewhere.expiryRules()).toHaveLength(2);
    }
    plans.clear();
    expect(await through.expiryRules()).toEqual([{ id: 'mine', prefix: 'm/', days: 4 }]);
    await elsewhere.close();
  });
});

async function uploadsOf(Bucket: string, Prefix: string): Promise<unknown[]> {
  const client = new S3Client({ region: 'us-east-1', endpoint: s3!.endpoint, forcePathStyle: true });
  const { Uploads = [] } = await client
    .send(new ListMultipartUploadsCommand({ Bucket, Prefix }))
    .finally(() => client.destroy());
  return Uploads;
}

describe.skipIf(!s3)('over a network that fails now and then', () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
  storeContract(`the contract of the store holds (SEED=${seed})`, async () => {
    const random = createRandom(seed);
    const faulty = await openFaultyS3(s3!.endpoint);
    faulty.fault = () => (random() < 0.02 ? faults[Math.floor(random() * faults.length)] : undefined);
    const location = `s3://flaky-${randomUUID()}/lake?endpoint=${faulty.endpoint}`;
    const limits = { ...LIMITS, answerMsMax: 3_000, attemptsMax: 7 };
    const faults = FAULTS.filter((fault) => fault === 'hangAfter' || !HANGS.includes(fault));
    const store = await openS3Store(location, limits);
    return {
      store,
      reopen: () => openS3Store(location, limits),
      close: async () => {
        await store.close();
        await faulty.close();
      },
    };
  });
});
