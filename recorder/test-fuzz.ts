import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { build, type Plugin } from 'vite';
import { rrwebTransforms } from './rrweb-transforms.ts';
import type { createFuzzPage, FuzzPage, linesOf } from './test-fuzz-page.ts';

declare global {
  interface Window {
    fuzz: FuzzPage;
    fuzzing: { createFuzzPage: typeof createFuzzPage; linesOf: typeof linesOf };
  }
}

/** Builds the page of the fuzz test, with the recorder in it, as a script. */
export async function buildFuzz(plugins: Plugin[] = [rrwebTransforms()]): Promise<{
  file: string;
  remove(): Promise<void>;
}> {
  const folder = await mkdtemp(join(tmpdir(), 'fuzz-'));
  await build({
    configFile: false,
    logLevel: 'error',
    plugins,
    build: {
      target: 'es2022',
      outDir: folder,
      emptyOutDir: false,
      minify: false,
      lib: {
        entry: join(import.meta.dirname, 'test-fuzz-page.ts'),
        formats: ['iife'],
        name: 'fuzzing',
        fileName: () => 'fuzz.js',
      },
    },
  });
  return { file: join(folder, 'fuzz.js'), remove: () => rm(folder, { recursive: true, force: true }) };
}

/** What a page records that changes at random, `steps` times; everything in it comes from the seed. */
export async function recordFuzz(
  page: Page,
  file: string,
  seed: number,
  steps: number,
): Promise<FuzzPage['events']> {
  const script = await readFile(file, 'utf8');
  const origin = 'http://fuzz.test/';
  await page.route(`${origin}**`, (route) => {
    const isScript = route.request().url().endsWith('.js');
    return route.fulfill({
      contentType: isScript ? 'text/javascript;charset=utf-8' : 'text/html',
      body: isScript
        ? script
        : '<!doctype html><html><head><meta charset="utf-8"><title>fuzz</title><script src="/fuzz.js"></script></head><body></body></html>',
    });
  });
  // Only what is in front has frames, and with them scroll events.
  await page.bringToFront();
  await page.goto(origin);
  return page.evaluate(
    async ({ seed, steps }) => {
      window.fuzz = window.fuzzing.createFuzzPage(seed);
      for (let third = 0; third < 3; third++) {
        await window.fuzz.mutate(Math.ceil(steps / 3));
        if (third === 1 && seed % 4 === 0) window.fuzz.snapshot();
        await window.fuzz.settle();
      }
      return window.fuzz.events;
    },
    { seed, steps },
  );
}

/** rrweb's own recorder, unchanged, in the place of ours: what foreign recorders send. */
export const stockRecorder = (): Plugin => ({
  name: 'stock-recorder',
  enforce: 'pre',
  load(id) {
    if (!id.endsWith('/recorder/capture.ts')) return undefined;
    return `import { record } from '@rrweb/record';
export function startCapture(emit) {
  const stop = record({ emit, errorHandler: () => true });
  return {
    idOf: (node) => record.mirror.getId(node),
    takeFullSnapshot: () => record.takeFullSnapshot(),
    finish() {},
    stop,
  };
}`;
  },
});
