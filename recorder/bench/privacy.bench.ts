import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import { launchChromium } from '../browser.ts';
import { CONTROL, PLACES, type Group } from './planted.ts';
import { OwnRun, type Visit } from './test-own.ts';
import { PlantedSite, visitPlanted } from './test-planted.ts';
import { leaksIn, Sink, textsOf } from './wire.ts';

/**
 * `make privacy`: which of the planted secrets reach the wire, by ours in both modes and by others at their defaults.
 * All run in this machine's Chromium against sinks on loopback, which keep and decode whatever was sent.
 */
const OTHERS: { name: string; entry: string; query?: string; masksText?: boolean }[] = [
  { name: 'rrweb', entry: 'rrweb' },
  { name: 'rrweb maskAllInputs', entry: 'rrweb', query: '?mask' },
  { name: 'PostHog', entry: 'posthog' },
  { name: 'OpenReplay', entry: 'openreplay' },
  { name: 'Sentry', entry: 'sentry', masksText: true },
];
const FIXTURES = join(import.meta.dirname, '../fixtures/privacy');

const folder = await mkdtemp(join(tmpdir(), 'privacy-'));
const results: { name: string; visit?: Visit; failure?: string }[] = [];
const run = async (name: string, control: string, visit: () => Promise<Visit>): Promise<void> => {
  const startedMs = Date.now();
  try {
    const done = await visit();
    const isHeard = done.texts.some((text) => text.includes(control));
    results.push(
      isHeard
        ? { name, visit: done }
        : { name, visit: done, failure: `"${control}" of the page did not arrive` },
    );
  } catch (error) {
    results.push({ name, failure: String(error).split('\n')[0]! });
  }
  const { failure, visit: done } = results.at(-1)!;
  const bytes = done?.texts.reduce((sum, text) => sum + text.length, 0) ?? 0;
  console.error(
    `${name}: ${failure ?? `${done!.leaks.length} leaks`} (${bytes} characters, ${Date.now() - startedMs} ms)`,
  );
};

try {
  const own = await OwnRun.start();
  await run('ours', CONTROL.text, () => own.visit('default'));
  await run('ours strict', CONTROL.className, () => own.visit('strict'));
  await own.stop();

  const browser = await launchChromium();
  for (const { name, entry, query = '', masksText } of OTHERS) {
    const outDir = join(folder, entry);
    await build({
      configFile: false,
      logLevel: 'error',
      define: { 'process.env.NODE_ENV': '"production"' },
      build: {
        outDir,
        emptyOutDir: true,
        lib: { entry: join(FIXTURES, `${entry}.ts`), formats: ['es'], fileName: () => 'entry.js' },
      },
    });
    const sink = new Sink(outDir);
    const site = new PlantedSite();
    site.recorder = `<script type="module" src="${await sink.listen()}/built/entry.js${query}"></script>`;
    await run(name, masksText ? CONTROL.className : CONTROL.text, async () => {
      await visitPlanted(browser, await site.listen());
      const texts = sink.sent.flatMap((bytes) => textsOf(bytes));
      return { texts, leaks: leaksIn(texts, PLACES) };
    });
    await sink.close();
    await site.close();
  }
  await browser.close();
} finally {
  await rm(folder, { recursive: true, force: true });
}

const width = Math.max(...PLACES.map(({ name }) => name.length)) + 2;
const row = (first: string, cells: string[]): string =>
  first.padEnd(width) + cells.map((cell, index) => cell.padStart(results[index]!.name.length + 2)).join('');
const leaked = (place: string, { visit }: (typeof results)[number]): boolean =>
  visit?.leaks.some(({ name }) => name === place) ?? false;

console.log(
  row(
    '',
    results.map(({ name }) => name),
  ),
);
for (const group of [...new Set(PLACES.map((place) => place.group))] satisfies Group[]) {
  const places = PLACES.filter((place) => place.group === group);
  console.log(`\n${group}`);
  for (const { name } of places)
    console.log(
      row(
        `  ${name}`,
        results.map((result) => (result.failure ? '?' : leaked(name, result) ? 'LEAK' : '·')),
      ),
    );
  const counts = results.map((result) =>
    result.failure ? '?' : String(places.filter(({ name }) => leaked(name, result)).length),
  );
  console.log(row(`  of ${places.length}`, counts));
}
const total = ({ visit, failure }: (typeof results)[number]): string =>
  failure ? 'broken' : String(visit!.leaks.length);
console.log('\n' + row(`all ${PLACES.length}`, results.map(total)));
for (const { name, failure } of results) if (failure) console.log(`${name} is broken: ${failure}`);
const [byDefault, strict] = results.map(total);
console.log(`figure privacy_secrets_planted ${PLACES.length} places`);
console.log(`figure privacy_leaks_default ${byDefault} places`);
console.log(`figure privacy_leaks_strict ${strict} places`);
if (results.some(({ failure }) => failure)) process.exitCode = 1;
