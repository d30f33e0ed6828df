import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isStoreError, type Store, type StoreErrorCode } from './store.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** What every adapter of the port does. */
export function storeContract(
  name: string,
  open: () => Promise<{ store: Store; reopen: () => Promise<Store>; close: () => Promise<void> }>,
): void {
  describe(name, () => {
    let store: Store;
    let reopen: () => Promise<Store>;
    let close: () => Promise<void>;
    beforeAll(async () => ({ store, reopen, close } = await open()));
    afterAll(() => close?.());

    const keysOf = async (prefix: string): Promise<string[]> => {
      const keys: string[] = [];
      for await (const { key } of store.list(prefix)) keys.push(key);
      return keys;
    };
    const fails = async (act: Promise<unknown>, code: StoreErrorCode): Promise<void> => {
      const error = await act.then(
        () => 'no error',
        (failed: unknown) => failed,
      );
      expect(isStoreError(error, code), String(error)).toBe(true);
    };

    it('gives back what was put, also what replaced it', async () => {
      await store.put('a/object', bytesOf('one'));
      await store.put('a/object', bytesOf('and two'));
      expect(textOf(await store.get('a/object'))).toBe('and two');
      await store.put('a/empty', new Uint8Array(0));
      expect(await store.get('a/empty')).toHaveLength(0);
    });

    it('tells where other programs find what was put', () => {
      expect(store.location).toMatch(/^(file:\/\/\/|s3:\/\/)[^?]*[^/]$/);
    });

    it('gives ranges, half open', async () => {
      await store.put('ranges', bytesOf('0123456789'));
      expect(textOf(await store.get('ranges', { start: 2, end: 5 }))).toBe('234');
      expect(textOf(await store.get('ranges', { start: 9, end: 10 }))).toBe('9');
      expect(await store.get('ranges', { start: 4, end: 4 })).toHaveLength(0);
      await fails(store.get('ranges', { start: 8, end: 11 }), 'bad_range');
      await fails(store.get('ranges', { start: 20, end: 21 }), 'bad_range');
    });

    it('says of what is not there that it is not', async () => {
      await fails(store.get('nowhere'), 'not_found');
      await fails(store.get('nowhere', { start: 0, end: 1 }), 'not_found');
      await fails(store.get('a'), 'not_found');
    });

    it.each(['', '/abs', 'a//b', '../up', 'a/../b', 'a/.', 'a/', 'x'.repeat(1100)])(
      'refuses %j as a key',
      async (key) => {
        await fails(store.put(key, bytesOf('x')), 'bad_key');
        await fails(store.get(key), 'bad_key');
      },
    );

    it('lets one of twenty racing writers create an object, and keeps its bytes', async () => {
      const answers = await Promise.allSettled(
        Array.from({ length: 20 }, (_, i) =>
          store.put('race/object', bytesOf(`writer ${i}`), { ifAbsent: true }),
        ),
      );
      const won = answers.flatMap((answer, i) => (answer.status === 'fulfilled' ? [i] : []));
      expect(won).toHaveLength(1);
      for (const answer of answers)
        if (answer.status === 'rejected') expect(isStoreError(answer.reason, 'already_exists')).toBe(true);
      expect(textOf(await store.get('race/object'))).toBe(`writer ${won[0]}`);
      expect(await keysOf('race/')).toEqual(['race/object']);
    });

    it('lists by prefix in the order of the bytes of the keys', async () => {
      const keys = [
        'list/a/1',
        'list/a-1',
        'list/a.json',
        'list/a=1/b',
        'list/b',
        'list/B',
        'list/a/10',
        'list/a/2',
      ];
      for (const key of keys) await store.put(key, bytesOf(key));
      expect(await keysOf('list/')).toEqual(keys.toSorted((a, b) => Buffer.compare(bytesOf(a), bytesOf(b))));
      expect(await keysOf('list/a/')).toEqual(['list/a/1', 'list/a/10', 'list/a/2']);
      expect(await keysOf('list/a/1')).toEqual(['list/a/1', 'list/a/10']);
      expect(await keysOf('list/nothing')).toEqual([]);
    });

    it('tells size and time of what it lists', async () => {
      const before = Date.now();
      await store.put('told/object', bytesOf('12345'));
      for await (const object of store.list('told/')) {
        expect(object).toMatchObject({ key: 'told/object', bytes: 5 });
        // Stores count in whole seconds, by their own clock.
        expect(Math.abs(object.modifiedMs - before)).toBeLessThan(60_000);
      }
    });

    it('removes, and does not mind what is missing', async () => {
      await store.put('gone/one', bytesOf('1'));
      await store.put('gone/two', bytesOf('2'));
      await store.remove(['gone/one', 'gone/never', 'gone/two']);
      await store.remove([]);
      expect(await keysOf('gone/')).toEqual([]);
      await store.put('gone/one', bytesOf('again'), { ifAbsent: true });
      expect(textOf(await store.get('gone/one'))).toBe('again');
    });

    it('holds 20 MB in one object', async () => {
      const bytes = new Uint8Array(20 * 1024 * 1024).map((_, i) => (i * 31) >> 3);
      await store.put('big', bytes);
      expect(Buffer.compare(await store.get('big'), bytes)).toBe(0);
      expect(await store.get('big', { start: bytes.length - 3, end: bytes.length })).toEqual(bytes.slice(-3));
    });

    it('lets one of three racing writers create a large object', async () => {
      const answers = await Promise.allSettled(
        [1, 2, 3].map((writer) =>
          store.put('race/big', new Uint8Array(17 * 1024 * 1024).fill(writer), { ifAbsent: true }),
        ),
      );
      const won = answers.flatMap((answer, i) => (answer.status === 'fulfilled' ? [i + 1] : []));
      expect(won).toHaveLength(1);
      for (const answer of answers)
        if (answer.status === 'rejected') expect(isStoreError(answer.reason, 'already_exists')).toBe(true);
      const bytes = await store.get('race/big');
      expect([bytes.length, bytes.find((byte) => byte !== won[0])]).toEqual([17 * 1024 * 1024, undefined]);
    });

    it('lists and removes more than one request can', { timeout: 60_000 }, async () => {
      const keys = Array.from({ length: 1010 }, (_, i) => `many/${String(i).padStart(5, '0')}`);
      for (let at = 0; at < keys.length; at += 50)
        await Promise.all(keys.slice(at, at + 50).map((key) => store.put(key, bytesOf(key))));
      expect(await keysOf('many/')).toEqual(keys);
      await store.remove(keys);
      expect(await keysOf('many/')).toEqual([]);
    });

    it('has what was put when it is opened again', async () => {
      await store.put('kept/object', bytesOf('kept'));
      const again = await reopen();
      expect(textOf(await again.get('kept/object'))).toBe('kept');
      await again.close();
    });

    it('has what was put last, whatever older versions are removed', async () => {
      const bytes = new TextEncoder().encode('newest');
      await store.put('a/b', new TextEncoder().encode('older'));
      await store.put('a/b', bytes);
      await store.removeOlder(['a/b', 'a/never']);
      expect(Buffer.from(await store.get('a/b')).toString()).toBe('newest');
    });

    it('installs rules for deletion by age, or says why not', async () => {
      const rule = { id: 'r30', prefix: 'v1/r30/', days: 32 };
      const answer = await store.expireByAge([rule]);
      expect(answer.installed || answer.reason).toBeTruthy();
      expect((await store.expireByAge([rule])).installed).toBe(answer.installed);
      expect(await store.expiryRules()).toEqual(answer.installed ? [rule] : []);
    });
  });
}
