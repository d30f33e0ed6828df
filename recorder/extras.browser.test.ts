import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest';
import { CANVAS_BYTES_MAX, EventType, IncrementalSource } from './protocol.ts';
import type { StoredEvent, TestCollector } from './test-collector.ts';
import { Bench, flush, pageOf, recording, until } from './test-page.ts';

let bench: Bench;
beforeAll(async () => void (bench = await Bench.start(inject('chromium'))));
afterEach(() => bench.closePages());
afterAll(() => bench.stop());

async function chunksOf(page: Page): Promise<string[]> {
  const names = await page.evaluate(() =>
    performance
      .getEntriesByType('resource')
      .map(({ name }) => /\/r\/(\w[\w-]*?)-[\w-]{8}\.js$/.exec(name)?.[1]),
  );
  return names.filter((name) => name !== undefined).sort();
}
async function started(collector: TestCollector, init?: string): Promise<Page> {
  const page = await bench.page(collector, init);
  await recording(page);
  return page;
}
const tick = (page: Page, ms: number): Promise<void> => page.waitForTimeout(ms);
const incremental = (events: StoredEvent[], source: number): StoredEvent[] =>
  events.filter(({ type, data }) => type === EventType.incrementalSnapshot && data.source === source);

test('a page fetches no part of what few pages need but where its option asks for it', async () => {
  const plain = await started(await bench.collector('<canvas></canvas><img>'));
  await tick(plain, 300);
  const usual = await chunksOf(plain);
  expect(usual).toEqual(['core', 'meaning', 'x-web-vitals']);
  const full = await started(
    await bench.collector(
      '',
      '',
      'data-assets data-fonts data-canvas-fps="2" data-cross-origin-frames="https://x.example"',
    ),
  );
  const asked = ['assets', 'canvas', 'cross-origin', 'extras', 'fonts'];
  await expect.poll(() => chunksOf(full)).toEqual(expect.arrayContaining([...usual, ...asked]));
});

const CANVASES = `<canvas id="a" width="2400" height="300"></canvas><canvas id="masked" data-rr-mask></canvas>
<div data-rr-block><canvas id="blocked"></canvas></div><canvas id="below" style="position:absolute;top:9000px"></canvas>
<script>window.paint = (id, colour, noise) => { const c = document.getElementById(id), x = c.getContext('2d');
  x.fillStyle = colour; x.fillRect(0, 0, c.width, c.height);
  if (noise) { const d = x.getImageData(0, 0, c.width, c.height); 
    for (let i = 0; i < d.data.length; i++) d.data[i] = i % 4 === 3 ? 255 : Math.random() * 255; x.putImageData(d, 0, 0); } };
  for (const id of ['a', 'masked', 'blocked', 'below']) paint(id, 'red');</script>`;

test('pictures tell the canvases that can be seen and are not masked, when they change, within bounds', async () => {
  const collector = await bench.collector(CANVASES, '', 'data-canvas-fps="8"');
  const page = await started(collector);
  const told = async (): Promise<{ id: number; image: string; scale: number }[]> => {
    await flush(page);
    return collector.custom('canvas') as never;
  };
  await expect.poll(async () => (await told()).length).toBe(1);
  await tick(page, 700);
  expect(await told()).toHaveLength(1);
  expect((await told())[0]!.scale).toBeCloseTo(1000 / 2400, 3);
  await page.evaluate("paint('a', 'blue', true)");
  await expect.poll(async () => (await told()).length).toBe(2);
  const [red, noise] = await told();
  expect(noise!.id).toBe(red!.id);
  expect(noise!.image).toMatch(/^data:image\/webp;base64,/);
  expect(noise!.image.length).toBeLessThan((CANVAS_BYTES_MAX * 4) / 3 + 100);
  // Playback may begin with the next snapshot, and then has no other picture.
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
  await expect.poll(async () => (await told()).length).toBe(3);
  await page.evaluate(() => {
    window.mutoscope.stop();
    (window as unknown as { paint(id: string, colour: string): void }).paint('a', 'green');
  });
  await tick(page, 400);
  expect(collector.custom('canvas')).toHaveLength(3);
});

test('a WebGL scene is told as it was drawn in its frame', async () => {
  const scene = `<canvas id="gl" width="64" height="64"></canvas><script>
    const gl = document.getElementById('gl').getContext('webgl');
    (function draw() { if (gl) { gl.clearColor(0, 0, 1, 1); gl.clear(gl.COLOR_BUFFER_BIT); } requestAnimationFrame(draw); })();
  </script>`;
  const collector = await bench.collector(scene, '', 'data-canvas-fps="8"');
  const page = await started(collector);
  await until(() => collector.custom('canvas').length > 0, 'a picture');
  const pixel = await page.evaluate(
    async (image) => {
      const bitmap = await createImageBitmap(await (await fetch(image)).blob());
      const context = new OffscreenCanvas(64, 64).getContext('2d')!;
      context.drawImage(bitmap, 0, 0);
      return Array.from(context.getImageData(32, 32, 1, 1).data);
    },
    collector.custom('canvas')[0]!.image as string,
  );
  expect(pixel[2]).toBeGreaterThan(240);
  expect(pixel[0]).toBeLessThan(15);
});

test('a font that a script makes is told once it is used, and the page is put back as it was', async () => {
  const collector = await bench.collector('<p>Text</p>', '', 'data-fonts');
  const page = await started(collector, 'window.native = [FontFace, document.fonts.add];');
  await expect.poll(() => page.evaluate('FontFace !== native[0]')).toBe(true);
  const result = await page.evaluate(() => {
    const face = new FontFace('Made', new Uint8Array([1, 2, 3]).buffer, { weight: '700' });
    new FontFace('Unused', new Uint8Array([4]).buffer);
    return {
      isFace: face instanceof FontFace && face.family === 'Made',
      returns: document.fonts.add(face) === document.fonts,
      throws: (() => {
        try {
          return void new (FontFace as unknown as new () => void)();
        } catch (error) {
          return (error as Error).name;
        }
      })(),
    };
  });
  expect(result).toEqual({ isFace: true, returns: true, throws: 'TypeError' });
  const fonts = async (): Promise<StoredEvent[]> => {
    await flush(page);
    return incremental(collector.events(), IncrementalSource.font);
  };
  await expect.poll(async () => (await fonts()).length).toBe(1);
  expect((await fonts())[0]!.data).toMatchObject({
    ...{ family: 'Made', buffer: false, descriptors: { weight: '700' } },
    fontSource: 'url(data:font/woff2;base64,AQID)',
  });
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
  await expect.poll(async () => (await fonts()).length).toBe(2);
  await page.evaluate(() => window.mutoscope.stop());
  expect(await page.evaluate('FontFace === native[0] && document.fonts.add === native[1]')).toBe(true);
});

const GIF = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';
const BLOB_IMAGE = `<img id="made"><img src="/missing.png"><script>
  fetch('${GIF}').then((r) => r.blob()).then((b) => { document.getElementById('made').src = URL.createObjectURL(b); });</script>`;

test('a collector that does not answer gets no asset, and everything else', async () => {
  const collector = await bench.collector(BLOB_IMAGE, '', 'data-assets');
  const page = await started(collector);
  await until(() => collector.custom('asset_ref').length > 0, 'a reference');
  await until(() => collector.posts > 0, 'a question');
  await page.evaluate(() => window.mutoscope.track('later'));
  await flush(page);
  expect(collector.custom('track')).toHaveLength(1);
  expect(collector.custom('asset')).toEqual([]);
  const [ref] = collector.custom('asset_ref');
  expect(ref).toMatchObject({
    url: expect.stringMatching(/^blob:/),
    name: expect.stringMatching(/^[0-9a-f]{64}\.gif$/),
  });
  expect(ref!.ids).toHaveLength(1);
});

test('without crypto.subtle there are no assets, and status says why', async () => {
  const collector = await bench.collector(BLOB_IMAGE, '', 'data-assets');
  const page = await started(
    collector,
    `Object.defineProperty(Crypto.prototype, 'subtle', { value: undefined });`,
  );
  await expect.poll(() => page.evaluate(() => window.mutoscope.status().lastError)).toContain('assets_off');
});

const FRAME = `<p id="inside">Inside</p><p data-rr-mask>Hush</p><button onclick="this.textContent='Pressed'">Press</button>`;

/** A page and a frame of another origin in it, each with the recorder and its own collector. */
async function framed(pageTag: string, frameTag: (page: string) => string, attributes = '') {
  const inner = await bench.collector('');
  const outer = await bench.collector('');
  inner.pages.set('/', pageOf(FRAME, '', frameTag(outer.url)));
  const frame = `<iframe ${attributes} src="${inner.url}/" width="300" height="200" style="position:absolute;left:50px;top:40px"></iframe>`;
  outer.pages.set('/', pageOf(frame, '', pageTag.replace('INNER', inner.url)));
  const page = await bench.page(outer);
  await recording(page);
  return { inner, outer, page };
}
const bothWays = (): ReturnType<typeof framed> =>
  framed('data-cross-origin-frames="INNER"', (page) => `data-cross-origin-frames="${page}"`);

test('a frame of another origin that both sides list is part of the recording of the page', async () => {
  const { inner, outer, page } = await bothWays();
  const attached = (): StoredEvent[] => outer.events().filter(({ data }) => data.isAttachIframe);
  await until(() => attached().length > 0, 'the document of the frame');
  const [{ data }] = attached() as [StoredEvent];
  const [{ parentId, node }] = data.adds as [{ parentId: number; node: { id: number } }];
  const snapshot = JSON.stringify(outer.events().find(({ type }) => type === EventType.fullSnapshot)!.data);
  expect(snapshot).toMatch(new RegExp(`"tagName":"iframe"[^{}]*({[^{}]*})?[^{}]*"id":${parentId}[,}]`));
  expect(JSON.stringify(node)).toContain('Inside');
  expect(JSON.stringify(node)).not.toContain('Hush');
  const ids = Array.from(JSON.stringify(node).matchAll(/"id":(\d+)/g), ([, id]) => Number(id));
  expect(Math.min(...ids)).toBeGreaterThanOrEqual(1e9);
  expect(new Set(ids).size).toBe(ids.length);

  await page.frameLocator('iframe').getByRole('button').click();
  await until(() => outer.custom('click').length > 0, 'the click');
  const [click] = outer.custom('click') as { id: number; x: number; y: number; text: string }[];
  expect(click!.text).toBe('Press');
  expect(ids).toContain(click!.id);
  expect(click!.x).toBeGreaterThan(50);
  await until(
    () =>
      incremental(outer.events(), IncrementalSource.mutation).some((event) =>
        JSON.stringify(event).includes('Pressed'),
      ),
    'the change',
  );
  // A page that takes a snapshot of its own needs the frame's, too.
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
  await until(() => attached().length > 1, 'the document again');
  await tick(page, 2500);
  expect(inner.instances.size).toBe(0);
  expect(outer.instances.size).toBe(1);
});

test.each<[string, () => ReturnType<typeof framed>]>([
  [
    'the page does not list it',
    () =>
      framed('data-cross-origin-frames="https://x.example"', (page) => `data-cross-origin-frames="${page}"`),
  ],
  [
    'it does not list the page',
    () => framed('data-cross-origin-frames="INNER"', () => 'data-cross-origin-frames="https://x.example"'),
  ],
  [
    'it is blocked',
    () =>
      framed(
        'data-cross-origin-frames="INNER"',
        (page) => `data-cross-origin-frames="${page}"`,
        'data-rr-block',
      ),
  ],
])('a frame records by itself when %s', async (_, open) => {
  const { inner, outer } = await open();
  await until(
    () => inner.events().some(({ type }) => type === EventType.fullSnapshot),
    "the frame's own snapshot",
  );
  expect(JSON.stringify(outer.events())).not.toContain('Inside');
});
