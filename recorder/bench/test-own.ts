import type { Browser } from 'playwright-core';
import { launchChromium } from '../browser.ts';
import { TestCollector } from '../test-collector.ts';
import { buildRecorder } from '../test-page.ts';
import { PLACES, type Place } from './planted.ts';
import { PlantedSite, visitPlanted } from './test-planted.ts';
import { leaksIn, textsOf } from './wire.ts';

export interface Visit {
  /** All that was sent, as texts. */
  texts: string[];
  leaks: Place[];
}

/** Visits of the planted page that our own recorder records. */
export class OwnRun {
  private readonly browser: Browser;
  private readonly built: Awaited<ReturnType<typeof buildRecorder>>;
  private constructor(browser: Browser, built: Awaited<ReturnType<typeof buildRecorder>>) {
    this.browser = browser;
    this.built = built;
  }
  static async start(chromium?: string): Promise<OwnRun> {
    const built = await buildRecorder();
    return new OwnRun(await launchChromium(chromium), built);
  }
  async stop(): Promise<void> {
    await this.browser.close();
    await this.built.remove();
  }

  async visit(privacy: 'default' | 'strict'): Promise<Visit> {
    const collector = new TestCollector(this.built.folder);
    const site = new PlantedSite();
    await collector.listen();
    site.recorder = `<script async src="${collector.url}/r/loader.js" data-key="wk_test" data-privacy="${privacy}"></script>
      <script>
        window.track = (...call) => mutoscope.track(...call);
        window.flushRecorder = () => mutoscope.flush();
        setInterval(() => { window.isRecorderReady ||= mutoscope?.status?.().state === 'recording' }, 50);
      </script>`;
    try {
      await visitPlanted(this.browser, await site.listen());
      const frames = [...collector.instances.values()].flatMap(({ frames }) => frames.slice(1));
      const texts = [
        ...collector.hellos.map((hello) => JSON.stringify(hello)),
        ...frames.flatMap(({ payload }) => textsOf(Buffer.from(payload))),
        // As wholes, too: what goes on in a further frame is whole only there.
        ...collector.payloads().map(({ json }) => json),
      ];
      return { texts, leaks: leaksIn(texts, PLACES) };
    } finally {
      await site.close();
      await collector.close();
    }
  }
}
