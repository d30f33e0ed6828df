import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { CONTROL, FILES, PLACES } from './planted.ts';

const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

/** The site of the planted page, at an origin of its own: what is sent there is none of a recorder's. */
export class PlantedSite {
  /** Markup of the recorder, in the page's head. */
  recorder = '';
  private readonly server: Server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://site');
    if (pathname.startsWith(FILES)) {
      const [, extension = ''] = /\.(\w+)$/.exec(pathname) ?? [];
      const types: Record<string, string> = { png: 'image/png', css: 'text/css', json: 'application/json' };
      response.setHeader('content-type', types[extension] ?? 'text/plain');
      return void response.end(extension === 'png' ? PNG : extension === 'json' ? '{}' : '');
    }
    response
      .setHeader('content-type', 'text/html')
      .end(pathname === '/planted' ? this.page : '<p>Before</p>');
  });

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }
  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
  private get page(): string {
    const all = (part: 'head' | 'body'): string => PLACES.flatMap((place) => place[part] ?? []).join('\n');
    return `<!doctype html><html lang="en"><head><meta charset="utf-8">${all('head')}${this.recorder}</head>
      <body><p class="${CONTROL.className}">${CONTROL.text}</p>${all('body')}</body></html>`;
  }
}

declare global {
  interface Window {
    isRecorderReady?: boolean;
    flushRecorder(): Promise<void>;
  }
}

/** Opens the planted page as a visitor would who comes from another page of the site, and does all that is planted. */
export async function visitPlanted(browser: Browser, origin: string): Promise<void> {
  const context = await browser.newContext();
  const page = await context.newPage();
  try {
    const needle = (name: string): string => PLACES.find((place) => place.name === name)!.needles[0]!;
    await page.goto(`${origin}/before?q=${needle('query of the referrer')}`);
    await page.evaluate((url) => location.assign(url), `/planted?q=${needle('query of the first page')}`);
    await page.waitForFunction(() => window.isRecorderReady, undefined, { timeout: 15_000 });
    await act(page);
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 500)));
    await page.evaluate(() => window.flushRecorder());
  } finally {
    await context.close();
  }
}

async function act(page: Page): Promise<void> {
  for (const { type } of PLACES) {
    if (!type) continue;
    if (type.frame === 'design')
      await page.evaluate(
        (id) => void ((document.getElementById(id) as HTMLIFrameElement).contentDocument!.designMode = 'on'),
        type.frame,
      );
    const scope = type.frame ? page.frameLocator(`#${type.frame}`) : page;
    await scope.locator(type.selector).pressSequentially(type.text);
  }
  const [file] = PLACES.filter(({ name }) => name === 'name of a file chosen').map(
    ({ needles }) => needles[0]!,
  );
  await page.setInputFiles('.chooser', { name: `${file}.pdf`, mimeType: 'application/pdf', buffer: PNG });
  for (const { name, script } of PLACES) {
    if (!script) continue;
    // In the page's own scope; what a script throws there is meant to be thrown later, by a timer.
    await page
      .evaluate((code) => void (0, eval)(code), script)
      .catch((error: unknown) => {
        throw new Error(`${name}: ${String(error)}`);
      });
  }
  // What a recorder observes by timers or on clicks.
  await page.locator(`.${CONTROL.className}`).click();
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 1500)));
}
