import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, inject } from 'vitest';
import { eraseContract } from './erase.contract.ts';
import { openStore } from './store.ts';

const natsUrl = inject('natsUrl');

describe.skipIf(!natsUrl)('with JetStream', () => {
  eraseContract(
    'erasure from JetStream',
    async () => {
      const dir = await mkdtemp(join(tmpdir(), 'lake-'));
      return {
        store: await openStore(dir),
        close: () => rm(dir, { recursive: true, force: true }),
        streamed: `${natsUrl}/REC_${randomUUID().replaceAll('-', '')}`,
      };
    },
    25,
  );
});
