import { randomBytes } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { SqlAnswer } from '#api';
import { findIn, openStore } from '#store';
import { openStream } from '#stream';
import { CHROMIUM_ARGS } from './chromium.ts';
import { startProcess, type Running } from './processes.ts';
import { freePort } from './servers.ts';
import {
  COMPLETION_RATES,
  FOUNDING_QUESTION,
  isAngry,
  recording,
  STUCK,
  typedWindows,
  visit,
  VISITOR_NUMBERS,
  VISITORS,
} from './story.ts';

const KEYS = { FIRST_WRITE_KEY: 'wk_story_write_key', FIRST_API_KEY: 'ak_story_api_key_for_tests' };
const QUICK = {
  FLUSH_INTERVAL_MS: '500',
  REFRESH_INTERVAL_MS: '100',
  COMPACT_INTERVAL_MS: '5000',
  DEMO: 'on',
};
const OUT = join(import.meta.dirname, '../.cache/story');
const chromiumPath = inject('chromium');
const natsUrl = inject('natsUrl');
const s3 = inject('s3');

interface Mode {
  name: string;
  can: boolean;
  start(): Promise<Deployment>;
}
interface Deployment {
  processes: Running[];
  /** Where the demo site and the socket are; where the app and SQL are. */
  site: string;
  app: string;
  stream: string;
  store: string;
  /** Directories whose every file is searched for what was typed. */
  directories: string[];
  restart?: () => Promise<Running>;
}

async function address(): Promise<{ LISTEN: string }> {
  return { LISTEN: `127.0.0.1:${await freePort()}` };
}

function distributed(): { STREAM: string; STORE: string } {
  const id = randomBytes(4).toString('hex');
  return {
    STREAM: `${natsUrl}/STORY_${id}`,
    STORE: `s3://story-${id}/lake?endpoint=${encodeURIComponent(s3?.endpoint ?? '')}&region=us-east-1`,
  };
}
const credentials = (): Record<string, string> => ({
  AWS_ACCESS_KEY_ID: s3?.accessKey ?? '',
  AWS_SECRET_ACCESS_KEY: s3?.secretKey ?? '',
});

const MODES: Mode[] = [
  {
    name: 'embedded',
    can: true,
    async start() {
      const DATA_DIR = await mkdtemp(join(tmpdir(), 'mutoscope-story-'));
      const settings = { DATA_DIR, ...KEYS, ...QUICK, ...(await address()) };
      const running = await startProcess(settings);
      return {
        processes: [running],
        site: running.url,
        app: running.url,
        stream: join(DATA_DIR, 'stream'),
        store: join(DATA_DIR, 'lake'),
        directories: [DATA_DIR],
        restart: () => startProcess(settings),
      };
    },
  },
  {
    name: 'one process on NATS and S3',
    can: Boolean(natsUrl && s3),
    async start() {
      const DATA_DIR = await mkdtemp(join(tmpdir(), 'mutoscope-story-'));
      const where = distributed();
      const running = await startProcess({
        DATA_DIR,
        ...where,
        ...credentials(),
        ...KEYS,
        ...QUICK,
        ...(await address()),
      });
      return {
        processes: [running],
        site: running.url,
        app: running.url,
        stream: where.STREAM,
        store: where.STORE,
        directories: [DATA_DIR],
      };
    },
  },
  {
    name: 'three roles as three processes',
    can: Boolean(natsUrl && s3),
    async start() {
      const DATA_DIR = await mkdtemp(join(tmpdir(), 'mutoscope-story-'));
      const common = { DATA_DIR, ...distributed(), ...credentials(), ...KEYS, ...QUICK };
      const start = async (ROLE: string): Promise<Running> =>
        startProcess({ ...common, ROLE, ...(await address()) });
      const collector = await start('collector');
      const [processor, query] = await Promise.all([start('processor'), start('query')]);
      return {
        processes: [query, collector, processor],
        site: collector.url,
        app: query.url,
        stream: common.STREAM,
        store: common.STORE,
        directories: [DATA_DIR],
      };
    },
  },
];

describe.skipIf(!chromiumPath)('the founding story', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: chromiumPath ?? '', args: CHROMIUM_ARGS });
    await mkdir(OUT, { recursive: true });
  });
  afterAll(() => browser?.close());

  describe.each(MODES)('$name', (mode) => {
    let deployment: Deployment;
    const sql = async (statement: string): Promise<Record<string, unknown>[]> => {
      const reply = await fetch(`${deployment.app}/v1/sql`, {
        method: 'POST',
        headers: { authorization: `Bearer ${KEYS.FIRST_API_KEY}`, 'content-type': 'application/json' },
        body: JSON.stringify({ sql: statement }),
      });
      if (reply.status !== 200) throw new Error(`SQL answered ${reply.status}: ${await reply.text()}`);
      const { columns, rows } = (await reply.json()) as SqlAnswer;
      return rows.map((row) => Object.fromEntries(columns.map(({ name }, i) => [name, row[i]])));
    };

    beforeAll(async () => {
      if (!mode.can) return;
      deployment = await mode.start();
      for (let at = 0; at < VISITORS.length; at += 3)
        await Promise.all(
          VISITORS.slice(at, at + 3).map((visitor) => visit(browser, deployment.site, visitor)),
        );
    }, 180_000);
    afterAll(async () => {
      for (const running of deployment?.processes ?? []) running.kill();
      for (const directory of deployment?.directories ?? [])
        await rm(directory, { recursive: true, force: true });
      if (mode.can && s3 && deployment?.store.startsWith('s3:')) await emptyStore(deployment.store);
    });
    const it = test.skipIf(!mode.can);

    it('finds exactly the visitors who clicked a disabled button at step 2 and left', async () => {
      const rows = await expect
        .poll(() => sql(FOUNDING_QUESTION), { timeout: 30_000, interval: 250 })
        .toHaveLength(STUCK.length)
        .then(() => sql(FOUNDING_QUESTION));
      const numbers = new Map(
        (await sql(VISITOR_NUMBERS)).map(({ session_id, number }) => [session_id, number]),
      );
      const found = rows.map(({ session_id, clicks }) => `${numbers.get(session_id)}: ${clicks}`);
      expect(found.sort()).toEqual(STUCK.map(({ number, clicks }) => `${number}: ${clicks}`).sort());
      for (const { session_id, watch } of rows)
        expect(watch).toMatch(new RegExp(`^/sessions/${session_id}\\?at=\\d{13}$`));
      const angry = await sql('SELECT DISTINCT session_id FROM rage_clicks');
      expect(angry.map(({ session_id }) => numbers.get(session_id)).sort()).toEqual(
        VISITORS.filter(isAngry).map(({ number }) => number),
      );
      await answer('founding', rows);
      await figure(mode, 'story_disabled_click_sessions', rows.length, 'sessions');
    });

    it('tells the completion rate with and without the fix', async () => {
      await expect
        .poll(() => sql('SELECT count(*) AS n FROM sessions'), { timeout: 30_000 })
        .toEqual([{ n: VISITORS.length }]);
      const rate = (fix: boolean): { fix: string; sessions: number; completed_pct: number } => {
        const group = VISITORS.filter((visitor) => visitor.fix === fix);
        return {
          fix: String(fix),
          sessions: group.length,
          completed_pct: Math.round((100 * group.filter((v) => v.completes).length) / group.length),
        };
      };
      await expect.poll(() => sql(COMPLETION_RATES), { timeout: 30_000 }).toEqual([rate(false), rate(true)]);
      await answer('completion', await sql(COMPLETION_RATES));
      await figure(mode, 'story_sessions', VISITORS.length, 'sessions');
    });

    it('opens the replay at that moment, with the button disabled and the fields masked', async () => {
      const [row] = await sql(FOUNDING_QUESTION);
      const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
      const page = await context.newPage();
      try {
        await page.goto(`${deployment.app}/#key=${KEYS.FIRST_API_KEY}`);
        await page.goto(`${deployment.app}${String(row?.watch)}`);
        await page.waitForFunction(
          () => {
            const player = document.querySelector('session-player') as
              (HTMLElement & { stageDocument?: Document }) | null;
            return player?.stageDocument?.querySelector('#continue') != null;
          },
          undefined,
          { timeout: 20_000 },
        );
        const replayed = await page.evaluate(() => {
          const stage = (
            document.querySelector('session-player') as HTMLElement & { stageDocument: Document }
          ).stageDocument;
          const button = stage.querySelector('#continue') as HTMLButtonElement;
          return {
            disabled: button.disabled,
            text: button.textContent?.trim(),
            company: (stage.querySelector('#company') as HTMLInputElement).value,
          };
        });
        expect(replayed).toEqual({ disabled: true, text: 'Continue', company: '·····' });
        await page.waitForTimeout(500);
        const picture = await page.screenshot({
          path: join(OUT, `player-${mode.name.replaceAll(' ', '-')}.png`),
        });
        expect(await coloursIn(browser, picture)).toBeGreaterThan(50);
        await page.goto(`${deployment.app}/`);
        await page.getByRole('row').nth(VISITORS.length).waitFor();
        await page.screenshot({ path: join(OUT, 'sessions.png') });
      } finally {
        await context.close();
      }
    });

    it('shows a click to SQL soon', async () => {
      const context = await browser.newContext();
      const page = await context.newPage();
      try {
        await page.goto(`${deployment.site}/demo/`);
        await recording(page);
        const delays: number[] = [];
        for (let turn = 1; turn <= 5; turn++) {
          const clickedMs = Date.now();
          const name = `turn-${randomBytes(4).toString('hex')}`;
          await page.evaluate(
            (event) =>
              (window as unknown as { mutoscope: { track(name: string): void } }).mutoscope.track(event),
            name,
          );
          await expect
            .poll(() => sql(`SELECT count(*) AS n FROM custom_events WHERE name = '${name}'`), {
              timeout: 60_000,
              interval: 20,
            })
            .toEqual([{ n: 1 }]);
          delays.push(Date.now() - clickedMs);
        }
        await figure(mode, 'story_event_to_sql_ms', delays.sort((a, b) => a - b)[2] as number, 'ms');
      } finally {
        await context.close();
      }
      if (mode.name === 'embedded')
        await figure(mode, 'embedded_rss_mb', await rssMb(deployment.processes[0]?.pid ?? 0), 'MB');
    });

    it('keeps no typed character of any visitor, also not inside compressed files', async () => {
      const windows = typedWindows(VISITORS);
      const control = 'signup/step-2';
      const found = new Set<string>();
      for await (const bytes of everything(deployment))
        for (const needle of findIn([bytes], [...windows, control])) found.add(needle);
      expect(found.delete(control), 'the search itself works').toBe(true);
      await figure(mode, 'story_leaked_chars', found.size * 8, 'characters');
      expect([...found]).toEqual([]);
    });

    it('drains and exits 0, and has everything when it is started again', async () => {
      const count = 'SELECT count(*) AS n FROM events';
      const before = await sql(count);
      for (const running of deployment.processes) expect(await running.end(), running.output()).toBe(0);
      if (!deployment.restart) return;
      deployment.processes = [await deployment.restart()];
      const [after] = await sql(count);
      expect(Number(after?.n)).toBeGreaterThanOrEqual(Number(before[0]?.n));
      expect(
        await sql('SELECT count(*) - count(DISTINCT (session_id, rid, seq)) AS twice FROM events'),
      ).toEqual([{ twice: 0 }]);
    });
  });
});

/** Every file of the deployment's directories, and where the lake or the stream are elsewhere, every object and message. */
async function* everything(deployment: Deployment): AsyncGenerator<Uint8Array> {
  for (const directory of deployment.directories)
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true }))
      if (entry.isFile())
        yield await readFile(join(entry.parentPath, entry.name)).catch(() => new Uint8Array());
  if (deployment.store.startsWith('s3:')) {
    const store = await openStoreAs(deployment.store);
    for await (const { key } of store.list('')) yield await store.get(key).catch(() => new Uint8Array());
    await store.close();
  }
  if (deployment.stream.startsWith('nats:')) {
    const stream = await openStream(deployment.stream, { bytesMax: 2 ** 32 });
    for await (const { bytes } of stream.read(1, 'rec.>')) yield bytes;
    await stream.close();
  }
}

function openStoreAs(location: string): ReturnType<typeof openStore> {
  Object.assign(process.env, credentials());
  return openStore(location);
}

async function emptyStore(location: string): Promise<void> {
  const store = await openStoreAs(location);
  const keys: string[] = [];
  for await (const { key } of store.list('')) keys.push(key);
  await store.remove(keys);
  await store.close();
}

async function rssMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? NaN) / 1024);
}

/** For the README: the rows as they came. */
async function answer(name: string, rows: Record<string, unknown>[]): Promise<void> {
  const line = (cells: unknown[]): string => `| ${cells.join(' | ')} |`;
  const columns = Object.keys(rows[0] ?? {});
  const lines = [
    line(columns),
    line(columns.map(() => '---')),
    ...rows.map((row) => line(columns.map((column) => row[column]))),
  ];
  await writeFile(join(OUT, `${name}.md`), `${lines.join('\n')}\n`);
}

async function figure(mode: Mode, name: string, value: number, unit: string): Promise<void> {
  if (mode.name === 'embedded')
    await appendFile(join(OUT, '../figures.txt'), `figure ${name} ${value} ${unit}\n`);
  process.stdout.write(`[${mode.name}] ${name} ${value} ${unit}\n`);
}

/** Distinct colours of a picture, so that a blank one is told from a page. */
async function coloursIn(browser: Browser, png: Buffer): Promise<number> {
  const page = await browser.newPage();
  const count = await page.evaluate(async (base64) => {
    const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${base64}`)).blob());
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext('2d') as OffscreenCanvasRenderingContext2D;
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    return new Set(new Uint32Array(data.buffer)).size;
  }, png.toString('base64'));
  await page.close();
  return count;
}
