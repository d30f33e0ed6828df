import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { launchChromium } from './browser.ts';
import { buildFuzz } from './test-fuzz.ts';
import type { FuzzPage, ReplayMirror } from './test-fuzz-page.ts';

/** FUZZ_SECONDS bounds the run; SEED runs that one alone. */
const SECONDS = Number(process.env.FUZZ_SECONDS ?? 20);
const ONE = process.env.SEED;
const MOMENTS = 3;
const VIEWPORT = { width: 600, height: 400 };

interface ReplayerOf {
  pause(ms: number): void;
  destroy(): void;
  iframe: HTMLIFrameElement;
  getMirror(): ReplayMirror;
}
declare global {
  interface Window {
    rrwebReplay: { Replayer: new (events: unknown[], config: object) => ReplayerOf };
  }
}

const chromium = inject('chromium');

describe.skipIf(!chromium)('a recording in slices, in Chromium', () => {
  let browser: Browser;
  let server: Server;
  let fuzz: Awaited<ReturnType<typeof buildFuzz>>;
  let origin: string;

  beforeAll(async () => {
    fuzz = await buildFuzz();
    const replay = dirname(createRequire(import.meta.url).resolve('@rrweb/replay'));
    const files: Record<string, string> = {
      '/fuzz.js': fuzz.file,
      '/replay.js': join(replay, 'replay.umd.min.cjs'),
    };
    const page = (script: string): string =>
      `<!doctype html><html><head><meta charset="utf-8"><title>fuzz</title><script src="${script}"></script></head><body></body></html>`;
    server = createServer((request, response) => {
      const file = files[request.url!];
      if (file)
        void readFile(file).then((bytes) =>
          response.setHeader('content-type', 'text/javascript;charset=utf-8').end(bytes),
        );
      else
        response
          .setHeader('content-type', 'text/html')
          .end(page(request.url === '/replay' ? '/replay.js' : '/fuzz.js'));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await launchChromium(chromium!);
  });
  afterAll(async () => {
    await browser?.close();
    server?.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await fuzz?.remove();
  });

  /** Events up to each moment, and the page at that moment. */
  async function record(page: Page, seed: number) {
    // Only what is in front has frames, and with them scroll events.
    await page.bringToFront();
    await page.goto(`${origin}/live`);
    return page.evaluate(
      async ({ seed, moments }) => {
        window.fuzz = window.fuzzing.createFuzzPage(seed);
        const found: { events: number; lines: string[] }[] = [];
        for (let moment = 0; moment < moments; moment++) {
          await window.fuzz.mutate(6 + (seed % 20));
          if (moment === 1 && seed % 4 === 0) window.fuzz.snapshot();
          await window.fuzz.mutate(3);
          await window.fuzz.settle();
          found.push({
            events: window.fuzz.events.length,
            lines: window.fuzzing.linesOf(document),
          });
        }
        return { moments: found, events: window.fuzz.events, errors: window.fuzz.errors };
      },
      { seed, moments: MOMENTS },
    );
  }
  async function replay(page: Page, events: FuzzPage['events']): Promise<string[]> {
    return page.evaluate(async (events) => {
      const replayer = new window.rrwebReplay.Replayer(events, {
        root: document.body,
        useVirtualDom: false,
        mouseTail: false,
        showWarning: false,
        pauseAnimation: false,
      });
      replayer.pause(events.at(-1)!.timestamp - events[0]!.timestamp + 1);
      await new Promise((resolve) => setTimeout(resolve, 50));
      const lines = window.fuzzing.linesOf(replayer.iframe.contentDocument!, replayer.getMirror());
      replayer.destroy();
      return lines;
    }, events);
  }

  test(
    'replays to the same page, node for node, wherever it is cut and whatever the page does meanwhile',
    async () => {
      const context = await browser.newContext({ viewport: VIEWPORT });
      const live = await context.newPage();
      const player = await context.newPage();
      await player.goto(`${origin}/replay`);
      await player.addScriptTag({ path: fuzz.file });
      const end = Date.now() + SECONDS * 1000;
      const first = Number(ONE ?? Date.now() % 1e6);
      let seed = first;
      let slices = 0;
      const failures: string[] = [];
      for (; ONE ? seed === first : Date.now() < end && failures.length < 5; seed++) {
        const { moments, events, errors } = await record(live, seed);
        expect(errors, `SEED=${seed}`).toEqual([]);
        slices += events.filter(({ data }) => (data as { adds?: unknown[] }).adds?.length).length;
        for (const [moment, { events: count, lines }] of moments.entries()) {
          const replayed = await replay(player, events.slice(0, count));
          if (replayed.join('\n') !== lines.join('\n')) {
            const at = lines.findIndex((line, index) => line !== replayed[index]);
            const near = (list: string[]): string => list.slice(Math.max(0, at - 3), at + 4).join('\n');
            failures.push(
              `SEED=${seed} differs at moment ${moment}, line ${at} of ${lines.length}\nlive:\n${near(lines)}\nreplayed:\n${near(replayed)}`,
            );
            break;
          }
        }
      }
      console.log(`${seed - first} seeds from SEED=${first} on, ${slices} slices of adds`);
      expect(failures.join('\n\n')).toBe('');
      expect(slices).toBeGreaterThan(0);
    },
    (SECONDS + 60) * 1000,
  );
});
