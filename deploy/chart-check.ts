import { chromium, type Browser } from 'playwright-core';
import type { SqlAnswer } from '#api';
import { CHROMIUM_ARGS } from './chromium.ts';
import { findChromium } from './servers.ts';
import { FOUNDING_QUESTION, visit, VISITORS } from './story.ts';

/**
 * Checks an installation from outside: one visitor gets stuck in the demo site's sign-up, SQL finds that session, the
 * player shows the moment. `deploy/chart-check.sh` gives the addresses, by their public names and where those names
 * are to be reached, so that no name has to be resolved.
 */
const setting = (name: string): string => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; deploy/chart-check.sh sets it`);
  return value;
};
const collectorUrl = setting('COLLECTOR_URL');
const queryUrl = setting('QUERY_URL');
const [collectorAt, queryAt, apiKey] = [setting('COLLECTOR_AT'), setting('QUERY_AT'), setting('API_KEY')];
const SHOWN_MS_MAX = 60_000;

interface Found {
  session_id: string;
  clicks: number;
  watch: string;
}

async function stuckSessions(): Promise<Found[]> {
  const reply = await fetch(`http://${queryAt}/v1/sql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ sql: FOUNDING_QUESTION }),
  });
  if (!reply.ok) throw new Error(`SQL answered ${reply.status}: ${await reply.text()}`);
  const { columns, rows } = (await reply.json()) as SqlAnswer;
  return rows.map(
    (row) => Object.fromEntries(columns.map(({ name }, i) => [name, row[i]])) as unknown as Found,
  );
}

type Stage = { stageDocument?: Document } | null;

/** What the player's stage shows at that moment. Asked again and again, for the app's policy forbids `waitForFunction`. */
async function replayed(browser: Browser, found: Found): Promise<unknown> {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(`${queryUrl}/#key=${apiKey}`);
  await page.goto(`${queryUrl}${found.watch}`);
  const look = (): unknown => {
    const stage = (document.querySelector('session-player') as Stage)?.stageDocument;
    const button = stage?.querySelector<HTMLButtonElement>('#continue');
    const company = stage?.querySelector<HTMLInputElement>('#company');
    return button && company && { continueDisabled: button.disabled, company: company.value };
  };
  const state = await until('the replay', () => page.evaluate(look));
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
  return state;
}

async function until<T>(what: string, look: () => Promise<T | undefined | null>): Promise<T> {
  for (const endMs = Date.now() + SHOWN_MS_MAX; Date.now() < endMs;) {
    const seen = await look();
    if (seen) return seen;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`${what} was not there within ${SHOWN_MS_MAX} ms`);
}

const hosts = [
  [collectorUrl, collectorAt],
  [queryUrl, queryAt],
].map(([url, at]) => `MAP ${new URL(url as string).host} ${at}`);
const browser = await chromium.launch({
  executablePath: (await findChromium()).value,
  args: [...CHROMIUM_ARGS, `--host-resolver-rules=${hosts.join(', ')}`],
});
try {
  const visitor = VISITORS.find(({ clicks, completes }) => clicks > 0 && !completes);
  if (!visitor) throw new Error('the story has no visitor who gets stuck');
  const before = new Set((await stuckSessions()).map(({ session_id }) => session_id));
  await visit(browser, collectorUrl, visitor);
  const leftMs = Date.now();
  const found = await until('the session', async () =>
    (await stuckSessions()).find(({ session_id }) => !before.has(session_id)),
  );
  const toSqlMs = Date.now() - leftMs;
  if (Number(found.clicks) !== visitor.clicks)
    throw new Error(`SQL counts ${found.clicks} clicks on the disabled button; there were ${visitor.clicks}`);
  const state = JSON.stringify(await replayed(browser, found));
  if (state !== '{"continueDisabled":true,"company":"·····"}') throw new Error(`the replay shows ${state}`);
  console.log(`session ${found.session_id}: found by SQL, replayed at ${queryUrl}${found.watch}`);
  console.log(`figure chart_disabled_clicks ${found.clicks} clicks`);
  console.log(`figure chart_leave_to_sql_ms ${toSqlMs} ms`);
} finally {
  await browser.close();
}
