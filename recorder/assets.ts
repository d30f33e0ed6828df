import { encodeGzip } from './compress.ts';
import { dataUrlOf } from './data-url.ts';
import type { Extra, ExtraHost } from './extras.ts';
import {
  ASSET_BYTES_MAX,
  assetName,
  PAGE_ASSETS_BYTES_MAX,
  PAGE_ASSETS_MAX,
  type AssetsAnswer,
  type AssetsQuestion,
} from './asset-types.ts';
import {
  EventType,
  FrameFlag,
  FrameType,
  PAYLOAD_BYTES_MAX,
  PROTOCOL_VERSION,
  RR1_PATH,
  type Frame,
  type WireError,
} from './protocol.ts';

/** After the last thing that loaded: the page is then at rest, and many things are one walk. */
const REST_MS = 1000;
const TOKEN_CHECK_MS = 500;
/** Of one idle period. */
const SLICE_MS = 5;
const ELEMENTS_MAX = 20_000;
const FRAMES_A_POST = 3;
const TRIES_MAX = 3;
/** A row of the lake has room for these. */
const URL_CHARS_MAX = 2048;
const IDS_MAX = 100;

const IMAGE = 'img,input[type=image],video[poster],image';
const CSS_URL = /url\(\s*(?:"([^"]*)"|'([^']*)'|([^"')]*))\s*\)/g;
/** Types as servers also say them. */
const ALIASES: Record<string, string> = {
  'image/jpg': 'image/jpeg',
  'image/vnd.microsoft.icon': 'image/x-icon',
  'application/font-woff': 'font/woff',
  'application/font-woff2': 'font/woff2',
};

interface Shown {
  /** What a style sheet loads is taken for a font, unless an element shows it. */
  as: 'image' | 'font' | 'sheet';
  ids: number[];
}
interface Asset {
  name: string;
  url: string;
  bytes: Blob;
}

/**
 * Walks the page when it is at rest, fetches from the browser's cache what it shows, names each by its hash, tells by
 * `asset_ref` what stands where, asks the collector which of them it lacks, and sends those. They travel beside the
 * recording, as a recorder instance of their own, so that no event ever waits behind an image.
 */
export function start(host: ExtraHost): Extra {
  const { fail, guard, isPrivate, scrubUrl } = host;
  const { decodeFrames, decodeJsonPayload, encodeFrame, encodeFrames, encodeJsonFrame } = host.protocol;
  const off = (why: string): Extra => (fail(`assets_off: ${why}`), { stop: () => {} });
  if (!crypto.subtle) return off('the page is no secure context, and so has no crypto.subtle');
  if ((navigator as { connection?: { saveData?: boolean } }).connection?.saveData)
    return off('the visitor asked to save data');

  const question = (asked: AssetsQuestion): Uint8Array => encodeJsonFrame(FrameType.assets, asked);
  const stopped = new AbortController();
  const { signal } = stopped;
  const rid = crypto.randomUUID().replaceAll('-', '');
  const startedMs = Date.now();
  let frame = 0;
  let seq = 0;
  let count = 0;
  let bytes = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isWalking = false;
  /** Addresses that were looked at, with what came of them. */
  const seen = new Map<string, string | undefined>();
  const told = new Set<string>();

  const restart = guard(() => {
    clearTimeout(timer);
    timer = setTimeout(() => void walk(), REST_MS);
  });
  document.addEventListener('load', restart, { capture: true, signal });
  addEventListener('load', restart, { signal });
  // What a style sheet loads later, a font or a background, fires no event.
  const loads = new PerformanceObserver(
    guard((list: PerformanceObserverEntryList) => {
      const entries = list.getEntries() as PerformanceResourceTiming[];
      if (entries.some(({ initiatorType }) => initiatorType === 'css')) restart();
    }),
  );
  loads.observe({ type: 'resource' });
  restart();

  async function walk(): Promise<void> {
    if (isWalking) return restart();
    isWalking = true;
    try {
      await host.told();
      const found: Asset[] = [];
      for (const [url, shown] of await look()) {
        if (signal.aborted) return;
        if (!seen.has(url)) {
          const asset = await take(url, shown.as).catch(() => undefined);
          seen.set(url, asset?.name);
          if (asset) found.push(asset);
        }
        tell(url, shown.ids);
      }
      if (found.length) await bring(found);
    } catch (error) {
      if (!signal.aborted) fail(`assets: ${String(error)}`);
    }
    isWalking = false;
  }

  function tell(url: string, ids: number[]): void {
    const name = seen.get(url);
    const fresh = ids.filter((id) => !told.has(`${id} ${url}`));
    if (!name || (told.has(url) && !fresh.length)) return;
    for (const id of fresh) told.add(`${id} ${url}`);
    told.add(url);
    host.custom('asset_ref', {
      url: scrubUrl(url),
      name,
      ...(fresh.length && { ids: fresh.slice(0, IDS_MAX) }),
    });
  }

  /** What the page shows, by address, but for what is blocked or masked. */
  async function look(): Promise<Map<string, Shown>> {
    const shown = new Map<string, Shown>();
    const add = (url: string, as: Shown['as'], id = -1): void => {
      if (!/^(https?|blob):/.test(url) || url.length > URL_CHARS_MAX) return;
      const one = shown.get(url) ?? { as, ids: [] };
      if (as === 'image') one.as = as;
      if (id > 0) one.ids.push(id);
      shown.set(url, one);
    };
    for (const entry of performance.getEntriesByType('resource') as PerformanceResourceTiming[])
      if (entry.initiatorType === 'css') add(entry.name, 'font');
    // Which of them are images is not known yet; as long as some may be, who shows them is to be found.
    const isStyled = [...shown.keys()].some((url) => !seen.has(url));
    for await (const element of elements(signal)) {
      if (element.matches('link[rel~=stylesheet]') && !isReadable(element as HTMLLinkElement))
        add((element as HTMLLinkElement).href, 'sheet');
      const urls = element.matches(IMAGE) ? [imageOf(element)] : [];
      const styled = isStyled ? styleUrls(element) : [];
      if (!(urls.length || styled.length) || isPrivate(element)) continue;
      for (const url of urls) add(url, 'image', host.idOf(element));
      for (const url of styled) add(url, 'image');
    }
    return shown;
  }

  async function take(url: string, as: Shown['as']): Promise<Asset | undefined> {
    if (count >= PAGE_ASSETS_MAX) return undefined;
    const response = await host.fetch(url, { cache: 'force-cache', credentials: 'same-origin', signal });
    const length = Number(response.headers.get('content-length'));
    if (!response.ok || length > ASSET_BYTES_MAX) return void response.body?.cancel();
    const type = typeOf(response, url);
    // An image that a style sheet loaded and no element shows may stand in a blocked one.
    if (!(type.startsWith(as) || (as === 'sheet' && type === 'text/css')))
      return void response.body?.cancel();
    const blob =
      type === 'text/css' ? new Blob([scrubCss(await response.text(), scrubUrl)]) : await response.blob();
    if (blob.size > ASSET_BYTES_MAX || bytes + blob.size > PAGE_ASSETS_BYTES_MAX) return undefined;
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()));
    const name = assetName(Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join(''), type);
    if (!name) return undefined;
    count++;
    bytes += blob.size;
    return { name, url: scrubUrl(url), bytes: blob };
  }

  async function bring(found: Asset[]): Promise<void> {
    while (!host.greeting().token) {
      await new Promise((resolve) => setTimeout(resolve, TOKEN_CHECK_MS));
      if (signal.aborted) return;
    }
    const byName = new Map(found.map((asset) => [asset.name, asset]));
    const answer = await post([question({ ask: [...byName.keys()] })]);
    const want = answer.find(({ type }) => type === FrameType.want);
    for (const name of (want && (decodeJsonPayload(want) as AssetsAnswer).want) ?? []) {
      const asset = byName.get(name);
      if (asset) await send(asset);
    }
  }

  /** One batch, in as few requests as their bound allows; the last one says that the asset is whole. */
  async function send({ name, url, bytes: blob }: Asset): Promise<void> {
    const payload = { name, url, base64: (await dataUrlOf(blob)).split(',')[1]! };
    const event = { type: EventType.custom, data: { tag: 'asset', payload }, timestamp: Date.now() };
    const batch = await encodeGzip({
      json: JSON.stringify([event]),
      events: 1,
      fullSnapshot: false,
      final: false,
    });
    const firstSeq = ++seq;
    const frames: Uint8Array[] = [];
    for (let at = 0; at < batch.payload.length; at += PAYLOAD_BYTES_MAX) {
      const end = at + PAYLOAD_BYTES_MAX;
      const flags = (batch.gzip ? FrameFlag.gzip : 0) | (end < batch.payload.length ? FrameFlag.more : 0);
      const clientMs = Date.now() - startedMs;
      frames.push(
        encodeFrame(
          { type: FrameType.batch, flags, frame: ++frame, firstSeq, clientMs },
          batch.payload.subarray(at, end),
        ),
      );
    }
    while (frames.length) {
      const part = frames.splice(0, FRAMES_A_POST);
      await post(frames.length ? part : [...part, question({ ask: [], stored: [name] })]);
    }
  }

  /** Frames have numbers, so that what came twice counts once. @throws Error with the collector's code */
  async function post(frames: Uint8Array[]): Promise<Frame[]> {
    for (let attempt = 1; ; attempt++)
      try {
        signal.throwIfAborted();
        const hello = { version: PROTOCOL_VERSION, rid, nowMs: Date.now(), ...host.greeting() };
        const response = await host.fetch(host.options.url + RR1_PATH, {
          method: 'POST',
          credentials: 'omit',
          headers: { 'content-type': 'text/plain' },
          body: encodeFrames([encodeJsonFrame(FrameType.hello, hello), ...frames]),
          signal,
        });
        const answer = decodeFrames(new Uint8Array(await response.arrayBuffer()));
        const refusal = answer.find(({ type }) => type === FrameType.err);
        if (!refusal) return answer;
        const { code, retryAfterMs } = decodeJsonPayload(refusal) as WireError;
        if (retryAfterMs === undefined) attempt = TRIES_MAX;
        throw new Error(code);
      } catch (error) {
        if (attempt >= TRIES_MAX || signal.aborted) throw error;
        await new Promise((resolve) => setTimeout(resolve, 1000 * 2 ** attempt));
      }
  }

  return {
    stop: () => {
      clearTimeout(timer);
      loads.disconnect();
      stopped.abort();
    },
  };
}

/** Every element of the page and its open shadow roots, in idle slices. */
async function* elements(signal: AbortSignal): AsyncGenerator<Element> {
  const roots: ParentNode[] = [document];
  let left = ELEMENTS_MAX;
  let endMs = 0;
  for (let root = roots.pop(); root; root = roots.pop())
    for (const element of root.querySelectorAll('*')) {
      if (signal.aborted || left-- <= 0) return;
      if (performance.now() > endMs) {
        await idle();
        endMs = performance.now() + SLICE_MS;
      }
      if (element.shadowRoot) roots.push(element.shadowRoot);
      if (element.isConnected) yield element;
    }
}

const idle = (): Promise<unknown> =>
  new Promise((resolve) =>
    'requestIdleCallback' in window
      ? requestIdleCallback(resolve, { timeout: 1000 })
      : setTimeout(resolve, 50),
  );

function imageOf(element: Element): string {
  const { currentSrc, poster, src, href } = element as Partial<HTMLImageElement & HTMLVideoElement> & {
    href?: SVGAnimatedString;
  };
  const address = element.localName === 'video' ? poster : currentSrc || src || href?.baseVal;
  return address ? new URL(address, document.baseURI).href : '';
}

/** Addresses of the images that styles give to the element and to what is generated around its content. */
function styleUrls(element: Element): string[] {
  const text = [null, '::before', '::after'].map((pseudo) => {
    const style = getComputedStyle(element, pseudo);
    return (
      style.backgroundImage + style.borderImageSource + style.listStyleImage + style.maskImage + style.content
    );
  });
  return Array.from(text.join().matchAll(CSS_URL), ([, a, b, c]) => a ?? b ?? c!);
}

function isReadable({ sheet }: HTMLLinkElement): boolean {
  try {
    return !sheet || Boolean(sheet.cssRules);
  } catch {
    return false;
  }
}

const scrubCss = (text: string, scrubUrl: (url: string) => string): string =>
  text.replace(CSS_URL, (_, a?: string, b?: string, c?: string) => `url("${scrubUrl(a ?? b ?? c!.trim())}")`);

function typeOf(response: Response, url: string): string {
  const type = (response.headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase();
  const ending = /\.(woff2?|ttf|otf)([?#]|$)/.exec(url)?.[1];
  return /octet-stream|sfnt|x-font|^$/.test(type) && ending ? `font/${ending}` : (ALIASES[type] ?? type);
}
