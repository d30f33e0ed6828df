import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eraseContract } from './erase.contract.ts';
import { openStore } from './store.ts';

eraseContract(
  'erasure in a directory',
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'lake-'));
    return { store: await openStore(dir), close: () => rm(dir, { recursive: true, force: true }) };
  },
  5,
);
