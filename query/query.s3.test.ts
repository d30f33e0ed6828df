import { randomUUID } from 'node:crypto';
import { tableFromIPC } from '@uwdata/flechette';
import { describe, expect, inject, it } from 'vitest';
import type { ErasureAnswer, SessionManifest, SqlAnswer } from '#api';
import { fixtureProject, openFixtureLake, sessionId, startQuery } from './fixture-lake.ts';

const s3 = inject('s3');
const T0 = Date.parse('2026-03-10T10:00:00Z');

describe.skipIf(!s3)('over a lake on an S3 server', () => {
  process.env.AWS_ACCESS_KEY_ID = s3?.accessKey;
  process.env.AWS_SECRET_ACCESS_KEY = s3?.secretKey;

  it('answers SQL from local copies, plays by ranged gets, and erases', async () => {
    const lake = await openFixtureLake(`s3://query-${randomUUID()}/lake?endpoint=${s3?.endpoint}`);
    const project = fixtureProject('one', { ak_one: ['query', 'play', 'erase'] });
    const server = await startQuery(lake, [project], { nowMs: T0 + 60_000 });
    const id = sessionId(T0, 1);
    const events = ['meta', 'snapshot', 'click', 'click'].map((type, i) => ({
      tsMs: T0 + i,
      type,
      url: '/step-2',
    }));
    const clicks = async (): Promise<unknown> =>
      (
        await server.send('POST', '/v1/sql', { sql: 'SELECT count(*) FROM clicks' }, 'ak_one')
      ).json<SqlAnswer>().rows;
    try {
      await lake.flush([{ project: 'one', id, events }]);
      expect(await clicks()).toEqual([[2]]);
      await lake.compact('one', [{ project: 'one', id, events }]);
      server.setNow(T0 + 61_000);
      expect(await clicks()).toEqual([[2]]);
      const manifest = (await server.get(`/v1/sessions/${id}/manifest`, 'ak_one')).json<SessionManifest>();
      const segment = await server.get(`/v1/sessions/${id}/segments/${manifest.segments[0]!.n}`, 'ak_one');
      expect(tableFromIPC(segment.bytes).numRows).toBe(4);
      const erasure = await server.send('DELETE', `/v1/sessions/${id}`, undefined, 'ak_one');
      expect(erasure.json<ErasureAnswer>()).toMatchObject({ session: id, done: false });
      expect(await clicks()).toEqual([[0]]);
    } finally {
      await server.close();
      await lake.close();
    }
  });
});
