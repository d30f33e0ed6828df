import { afterAll, beforeAll, expect, test } from 'vitest';
import { createHttp, createLog, createMetrics, listen, type Http } from './service.ts';

let http: Http;
let url: string;
const reasons: string[] = [];
beforeAll(async () => {
  http = createHttp(createLog('silent'), createMetrics({ process: false }), () => reasons);
  http.get('/fails', () => {
    throw new Error('a secret of the server');
  });
  url = await listen(http, '127.0.0.1:0');
});
afterAll(() => http.close());

const ask = async (path: string): Promise<[number, unknown]> => {
  const reply = await fetch(url + path);
  return [reply.status, await reply.json()];
};

test.each([
  ['/nothing?key=x', 404, { code: 'no_route', message: 'there is nothing at GET /nothing' }],
  ['/%zz', 400, { code: 'bad_request', message: 'the address cannot be read' }],
  ['/fails', 500, { code: 'internal', message: 'the server failed; its log says why' }],
])('%s answers with a code and gives nothing away', async (path, status, error) => {
  expect(await ask(path)).toEqual([status, { error }]);
});

test('is ready when no service has a problem, and says which it has', async () => {
  expect(await ask('/readyz')).toEqual([200, { status: 'ready', reasons: [] }]);
  reasons.push('the stream is away');
  expect(await ask('/readyz')).toEqual([503, { status: 'not ready', reasons: ['the stream is away'] }]);
  expect(await ask('/healthz')).toEqual([200, { status: 'alive' }]);
});
