import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CONFIG, createHttp, createLog, createMetrics, readConfig } from './service.ts';

describe('the configuration', () => {
  test('has a default for everything, and each setting a sentence', () => {
    const config = readConfig({});
    expect(config).toMatchObject({
      ROLE: 'all',
      STREAM: './data/stream',
      STORE: './data/lake',
      CACHE_DIR: './data/cache',
      PUBLIC_URL: 'http://127.0.0.1:8080',
      FIRST_RETENTION_DAYS: 30,
    });
    expect(Object.keys(config)).toEqual(Object.keys(CONFIG));
    for (const [, , sentence] of Object.values(CONFIG)) expect(sentence).toMatch(/^.{10,}[^.]$/);
  });

  test('takes what the environment says, and what follows from it', () => {
    const config = readConfig({
      LISTEN: '0.0.0.0:80',
      DATA_DIR: '/d',
      STORE: 's3://b',
      FLUSH_INTERVAL_MS: '100',
    });
    expect(config).toMatchObject({
      ...{ STREAM: '/d/stream', STORE: 's3://b', FLUSH_INTERVAL_MS: 100 },
      PUBLIC_URL: 'http://0.0.0.0:80',
    });
    expect(readConfig({ FIRST_ORIGINS: 'https://a, https://b' }).FIRST_ORIGINS).toEqual([
      'https://a',
      'https://b',
    ]);
  });

  test.each([
    ['FLUSH_INTERVAL_MS', '50'],
    ['FLUSH_INTERVAL_MS', 'soon'],
    ['STREAM_BYTES_MAX', '1.5'],
    ['ROLE', 'everything'],
    ['FIRST_RETENTION_DAYS', '0'],
    ['FIRST_RETENTION_DAYS', '3651'],
    ['FIRST_RETENTION_DAYS', '30.5'],
  ])('%s=%s stops with the name and the value', (name, value) => {
    expect(() => readConfig({ [name]: value })).toThrow(`${name}="${value}" is`);
  });
});

describe('runUntilKilled', () => {
  /** In a process of its own, for signals are a process's. */
  const start = (script: string) => {
    const service = join(import.meta.dirname, 'service.ts');
    const child = spawn(
      process.execPath,
      [
        ...['--input-type=module', '--eval'],
        `import { createLog, runUntilKilled } from ${JSON.stringify(service)};
         const say = (text) => process.stdout.write(text + '\\n');
         const service = (name, overrides = {}) => {
           let end;
           const ended = new Promise((resolve) => (end = resolve));
           return {
             name,
             run: () => (say('run ' + name), ended),
             drain: async () => say('drain ' + name),
             stop: async () => (say('stop ' + name), end()),
             problems: () => [],
             ...overrides,
           };
         };
         const keepAlive = setInterval(() => {}, 1000);
         ${script}
         say('code ' + (await running));
         clearInterval(keepAlive);`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const lines: string[] = [];
    child.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(...text.trim().split('\n')));
    const heard = async (line: string): Promise<void> => {
      while (!lines.includes(line)) await once(child.stdout, 'data');
    };
    return { child, lines, heard, ended: once(child, 'close') };
  };

  test('drains in the order given, stops in reverse, and gives 0', async () => {
    const { child, lines, heard, ended } = start(
      `const running = runUntilKilled([service('a'), service('b')], createLog('silent'));`,
    );
    await heard('run b');
    child.kill('SIGTERM');
    await ended;
    expect(lines).toEqual(['run a', 'run b', 'drain a', 'drain b', 'stop b', 'stop a', 'code 0']);
  });

  test('goes down with 1 when one fails, and a drain that fails keeps nobody from stopping', async () => {
    const { lines, ended } = start(
      `const running = runUntilKilled([
         service('a', { drain: async () => { throw new Error('no'); } }),
         service('b', { run: async () => { throw new Error('broken'); } }),
       ], createLog('silent'));`,
    );
    await ended;
    expect(lines).toEqual(['run a', 'drain b', 'stop b', 'stop a', 'code 1']);
  });

  test('a second signal stops at once', async () => {
    const { child, heard, ended } = start(
      `const running = runUntilKilled([
         service('a', { drain: () => (say('draining'), new Promise(() => {})) }),
       ], createLog('silent'));`,
    );
    await heard('run a');
    child.kill('SIGINT');
    await heard('draining');
    child.kill('SIGTERM');
    expect((await ended)[0]).toBe(130);
  });
});

describe('the HTTP server', () => {
  test('says that it lives, whether it is ready, and what it measured', async () => {
    const problems: string[] = [];
    const metrics = createMetrics();
    metrics.counter('tests_total', 'tests').inc();
    metrics.counter('tests_total', 'tests').inc();
    const http = createHttp(createLog('silent'), metrics, () => problems);
    http.get('/broken', () => {
      throw new Error('a secret');
    });
    const get = async (url: string) => {
      const { statusCode, body } = await http.inject(url);
      return { statusCode, body };
    };
    expect((await get('/healthz')).statusCode).toBe(200);
    expect((await get('/readyz')).statusCode).toBe(200);
    problems.push('the store is away');
    expect(await get('/readyz')).toEqual({
      statusCode: 503,
      body: JSON.stringify({ status: 'not ready', reasons: ['the store is away'] }),
    });
    const { body } = await get('/metrics');
    expect(body).toContain('mutoscope_tests_total 2');
    expect(body).toContain('process_resident_memory_bytes');
    expect(await get('/nowhere?key=1')).toEqual({
      statusCode: 404,
      body: JSON.stringify({ error: { code: 'no_route', message: 'there is nothing at GET /nowhere' } }),
    });
    const broken = await get('/broken');
    expect(broken.statusCode).toBe(500);
    expect(broken.body).not.toContain('a secret');
    await http.close();
  });
});
