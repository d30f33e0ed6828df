import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { maintenanceContract } from './maintenance.contract.ts';
import { openStore } from './store.ts';

maintenanceContract('the lake in a directory', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'lake-'));
  return { store: await openStore(dir), close: () => rm(dir, { recursive: true, force: true }) };
});
