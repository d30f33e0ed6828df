import { afterAll, expect, test } from 'vitest';
import { createHttp, createLog, createMetrics } from '#service';
import { serveDemo } from './demo.ts';

const http = createHttp(createLog('silent'), createMetrics({ process: false }), () => []);
serveDemo(http, { writeKey: 'wk_Abc-12_x' });
afterAll(() => http.close());

test('every address under /demo/ is the page, with the write key filled in', async () => {
  for (const url of ['/demo/', '/demo/signup/step-2', '/demo/signup/step-2?fix=1']) {
    const answer = await http.inject({ url });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['content-type']).toMatch('text/html');
    expect(answer.body).toContain('src="/r/loader.js" data-key="wk_Abc-12_x"');
    expect(answer.body).not.toContain('__WRITE_KEY__');
  }
});

test('the page’s files come with their types', async () => {
  expect((await http.inject({ url: '/demo/styles.css' })).headers['content-type']).toMatch('text/css');
  expect((await http.inject({ url: '/demo/app.js' })).headers['content-type']).toMatch('text/javascript');
  expect((await http.inject({ url: '/demo' })).headers.location).toBe('/demo/');
});

test('a write key that could leave its attribute is refused', () => {
  const other = createHttp(createLog('silent'), createMetrics({ process: false }), () => []);
  expect(() => serveDemo(other, { writeKey: 'wk_"><script>' })).toThrow('is not wk_…');
});
