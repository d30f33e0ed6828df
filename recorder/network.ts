import type { RecordingContext } from './context.ts';
import { patch } from './patch.ts';
import { RR1_PATH, type CustomPayloads } from './protocol.ts';
import { scrubUrl } from './scrub.ts';

type Told = CustomPayloads['network'];
type Kind = Told['kind'];

/** Told in a page load: a page that polls for a day floods nobody. */
const REQUESTS_MAX = 1000;
/** The browser's own names of what we tell. */
const KINDS: Record<string, Kind> = { fetch: 'fetch', xmlhttprequest: 'xhr', beacon: 'beacon' };

interface Begun {
  kind: Kind;
  method: string;
  url: string;
  startMs: number;
}

/**
 * Tells the page's requests, and `onRequest` that one begins. What the page sees is as before: `fetch` answers with a
 * promise that settles as the browser's does, and one that nobody handles is still unhandled.
 */
export function observeNetwork(context: RecordingContext, onRequest: (key: string) => void): () => void {
  const { custom, guard, options, parts } = context;
  const isTelling = options.network !== 'off';
  const own = options.url + RR1_PATH;
  const sinceMs = performance.now();
  const bodies = options.network === 'bodies' ? import('./bodies.ts') : undefined;
  bodies?.catch(
    guard((error: unknown) => {
      throw error;
    }),
  );
  let told = 0;
  let requestsSkipped = 0;

  const begin = (kind: Kind, method: string, address: string): Begun | undefined => {
    const url = resolve(address);
    if (!url || url.startsWith(own)) return undefined;
    onRequest(`${method} ${url}`);
    return { kind, method, url: scrubUrl(url), startMs: performance.now() };
  };
  const tell = guard((request: Told) => {
    if (!isTelling) return;
    if (told++ < REQUESTS_MAX) custom('network', request);
    else requestsSkipped++;
  });
  const end = ({ startMs, ...request }: Begun, status: number, bytes?: number): Told => ({
    ...request,
    status,
    ms: Math.round(performance.now() - startMs),
    ...(bytes !== undefined && bytes >= 0 ? { bytes } : {}),
  });
  /** What the page does must go on whatever happens to us. */
  const attempt = <T>(what: () => T): T | undefined => {
    let result: T | undefined;
    guard(() => void (result = what()))();
    return result;
  };

  const answered = guard((begun: Begun, response: Response, sent: unknown) => {
    const length = response.headers.get('content-length');
    const request = end(begun, response.status, length === null ? undefined : Number(length));
    if (!bodies) return tell(request);
    // Cloned now, for the page may read it at once.
    const copy = response.clone();
    void bodies
      .then(async ({ bodyOf, textOfResponse }) => {
        tell({ ...request, ...bodyOf('request', sent), ...(await textOfResponse(copy)) });
      })
      .catch(() => tell(request));
  });
  const stops = [
    patch<typeof fetch>(window, 'fetch', (call, _self, [input, init]) => {
      const begun = attempt(() => {
        const request = typeof input === 'object' && 'url' in input ? input : undefined;
        const method = (init?.method ?? request?.method ?? 'GET').toUpperCase();
        return begin('fetch', method, request?.url ?? String(input));
      });
      const answer = call();
      // A page's own double may answer with anything.
      if (!begun || typeof (answer as Partial<typeof answer> | undefined)?.then !== 'function') return answer;
      return answer.then(
        (response) => {
          answered(begun, response, init?.body);
          return response;
        },
        (error: unknown) => {
          tell(end(begun, 0));
          throw error;
        },
      );
    }),
  ];

  const opened = new WeakMap<XMLHttpRequest, { method: string; url: string }>();
  const sending = new WeakMap<XMLHttpRequest, { begun: Begun; sent: unknown }>();
  const heard = new WeakSet<XMLHttpRequest>();
  const ended = guard((xhr: XMLHttpRequest, bytes?: number) => {
    const { begun, sent } = sending.get(xhr) ?? {};
    sending.delete(xhr);
    if (!begun) return;
    const request = end(begun, xhr.status, bytes);
    if (!bodies) return tell(request);
    const text = xhr.responseType === '' || xhr.responseType === 'text' ? xhr.responseText : undefined;
    const type = xhr.getResponseHeader('content-type') ?? '';
    void bodies
      .then(({ bodyOf }) =>
        tell({ ...request, ...bodyOf('request', sent), ...bodyOf('response', text, type) }),
      )
      .catch(() => tell(request));
  });
  type Xhr = XMLHttpRequest;
  stops.push(
    patch<Xhr['open']>(XMLHttpRequest.prototype, 'open', (call, self, args) => {
      call();
      attempt(() => {
        opened.set(self as Xhr, { method: String(args[0]).toUpperCase(), url: String(args[1]) });
        sending.delete(self as Xhr);
      });
    }),
    patch<Xhr['send']>(XMLHttpRequest.prototype, 'send', (call, self, [sent]) => {
      const xhr = self as Xhr;
      attempt(() => {
        const { method, url } = opened.get(xhr) ?? {};
        const begun = url === undefined ? undefined : begin('xhr', method!, url);
        if (!begun) return;
        sending.set(xhr, { begun, sent });
        if (heard.has(xhr)) return;
        heard.add(xhr);
        xhr.addEventListener('loadend', ({ loaded }) => ended(xhr, loaded));
      });
      try {
        return call();
      } catch (error) {
        // A synchronous request fails without an event.
        ended(xhr);
        throw error;
      }
    }),
    patch<Navigator['sendBeacon']>(Navigator.prototype, 'sendBeacon', (call, _self, [url, data]) => {
      const begun = attempt(() => begin('beacon', 'POST', String(url)));
      const isQueued = call();
      if (begun) {
        const bytes = typeof data === 'string' ? data.length : (data as Blob | undefined)?.size;
        tell(end(begun, 0, bytes));
      }
      return isQueued;
    }),
  );

  // What began before us is known to the browser once it ends, but for its method.
  const early = new PerformanceObserver(
    guard((list: PerformanceObserverEntryList) => {
      for (const entry of list.getEntries() as PerformanceResourceTiming[]) {
        const kind = KINDS[entry.initiatorType];
        if (!kind || entry.startTime >= sinceMs || entry.name.startsWith(own)) continue;
        const { responseStatus: status = 0, encodedBodySize: bytes, duration } = entry;
        tell({ kind, method: '', url: scrubUrl(entry.name), status, ms: Math.round(duration), bytes });
      }
    }),
  );
  if (isTelling) early.observe({ type: 'resource', buffered: true });
  parts.push(() => (requestsSkipped ? { requestsSkipped } : {}));
  return () => {
    early.disconnect();
    stops.forEach((stop) => stop());
  };
}

/** The whole address; undefined where it is none of the web's, which the page is told by what it called. */
function resolve(address: string): string | undefined {
  try {
    const { href, protocol } = new URL(address, document.baseURI);
    return /^https?:$/.test(protocol) ? href : undefined;
  } catch {
    return undefined;
  }
}
