import { tableFromIPC } from '@uwdata/flechette';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SessionManifest, SessionsAnswer, SqlAnswer } from '#api';
import { paths, type Hold, type RetentionLine } from '#layout';
import {
  openFixtureLake,
  sessionId,
  startQuery,
  type FixtureLake,
  type FixtureServer,
} from './fixture-lake.ts';
import { A, DAY_MS, errorOf, KEY, NOW, OTHER_KEY, PROJECTS, stuck, T0 } from './fixture-story.ts';

const CLASSES = [1, 30, 45, 90, 180, 365, 3650];
const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

describe('the end of a class', () => {
  const sessions = new Map(CLASSES.map((days, i) => [days, sessionId(T0, i + 1)]));
  const timesMs = stuck(T0).map(({ tsMs }) => tsMs);
  let lake: FixtureLake;
  let server: FixtureServer;
  beforeAll(async () => {
    lake = await openFixtureLake();
    for (const [days, id] of sessions) await lake.flush([{ project: 'one', id, events: stuck(T0) }], days);
    server = await startQuery(lake, PROJECTS, { nowMs: NOW });
  });
  afterAll(async () => {
    await server.close();
    await lake.close();
  });

  const bySql = async (): Promise<Map<string, number[]>> => {
    const sql = 'SELECT session_id, epoch_ms(ts) FROM events ORDER BY ts, seq';
    const found = new Map<string, number[]>();
    for (const [id, ms] of (await server.send('POST', '/v1/sql', { sql }, KEY)).json<SqlAnswer>()
      .rows as unknown as [string, number][])
      found.set(id, [...(found.get(id) ?? []), ms]);
    return found;
  };
  const byList = async (): Promise<Map<string, number>> => {
    const { sessions: listed } = (await server.get('/v1/sessions', KEY)).json<SessionsAnswer>();
    return new Map(listed.map(({ id, events }) => [id, events]));
  };
  const byPlayback = async (id: string): Promise<number[]> => {
    const reply = await server.get(`/v1/sessions/${id}/manifest`, KEY);
    if (reply.status === 404) return [];
    const played: number[] = [];
    for (const { n } of reply.json<SessionManifest>().segments) {
      const { status, bytes } = await server.get(`/v1/sessions/${id}/segments/${n}`, KEY);
      if (status === 200)
        played.push(
          ...tableFromIPC(bytes)
            .toArray()
            .map(({ ts }) => Math.floor(ts as number)),
        );
    }
    return played;
  };

  it('hides each row on its second in every reader, and none before', { timeout: 120_000 }, async () => {
    let overdue = 0;
    for (const days of CLASSES)
      for (let second = -2; second <= 4; second++) {
        const nowMs = T0 + days * DAY_MS + second * 1000;
        server.setNow(nowMs);
        const inSql = await bySql();
        const inList = await byList();
        for (const [own, id] of sessions) {
          const mayBeSeen = timesMs.filter((ms) => ms >= nowMs - own * DAY_MS);
          const at = `class ${own} at the end of ${days} days, second ${second}`;
          const seen = inSql.get(id) ?? [];
          // Only the session whose class ends is played each time: another's rows are all there or all gone.
          const played = own === days ? await byPlayback(id) : [];
          for (const ms of [...seen, ...played]) if (ms < nowMs - own * DAY_MS) overdue++;
          overdue += Math.max(0, (inList.get(id) ?? 0) - mayBeSeen.length);
          expect(seen, at).toEqual(mayBeSeen);
          expect(inList.get(id) ?? 0, at).toBe(mayBeSeen.length);
          if (own === days) expect(played, at).toEqual(mayBeSeen);
        }
      }
    process.stdout.write(`figure retention_overdue_rows_visible ${overdue}\n`);
    expect(overdue).toBe(0);
  });
});

describe('what an operator decided', () => {
  let lake: FixtureLake;
  let server: FixtureServer;
  beforeAll(async () => {
    lake = await openFixtureLake();
    await lake.flush([{ project: 'one', id: A, events: stuck(T0) }]);
    server = await startQuery(lake, PROJECTS, { nowMs: NOW });
  });
  afterAll(async () => {
    await server.close();
    await lake.close();
  });

  it('a held session is not erased before it is released', async () => {
    const hold: Hold = {
      ...{ v: 1, project: 'one', session: A, retentionDays: 30 },
      acts: [{ act: 'hold', atMs: NOW }],
    };
    await lake.store.put(paths.hold('one', A), json(hold));
    expect(errorOf(await server.send('DELETE', `/v1/sessions/${A}`, undefined, KEY))).toMatchObject({
      status: 409,
      code: 'on_hold',
    });
    expect((await server.get(`/v1/sessions/${A}`, KEY)).status).toBe(200);
    hold.acts.push({ act: 'release', atMs: NOW });
    await lake.store.put(paths.hold('one', A), json(hold));
    expect((await server.send('DELETE', `/v1/sessions/${A}`, undefined, KEY)).status).toBe(202);
  });

  it('retention_status tells what the last sweep found, of the own project alone', async () => {
    const line: RetentionLine = {
      ...{ retentionDays: 45, date: '2026-03-10', rows: 12, bytes: 4321, files: 3 },
      ...{ dueMs: Date.parse('2026-04-26T00:00:00Z'), overdueRows: 0, overdueBytes: 0 },
    };
    const ask = async (key: string, sql = 'SELECT * FROM Retention_Status'): Promise<unknown> =>
      (await server.send('POST', '/v1/sql', { sql }, key)).json<SqlAnswer>().rows;
    expect(await ask(KEY)).toEqual([]);
    const report = (project: string, lines: RetentionLine[]): Promise<void> =>
      lake.store.put(paths.retentionReport(project), json({ v: 1, project, atMs: NOW, lines }));
    await report('one', [line]);
    await report('two', [{ ...line, rows: 99 }]);
    expect(await ask(KEY)).toEqual([[45, '2026-03-10', 12, 4321, 3, '2026-04-26T00:00:00.000Z', 0, 0]]);
    expect(await ask(OTHER_KEY, 'SELECT sum(rows)::INTEGER FROM retention_status')).toEqual([[99]]);
    await report('one', [{ ...line, date: "x'; DROP" }]);
    const reply = await server.send('POST', '/v1/sql', { sql: 'FROM retention_status' }, KEY);
    expect(errorOf(reply)).toMatchObject({ code: 'sql_failed' });
    expect(reply.text).not.toContain('DROP');
  });
});
