import { describe, expect, it } from 'vitest';
import { API_ERRORS, type SqlAnswer } from '#api';
import { StoreError, type Store } from '#store';
import { startQuery } from './fixture-lake.ts';
import {
  A,
  errorOf,
  KEY,
  NOW,
  OTHER_KEY,
  OTHERS,
  PROJECTS,
  stuck,
  T0,
  twoProjects,
} from './fixture-story.ts';

describe('limits of a statement', () => {
  it('time and memory end it with their codes, and the next one is answered', async () => {
    const lake = await twoProjects();
    const config = { SQL_TIMEOUT_MS: 1500, SQL_MEMORY_BYTES_MAX: 64 * 1024 * 1024, SQL_CHILDREN_MAX: 1 };
    const server = await startQuery(lake, PROJECTS, { nowMs: NOW, config });
    const sql = (text: string, key = KEY) => server.send('POST', '/v1/sql', { sql: text }, key);
    const endless =
      'SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range + b.range = -1';
    try {
      // With both lakes looked at nothing is waited for between the request and the statement.
      await sql('SELECT 1', OTHER_KEY);
      await sql('SELECT 1');
      const late = sql(endless);
      await server.get('/v1/me', KEY);
      expect(errorOf(await sql('SELECT 1', OTHER_KEY))).toMatchObject({ status: 429, code: 'sql_busy' });
      expect(errorOf(await late)).toMatchObject({ status: 408, code: 'sql_timeout' });
      expect(errorOf(await sql('SELECT len(generate_series(1, 2000000000))'))).toMatchObject({
        ...{ status: 413, code: 'sql_memory' },
      });
      expect((await sql('SELECT count(*) FROM sessions')).json<SqlAnswer>().rows).toEqual([[2]]);
      const metrics = (await server.get('/metrics')).text;
      for (const outcome of ['ok', 'sql_busy', 'sql_timeout', 'sql_memory'])
        expect(metrics).toContain(`mutoscope_query_statements_total{lane="sql",outcome="${outcome}"} `);
    } finally {
      await server.close();
      await lake.close();
    }
  });
});

describe('what is not what was written', () => {
  it.each([
    ['a file of events', '/events/project=one/', 'sql'],
    ['a file of replay', '/replay/project=one/', 'play'],
    ['the manifest', '/manifest/project=one/0', 'sql'],
    ['the manifest', '/manifest/project=one/0', 'play'],
  ])('%s (%s) is told of, and keeps nothing from other projects: %s', async (_, part, how) => {
    const lake = await twoProjects();
    await lake.compact('one', [{ project: 'one', id: A, events: stuck(T0) }]);
    await lake.compact('two', [{ project: 'two', id: OTHERS, events: stuck(T0 + 120_000) }]);
    const server = await startQuery(lake, PROJECTS, { nowMs: NOW });
    const ask = (key: string, session: string) =>
      how === 'sql'
        ? server.send('POST', '/v1/sql', { sql: 'SELECT count(*) FROM events' }, key)
        : server.get(`/v1/sessions/${session}/manifest`, key);
    try {
      const keys: string[] = [];
      for await (const { key } of lake.store.list('')) if (key.includes(part)) keys.push(key);
      expect(keys).toHaveLength(1);
      const whole = await lake.store.get(keys[0]!);
      await lake.store.put(keys[0]!, whole.subarray(0, whole.length - 9));
      expect(errorOf(await ask(KEY, A))).toMatchObject({ status: 500, code: 'lake_damaged' });
      expect((await ask(OTHER_KEY, OTHERS)).status).toBe(200);
      expect((await server.get('/readyz')).status).toBe(200);
      await lake.store.remove(keys);
      if (!part.startsWith('/manifest'))
        expect(errorOf(await ask(KEY, A))).toMatchObject({ status: 500, code: 'lake_damaged' });
      await lake.store.put(keys[0]!, whole);
      expect((await ask(KEY, A)).status).toBe(200);
    } finally {
      await server.close();
      await lake.close();
    }
  });
});

describe('a store that does not answer', () => {
  it.each([
    [new StoreError('store_unavailable', 'connection refused at 10.0.0.7'), 'store_unavailable'],
    [new Error('a bug with a secret'), 'internal'],
  ] as const)(
    '%s is answered as %s, makes it not ready, and is over when the store is back',
    async (failure, code) => {
      const lake = await twoProjects();
      let down = true;
      const store: Store = {
        ...lake.store,
        get: (key, range) => lake.store.get(key, range),
        list: (prefix) => {
          if (down) throw failure;
          return lake.store.list(prefix);
        },
      };
      const server = await startQuery(lake, PROJECTS, { nowMs: NOW, store });
      try {
        const reply = await server.get('/v1/sessions', KEY);
        expect(errorOf(reply)).toMatchObject({ code, status: API_ERRORS[code].status });
        expect(reply.text).not.toContain(failure.message);
        const readiness = await server.get('/readyz');
        expect(readiness.status).toBe(503);
        expect(readiness.text).toContain('the lake could not be read');
        expect(readiness.text, 'nobody was asked for a key').not.toContain(failure.message);
        down = false;
        expect((await server.get('/v1/sessions', KEY)).status).toBe(200);
        expect((await server.get('/readyz')).status).toBe(200);
        await server.drain();
        expect(server.problems()).toEqual(['query is going down']);
      } finally {
        await server.close();
        await lake.close();
      }
    },
  );
});
