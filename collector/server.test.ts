import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  batchFrame,
  helloFrame,
  ORIGIN,
  TestRecorder,
  start,
  admitted,
  stored,
  until,
} from './test-recorder.ts';

describe('the server', () => {
  const upgrade = async (url: string, path: string): Promise<Socket> => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.write(
      [
        ...[`GET ${path} HTTP/1.1`, `host: ${hostname}`, 'connection: upgrade', 'upgrade: websocket'],
        ...['sec-websocket-version: 13', `sec-websocket-key: ${randomBytes(16).toString('base64')}`],
        ...[`origin: ${ORIGIN}`, '', ''],
      ].join('\r\n'),
    );
    await new Promise((resolve) => socket.once('data', resolve));
    return socket;
  };
  const ended = (socket: Socket): Promise<void> =>
    new Promise((resolve) =>
      socket
        .resume()
        .once('close', () => resolve())
        .on('error', () => undefined),
    );

  test('refuses upgrades elsewhere, and sockets over its bound', async () => {
    const bench = await start({ limits: { connectionsMax: 1 } });
    await expect(new TestRecorder(bench.url, { path: '/v1/other' }).open()).rejects.toThrow('404');
    const { recorder } = await admitted(bench);
    await expect(new TestRecorder(bench.url).open()).rejects.toThrow('503');
    recorder.ws.close();
    await recorder.closed;
    await until(async () => (await bench.metrics()).includes('mutoscope_collector_connections 0'));
    await admitted(bench);
  });

  test('closes sockets that break the protocol, and only those', async () => {
    const bench = await start({ limits: { helloTimeoutMs: 50, tickMs: 10 } });
    const { recorder } = await admitted(bench);
    const hello = helloFrame();
    const unmasked = await upgrade(bench.url, '/v1/rr1');
    unmasked.write(Buffer.concat([Buffer.from([0x82, 126, hello.length >> 8, hello.length & 255]), hello]));
    await ended(unmasked);
    const trickled = await upgrade(bench.url, '/v1/rr1');
    // A masked message of which a byte comes now and then.
    trickled.write(Buffer.from([0x82, 0x80 | 126, 1, 0, 0, 0, 0, 0]));
    const drip = setInterval(() => trickled.write('x'), 5);
    await ended(trickled);
    clearInterval(drip);
    const noise = await upgrade(bench.url, '/v1/rr1');
    noise.write(createHash('sha512').update('noise').digest());
    await ended(noise);
    recorder.send(batchFrame(1));
    await recorder.acked(1);
    expect(await stored(bench.stream)).toHaveLength(1);
  });

  test('holds no more than its bound of what is not durable yet', async () => {
    const bench = await start({ limits: { inFlightBytesMax: 1000 } });
    const { recorder } = await admitted(bench);
    recorder.send(batchFrame(1, new Uint8Array(2000)));
    expect((await recorder.error()).code).toBe('stream_unavailable');
    expect((await recorder.closed).code).toBe(1013);
  });

  test('serves the recorder to any site, names with a hash or a version for ever, the loader for a minute', async () => {
    const assetsDir = await mkdtemp(join(tmpdir(), 'assets-'));
    await writeFile(join(assetsDir, 'loader.js'), 'load()');
    await writeFile(join(assetsDir, 'core-Bx3kQ9_a.js'), 'core()');
    await mkdir(join(assetsDir, '0.1.0-1a2b3c4d5e'));
    await writeFile(join(assetsDir, '0.1.0-1a2b3c4d5e', 'loader.js'), 'load()');
    const bench = await start({ assetsDir });
    const loader = await fetch(`${bench.url}/r/loader.js`);
    expect(await loader.text()).toBe('load()');
    expect(loader.headers.get('cache-control')).toBe('public, max-age=60, must-revalidate');
    // Of itself fetch would ask for a copy past every cache.
    const headers = { 'if-none-match': loader.headers.get('etag')!, 'cache-control': 'max-age=0' };
    expect((await fetch(`${bench.url}/r/loader.js`, { headers })).status).toBe(304);
    expect(loader.headers.get('access-control-allow-origin')).toBe('*');
    expect(loader.headers.get('cross-origin-resource-policy')).toBe('cross-origin');
    const core = await fetch(`${bench.url}/r/core-Bx3kQ9_a.js`);
    expect(core.headers.get('cache-control')).toContain('immutable');
    const pinned = await fetch(`${bench.url}/r/0.1.0-1a2b3c4d5e/loader.js`);
    expect(pinned.headers.get('cache-control')).toContain('immutable');
    expect((await fetch(`${bench.url}/r/../collector.ts`)).status).toBe(404);
    await rm(assetsDir, { recursive: true });
  });

  test('a missing directory of the recorder is said at once', async () => {
    const { stream } = await start();
    await expect(start({ stream, assetsDir: '/nowhere/at/all' })).rejects.toThrow('/nowhere/at/all');
  });

  test('never logs a key or a token, and counts what it did', async () => {
    const bench = await start();
    const { recorder, welcome } = await admitted(bench);
    recorder.send(batchFrame(1));
    await recorder.acked(1);
    for (const hello of [{ key: 'wk_secret_of_somebody' }, { token: `${welcome.token}x` }]) {
      const refused = await new TestRecorder(bench.url).open();
      refused.send(helloFrame(hello));
      await refused.closed;
    }
    const text = JSON.stringify(bench.logged);
    expect(text).toContain('a recorder was turned away');
    expect(text).not.toContain('wk_');
    expect(text).not.toContain(welcome.token.slice(0, 40));
    const metrics = await bench.metrics();
    expect(metrics).toContain('mutoscope_collector_frames_total 1');
    expect(metrics).toContain('mutoscope_collector_bytes_total 19');
    expect(metrics).toContain('mutoscope_collector_append_seconds_count 1');
    expect(metrics).toContain('mutoscope_collector_sessions_total 1');
  });
});
