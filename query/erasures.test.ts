import { afterEach, beforeEach, expect, it } from 'vitest';
import { ERASURES_MAX, type ErasuresAnswer, type ErasuresRequest, type SqlAnswer } from '#api';
import { paths } from '#layout';
import { visitorUntilMs } from '#store';
import {
  openFixtureLake,
  sessionId,
  startQuery,
  type FixtureLake,
  type FixtureServer,
} from './fixture-lake.ts';
import { A, B, errorOf, KEY, NOW, OTHER_KEY, OTHERS, PROJECTS, stuck, T0 } from './fixture-story.ts';

const VISITOR = 'mira@shop.example';
const identify = (tsMs: number, name: string) => ({ tsMs, type: 'identify', replayType: 5, name });
const C = sessionId(T0 + 30_000, 7);
let lake: FixtureLake;
let server: FixtureServer;
beforeEach(async () => {
  lake = await openFixtureLake();
  await lake.flush([
    { project: 'one', id: A, events: [...stuck(T0), identify(T0 + 4000, VISITOR)] },
    { project: 'two', id: OTHERS, events: [...stuck(T0 + 120_000), identify(T0 + 124_000, VISITOR)] },
  ]);
  const known = {
    tsMs: T0 + 30_000,
    type: 'environment',
    replayType: 5,
    props: JSON.stringify({ visitor: VISITOR }),
  };
  await lake.compact('one', [
    { project: 'one', id: A, events: [...stuck(T0), identify(T0 + 4000, VISITOR)] },
    { project: 'one', id: C, events: [known] },
  ]);
  await lake.flush(
    [{ project: 'one', id: B, events: [...stuck(T0 + 60_000), identify(T0 + 64_000, 'other')] }],
    90,
  );
  server = await startQuery(lake, PROJECTS, { nowMs: NOW });
});
afterEach(async () => {
  await server.close();
  await lake.close();
});

const ask = (body: ErasuresRequest, key = KEY) => server.send('POST', '/v1/erasures', body, key);
async function seen(key = KEY): Promise<unknown[]> {
  const statement = { sql: 'SELECT DISTINCT session_id FROM events ORDER BY 1' };
  return (await server.send('POST', '/v1/sql', statement, key)).json<SqlAnswer>().rows.flat();
}
async function stored(): Promise<string[]> {
  const keys: string[] = [];
  for (const prefix of [paths.erasuresPrefix, paths.visitorErasuresPrefix])
    for await (const { key } of lake.store.list(prefix)) keys.push(key);
  return keys;
}

it('tells what a predicate would erase, and then erases just that', async () => {
  const sql = `SELECT session_id FROM events WHERE type = 'rage' -- who raged`;
  const dry = await ask({ sql, dryRun: true });
  expect([dry.status, dry.json()]).toEqual([
    200,
    { dryRun: true, requestedMs: NOW, sessions: 2, rows: 26, bytes: expect.any(Number), first: [A, B] },
  ]);
  expect(dry.json<ErasuresAnswer>().bytes).toBeGreaterThan(500);
  expect([await seen(), await stored()]).toEqual([[A, C, B], []]);
  const reply = await ask({ sql });
  expect([reply.status, reply.json()]).toEqual([202, { ...dry.json<ErasuresAnswer>(), dryRun: false }]);
  expect([await seen(), await seen(OTHER_KEY)]).toEqual([[C], [OTHERS]]);
  expect(await stored()).toEqual([paths.erasure('one', A), paths.erasure('one', B)].sort());
  expect((await ask({ sql })).json()).toMatchObject({ sessions: 0, rows: 0, bytes: 0, first: [] });
});

it('erases nothing of another project, whatever ids a predicate gives', async () => {
  const sql = `SELECT '${OTHERS}' AS session_id UNION ALL SELECT 'x' UNION ALL SELECT NULL`;
  expect((await ask({ sql })).json()).toMatchObject({ sessions: 0 });
  expect(await stored()).toEqual([]);
  expect(await seen(OTHER_KEY)).toEqual([OTHERS]);
});

it('erases the sessions of a visitor, and keeps the request for those that are not known yet', async () => {
  expect((await ask({ visitor: VISITOR, dryRun: true })).json()).toMatchObject({
    sessions: 2,
    first: [A, C],
  });
  expect(await stored()).toEqual([]);
  const reply = await ask({ visitor: VISITOR });
  expect(reply.json()).toMatchObject({ sessions: 2, rows: 14, first: [A, C], untilMs: visitorUntilMs(NOW) });
  expect([await seen(), await seen(OTHER_KEY)]).toEqual([[B], [OTHERS]]);
  const requests = (await stored()).filter((key) => key.startsWith(paths.visitorErasuresPrefix));
  expect(requests).toHaveLength(1);
  expect(JSON.parse(Buffer.from(await lake.store.get(requests[0]!)).toString())).toEqual({
    ...{ v: 1, project: 'one', visitor: VISITOR, requestedMs: NOW, untilMs: visitorUntilMs(NOW) },
  });
});

it('erases one session, and gives its erasure as it is stored', async () => {
  expect((await ask({ session: A })).json()).toMatchObject({ sessions: 1, rows: 13, first: [A] });
  expect(await seen()).toEqual([C, B]);
  expect((await ask({ session: A })).status).toBe(202);
  const text = (await server.get(`/v1/erasures/${A}`, KEY)).text;
  expect(text).toBe(Buffer.from(await lake.store.get(paths.erasure('one', A))).toString());
  expect(errorOf(await server.get(`/v1/erasures/${B}`, KEY)).code).toBe('unknown_session');
  expect(errorOf(await server.get(`/v1/erasures/${A}`, OTHER_KEY)).code).toBe('unknown_session');
});

it('refuses what it does not do, and then does none of it', async () => {
  const many = `SELECT '${A.slice(0, 24)}' || right('000000000000' || CAST(n AS VARCHAR), 12) AS session_id
    FROM generate_series(1, ${ERASURES_MAX + 1}) t(n)`;
  for (const [body, code] of [
    [{}, 'bad_request'],
    [{ session: A, visitor: VISITOR }, 'bad_request'],
    [{ sql: 'SELECT 1 AS x' }, 'bad_request'],
    [{ sql: many }, 'erasure_too_large'],
    [{ sql: `SELECT * FROM read_csv('/etc/passwd')` }, 'sql_not_allowed'],
    [{ sql: 'DELETE FROM events' }, 'sql_not_select'],
    [{ session: OTHERS }, 'unknown_session'],
    [{ session: OTHERS, dryRun: true }, 'unknown_session'],
    [{ session: `../two/${OTHERS}` }, 'unknown_session'],
  ] as const)
    expect(errorOf(await ask(body)), JSON.stringify(body)).toMatchObject({ code });
  for (const key of ['ak_query', 'ak_play'])
    expect((await ask({ session: A, dryRun: true }, key)).status).toBe(403);
  expect(await stored()).toEqual([]);
});
