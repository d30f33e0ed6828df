import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createCollector } from '#collector';
import { createHttp, createLog, createMetrics, listen, readConfig, type Service } from '#service';
import { decodeRecord, openStream, type Stream } from '#stream';
import { launchChromium } from './browser.ts';
import { decodeFrame, FrameFlag } from './protocol.ts';
import { buildRecorder, pageOf } from './test-page.ts';
import { createRandom, TestProxy } from './test-proxy.ts';

/** Real pages record into two real collectors, on one log, through a network that a seed makes bad. */

const chromium = inject('chromium');
const PAGES = 4;
const FAULTS = Number(process.env.FAULTS ?? 10);
/** Waits of more than a second pass eight times as fast. */
const HASTY = `for (const name of ['setTimeout', 'setInterval']) {
  const original = window[name];
  window[name] = (f, ms, ...rest) => original(f, ms > 2500 ? ms / 8 : ms, ...rest);
}`;

/** Two collectors as they are run, on one log, in a directory that outlives them. */
class RealCollectors {
  stream!: Stream;
  private readonly running: { service: Service; http: ReturnType<typeof createHttp> }[] = [];
  private ports = [0, 0];
  private turn = 0;
  private readonly dir: string;
  private readonly assetsDir: string;

  constructor(dir: string, assetsDir: string) {
    this.dir = dir;
    this.assetsDir = assetsDir;
  }
  /** Of one after the other, as behind a balancer. */
  get port(): number {
    return this.ports[this.turn++ % this.ports.length]!;
  }
  async start(): Promise<void> {
    this.stream = await openStream(this.dir, { bytesMax: 2 ** 28, warn: () => undefined });
    this.ports = await Promise.all(this.ports.map((port) => this.startOne(port)));
  }
  private async startOne(port: number): Promise<number> {
    const log = createLog('silent');
    const metrics = createMetrics({ process: false });
    const http = createHttp(log, metrics, () => []);
    http.get('/', (_request, reply) => reply.type('text/html').send(pageOf('<main></main>')));
    const current = () => ({
      ...{ v: 1 as const, secret: 'secret of a test' },
      projects: [
        {
          ...{ id: 'demo', retentionDays: 30 as const, apiKeys: [] },
          writeKeys: [{ key: 'wk_test', origins: ['*'] }],
        },
      ],
    });
    const service = createCollector(
      { config: readConfig({}), log, metrics, http, now: Date.now },
      { stream: this.stream, projects: { current }, assetsDir: this.assetsDir },
    );
    this.running.push({ service, http });
    return Number(new URL(await listen(http, `127.0.0.1:${port}`)).port);
  }
  async stop(): Promise<void> {
    for (const { service, http } of this.running.splice(0)) {
      await service.stop();
      http.server.closeAllConnections();
      await http.close();
    }
    await this.stream.close();
  }

  /** Every event stored, in the stream's order. */
  async events(): Promise<{ session: string; rid: string; seq: number; event: TrackEvent }[]> {
    const found = [];
    const parts = new Map<string, Uint8Array[]>();
    const frames = new Set<string>();
    for await (const { subject, bytes } of this.stream.read(1, 'rec.>')) {
      const { envelope, frame: raw } = decodeRecord(bytes);
      const { rid } = envelope;
      const { frame, flags, firstSeq, payload } = decodeFrame(raw);
      const key = `${rid}.${frame}`;
      if (frames.has(key)) throw new Error(`frame ${key} is stored twice`);
      frames.add(key);
      const all = [...(parts.get(rid) ?? []), payload];
      parts.set(rid, flags & FrameFlag.more ? all : []);
      if (flags & FrameFlag.more) continue;
      const whole = Buffer.concat(all);
      const json = (flags & FrameFlag.gzip ? gunzipSync(whole) : whole).toString();
      for (const [i, event] of (JSON.parse(json) as TrackEvent[]).entries())
        found.push({ session: subject.split('.')[3]!, rid, seq: firstSeq + i, event });
    }
    return found;
  }
}
interface TrackEvent {
  type: number;
  data: { tag?: string; payload?: { props: { visitor: number; n: number } } };
}

/** One tab, which counts what it has its page record. */
class Visitor {
  produced = 0;
  readonly sessions = new Set<string | undefined>();
  readonly number: number;
  readonly page: Page;
  private readonly random: () => number;

  constructor(number: number, page: Page, random: () => number) {
    this.number = number;
    this.page = page;
    this.random = random;
  }
  async ready(): Promise<void> {
    await this.page.waitForFunction(() => window.mutoscope?.status?.().rid);
  }
  /** 1 to 6 events, and a change of the page; a few are large and do not compress. */
  async act(): Promise<void> {
    const count = 1 + Math.floor(this.random() * 6);
    const bytes = this.random() < 0.2 ? Math.floor(this.random() * 5000) : 8;
    await this.page.evaluate(
      ([visitor, from, to, size]) => {
        for (let n = from!; n <= to!; n++) {
          const noise = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(size!))));
          window.mutoscope.track('n', { visitor, n, noise });
        }
        document.querySelector('main')!.append(document.createElement('p'));
      },
      [this.number, this.produced + 1, this.produced + count, bytes],
    );
    this.produced += count;
  }
  async reload(): Promise<void> {
    await this.page.reload();
    await this.ready();
  }
}

describe.skipIf(!chromium)('through a bad network, into real collectors', () => {
  let browser: Browser;
  let built: Awaited<ReturnType<typeof buildRecorder>>;
  beforeAll(async () => {
    built = await buildRecorder();
    browser = await launchChromium(chromium!);
  });
  afterAll(async () => {
    await browser.close();
    await built.remove();
  });

  test('every event arrives exactly once', { timeout: 240_000 }, async () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
    process.stdout.write(`faults of transport: SEED=${seed}\n`);
    const random = createRandom(seed);
    const dir = await mkdtemp(join(tmpdir(), 'recorder-faults-'));
    const collector = new RealCollectors(dir, built.folder);
    await collector.start();
    const proxy = await new TestProxy(() => collector.port, createRandom(seed + 1)).listen();
    const contexts: BrowserContext[] = [];
    const visitors: Visitor[] = [];
    let isCalm = true;
    let isOver = false;
    try {
      for (let number = 1; number <= PAGES; number++) {
        const context = await browser.newContext();
        contexts.push(context);
        await context.addInitScript({ content: HASTY });
        const page = await context.newPage();
        await page.goto(proxy.url);
        visitors.push(new Visitor(number, page, createRandom(seed + 10 + number)));
      }
      await Promise.all(visitors.map((visitor) => visitor.ready()));
      const reloading = new Set<Visitor>();
      const live = visitors.map(async (visitor) => {
        const chance = createRandom(seed + 100 + visitor.number);
        while (!isOver) {
          await visitor.act();
          if (isCalm && chance() < 0.15) {
            reloading.add(visitor);
            await visitor.reload();
            reloading.delete(visitor);
          }
          await delay(chance() * 200);
        }
      });
      const shortly = (): Promise<void> => delay(200 + random() * 1200);
      const faults: Record<string, () => Promise<void>> = {
        cut: async () => proxy.cut(),
        delay: async () => {
          proxy.delayMsMax = 300;
          await shortly();
          proxy.cut();
        },
        split: async () => {
          proxy.splits = true;
          await shortly();
        },
        reorder: async () => {
          const held = proxy.overtake();
          await shortly();
          held.drop();
          // New connections are made, and used, before the old one's bytes come.
          await delay(1500);
          held.release();
        },
        'black hole': async () => {
          proxy.isBlackHole = true;
          await shortly();
          await shortly();
          proxy.cut();
        },
        'no upgrades': async () => {
          proxy.refusesUpgrades = true;
          proxy.cut();
          await delay(3000);
        },
        offline: async () => {
          await Promise.all(contexts.map((context) => context.setOffline(true)));
          proxy.cut();
          await shortly();
          await Promise.all(contexts.map((context) => context.setOffline(false)));
        },
        restart: async () => {
          await collector.stop();
          await delay(random() * 500);
          await collector.start();
        },
      };
      const names = Object.keys(faults);
      for (let at = 0; at < FAULTS; at++) {
        isCalm = false;
        // A page that is being loaded needs its network.
        while (reloading.size) await delay(10);
        const name = names[at < names.length ? at : Math.floor(random() * names.length)]!;
        process.stdout.write(`${name}\n`);
        await faults[name]!();
        Object.assign(proxy, { delayMsMax: 0, splits: false, isBlackHole: false, refusesUpgrades: false });
        await Promise.all(
          visitors.map(({ page }) =>
            page.waitForFunction(() => window.mutoscope.status().state === 'recording'),
          ),
        );
        isCalm = true;
        await delay(600);
      }
      isOver = true;
      await Promise.all(live);
      await Promise.all(visitors.map(({ page }) => page.evaluate(() => window.mutoscope.flush())));
      for (const visitor of visitors) await visitor.act();
      const states = await Promise.all(
        visitors.map(({ page }) => page.evaluate(() => window.mutoscope.status())),
      );
      for (const { page } of visitors) await page.close();
      await delay(1500);

      const events = await collector.events();
      const byRid = new Map<string, typeof events>();
      for (const event of events) byRid.set(event.rid, [...(byRid.get(event.rid) ?? []), event]);
      for (const [rid, of] of byRid) {
        const seqs = of.map(({ seq }) => seq).sort((a, b) => a - b);
        expect(seqs, rid).toEqual(seqs.map((_, index) => index + 1));
        expect(new Set(of.map(({ session }) => session)).size).toBe(1);
      }
      for (const { number, produced } of visitors) {
        const arrived = events
          .flatMap(({ event }) => (event.data.tag === 'track' ? [event.data.payload!.props] : []))
          .filter(({ visitor }) => visitor === number)
          .map(({ n }) => n)
          .sort((a, b) => a - b);
        expect(arrived, `visitor ${number}`).toEqual(Array.from({ length: produced }, (_, i) => i + 1));
      }
      expect(states.map(({ eventsDropped }) => eventsDropped)).toEqual([0, 0, 0, 0]);
      expect(events.length).toBeGreaterThan(PAGES * 100);
      expect(byRid.size).toBeGreaterThan(PAGES);
      process.stdout.write(
        `${events.length} events of ${byRid.size} page loads, ${proxy.taken} connections\n`,
      );
    } finally {
      isOver = true;
      for (const context of contexts) await context.close();
      await proxy.close();
      await collector.stop();
      await rm(dir, { recursive: true, force: true });
    }
  });
});
