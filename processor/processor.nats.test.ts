import { randomUUID } from 'node:crypto';
import { describe, expect, inject, it } from 'vitest';
import { keyOf, openHarness, until } from './processor.harness.ts';
import { append, createSender, pageLoad, sessionAt } from './samples.ts';

const natsUrl = inject('natsUrl');

describe.skipIf(!natsUrl)('on JetStream', () => {
  it('two processors that overlap, one of them started anew, store each event once', async () => {
    const lake = await openHarness(`${natsUrl}/REC_${randomUUID().replaceAll('-', '')}`);
    try {
      const startMs = Date.now();
      const sent: string[] = [];
      const record = async (from: number): Promise<void> => {
        for (let n = from; n < from + 10; n++) {
          const session = sessionAt(startMs, n);
          const sender = createSender({ project: 'shop', session, rid: `rid-${n}` });
          await append(lake.stream, sender.batch(pageLoad(9, startMs), { frameBytes: 200 }));
          for (let seq = 1; seq <= 9; seq++) sent.push(`${session} rid-${n} ${seq}`);
        }
      };
      const [one] = [lake.start(), lake.start({ env: { COMPACT_INTERVAL_MS: '1000' } })];
      await record(0);
      await one.service.stop();
      lake.start();
      await record(10);
      await until(async () => expect((await lake.rows('shop')).map(keyOf).sort()).toEqual(sent.toSorted()));
    } finally {
      await lake.close();
    }
  });
});
