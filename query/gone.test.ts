import { tableFromIPC } from '@uwdata/flechette';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ErasureAnswer, SessionManifest, SessionsAnswer, SqlAnswer } from '#api';
import { paths } from '#layout';
import { openFixtureLake, startQuery, type FixtureLake, type FixtureServer } from './fixture-lake.ts';
import { A, B, DAY_MS, errorOf, KEY, NOW, PROJECTS, stuck, T0, twoProjects } from './fixture-story.ts';

describe('what is gone', () => {
  let lake: FixtureLake;
  let server: FixtureServer;
  beforeAll(async () => {
    lake = await twoProjects();
    server = await startQuery(lake, PROJECTS, { nowMs: NOW });
  });
  afterAll(async () => {
    await server.close();
    await lake.close();
  });
  const countOf = async (id: string): Promise<unknown> => {
    const statement = { sql: 'SELECT count(*) FROM events WHERE session_id = $1', params: [id] };
    const reply = await server.send('POST', '/v1/sql', statement, KEY);
    return (reply.json<SqlAnswer>().rows as unknown[][])[0]![0];
  };
  const playedOf = async (id: string): Promise<number> => {
    const reply = await server.get(`/v1/sessions/${id}/manifest`, KEY);
    if (reply.status === 404) return 0;
    let played = 0;
    for (const { n } of reply.json<SessionManifest>().segments)
      played += tableFromIPC((await server.get(`/v1/sessions/${id}/segments/${n}`, KEY)).bytes).numRows;
    return played;
  };

  it('is gone to the millisecond of its class, in SQL as in playback; another class lives on', async () => {
    const firstClickMs = T0 + 1000 + 30 * DAY_MS;
    for (const [nowMs, left] of [
      [T0 + 30 * DAY_MS, 12],
      [firstClickMs, 6],
      [firstClickMs + 1, 5],
      [T0 + 3000 + 30 * DAY_MS, 1],
      [T0 + 3001 + 30 * DAY_MS, 0],
    ] as const) {
      server.setNow(nowMs);
      expect([await countOf(A), await playedOf(A), await countOf(B)]).toEqual([left, left, 12]);
    }
    expect(errorOf(await server.get(`/v1/sessions/${A}`, KEY))).toMatchObject({ code: 'unknown_session' });
    server.setNow(T0 + 61_000 + 90 * DAY_MS);
    expect([await countOf(B), await playedOf(B)]).toEqual([6, 6]);
    server.setNow(NOW);
    expect(await countOf(A)).toBe(12);
  });

  it('an erased session cannot be read from the answer on, by any route, and its tombstone stands in the store', async () => {
    expect(await countOf(A)).toBe(12);
    const { n } = (await server.get(`/v1/sessions/${A}/manifest`, KEY)).json<SessionManifest>().segments[0]!;
    const reply = await server.send('DELETE', `/v1/sessions/${A}`, undefined, KEY);
    expect([reply.status, reply.json<ErasureAnswer>()]).toEqual([
      202,
      { session: A, requestedMs: NOW, done: false },
    ]);
    expect(await countOf(A)).toBe(0);
    for (const path of ['', '/manifest', '/markers', `/segments/${n}`])
      expect((await server.get(`/v1/sessions/${A}${path}`, KEY)).status).toBe(404);
    expect(
      (await server.get('/v1/sessions', KEY)).json<SessionsAnswer>().sessions.map(({ id }) => id),
    ).toEqual([B]);
    const tombstone = await lake.store.get(paths.erasure('one', A));
    expect(JSON.parse(Buffer.from(tombstone).toString())).toEqual({
      v: 1,
      project: 'one',
      session: A,
      requestedMs: NOW,
    });
  });

  it('who asks again for an erasure is told how far it is', async () => {
    server.setNow(NOW + 5000);
    const again = () => server.send('DELETE', `/v1/sessions/${A}`, undefined, KEY);
    expect((await again()).json()).toEqual({ session: A, requestedMs: NOW, done: false });
    const done = { atMs: NOW + 6000, rows: 24, messages: 0, filesRewritten: [] };
    const receipt = { v: 1, project: 'one', session: A, requestedMs: NOW, done };
    await lake.store.put(paths.erasure('one', A), Buffer.from(JSON.stringify(receipt)));
    expect((await again()).json()).toEqual({ session: A, requestedMs: NOW, done: true });
  });
});

describe('files that come and go', () => {
  it('a flush is seen after the refresh interval, and a compaction changes no answer and no segment', async () => {
    const lake = await openFixtureLake();
    const server = await startQuery(lake, PROJECTS, { nowMs: NOW });
    const session = { project: 'one', id: A, events: stuck(T0) };
    const count = async (): Promise<unknown> =>
      (
        await server.send('POST', '/v1/sql', { sql: 'SELECT count(*), count(DISTINCT seq) FROM events' }, KEY)
      ).json<SqlAnswer>().rows[0];
    try {
      expect(await count()).toEqual([0, 0]);
      await lake.flush([{ ...session, events: stuck(T0).slice(0, 7) }]);
      expect(await count()).toEqual([0, 0]);
      server.setNow(NOW + 50);
      expect(await count()).toEqual([7, 7]);
      await lake.flush([{ ...session, events: stuck(T0).slice(7), firstSeq: 8 }]);
      server.setNow(NOW + 100);
      expect(await count()).toEqual([12, 12]);
      const { segments } = (await server.get(`/v1/sessions/${A}/manifest`, KEY)).json<SessionManifest>();
      const read = async (): Promise<unknown[]> =>
        Promise.all(
          segments.map(async ({ n }) =>
            tableFromIPC((await server.get(`/v1/sessions/${A}/segments/${n}`, KEY)).bytes)
              .toArray()
              .map(({ ts }) => ts as number),
          ),
        );
      const before = await read();
      await lake.compact('one', [session]);
      for await (const { key } of lake.store.list(paths.l0Prefix))
        if (key.endsWith('.parquet')) await lake.store.remove([key]);
      expect(await count()).toEqual([12, 12]);
      expect(await read()).toEqual(before);
      server.setNow(NOW + 200);
      expect(await count()).toEqual([12, 12]);
      expect(await read()).toEqual(before);
    } finally {
      await server.close();
      await lake.close();
    }
  });
});
