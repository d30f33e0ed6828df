/**
 * What recording costs the page: ours beside others, in turn within each round, on the same pages; medians over at
 * most ROUNDS rounds, as many as fit into BENCH_SECONDS. ONLY narrows it to recorders (`ours,rrweb`), SIZES to page
 * sizes (`1000,10000`).
 *
 * Each visit opens a generated page, starts the recorder, and runs the scripts of `fixtures/cost/page.ts`, all under a
 * trace of Chromium; `trace.ts` says what is counted as the recorder's own. "cpu" is the time of all main-thread tasks
 * less that of the visits without a recorder. Stock rrweb has no transport: it gets one like ours (JSON for each
 * event, gzip, one request a second). Bytes are what the recorder sent, bodies and messages, as they went. A phase
 * lasts equally long for all, or what the page does by itself meanwhile would count as the slower recorder's; who
 * sends on after its end is named. The load of the machine stands beside each page size.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, CDPSession } from 'playwright-core';
import { build } from 'vite';
import { WebSocketServer } from 'ws';
import { launchChromium } from '../browser.ts';
import type { fill, floorMs, scripts } from '../fixtures/cost/page.ts';
import { rrwebTransforms } from '../rrweb-transforms.ts';
import { TestCollector } from '../test-collector.ts';
import { costsOf, median, type Cost, type TraceEvent } from './trace.ts';

declare global {
  interface Window {
    costPage: { fill: typeof fill; floorMs: typeof floorMs; scripts: typeof scripts };
    startRecorder(origin: string, sink: string): void;
  }
}

const ROUNDS = Number(process.env.ROUNDS ?? 3);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 440);
const RECORDERS = ['none', 'ours', 'rrweb', 'browser-client', 'posthog'].filter(
  (name) => name === 'none' || !process.env.ONLY || process.env.ONLY.split(',').includes(name),
);
const SIZES = (process.env.SIZES ?? '1000,10000,50000').split(',').map(Number);
/** The scripts run on a page of this size. */
const SCRIPTS_NODES = 10_000;
/** After its script: time to tell all. Most send once a second, PostHog after two more. */
const PHASE_MS = 3000;
const FIXTURES = join(import.meta.dirname, '../fixtures/cost');

interface Measured extends Cost {
  bytes: number;
}
const measured = new Map<string, Measured[]>();
const floors = new Map<number, number[]>();
/** Of one minute, before each visit. */
const loads = new Map<number, number[]>();
const startMs = Date.now();
let rounds = 0;

const folder = await mkdtemp(join(tmpdir(), 'cost-'));
for (const name of [...RECORDERS, 'page'])
  await build({
    configFile: false,
    logLevel: 'error',
    plugins: [rrwebTransforms()],
    define: { 'process.env.NODE_ENV': '"production"' },
    build: {
      target: 'es2022',
      outDir: folder,
      emptyOutDir: false,
      lib: {
        entry: join(FIXTURES, `${name}.ts`),
        formats: ['iife'],
        name: 'costPage',
        fileName: () => `${name}.js`,
      },
    },
  });
const sink = await Sink();
const browser = await launchChromium();
try {
  // Another round is begun only if it will end in time.
  while (rounds < ROUNDS && ((Date.now() - startMs) * (1 + 1 / (rounds || Infinity))) / 1000 < SECONDS) {
    for (const nodes of SIZES) for (const name of RECORDERS) await visit(browser, name, nodes, rounds + 1);
    rounds++;
  }
  report();
} finally {
  await browser.close();
  sink.close();
  await rm(folder, { recursive: true, force: true });
}

async function visit(on: Browser, name: string, nodes: number, round: number): Promise<void> {
  const collector = new TestCollector(folder);
  collector.pages.set('/', '<!doctype html><meta charset="utf-8"><title>cost</title><body></body>');
  const origin = await collector.listen();
  loads.set(nodes, [...(loads.get(nodes) ?? []), loadavg()[0]!]);
  const page = await on.newPage({ viewport: { width: 1000, height: 700 } });
  const sent = (): number =>
    sink.bytes() +
    [...collector.instances.values()].reduce(
      (sum, { frames }) =>
        sum + frames.slice(1).reduce((total, { payload }) => total + payload.length + 16, 0),
      0,
    );
  try {
    await page.goto(origin);
    await page.addScriptTag({ url: '/r/page.js' });
    await page.evaluate((count) => window.costPage.fill(count), nodes);
    if (name === 'none') {
      const ms = await page.evaluate(() => window.costPage.floorMs());
      floors.set(nodes, [...(floors.get(nodes) ?? []), ms]);
    }
    await page.addScriptTag({ url: `/r/${name}.js` });
    await page.waitForTimeout(300);
    const session = await page.context().newCDPSession(page);
    const bytes = new Map<string, number>();
    const phase = async (what: string, act: () => Promise<void>): Promise<void> => {
      const before = sent();
      await page.evaluate((mark) => void performance.mark(mark), `begin:${what}`);
      await act();
      await page.waitForTimeout(PHASE_MS - 500);
      const late = sent();
      await page.waitForTimeout(500);
      await page.evaluate((mark) => void performance.mark(mark), `end:${what}`);
      bytes.set(what, sent() - before);
      if (sent() > late + 2000) console.error(`${name} still sends ${PHASE_MS / 1000} s after ${what}`);
    };
    const events = await traced(session, async () => {
      await phase(`snapshot of ${nodes / 1000}k`, async () => {
        await page.evaluate(([own, other]) => window.startRecorder(own!, other!), [origin, sink.url]);
        // PostHog keeps what it has until there is somebody.
        await page.mouse.move(5, 5);
        await page.mouse.move(9, 9);
      });
      if (nodes !== SCRIPTS_NODES) return;
      for (const script of await page.evaluate(() => Object.keys(window.costPage.scripts)))
        await phase(script, () => page.evaluate((key) => window.costPage.scripts[key]!(), script));
    });
    const costs = costsOf(events, (url) => url.endsWith(`/r/${name}.js`));
    for (const [what, cost] of costs) {
      const key = `${what}\t${name}`;
      measured.set(key, [...(measured.get(key) ?? []), { ...cost, bytes: bytes.get(what) ?? 0 }]);
    }
    console.error(`round ${round}: ${name} on ${nodes} nodes, ${sent()} bytes in all`);
  } finally {
    await page.close();
    await collector.close();
    sink.reset();
  }
}

async function traced(session: CDPSession, act: () => Promise<void>): Promise<TraceEvent[]> {
  const events: TraceEvent[] = [];
  session.on('Tracing.dataCollected', ({ value }) => events.push(...(value as unknown as TraceEvent[])));
  const done = new Promise((resolve) => session.once('Tracing.tracingComplete', resolve));
  await session.send('Tracing.start', {
    transferMode: 'ReportEvents',
    traceConfig: {
      recordMode: 'recordAsMuchAsPossible',
      excludedCategories: ['*'],
      includedCategories: ['devtools.timeline', 'disabled-by-default-devtools.timeline', 'blink.user_timing'],
    },
  });
  await act();
  await session.send('Tracing.end');
  await done;
  return events;
}

function report(): void {
  const of = (what: string, name: string, value: (cost: Measured) => number): number =>
    median((measured.get(`${what}\t${name}`) ?? []).map(value));
  const phases = [...new Set([...measured.keys()].map((key) => key.split('\t')[0]!))];
  const others = RECORDERS.filter((name) => name !== 'none');
  const cpu = (what: string, name: string): number =>
    of(what, name, ({ busyMs }) => busyMs) - of(what, 'none', ({ busyMs }) => busyMs);
  const cell = (value: number, digits = 1): string =>
    (Number.isNaN(value) ? '-' : value.toFixed(digits)).padStart(9);
  console.log(`medians of ${rounds} rounds, ms; × is the ratio of cpu to ours`);
  console.log(
    `${''.padEnd(26)}${'recorder'.padEnd(16)}${['cpu', '×', 'worst', 'frame', 'p99', 'kB'].map((head) => head.padStart(9)).join('')}`,
  );
  for (const what of phases)
    for (const name of others)
      console.log(
        what.padEnd(26) +
          name.padEnd(16) +
          cell(cpu(what, name)) +
          cell(cpu(what, name) / cpu(what, 'ours'), 2) +
          cell(of(what, name, ({ worstTaskMs }) => worstTaskMs)) +
          cell(
            of(what, name, ({ frameMeanMs }) => frameMeanMs),
            3,
          ) +
          cell(
            of(what, name, ({ frameP99Ms }) => frameP99Ms),
            2,
          ) +
          cell(of(what, name, ({ bytes }) => bytes) / 1000),
      );
  for (const [nodes, ms] of floors)
    console.log(`walking ${nodes} nodes and making JSON of them, alone: ${median(ms).toFixed(1)} ms`);
  for (const [nodes, load] of loads)
    console.log(`load of the machine on ${nodes} nodes: ${median(load).toFixed(1)}`);
  for (const name of others)
    if (!phases.some((what) => of(what, name, ({ bytes }) => bytes) > 0))
      console.log(`${name} DID NOT RECORD: its figures mean nothing`);
  const worst = (pick: (cost: Measured) => number, from = phases): number =>
    Math.max(...from.map((what) => of(what, 'ours', pick)).filter((value) => !Number.isNaN(value)));
  const figure = (name: string, value: number, unit: string): void =>
    console.log(`figure ${name} ${value.toFixed(2)} ${unit}`);
  const total = (name: string): number => phases.reduce((sum, what) => sum + cpu(what, name), 0);
  const at50k = phases.filter((what) => what.endsWith(' 50k'));
  if (!others.includes('ours')) return;
  figure(
    'recorder_frame_mean_ms',
    worst(({ frameMeanMs }) => frameMeanMs),
    'ms',
  );
  figure(
    'recorder_frame_p99_ms',
    worst(({ frameP99Ms }) => frameP99Ms),
    'ms',
  );
  const at10k = phases.filter((what) => !at50k.includes(what));
  if (at10k.length)
    figure(
      'recorder_worst_task_10k_ms',
      worst(({ worstTaskMs }) => worstTaskMs, at10k),
      'ms',
    );
  if (at50k.length)
    figure(
      'recorder_worst_task_50k_ms',
      worst(({ worstTaskMs }) => worstTaskMs, at50k),
      'ms',
    );
  if (others.includes('rrweb'))
    figure('recorder_vs_rrweb_cpu_ratio', total('ours') / total('rrweb'), 'ratio');
}

/** Takes what the others send, and answers what they ask for before they begin. */
async function Sink(): Promise<{ url: string; bytes(): number; reset(): void; close(): void }> {
  let bytes = 0;
  const server = createServer(async (request, response) => {
    response.setHeader('access-control-allow-origin', request.headers.origin ?? '*');
    response.setHeader('access-control-allow-credentials', 'true');
    response.setHeader(
      'access-control-allow-headers',
      String(request.headers['access-control-request-headers'] ?? '*'),
    );
    const isConfig = /flags|decide|config/.test(request.url!);
    // What PostHog posts to /e/ are its analytics.
    const isRecording = !isConfig && !request.url!.startsWith('/e/');
    for await (const chunk of request) if (isRecording) bytes += (chunk as Buffer).length;
    response.setHeader('content-type', 'application/json').end(
      JSON.stringify(
        isConfig
          ? {
              sessionRecording: { endpoint: '/s/', recorderVersion: 'v2' },
              supportedCompression: ['gzip', 'gzip-js'],
              featureFlags: {},
              flags: {},
            }
          : { status: 1 },
      ),
    );
  });
  new WebSocketServer({ server }).on('connection', (socket) =>
    socket.on('message', (data: Buffer) => void (bytes += data.length)),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bytes: () => bytes,
    reset: () => void (bytes = 0),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
