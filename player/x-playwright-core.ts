import { chromium, type Browser } from 'playwright-core';

/** Chromium for tests, without what it does on its own; `rules` as of --host-resolver-rules. */
export const launchBrowser = (executablePath: string, rules?: string): Promise<Browser> =>
  chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...(rules ? [`--host-resolver-rules=${rules}`] : []),
    ],
  });
