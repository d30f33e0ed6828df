import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { PNG } from 'pngjs';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { SessionManifest, SqlAnswer } from '#api';
import { CHROMIUM_ARGS } from './chromium.ts';
import { startProcess, type Running } from './processes.ts';
import { freePort } from './servers.ts';

/** A site behind a login is recorded, then goes down; its images, styles and fonts are still there in the player. */

const KEYS = { FIRST_WRITE_KEY: 'wk_assets_write_key', FIRST_API_KEY: 'ak_assets_api_key_for_tests' };
let directory: string;
let running: Running;
let browser: Browser;
let site: Server;
let far: Server;
let gets: string[];

/** A picture that its width tells from all others. */
const png = (width: number, [red, green, blue]: number[]): Buffer => {
  const image = new PNG({ width, height: 10 });
  for (let at = 0; at < image.data.length; at += 4) image.data.set([red!, green!, blue!, 255], at);
  return PNG.sync.write(image);
};
const PICTURES: Record<string, Buffer> = {
  '/private/photo.png': png(31, [255, 0, 0]),
  '/private/wide.png': png(41, [0, 255, 0]),
  '/private/hero.png': png(37, [0, 0, 255]),
  '/private/blocked.png': png(43, [9, 9, 9]),
  '/private/blocked-by-style.png': png(47, [8, 8, 8]),
};

const pageOf = (loader: string, farSheet: string, tag: string): string => `<!doctype html>
<html><head><title>Account</title><link rel="stylesheet" href="/theme.css"><link rel="stylesheet" href="${farSheet}">
<script async src="${loader}" data-key="${KEYS.FIRST_WRITE_KEY}" ${tag}></script></head>
<body><img id="photo" src="/private/photo.png?user=1&token=s3cr3t"><picture><source srcset="/private/wide.png 1x"><img id="wide"></picture>
<div id="hero"></div><p id="far">from far</p><i style="font-family: Icons">x</i><img id="made">
<div data-rr-block><img src="/private/blocked.png"><div id="badge"></div></div>
<canvas id="drawn" width="200" height="50"></canvas><canvas id="scene" width="60" height="60"></canvas>
<canvas id="hidden" width="20" height="20" data-rr-mask></canvas>
<iframe src="FRAME" width="300" height="80"></iframe>
<script>
  const picture = new OffscreenCanvas(53, 10); picture.getContext('2d').fillRect(0, 0, 53, 10);
  picture.convertToBlob().then((blob) => { document.querySelector('#made').src = URL.createObjectURL(blob); });
  const fill = (id, colour) => { const c = document.getElementById(id); const x = c.getContext('2d'); x.fillStyle = colour; x.fillRect(0, 0, c.width, c.height); };
  fill('drawn', 'rgb(255,0,255)'); fill('hidden', 'rgb(7,7,7)');
  window.repaint = (colour) => fill('drawn', colour);
  const gl = document.querySelector('#scene').getContext('webgl');
  const draw = () => { if (gl) { gl.clearColor(0, 1, 0, 1); gl.clear(gl.COLOR_BUFFER_BIT); } requestAnimationFrame(draw); };
  draw();
  const began = setInterval(async () => {
    if (!performance.getEntriesByType('resource').some(({ name }) => /fonts-/.test(name))) return;
    clearInterval(began);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const face = new FontFace('Icons', 'url(/icons.ttf)');
    document.fonts.add(await face.load());
  }, 100);
</script></body></html>`;

const THEME = `#hero { width: 37px; height: 10px; background-image: url("private/hero.png"); }
#badge { width: 9px; height: 9px; background-image: url(/private/blocked-by-style.png); }`;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mutoscope-assets-'));
  running = await startProcess({
    ...KEYS,
    ...{ DATA_DIR: directory, LISTEN: `127.0.0.1:${await freePort()}` },
    ...{ FLUSH_INTERVAL_MS: '300', REFRESH_INTERVAL_MS: '50' },
    ...{ COMPACT_INTERVAL_MS: '1000', SWEEP_INTERVAL_MS: '1000', GRACE_MS: '5000' },
  });
  browser = await chromium.launch({ executablePath: inject('chromium'), args: CHROMIUM_ARGS });
  gets = [];
  const icons = await aFont();
  far = createServer((request, response) => {
    if (request.url === '/frame')
      return response.setHeader('content-type', 'text/html')
        .end(`<!doctype html><p id="inside">From a frame</p>
<script async src="${running.url}/r/loader.js" data-key="${KEYS.FIRST_WRITE_KEY}" data-cross-origin-frames="${urlOf(site)}"></script>`);
    return response
      .writeHead(200, { 'content-type': 'text/css', 'access-control-allow-origin': '*' })
      .end('#far { color: rgb(1, 2, 3); }');
  });
  await new Promise<void>((resolve) => far.listen(0, '127.0.0.1', resolve));
  site = createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://site');
    gets.push(pathname);
    if (pathname === '/theme.css') return response.setHeader('content-type', 'text/css').end(THEME);
    if (pathname === '/icons.ttf') return response.setHeader('content-type', 'font/ttf').end(icons);
    const picture = PICTURES[pathname];
    if (!picture) {
      const tag = `data-assets data-canvas-fps="4" data-fonts data-cross-origin-frames="${urlOf(far)}"`;
      const html = pageOf(`${running.url}/r/loader.js`, `${urlOf(far)}/far.css`, tag);
      return response
        .setHeader('content-type', 'text/html')
        .end(html.replace('FRAME', `${urlOf(far)}/frame`));
    }
    if (!request.headers.cookie?.includes('login=yes')) return response.writeHead(403).end();
    return response
      .writeHead(200, { 'content-type': 'image/png', 'cache-control': 'private, max-age=60' })
      .end(picture);
  });
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  await browser.close();
  await stop(site);
  await stop(far);
  running.kill();
  await running.end();
  await rm(directory, { recursive: true, force: true });
});

/** Any that a package brings along. */
async function aFont(): Promise<Buffer> {
  const packages = join(import.meta.dirname, '../node_modules/playwright-core/lib');
  const path = (await readdir(packages, { recursive: true })).find((name) => name.endsWith('.ttf'))!;
  return readFile(join(packages, path));
}
const urlOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
async function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  if (server.listening) await new Promise((resolve) => server.close(resolve));
}

interface PageApi {
  mutoscope: {
    status(): { session?: string; lastError?: string; eventsAcked: number };
    flush(): Promise<void>;
  };
  repaint(colour: string): void;
}
const api = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(running.url + path, {
    ...init,
    headers: {
      authorization: `Bearer ${KEYS.FIRST_API_KEY}`,
      ...(init.body && { 'content-type': 'application/json' }),
    },
  });
async function sql(statement: string): Promise<unknown[][]> {
  const reply = await api('/v1/sql', { method: 'POST', body: JSON.stringify({ sql: statement }) });
  expect(reply.status, await reply.clone().text()).toBe(200);
  return ((await reply.json()) as SqlAnswer).rows as unknown[][];
}
async function assetFiles(): Promise<string[]> {
  const all = await readdir(join(directory, 'lake'), { recursive: true });
  return all.filter((path) => /\/assets\/.*\/[0-9a-f]{64}\.\w+$/.test(path));
}

/** Opens the page, waits until it told and brought what it shows, and closes it. */
async function record(act: (page: Page, session: string) => Promise<void> = async () => {}): Promise<string> {
  const context = await browser.newContext();
  await context.addCookies([{ name: 'login', value: 'yes', url: urlOf(site) }]);
  const page = await context.newPage();
  await page.goto(urlOf(site));
  await page.waitForFunction(() => (window as unknown as PageApi).mutoscope.status().session);
  const session = await page.evaluate(() => (window as unknown as PageApi).mutoscope.status().session!);
  await act(page, session);
  await expect
    .poll(() => sql(`SELECT count(*) FROM events WHERE session_id = '${session}' AND type = 'asset_ref'`), {
      timeout: 20_000,
      message: await page.evaluate(() => JSON.stringify((window as unknown as PageApi).mutoscope.status())),
    })
    .toEqual([[6]]);
  for (const name of await manifestAssets(session))
    await expect
      .poll(async () => (await asset(session, name)).response.status, { timeout: 15_000 })
      .toBe(200);
  const acked = await page.evaluate(async () => {
    const { mutoscope } = window as unknown as PageApi;
    await mutoscope.flush();
    return mutoscope.status().eventsAcked;
  });
  const held = async (): Promise<number> =>
    Number((await sql(`SELECT count(*) FROM events WHERE session_id = '${session}'`))[0]![0]);
  await expect.poll(held, { timeout: 15_000 }).toBeGreaterThanOrEqual(acked);
  await context.close();
  return session;
}

async function play(session: string): Promise<{ context: BrowserContext; page: Page; requests: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
  const page = await context.newPage();
  const requests: string[] = [];
  page.on('request', (request) => requests.push(request.url()));
  await page.goto(`${running.url}/#key=${KEYS.FIRST_API_KEY}`);
  // What SQL has, a manifest has a moment later.
  const [[lastMs]] = (await sql(`SELECT epoch_ms(max(ts)) FROM events WHERE session_id = '${session}'`)) as [
    [number],
  ];
  let endMs = 0;
  await expect
    .poll(
      async () => {
        const manifest = await api(`/v1/sessions/${session}/manifest`);
        return ({ endMs } = (await manifest.json()) as SessionManifest).endMs;
      },
      { timeout: 15_000 },
    )
    .toBeGreaterThanOrEqual(Number(lastMs));
  await page.goto(`${running.url}/sessions/${session}?at=${endMs}`);
  await page.waitForFunction(() => {
    const player = document.querySelector('session-player') as
      (HTMLElement & { stageDocument?: Document }) | null;
    return player?.stageDocument?.querySelector('#photo') != null;
  });
  return { context, page, requests };
}

let first: string;

test(
  'images, styles and fonts of a site that is gone are there in the replay, but for what is blocked',
  { timeout: 90_000 },
  async () => {
    first = await record(async (page, session) => {
      // By canvas, in the order of the page; the second one may be told again at any time.
      const pictures = async (): Promise<number[]> =>
        (
          await sql(`SELECT count(*) FROM events
            WHERE session_id = '${session}' AND type = 'canvas' GROUP BY node_id ORDER BY node_id`)
        ).map(([count]) => Number(count));
      await expect.poll(async () => (await pictures()).length, { timeout: 20_000 }).toBe(2);
      const [before] = await pictures();
      await page.evaluate(() => (window as unknown as PageApi).repaint('rgb(0,200,255)'));
      await expect.poll(async () => (await pictures())[0], { timeout: 20_000 }).toBeGreaterThan(before!);
    });
    expect(await sql(`SELECT count(*) FROM events WHERE session_id = '${first}' AND type = 'asset'`)).toEqual(
      [[6]],
    );
    await expect.poll(async () => (await assetFiles()).length).toBe(6);

    const { port } = site.address() as AddressInfo;
    await stop(site);
    const { context, page, requests } = await play(first);
    // By the document itself, for a locator may wait in one that a seek has replaced.
    const ask = <T>(of: (stage: Document, selector: string) => T, selector: string): Promise<T> =>
      page.evaluate(
        `(${of.toString()})(document.querySelector('session-player').stageDocument, ${JSON.stringify(selector)})`,
      );
    const widthOf = (selector: string): Promise<number> =>
      ask((doc, id) => doc.querySelector<HTMLImageElement>(id)!.naturalWidth, selector);
    await expect.poll(() => widthOf('#photo')).toBe(31);
    await expect.poll(() => widthOf('#wide')).toBe(41);
    await expect.poll(() => widthOf('#made')).toBe(53);
    const background = await ask(
      (doc, id) => getComputedStyle(doc.querySelector(id)!).backgroundImage,
      '#hero',
    );
    expect(background).toMatch(/^url\("blob:/);
    expect(await ask((doc, id) => getComputedStyle(doc.querySelector(id)!).color, '#far')).toBe(
      'rgb(1, 2, 3)',
    );
    const fonts = (doc: Document): string[] =>
      Array.from(doc.fonts, ({ family, status }) => `${family} ${status}`);
    await expect.poll(() => ask(fonts, '')).toContain('Icons loaded');
    const inside = (doc: Document, id: string): string | undefined | null =>
      doc.querySelector('iframe')?.contentDocument?.querySelector(id)?.textContent;
    await expect.poll(() => ask(inside, '#inside')).toBe('From a frame');

    const stage = page.frameLocator('.stage-host iframe').last();
    const colourOf = async (id: string): Promise<number[]> => {
      const { data, width, height } = PNG.sync.read(await stage.locator(id).screenshot());
      const at = 4 * (Math.floor(height / 2) * width + Math.floor(width / 2));
      return [...data.subarray(at, at + 3)];
    };
    const isNear = (a: number[], b: number[]): boolean => a.every((value, i) => Math.abs(value - b[i]!) < 12);
    // Pictures are decoded before they are drawn.
    await expect
      .poll(async () => isNear(await colourOf('#drawn'), [0, 200, 255]), { timeout: 10_000 })
      .toBe(true);
    await expect
      .poll(async () => isNear(await colourOf('#scene'), [0, 255, 0]), { timeout: 10_000 })
      .toBe(true);
    expect(isNear(await colourOf('#hidden'), [7, 7, 7])).toBe(false);
    const boxOf = (selector: string): Promise<number> =>
      ask((doc, id) => doc.querySelector(id)!.getBoundingClientRect().width, selector);
    expect([await boxOf('#drawn'), await boxOf('#hidden')]).toEqual([200, 20]);
    expect(requests.filter((url) => !url.startsWith(running.url) && !/^(blob|data):/.test(url))).toEqual([]);
    await context.close();
    await new Promise<void>((resolve) => site.listen(port, '127.0.0.1', resolve));
  },
);

test('neither rows nor assets hold what was blocked, what was masked, or a query value', async () => {
  const rows = JSON.stringify(await sql(`SELECT props FROM events WHERE session_id = '${first}'`));
  expect(rows).not.toContain('s3cr3t');
  expect(rows).not.toContain('base64');
  expect(rows).not.toContain('blocked');
  const bytes = await Promise.all(
    (await manifestAssets(first)).map(async (name) => (await asset(first, name)).bytes),
  );
  expect(bytes.some((one) => one.equals(PICTURES['/private/photo.png']!))).toBe(true);
  expect(bytes.some((one) => one.equals(PICTURES['/private/blocked.png']!))).toBe(false);
  expect(bytes.some((one) => one.equals(PICTURES['/private/blocked-by-style.png']!))).toBe(false);
});

async function manifestAssets(session: string): Promise<string[]> {
  const manifest = (await (await api(`/v1/sessions/${session}/manifest`)).json()) as SessionManifest;
  return (manifest.assets ?? []).map(({ name }) => name);
}
async function asset(session: string, name: string): Promise<{ response: Response; bytes: Buffer }> {
  const response = await api(`/v1/sessions/${session}/assets/${name}`);
  return { response, bytes: Buffer.from(await response.arrayBuffer()) };
}

test('an asset is served as what it is and can do nothing as a page', async () => {
  const [name] = await manifestAssets(first);
  const { response } = await asset(first, name!);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch(/^(image\/png|text\/css|font\/ttf)/);
  expect(response.headers.get('content-security-policy')).toBe("sandbox; default-src 'none'");
  expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  const again = await fetch(`${running.url}/v1/sessions/${first}/assets/${name}`, {
    headers: {
      authorization: `Bearer ${KEYS.FIRST_API_KEY}`,
      'if-none-match': response.headers.get('etag')!,
    },
  });
  expect(again.status).toBe(304);
  expect((await asset(first, `${randomBytes(32).toString('hex')}.png`)).response.status).toBe(404);
  expect((await asset(first, `${'a'.repeat(64)}.html`)).response.status).toBe(404);
  expect((await fetch(`${running.url}/v1/sessions/${first}/assets/${name}`)).status).toBe(401);
});

test(
  'a second session brings only what is not there, and an erasure leaves what others tell of',
  { timeout: 90_000 },
  async () => {
    const second = await record();
    const brought = await sql(`SELECT name FROM events WHERE session_id = '${second}' AND type = 'asset'`);
    // What the page makes itself differs from page to page or not; the site's own was known.
    expect(brought.length).toBeLessThanOrEqual(2);
    const names = await manifestAssets(second);
    await eraseWhole(first);
    for (const name of names) expect((await asset(second, name)).response.status).toBe(200);
    expect((await asset(first, names[0]!)).response.status).toBe(404);
    await eraseWhole(second);
    expect(await assetFiles()).toEqual([]);
  },
);

async function eraseWhole(session: string): Promise<void> {
  await expect
    .poll(
      async () =>
        ((await (await api(`/v1/sessions/${session}`, { method: 'DELETE' })).json()) as { done: boolean })
          .done,
      { timeout: 20_000 },
    )
    .toBe(true);
}
