import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, type Rolldown } from 'vite';
import { gzBytesOf, measure } from './size.ts';
import { Bench, recording } from './test-page.ts';

/**
 * What a page downloads to be recorded: by ours, as real Chromium fetches it with default options, and by other
 * recorders, each the least that records, from its npm package, built for production by the same bundler for the same
 * browsers. All gzipped at level 9, file by file. What others fetch later in any case counts, and is named.
 */
interface Peer {
  name: string;
  entry: string;
  /** Scripts of its package that it fetches by itself once recording is on. */
  fetched?: string[];
}

const PEERS: Peer[] = [
  {
    name: '@rrweb/browser-client',
    entry: `import { start } from '@rrweb/browser-client';
      start({ serverUrl: 'https://collector.example', publicApiKey: 'key' });`,
  },
  {
    name: 'rrweb record, no transport',
    entry: `import { record } from 'rrweb';
      record({ emit: (event) => dispatchEvent(new CustomEvent('recorded', { detail: event })) });`,
  },
  {
    name: '@openreplay/tracker',
    entry: `import Tracker from '@openreplay/tracker';
      new Tracker({ projectKey: 'key' }).start();`,
  },
  {
    name: 'posthog-js, slim with replay',
    entry: `import { posthog } from 'posthog-js/dist/module.slim.js';
      import { SessionReplayExtensions } from 'posthog-js/dist/extension-bundles.js';
      posthog.init('key', { __extensionClasses: { ...SessionReplayExtensions } });`,
    fetched: ['posthog-js/dist/lazy-recorder.js'],
  },
  {
    name: 'posthog-js, as installed',
    entry: `import posthog from 'posthog-js'; posthog.init('key');`,
    fetched: ['posthog-js/dist/lazy-recorder.js'],
  },
  {
    name: '@sentry/browser with replay',
    entry: `import { init, replayIntegration } from '@sentry/browser';
      init({ dsn: 'https://key@sentry.example/1', integrations: [replayIntegration()], replaysSessionSampleRate: 1 });`,
  },
];

const ROOT = join(import.meta.dirname, '..');

/** Gzipped size of each script that the peer's smallest page needs. */
async function sizesOf({ entry, fetched = [] }: Peer): Promise<number[]> {
  const outDir = await mkdtemp(join(tmpdir(), 'peer-'));
  try {
    const built = (await build({
      configFile: false,
      root: ROOT,
      logLevel: 'error',
      define: { 'process.env.NODE_ENV': '"production"' },
      plugins: [
        {
          name: 'peer',
          resolveId: (id) => (id === 'virtual:peer' ? join(ROOT, 'peer.js') : undefined),
          load: (id) => (id === join(ROOT, 'peer.js') ? entry : undefined),
        },
      ],
      build: {
        target: 'es2022',
        outDir,
        modulePreload: false,
        copyPublicDir: false,
        rollupOptions: { input: 'virtual:peer' },
      },
    })) as Rolldown.RolldownOutput;
    const files = built.output.map((file) => gzBytesOf(file.type === 'chunk' ? file.code : file.source));
    const scripts = fetched.map((path) => readFile(join(ROOT, 'node_modules', path)));
    return [...files, ...(await Promise.all(scripts)).map(gzBytesOf)];
  } finally {
    await rm(outDir, { recursive: true, force: true });
  }
}

/** Names of the scripts that a page with default options has fetched when it is idle. */
async function scriptsFetched(): Promise<string[]> {
  const bench = await Bench.start();
  try {
    const collector = await bench.collector('<h1>A page</h1><form><input><button>Send</button></form>');
    const page = await bench.page(collector);
    await recording(page);
    await page.waitForTimeout(3000);
    const urls = await page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name));
    return [...new Set(urls.flatMap((url) => /\/r\/([^?]+\.js)$/.exec(url)?.[1] ?? []))];
  } finally {
    await bench.stop();
  }
}

const kb = (bytes: number): string => (bytes / 1024).toFixed(1);
const row = (name: string, size: string, more = ''): void =>
  console.log(`${name.padEnd(34)}${size.padStart(9)}  ${more}`);

const { gzBytes } = measure(join(ROOT, 'dist/recorder'));
const fetched = await scriptsFetched();
row('ours, file by file', 'KB gz');
for (const [name, bytes] of [...gzBytes].sort(([, a], [, b]) => b - a))
  row(`  ${name}`, kb(bytes), fetched.includes(name) ? '' : 'only where it is needed');
const ours = fetched.reduce((sum, name) => sum + (gzBytes.get(name) ?? NaN), 0);
row('an ordinary page downloads', kb(ours), `${fetched.length} files`);
console.log('');
row('to record, a page downloads', 'KB gz', 'times ours');
row('mutoscope', kb(ours), '1.0');
for (const peer of PEERS) {
  const sizes = await sizesOf(peer);
  const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const files = sizes.length > 1 ? `(${sizes.map(kb).join(' + ')})` : '';
  row(peer.name, kb(total), `${(total / ours).toFixed(1)}  ${files}`);
}
