import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openStore } from './store.ts';
import { storeContract } from './store.contract.ts';

const temporary = (): Promise<string> => mkdtemp(join(tmpdir(), 'store-'));

storeContract('a directory as store', async () => {
  const dir = await temporary();
  const store = await openStore(dir);
  return {
    store,
    reopen: () => openStore(dir),
    close: async () => {
      await store.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
});

describe('a directory as store', () => {
  it('shows nothing of what a crash left half written, and clears it after a while', async () => {
    const dir = await temporary();
    try {
      await mkdir(join(dir, '.tmp'));
      await writeFile(join(dir, '.tmp/young'), 'half');
      await writeFile(join(dir, '.tmp/old'), 'half');
      const longAgo = new Date(Date.now() - 2 * 3_600_000);
      await utimes(join(dir, '.tmp/old'), longAgo, longAgo);
      const store = await openStore(dir);
      for await (const { key } of store.list('')) expect.fail(`listed ${key}`);
      expect(await readdir(join(dir, '.tmp'))).toEqual(['young']);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });

  it('clears what another process left half written while it is open itself', async () => {
    const dir = await temporary();
    try {
      const store = await openStore(dir);
      await writeFile(join(dir, '.tmp/left'), 'half');
      const longAgo = new Date(Date.now() - 2 * 3_600_000);
      await utimes(join(dir, '.tmp/left'), longAgo, longAgo);
      await store.remove([]);
      expect(await readdir(join(dir, '.tmp'))).toEqual([]);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });

  it('removes folders that became empty, and takes puts into them meanwhile', async () => {
    const dir = await temporary();
    try {
      const store = await openStore(dir);
      const bytes = new Uint8Array(1);
      for (let round = 0; round < 20; round++) {
        await store.put('a/b/c/gone', bytes);
        await Promise.all([store.remove(['a/b/c/gone']), store.put(`a/b/c/${round}`, bytes)]);
        await store.remove([`a/b/c/${round}`]);
      }
      expect(await readdir(dir)).toEqual(['.tmp']);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});
