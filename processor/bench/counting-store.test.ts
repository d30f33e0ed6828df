import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openDirectoryStore } from '../directory-store.ts';
import { countRequests } from './counting-store.ts';

test('counts by verb, in bytes too, and begins anew when taken', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'counting-'));
  const store = countRequests(await openDirectoryStore(dir));
  await store.put('a/1', new Uint8Array(5));
  await store.put('a/2', new Uint8Array(7), { ifAbsent: true });
  await expect(store.put('a/2', new Uint8Array(1), { ifAbsent: true })).rejects.toThrow();
  expect(await store.get('a/1', { start: 1, end: 3 })).toHaveLength(2);
  await expect(store.get('a/3')).rejects.toThrow();
  const keys: string[] = [];
  for await (const { key } of store.list('a/')) keys.push(key);
  expect(keys).toEqual(['a/1', 'a/2']);
  await store.remove(keys);
  expect(store.take()).toEqual({ put: 3, get: 2, list: 1, removed: 2, putBytes: 13, getBytes: 2 });
  expect(store.take()).toEqual({ put: 0, get: 0, list: 0, removed: 0, putBytes: 0, getBytes: 0 });
  await rm(dir, { recursive: true });
});
