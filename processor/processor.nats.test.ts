import { randomUUID } from 'node:crypto';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
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

  it(
    'what comes when the stream was lost under running processors is stored once',
    { timeout: 60_000 },
    async () => {
      const location = `${natsUrl}/REC_${randomUUID().replaceAll('-', '')}`;
      const lake = await openHarness(location);
      try {
        const startMs = Date.now();
        const sender = createSender({ project: 'shop', session: sessionAt(startMs, 1), rid: 'rid-1' });
        const { service } = lake.start();
        for (let i = 0; i < 3; i++) await append(lake.stream, sender.batch(pageLoad(5, startMs)));
        await until(async () => expect(await lake.rows('shop')).toHaveLength(15));
        const connection = await connect({ servers: natsUrl! });
        await (await jetstreamManager(connection)).streams.delete(location.slice(natsUrl!.length + 1));
        await connection.close();
        await append(lake.stream, sender.batch(pageLoad(5, startMs)));
        await until(async () => expect(await lake.rows('shop')).toHaveLength(20), 40_000);
        expect(new Set((await lake.rows('shop')).map(keyOf)).size).toBe(20);
        expect(service.problems()).toEqual([]);
      } finally {
        await lake.close();
      }
    },
  );
});
