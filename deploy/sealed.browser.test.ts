import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { SessionManifest } from '#api';
import { CHROMIUM_ARGS } from './chromium.ts';
import { startProcess, type Running } from './processes.ts';
import { freePort } from './servers.ts';
import { Rr1Client } from './test-rr1-client.ts';

/** What the player shows of a session does not change when its files are sealed, but it need not begin at the start. */

const KEYS = { FIRST_WRITE_KEY: 'wk_sealed_write_key', FIRST_API_KEY: 'ak_sealed_api_key_for_tests' };
const MINUTES = 6;
const CSS = Array.from({ length: 150 }, (_, i) => `#i${i} { padding-left: ${i}px }`).join(' ');

type Stage = HTMLElement & { stageDocument?: Document; seek(ms: number): void; state: string };

let directory: string;
let settings: Record<string, string> & { LISTEN: string };
let running: Running;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mutoscope-sealed-'));
  settings = {
    ...KEYS,
    ...{ DATA_DIR: directory, LISTEN: `127.0.0.1:${await freePort()}`, FIRST_ORIGINS: '*' },
    ...{ FLUSH_INTERVAL_MS: '150', REFRESH_INTERVAL_MS: '50', GRACE_MS: '5000' },
  };
  running = await startProcess({ ...settings, COMPACT_INTERVAL_MS: '3600000', SWEEP_INTERVAL_MS: '3600000' });
  browser = await chromium.launch({ executablePath: inject('chromium'), args: CHROMIUM_ARGS });
});
afterAll(async () => {
  await browser.close();
  running.kill();
  await running.end();
  await rm(directory, { recursive: true, force: true });
});

/** A list that grows and shrinks, a field, a sheet that scripts change, in events two seconds apart. */
function events(startMs: number): object[] {
  const told: object[] = [];
  let at = startMs;
  const tell = (type: number, data: object): void => {
    told.push({ type, data, timestamp: at });
    at += 2000;
  };
  const element = (id: number, tagName: string, attributes = {}, childNodes: object[] = []) => ({
    ...{ type: 2, id, tagName, attributes, childNodes },
  });
  const head = element(3, 'head', {}, [
    element(4, 'style', {}, [{ type: 3, id: 5, textContent: CSS, isStyle: true }]),
  ]);
  const body = element(6, 'body', {}, [element(7, 'ul'), element(8, 'input', { type: 'text', value: '' })]);
  tell(4, { href: 'https://shop.example/list', width: 800, height: 600 });
  tell(2, {
    node: { type: 0, id: 1, childNodes: [element(2, 'html', {}, [head, body])] },
    initialOffset: { left: 0, top: 0 },
  });
  for (let n = 0; at < startMs + MINUTES * 60_000; n++) {
    const id = 100 + n * 2;
    const item = element(id, 'li', { id: `i${n % 150}` });
    const text = { type: 3, id: id + 1, textContent: `item ${n}` };
    const adds = [
      { parentId: 7, nextId: null, node: item },
      { parentId: id, nextId: null, node: text },
    ];
    const removes = n >= 20 ? [{ parentId: 7, id: 100 + (n - 20) * 2 }] : [];
    tell(3, { source: 0, adds, removes, texts: [], attributes: [] });
    if (n % 5 === 0) tell(3, { source: 5, id: 8, text: '·'.repeat(n % 9), isChecked: false });
    if (n % 7 === 0) tell(3, { source: 8, id: 4, adds: [{ rule: `li { margin-top: ${n}px }`, index: 0 }] });
  }
  return told;
}

const moments = [5_000, 70_000, 95_000, 190_000, 305_000, 15_000, 250_000];

/** The page at each of the moments, one after the other, with what scripts had set. */
async function shown(session: string): Promise<string[]> {
  page = await browser.newPage({ viewport: { width: 1300, height: 800 } });
  await page.goto(`${running.url}/#key=${KEYS.FIRST_API_KEY}`);
  await page.goto(`${running.url}/sessions/${session}`);
  await page.waitForFunction(() =>
    (document.querySelector('session-player') as Stage | null)?.stageDocument?.querySelector('ul'),
  );
  const found: string[] = [];
  for (const positionMs of moments) {
    await page.evaluate((ms) => (document.querySelector('session-player') as Stage).seek(ms), positionMs);
    await page.waitForFunction(() => (document.querySelector('session-player') as Stage).state === 'paused');
    found.push(
      await page.evaluate(() => {
        const { stageDocument } = document.querySelector('session-player') as Stage;
        const rules = Array.from(stageDocument!.styleSheets, ({ cssRules }) =>
          Array.from(cssRules, ({ cssText }) => cssText).join('\n'),
        );
        const { value } = stageDocument!.querySelector('input')!;
        return [stageDocument!.querySelector('ul')!.outerHTML, value, ...rules].join('\n');
      }),
    );
  }
  await page.close();
  return found;
}
const manifest = async (session: string): Promise<SessionManifest> => {
  const headers = { authorization: `Bearer ${KEYS.FIRST_API_KEY}` };
  return (await (
    await fetch(`${running.url}/v1/sessions/${session}/manifest`, { headers })
  ).json()) as SessionManifest;
};
const objects = async (part: RegExp): Promise<string[]> =>
  (await readdir(join(directory, 'lake'), { recursive: true })).filter((path) => part.test(path));

test('a sealed session is played as before, from a checkpoint a minute', async () => {
  const client = new Rr1Client({ url: running.url, key: KEYS.FIRST_WRITE_KEY, rid: 'r'.repeat(22) });
  const all = events(Date.now() - (MINUTES + 1) * 60_000);
  for (let from = 0; from < all.length; from += 40) client.send(all.slice(from, from + 40));
  await client.acked();
  client.close();
  const session = client.session!;
  await expect.poll(async () => (await manifest(session)).endMs, { timeout: 15_000 }).toBeGreaterThan(0);
  await expect
    .poll(async () => (await manifest(session)).segments.reduce((sum, { rows }) => sum + rows, 0))
    .toBe(all.length);
  const before = await shown(session);
  expect(new Set(before).size).toBe(moments.length);
  expect((await manifest(session)).segments.filter(({ snapshot }) => snapshot)).toHaveLength(1);
  expect(await objects(/\.css$/)).toEqual([]);

  await running.end();
  running = await startProcess({ ...settings, COMPACT_INTERVAL_MS: '1000', SWEEP_INTERVAL_MS: '3600000' });
  await expect
    .poll(async () => (await manifest(session)).segments.filter(({ snapshot }) => snapshot).length, {
      timeout: 15_000,
    })
    .toBe(MINUTES);
  expect(await objects(/\.css$/)).toHaveLength(1);
  expect(await shown(session)).toEqual(before);
});
