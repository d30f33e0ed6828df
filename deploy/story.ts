import type { Browser, Page } from 'playwright-core';

/**
 * The founding story: visitors of the demo site's sign-up. Some give up at step 2, clicking the disabled "Continue"
 * again and again; some find the checkbox below it; some use the page with the fix.
 */
export interface Visitor {
  number: number;
  fix: boolean;
  /** Clicks on the disabled "Continue" before the visitor does anything else. */
  clicks: number;
  completes: boolean;
  /** Everything this visitor types; no part of it may be stored. */
  typed: { name: string; email: string; password: string; company: string };
}

/** Letters that no other text holds in this order, so that a find is a leak. */
const secret = (n: number, kind: string): string =>
  `Qz${kind}Vx${(n * 7919 + 104729).toString(36)}Jw${kind.split('').reverse().join('')}Kq`;

const visitor = (number: number, fix: boolean, clicks: number, completes: boolean): Visitor => ({
  number,
  fix,
  clicks,
  completes,
  typed: {
    name: secret(number, 'nam'),
    email: `${secret(number, 'mai').toLowerCase()}@example.net`,
    password: secret(number, 'pas'),
    company: secret(number, 'com'),
  },
});

export const VISITORS: readonly Visitor[] = [
  visitor(1, false, 3, false),
  visitor(2, false, 4, false),
  visitor(3, false, 5, false),
  visitor(4, false, 6, false),
  visitor(5, false, 3, false),
  visitor(6, false, 2, true),
  visitor(7, false, 1, true),
  visitor(8, false, 0, true),
  visitor(9, true, 0, true),
  visitor(10, true, 0, true),
  visitor(11, true, 0, true),
  visitor(12, true, 0, false),
];

/** Who the founding question is to find. */
export const STUCK = VISITORS.filter((v) => v.clicks > 0 && !v.completes);

/** Clicks fast enough for rage: three within 300 ms of each other. */
export const isAngry = (visitor: Visitor): boolean => visitor.clicks >= 5;

export const FOUNDING_QUESTION = `SELECT d.session_id, count(*) AS clicks, min(d.ts) AS first_click, replay_url(d.session_id, min(d.ts)) AS watch
FROM disabled_clicks d JOIN sessions s USING (session_id)
WHERE d.url LIKE '%/signup/step-2' AND s.last_url LIKE '%/signup/step-2'
GROUP BY d.session_id
ORDER BY clicks DESC, first_click`;

export const COMPLETION_RATES = `SELECT fix, count(*) AS sessions, round(100 * avg(CASE WHEN last_url LIKE '%/signup/done' THEN 1 ELSE 0 END)) AS completed_pct
FROM (SELECT session_id, arg_max(props ->> 'fix', ts) AS fix FROM custom_events WHERE name = 'variant' GROUP BY session_id)
JOIN sessions USING (session_id)
GROUP BY fix ORDER BY fix`;

/** The number that a visitor left in its session by the public API, so that the test can tell sessions apart. */
export const VISITOR_NUMBERS = `SELECT session_id, CAST(props ->> 'number' AS INTEGER) AS number FROM custom_events WHERE name = 'visitor'`;

/** Every 8-character window of what the visitors type. */
export function typedWindows(visitors: readonly Visitor[]): string[] {
  const windows = new Set<string>();
  for (const { typed } of visitors)
    for (const text of [typed.name, typed.email.split('@')[0] ?? '', typed.password, typed.company])
      for (let at = 0; at + 8 <= text.length; at++) windows.add(text.slice(at, at + 8));
  return [...windows];
}

interface MutoscopeGlobal {
  mutoscope: {
    track(name: string, props?: Record<string, unknown>): void;
    status(): { eventsRecorded: number; eventsAcked: number };
  };
}

/** Resolves when the visitor has closed the page; what was last recorded leaves with the page. */
export async function visit(browser: Browser, site: string, visitor: Visitor): Promise<void> {
  const context = await browser.newContext({ viewport: { width: 1180, height: 720 } });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  try {
    await page.goto(`${site}/demo/${visitor.fix ? '?fix=1' : ''}`);
    await recording(page);
    await page.evaluate(
      (number) => (window as unknown as MutoscopeGlobal).mutoscope.track('visitor', { number }),
      visitor.number,
    );
    await page.locator('[data-testid=start]').first().click();
    await page.locator('#name').pressSequentially(visitor.typed.name, { delay: 4 });
    await page.locator('#email').pressSequentially(visitor.typed.email, { delay: 4 });
    await page.locator('#password').fill(visitor.typed.password);
    await page.locator('#next').click();
    await page.waitForURL('**/signup/step-2');
    await page.locator('#company').pressSequentially(visitor.typed.company, { delay: 4 });
    await page.locator('#team-size').selectOption({ index: 2 });
    await page.locator('#country').selectOption({ index: 3 });
    for (let click = 0; click < visitor.clicks; click++) {
      // An angry hand stays where it is, and is fast, also where this machine is slow.
      if (click === 0 || !isAngry(visitor)) await moveToDisabled(page);
      await page.mouse.down();
      await page.mouse.up();
      await page.waitForTimeout(isAngry(visitor) ? 60 : click % 2 === 0 ? 120 : 450);
    }
    if (visitor.completes) await complete(page);
    else await page.waitForTimeout(300);
  } finally {
    await page.close({ runBeforeUnload: false });
    await context.close();
  }
}

/** Playwright refuses to click what is disabled; a person's mouse does not. */
async function moveToDisabled(page: Page): Promise<void> {
  const box = await page.locator('#continue').boundingBox();
  if (!box) throw new Error('"Continue" is not to be seen');
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 4 });
}

async function complete(page: Page): Promise<void> {
  await page.locator('#terms').scrollIntoViewIfNeeded();
  await page.locator('#terms').check();
  await page.locator('#continue').scrollIntoViewIfNeeded();
  await page.locator('#continue').click();
  await page.waitForURL('**/signup/step-3');
  await page.locator('#finish').click();
  await page.waitForURL('**/signup/done');
  await page.waitForTimeout(200);
}

/** Until the recorder runs and the first events are acked. */
export async function recording(page: Page): Promise<void> {
  await page.waitForFunction(
    () => ((window as unknown as Partial<MutoscopeGlobal>).mutoscope?.status?.().eventsAcked ?? 0) > 0,
    undefined,
    { polling: 50 },
  );
}
