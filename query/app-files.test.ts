import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openFixtureLake, startQuery, type FixtureLake, type FixtureServer } from './fixture-lake.ts';

let appDir: string;
let lake: FixtureLake;
let server: FixtureServer;
beforeAll(async () => {
  appDir = await mkdtemp(join(tmpdir(), 'mutoscope-app-'));
  await mkdir(join(appDir, 'assets'));
  await writeFile(join(appDir, 'index.html'), '<title>the app</title>');
  await writeFile(join(appDir, 'session-player.js'), 'export {}');
  await writeFile(join(appDir, 'assets', 'index-1a2b.js'), 'export {}');
  lake = await openFixtureLake();
  server = await startQuery(lake, [], { nowMs: 0, appDir });
});
afterAll(async () => {
  await server.close();
  await lake.close();
  await rm(appDir, { recursive: true, force: true });
});

describe('the app', () => {
  it.each(['/', '/sign-in', '/sessions', '/sessions/0198', '/sessions/0198?at=5', '/sql'])(
    'is the page at %s, asked for anew each time, and may load itself alone',
    async (path) => {
      const { status, text, headers } = await server.get(path);
      expect([status, text]).toEqual([200, '<title>the app</title>']);
      expect(headers).toMatchObject({
        ...{
          'cache-control': 'no-cache',
          'x-content-type-options': 'nosniff',
          'referrer-policy': 'no-referrer',
        },
        'content-security-policy': expect.stringContaining("default-src 'none'; script-src 'self';"),
      });
    },
  );
  it('files with a hash in their names are kept for ever, others are asked for', async () => {
    const hashed = await server.get('/assets/index-1a2b.js');
    expect(hashed.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect(hashed.headers['content-type']).toContain('javascript');
    const element = await server.get('/session-player.js');
    expect([element.status, element.headers['cache-control']]).toEqual([200, 'public, no-cache']);
  });
  it.each([
    '/nothing',
    '/assets/nothing.js',
    '/v1/nothing',
    '/../package.json',
    '/%2e%2e/package.json',
    '/assets/',
  ])('there is nothing at %s', async (path) => {
    const { status, text } = await server.get(path);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(text).not.toContain('mutoscope');
  });
  it.each(['/nothing', '/sessionz/0198?at=5', '/sql/more', '/nothing.html'])(
    'who comes to %s by the address bar gets the app, which says that nothing is there',
    async (path) => {
      const browser = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
      const { status, text, headers } = await server.get(path, undefined, browser);
      expect([status, text]).toEqual([404, '<title>the app</title>']);
      expect(headers).toMatchObject({
        'content-type': 'text/html; charset=utf-8',
        'content-length': String(text.length),
        'content-security-policy': expect.stringContaining("default-src 'none'"),
        'cache-control': 'no-cache',
        vary: 'accept',
      });
      expect((await server.get(path)).json()).toMatchObject({ error: { code: 'no_route' } });
    },
  );
  it.each(['/v1/nothing', '/v1/sessions/x/nothing', '/r/nothing.js', '/assets/nothing.js', '/demo'])(
    'at %s a 404 is for programs, whoever asks',
    async (path) => {
      const { status, headers } = await server.get(path, undefined, { accept: 'text/html' });
      expect(status).toBe(404);
      expect(headers['content-type']).toContain('application/json');
    },
  );
  it('the API answers beside it', async () => {
    expect((await server.get('/v1/me')).json()).toMatchObject({ error: { code: 'unauthorized' } });
  });
});
