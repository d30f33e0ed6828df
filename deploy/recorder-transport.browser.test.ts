import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { chromium as browserType, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { SqlAnswer } from '#api';
import { openProjectStore, openStore } from '#store';
import { CHROMIUM_ARGS } from './chromium.ts';
import { startProcess, type Running } from './processes.ts';
import { freePort } from './servers.ts';

/** Pages of another origin record into a process as an operator runs it; what counts is what SQL finds in the end. */

const chromium = inject('chromium');
const KEYS = { FIRST_WRITE_KEY: 'wk_transport_key', FIRST_API_KEY: 'ak_transport_key_for_tests' };
const CLOSES = Number(process.env.CLOSES ?? 40);
const AT_ONCE = 2;

interface Recorded {
  mutoscope: {
    track(name: string, props: Record<string, unknown>): void;
    flush(): Promise<void>;
    status(): { state: string; reason?: string; rid: string; eventsRecorded: number };
  };
}
declare const window: Recorded & { close(): void; open(url: string): Recorded & { close(): void } };

/** How a page goes, right after its last event. */
const WAYS = {
  'the tab is closed': async (page: Page, record: string) => {
    await page.evaluate(record);
    await page.close();
  },
  'to another site': async (page: Page, record: string) => {
    await page.evaluate(`${record}; location.href = 'about:blank'`);
    await page.waitForURL('about:blank');
  },
  'to the next page': async (page: Page, record: string) => {
    await page.evaluate(`${record}; location.href = '/next'`);
    await page.waitForURL('**/next');
  },
  'it is reloaded': async (page: Page, record: string) => {
    await Promise.all([page.waitForEvent('load'), page.evaluate(`${record}; location.reload()`)]);
  },
  'its window is closed by script': async (page: Page, record: string) => {
    await Promise.all([
      page.waitForEvent('close'),
      page.evaluate(`${record}; window.close()`).catch(() => 0),
    ]);
  },
};
/** How many events of how many random bytes. The largest come near to what a last request may carry, as base64. */
const SIZES = [
  [1, 8],
  [20, 30],
  [8, 1000],
  [9, 4200],
] as const;

describe.skipIf(!chromium)('a page and the process it records into', () => {
  let browser: Browser;
  let running: Running;
  let site: Server;
  let siteUrl: string;
  let directory: string;
  let settings: Record<string, string> & { LISTEN: string };

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'recorder-transport-'));
    settings = {
      ...KEYS,
      ...{ FIRST_ORIGINS: '*', DATA_DIR: directory, LISTEN: `127.0.0.1:${await freePort()}` },
      ...{ FLUSH_INTERVAL_MS: '300', REFRESH_INTERVAL_MS: '100' },
    };
    running = await startProcess(settings);
    site = createServer((_request, response) =>
      response.setHeader('content-type', 'text/html').end(
        `<!doctype html><title>Test</title><main>hello</main>
         <script async src="${running.url}/r/loader.js" data-key="${KEYS.FIRST_WRITE_KEY}"></script>`,
      ),
    );
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    siteUrl = `http://127.0.0.1:${(site.address() as AddressInfo).port}/`;
    browser = await browserType.launch({ executablePath: chromium!, args: CHROMIUM_ARGS });
  });
  afterAll(async () => {
    await browser.close();
    site.closeAllConnections();
    site.close();
    expect(await running.end()).toBe(0);
    await rm(directory, { recursive: true, force: true });
  });

  const sql = async (statement: string): Promise<unknown[][]> => {
    const reply = await fetch(`${running.url}/v1/sql`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEYS.FIRST_API_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ sql: statement }),
    });
    if (reply.status !== 200) throw new Error(`SQL answered ${reply.status}: ${await reply.text()}`);
    return ((await reply.json()) as SqlAnswer).rows;
  };
  /** Events of a name, by the number in their properties: how many, and how many that differ. */
  const arrivals = async (name: string): Promise<Map<number, number[]>> => {
    const rows = await sql(
      `SELECT CAST(props ->> 'of' AS INTEGER), count(*), count(DISTINCT props ->> 'n') FROM custom_events
       WHERE name = '${name}' GROUP BY 1`,
    );
    return new Map(
      rows.map(([of, count, distinct]) => [of as number, [count as number, distinct as number]]),
    );
  };
  const recording = (page: Page) =>
    page.waitForFunction(() => window.mutoscope?.status?.().state === 'recording');
  const trackAll = (name: string, of: number, count: number, bytes: number): string =>
    `for (let n = 1; n <= ${count}; n++) mutoscope.track('${name}', { of: ${of}, n,
       noise: btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(${bytes})))) })`;

  test(
    'what a page recorded before it closed arrives, however it closes',
    { timeout: 60_000 + CLOSES * 8000 },
    async () => {
      const ways = Object.entries(WAYS);
      const plan = Array.from({ length: CLOSES }, (_, of) => {
        const [way, leave] = ways[of % ways.length]!;
        const [count, bytes] = SIZES[Math.floor(of / ways.length) % SIZES.length]!;
        // One in four goes before it is welcomed.
        return { of, way, leave, count, bytes, isEarly: Math.floor(of / 3) % 4 === 0 };
      });
      const left = [...plan];
      const close = async (): Promise<void> => {
        for (let next = left.shift(); next; next = left.shift()) {
          const { of, leave, count, bytes, isEarly } = next;
          const context = await browser.newContext();
          const opener = await context.newPage();
          // Only a window that a script opened may be closed by one.
          const [page] = await Promise.all([
            context.waitForEvent('page'),
            opener.evaluate((url) => void window.open(url), siteUrl),
          ]);
          if (isEarly)
            await page.waitForFunction(
              () => (window.mutoscope?.status?.().eventsRecorded ?? 0) >= 2,
              undefined,
              {
                polling: 'raf',
              },
            );
          else await recording(page);
          await leave(page, trackAll('close', of, count, bytes));
          // Its last request is the browser's by now, and needs a context to end in.
          await delay(500);
          await context.close();
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, close));
      const isWhole = (found: Map<number, number[]>, { of, count }: { of: number; count: number }): boolean =>
        String(found.get(of)) === String([count, count]);
      let found = new Map<number, number[]>();
      for (const end = Date.now() + 10_000; Date.now() < end; await delay(200)) {
        found = await arrivals('close');
        if (plan.every((one) => isWhole(found, one))) break;
      }
      const lost = plan.filter((one) => !isWhole(found, one));
      const pct = (100 * (CLOSES - lost.length)) / CLOSES;
      process.stdout.write(`figure close_flush_pct ${pct.toFixed(1)} %\n`);
      expect(
        lost.map(({ of, way, count, bytes, isEarly }) => ({
          of,
          way,
          count,
          bytes,
          isEarly,
          found: found.get(of),
        })),
      ).toEqual([]);
    },
  );

  test(
    'over kills and restarts of the process, every event arrives exactly once',
    { timeout: 120_000 },
    async () => {
      const context = await browser.newContext();
      const pages = [await context.newPage(), await context.newPage()];
      const produced = [0, 0];
      const record = async (): Promise<void> => {
        for (const [of, page] of pages.entries()) {
          const from = produced[of]! + 1;
          produced[of]! += 20;
          await page.evaluate(
            `for (let n = ${from}; n < ${from + 20}; n++) mutoscope.track('restart', { of: ${of}, n })`,
          );
        }
      };
      for (const page of pages) {
        await page.goto(siteUrl);
        await recording(page);
      }
      for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
        await record();
        // Some of it is under way, some acked.
        await delay(Math.random() * 2000);
        await record();
        if (signal === 'SIGKILL') running.kill();
        await running.end();
        await record();
        await delay(1000);
        running = await startProcess(settings);
        await record();
      }
      await Promise.all(pages.map((page) => page.evaluate(() => window.mutoscope.flush())));
      const rids = await Promise.all(pages.map((page) => page.evaluate(() => window.mutoscope.status().rid)));
      await record();
      for (const page of pages) await page.close();
      await expect
        .poll(() => arrivals('restart'), { timeout: 10_000 })
        .toEqual(new Map(produced.map((count, of) => [of, [count, count]])));
      const gaps = await sql(
        `SELECT rid, count(*) = max(seq) AND min(seq) = 1 AND count(DISTINCT seq) = count(*) FROM events GROUP BY rid`,
      );
      const whole = new Map(gaps as [string, boolean][]);
      for (const rid of rids) expect(whole.get(rid)).toBe(true);
      await context.close();
    },
  );

  test('pausing a project stops its pages within seconds, and after that they record again', async () => {
    const store = await openStore(join(directory, 'lake'));
    const projects = await openProjectStore(store, {
      refreshMs: 60_000,
      first: () => {
        throw new Error('the process has made it');
      },
      onError: (error) => {
        throw error;
      },
    });
    const pause = (recordingPaused: boolean) =>
      projects.update((doc) => ({
        ...doc,
        projects: doc.projects.map((project) => ({ ...project, recordingPaused })),
      }));
    const context = await browser.newContext();
    const page = await context.newPage();
    try {
      await page.goto(siteUrl);
      await recording(page);
      await pause(true);
      await page.waitForFunction(() => window.mutoscope.status().state === 'stopped', undefined, {
        timeout: 5000,
      });
      expect(await page.evaluate(() => window.mutoscope.status().reason)).toBe('recording_disabled');
      await page.evaluate(trackAll('paused', 1, 3, 8));
      await page.reload();
      await page.waitForFunction(() => window.mutoscope?.status?.().state === 'stopped');
      await pause(false);
      // Every role reads the document again each second.
      await expect
        .poll(
          async () => {
            await page.reload();
            await page.waitForFunction(() =>
              /recording|stopped/.test(window.mutoscope?.status?.().state ?? ''),
            );
            return page.evaluate(() => window.mutoscope.status().state);
          },
          { timeout: 8000, interval: 500 },
        )
        .toBe('recording');
      await page.evaluate(trackAll('resumed', 1, 3, 8));
      await page.evaluate(() => window.mutoscope.flush());
      await expect.poll(() => arrivals('resumed'), { timeout: 10_000 }).toEqual(new Map([[1, [3, 3]]]));
      expect(await arrivals('paused')).toEqual(new Map());
      await expect(pause('yes' as never)).rejects.toThrow('recordingPaused of project demo is "yes"');
    } finally {
      await context.close();
      projects.close();
      await store.close();
    }
  });
});
