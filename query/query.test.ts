import { gunzipSync } from 'node:zlib';
import { tableFromIPC } from '@uwdata/flechette';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  API_ERRORS,
  MARKER_COLUMNS,
  SEGMENT_COLUMNS,
  type Me,
  type SchemaAnswer,
  type SessionManifest,
  type SessionsAnswer,
  type SessionSummary,
  type SqlAnswer,
} from '#api';
import {
  sessionId,
  startQuery,
  type FixtureLake,
  type FixtureReply,
  type FixtureServer,
} from './fixture-lake.ts';
import {
  A,
  B,
  DAY_MS,
  errorOf,
  KEY,
  NOW,
  OTHER_KEY,
  OTHERS,
  PROJECTS,
  STEP2,
  stuck,
  T0,
  twoProjects,
} from './fixture-story.ts';
import { encodeAddress } from './plan.ts';

const FOUNDING = `SELECT session_id, count(*) AS clicks, min(ts) AS first_click, replay_url(session_id, min(ts))
  FROM disabled_clicks WHERE url LIKE '%/signup/step-2%' GROUP BY session_id`;
const NOWHERE = encodeAddress({ ordinal: 0, firstSeq: 500, lastSeq: 600 });

describe('the query service', () => {
  let lake: FixtureLake;
  let server: FixtureServer;
  const sql = (text: string, key = KEY, more: object = {}) =>
    server.send('POST', '/v1/sql', { sql: text, ...more }, key);
  const rows = async (text: string, key = KEY): Promise<unknown[][]> =>
    (await sql(text, key)).json<SqlAnswer>().rows as unknown[][];
  const manifestOf = async (id: string, key = KEY): Promise<SessionManifest> =>
    (await server.get(`/v1/sessions/${id}/manifest`, key)).json<SessionManifest>();

  beforeAll(async () => {
    lake = await twoProjects();
    server = await startQuery(lake, PROJECTS, { nowMs: NOW });
  });
  afterAll(async () => {
    await server.close();
    await lake.close();
  });

  describe('SQL', () => {
    it('answers the founding question with each session, its clicks and where to watch them', async () => {
      const answer = (await sql(FOUNDING)).json<SqlAnswer>();
      expect(answer.columns.map(({ type }) => type)).toEqual([
        ...['VARCHAR', 'BIGINT', 'TIMESTAMP WITH TIME ZONE', 'VARCHAR'],
      ]);
      expect(answer.rows.toSorted()).toEqual([
        [A, 3, '2026-03-10T10:00:01.000Z', `/sessions/${A}?at=${T0 + 1000}`],
        [B, 3, '2026-03-10T10:01:01.000Z', `/sessions/${B}?at=${T0 + 61_000}`],
      ]);
      expect(answer).toMatchObject({ truncated: false, freshness: { files: 2, asOfMs: NOW } });
    });
    it('compares those who had the fix with those who had not', async () => {
      expect(
        await rows(`SELECT v.props->>'$.fix' AS fix, count(*), count(*) FILTER (s.last_url LIKE '%/done')
          FROM custom_events v JOIN sessions s USING (session_id) WHERE v.name = 'variant' GROUP BY fix`),
      ).toEqual([['false', 2, 0]]);
    });
    it('takes values for parameters, and cuts at rowsMax', async () => {
      const reply = await sql(`SELECT type FROM events WHERE node_id = $1 AND url LIKE $2 ORDER BY ts`, KEY, {
        params: [9, '%step-2'],
        rowsMax: 2,
      });
      expect(reply.json<SqlAnswer>()).toMatchObject({ rows: [['click'], ['click']], truncated: true });
    });
    it('answers as CSV and as Arrow, with what JSON says beside the rows in headers', async () => {
      const text = `SELECT session_id, ts FROM errors ORDER BY ts LIMIT 1`;
      const asCsv = await sql(text, KEY, { format: 'csv' });
      expect(asCsv.text).toBe(`session_id,ts\r\n${A},2026-03-10T10:00:03.000Z\r\n`);
      expect(asCsv.headers).toMatchObject({ 'x-truncated': 'false', 'x-fresh-as-of': String(NOW) });
      expect(asCsv.headers['content-type']).toContain('text/csv');
      const asArrow = await sql(text, KEY, { format: 'arrow' });
      expect(tableFromIPC(asArrow.bytes).toArray()).toEqual([{ session_id: A, ts: T0 + 3000 }]);
    });
    it('has every view over an empty lake', async () => {
      const { views } = (await server.get('/v1/schema', 'ak_empty')).json<SchemaAnswer>();
      expect(views.length).toBeGreaterThan(7);
      for (const { name } of views) expect(await rows(`SELECT * FROM ${name}`, 'ak_empty')).toEqual([]);
    });
    it('tells pages with how long the visitor stayed', async () => {
      expect(await rows(`SELECT url, kind, duration_s FROM pages WHERE session_id = '${A}'`)).toEqual([
        [STEP2, 'load', 2.997],
      ]);
    });
  });

  describe('tenants', () => {
    it('no route gives one project a row of another', async () => {
      expect(await rows('SELECT DISTINCT project, session_id FROM events', OTHER_KEY)).toEqual([
        ['two', OTHERS],
      ]);
      expect(await rows('SELECT count(*) FROM events', 'ak_empty')).toEqual([[0]]);
      const listed = (await server.get('/v1/sessions', OTHER_KEY)).json<SessionsAnswer>();
      expect(listed.sessions.map(({ id }) => id)).toEqual([OTHERS]);
      const [segment] = (await manifestOf(A)).segments;
      for (const path of ['', '/manifest', '/markers', `/segments/${segment!.n}`]) {
        expect((await server.get(`/v1/sessions/${A}${path}`, KEY)).status).toBe(200);
        expect(errorOf(await server.get(`/v1/sessions/${A}${path}`, OTHER_KEY))).toMatchObject({
          code: 'unknown_session',
        });
      }
      expect((await server.send('DELETE', `/v1/sessions/${A}`, undefined, OTHER_KEY)).status).toBe(404);
      expect((await server.get(`/v1/sessions/${A}`, KEY)).status).toBe(200);
    });
    it('a page of any origin may ask, with a key', async () => {
      const asked = await server.send('OPTIONS', `/v1/sessions/${A}/manifest`, undefined, '');
      expect([asked.status, asked.headers['access-control-allow-headers']]).toEqual([
        204,
        'authorization, content-type, if-none-match',
      ]);
      const { headers } = await server.get(`/v1/sessions/${A}/manifest`, KEY);
      expect(headers['access-control-allow-origin']).toBe('*');
      expect(headers['access-control-allow-credentials']).toBeUndefined();
    });
    it('a key is asked for its scopes', async () => {
      expect((await server.get('/v1/me', 'ak_play')).json<Me>()).toEqual({
        ...{ project: 'one', retentionDays: 30, scopes: ['play'] },
      });
      expect((await sql('SELECT 1', 'ak_play')).status).toBe(403);
      expect((await server.get(`/v1/sessions/${A}/manifest`, 'ak_query')).status).toBe(403);
      expect((await server.send('DELETE', `/v1/sessions/${A}`, undefined, 'ak_play')).status).toBe(403);
      expect((await server.get('/v1/sessions', 'ak_play')).status).toBe(200);
      expect((await server.get('/v1/sessions', 'ak_query')).status).toBe(200);
    });
  });

  describe('sessions', () => {
    it('are listed newest first, with what happened in them', async () => {
      const { sessions, cursor } = (await server.get('/v1/sessions', KEY)).json<SessionsAnswer>();
      expect(cursor).toBeUndefined();
      expect(sessions.map(({ id }) => id)).toEqual([B, A]);
      expect(sessions[1]).toEqual({
        ...{
          id: A,
          startMs: T0,
          endMs: T0 + 3000,
          events: 12,
          pages: 1,
          clicks: 3,
          inputs: 2,
          rageClicks: 1,
          deadClicks: 0,
        },
        ...{ disabledClicks: 3, errors: 1, firstUrl: STEP2, lastUrl: STEP2, browser: 'Chrome', os: 'Linux' },
        ...{ viewport: [1280, 720], expiresMs: T0 + 3000 + 30 * DAY_MS },
        activity: [4, 1, 1, 1, 3, 0, 1, 0, 0, 1],
      } satisfies SessionSummary);
      expect(sessions[0]!.expiresMs).toBe(T0 + 63_000 + 90 * DAY_MS);
    });
    it.each([
      ['limit=1', [B]],
      [`limit=1&cursor=${B}`, [A]],
      [`cursor=${A}`, []],
      [`fromMs=${T0 + 1}`, [B]],
      [`fromMs=${T0}&toMs=${T0 + 60_000}`, [A]],
      ['fromMs=Infinity', []],
      ['fromMs=1e300', []],
      ['toMs=Infinity', [B, A]],
      [`toMs=${Number.MAX_SAFE_INTEGER}`, [B, A]],
      ['signal=disabled', [B, A]],
      ['signal=rage&search=CONTINUE', [B, A]],
      ['search=signup/STEP', [B, A]],
      ['search=%25', []],
      ["search='", []],
    ])('?%s', async (query, ids) => {
      const { sessions } = (await server.get(`/v1/sessions?${query}`, KEY)).json<SessionsAnswer>();
      expect(sessions.map(({ id }) => id)).toEqual(ids);
    });
    it('the cursor leads through all of them once', async () => {
      const first = (await server.get('/v1/sessions?limit=1', KEY)).json<SessionsAnswer>();
      const second = (
        await server.get(`/v1/sessions?limit=1&cursor=${first.cursor}`, KEY)
      ).json<SessionsAnswer>();
      expect([...first.sessions, ...second.sessions].map(({ id }) => id)).toEqual([B, A]);
      expect(second.cursor).toBeUndefined();
    });
  });

  describe('playback', () => {
    it('a manifest leads to all events of a session, once, in order', async () => {
      const manifest = await manifestOf(A);
      expect(manifest).toMatchObject({ id: A, startMs: T0, endMs: T0 + 3000, summary: { id: A, clicks: 3 } });
      expect(manifest.segments.map(({ rows: n, snapshot }) => [n, snapshot])).toEqual([
        [1, false],
        [11, true],
      ]);
      const played: unknown[] = [];
      for (const { n } of manifest.segments) {
        const reply = await server.get(`/v1/sessions/${A}/segments/${n}`, KEY);
        expect(reply.headers['content-type']).toBe('application/vnd.apache.arrow.stream');
        const table = tableFromIPC(reply.bytes);
        expect(table.names).toEqual([...SEGMENT_COLUMNS]);
        played.push(...table.toArray());
      }
      expect(played).toEqual(
        stuck(T0).map(({ tsMs, type, replayType }, i) => ({
          ts: tsMs,
          type: replayType ?? (type === 'meta' ? 4 : type === 'snapshot' ? 2 : 3),
          kind: 'event',
          payload: JSON.stringify({ of: type, i }),
        })),
      );
    });
    it('a segment is not sent again to who has it, and is gzipped for who can read that', async () => {
      const id = sessionId(T0, 77);
      const long = stuck(T0).map((event) => ({ ...event, payload: JSON.stringify('x'.repeat(1000)) }));
      await lake.flush([{ project: 'two', id, events: long }]);
      server.setNow(NOW + 1000);
      const n = (await manifestOf(id, OTHER_KEY)).segments[1]!.n;
      const path = `/v1/sessions/${id}/segments/${n}`;
      const plain = await server.get(path, OTHER_KEY);
      expect(plain.headers['cache-control']).toBe('private, no-cache');
      const again = await server.get(path, OTHER_KEY, { 'if-none-match': String(plain.headers.etag) });
      expect([again.status, again.text]).toEqual([304, '']);
      const zipped = await server.get(path, OTHER_KEY, { 'accept-encoding': 'br, gzip' });
      expect(zipped.headers['content-encoding']).toBe('gzip');
      expect(gunzipSync(zipped.bytes).equals(plain.bytes)).toBe(true);
    });
    it('markers tell what can be looked for, typing into one field once', async () => {
      const table = tableFromIPC((await server.get(`/v1/sessions/${A}/markers`, KEY)).bytes);
      expect(table.names).toEqual([...MARKER_COLUMNS]);
      expect(table.toArray().map(({ ts, type, label, node_id }) => [ts - T0, type, label, node_id])).toEqual([
        [3, 'navigation', STEP2, null],
        [500, 'input', '', 7],
        [1000, 'disabled', 'Continue', 9],
        [1200, 'disabled', 'Continue', 9],
        [1400, 'disabled', 'Continue', 9],
        [1401, 'rage', 'Continue', 9],
        [2000, 'track', 'variant', null],
        [3000, 'error', 'boom', null],
      ]);
    });
  });

  describe('errors', () => {
    it.each<[string, () => Promise<FixtureReply>, string]>([
      ['no key', () => server.get('/v1/sessions'), 'unauthorized'],
      ['a key of nobody', () => server.get('/v1/sessions', 'ak_nobody'), 'unauthorized'],
      [
        'a key of nobody before bad input',
        () => server.send('POST', '/v1/sql', {}, 'ak_nobody'),
        'unauthorized',
      ],
      ['a key without the scope', () => sql('SELECT 1', 'ak_play'), 'forbidden'],
      ['no statement', () => server.send('POST', '/v1/sql', {}, KEY), 'bad_request'],
      ['a format that we have not', () => sql('SELECT 1', KEY, { format: 'xml' }), 'bad_request'],
      ['too many rows', () => sql('SELECT 1', KEY, { rowsMax: 1e9 }), 'bad_request'],
      ['a parameter that is a list', () => sql('SELECT $1', KEY, { params: [[1]] }), 'bad_request'],
      ['a limit over the bound', () => server.get('/v1/sessions?limit=201', KEY), 'bad_request'],
      ['a cursor that is none', () => server.get('/v1/sessions?cursor=x', KEY), 'bad_request'],
      ['a segment that is no number', () => server.get(`/v1/sessions/${A}/segments/x`, KEY), 'bad_request'],
      [
        'a session that nobody has',
        () => server.get(`/v1/sessions/${sessionId(T0, 99)}`, KEY),
        'unknown_session',
      ],
      ['a session id that is none', () => server.get('/v1/sessions/x/manifest', KEY), 'unknown_session'],
      ['markers of nothing', () => server.get(`/v1/sessions/${OTHERS}/markers`, KEY), 'unknown_session'],
      [
        'erasure of nothing',
        () => server.send('DELETE', '/v1/sessions/x', undefined, KEY),
        'unknown_session',
      ],
      [
        'a segment out of nowhere',
        () => server.get(`/v1/sessions/${A}/segments/${NOWHERE}`, KEY),
        'unknown_segment',
      ],
      ['SQL with a slip', () => sql('SELEKT 1'), 'sql_syntax'],
      ['a column that is not', () => sql('SELECT nothing FROM events'), 'sql_syntax'],
      ['a value too few', () => sql('SELECT $1'), 'sql_syntax'],
      ['two statements', () => sql('SELECT 1; SELECT 2'), 'sql_not_select'],
      ['a write', () => sql('DROP VIEW events'), 'sql_not_select'],
      ['a file', () => sql(`SELECT * FROM read_text('/etc/passwd')`), 'sql_not_allowed'],
      ['a cast that fails', () => sql(`SELECT url::INTEGER FROM events`), 'sql_failed'],
      ['an address of nothing', () => server.get('/v1/nothing', KEY), 'no_route'],
    ])('%s', async (_, ask, code) => {
      const { error } = (await ask().then((reply) => {
        expect(reply.status).toBe(API_ERRORS[code as keyof typeof API_ERRORS].status);
        return reply.json();
      })) as { error: { code: string; message: string } };
      expect(error.code).toBe(code);
      expect(error.message).not.toMatch(/\.$/);
    });
    it('bad input is told where it is', async () => {
      expect(errorOf(await sql('SELECT 1', KEY, { format: 'xml' }))).toMatchObject({
        message: expect.stringContaining('body/format'),
      });
    });
  });
});
