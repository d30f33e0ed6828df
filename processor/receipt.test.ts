import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { encodeJson } from './lake-reader.ts';
import type { Erasure } from './layout.ts';
import { checkReceipt, createSigner, keyIdOf, readReceiptKeys } from './receipt.ts';
import { openStore, type Store } from './store.ts';

let dir: string;
let store: Store;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'receipts-'));
  store = await openStore(dir);
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const receipt: Erasure = {
  ...{ v: 1, project: 'shop', session: '01932c07-0000-7000-8000-000000000001', requestedMs: 1 },
  done: {
    ...{ atMs: 1795657038637, rows: 12, messages: 1, filesRewritten: ['v1/r30/a.parquet'], startedMs: 2 },
    objects: [{ key: 'v1/r30/a.parquet', before: { bytes: 10, sha256: 'ab12' } }],
    scan: { atMs: 3, prefixes: ['v1/l0/'], objects: 7, bytes: 9, messages: 0, unsearched: [] },
  },
};
const textOf = (value: unknown): string => Buffer.from(encodeJson(value)).toString();
const publicKeys = async (): Promise<string[]> =>
  (await readReceiptKeys(store)).map(({ publicKey }) => publicKey);

it('signs with one key of the store, whoever signs first', async () => {
  const signed = await Promise.all([1, 2, 3].map(() => createSigner(store, () => 5).sign(receipt)));
  const [key, ...others] = await readReceiptKeys(store);
  expect(others).toEqual([]);
  expect(key).toMatchObject({ v: 1, createdMs: 5, id: keyIdOf(key!.publicKey) });
  for (const one of signed)
    expect(checkReceipt(textOf(one), await publicKeys())).toEqual({
      holds: true,
      receipt: one,
      keyId: key!.id,
    });
  expect((await createSigner(store, () => 6).sign(receipt)).signature).toEqual(signed[0]!.signature);
});

it('refuses a receipt of which any one byte was altered', async () => {
  const text = textOf(await createSigner(store, Date.now).sign(receipt));
  const keys = await publicKeys();
  expect(checkReceipt(text, keys).holds).toBe(true);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at++)
    for (const flip of [0x01, 0x02, 0x10, 0x20, 0x80]) {
      const altered = Buffer.from(bytes);
      altered[at]! ^= flip;
      const checked = checkReceipt(altered.toString(), keys);
      expect(checked.holds, `byte ${at} ^ ${flip}: ${altered.toString()}`).toBe(false);
    }
});

it('says why a receipt does not hold', async () => {
  const signed = await createSigner(store, Date.now).sign(receipt);
  const { signature, ...unsigned } = signed;
  const { done, ...tombstone } = unsigned;
  const foreign = await openStore(join(dir, 'foreign'));
  await createSigner(foreign, Date.now).sign(receipt);
  const others = (await readReceiptKeys(foreign)).map(({ publicKey }) => publicKey);
  const keys = await publicKeys();
  for (const [text, given, reason] of [
    ['{', keys, /not JSON/],
    ['[]', keys, /no receipt/],
    [textOf(tombstone), keys, /tombstone/],
    [textOf(unsigned), keys, /no signature/],
    [textOf(signed), others, new RegExp(`key ${signature.keyId}`)],
    [textOf({ ...signed, done: { ...done, rows: 13 } }), keys, /changed/],
    [textOf({ ...signed, note: 'more' }), keys, /changed/],
  ] as const)
    expect(checkReceipt(text, given)).toEqual({ holds: false, reason: expect.stringMatching(reason) });
});
