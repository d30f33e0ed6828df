import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serveFiles, type Http, type HttpRequest } from '#service';

/** Addresses of the app; it finds its page by itself. */
const PAGES = ['/', '/sign-in', '/sessions', '/sessions/*', '/sql'];
/**
 * What the app may load: itself. Styles in a replayed page are inline, its pictures and fonts `data:`, or `blob:` of what
 * we keep; nothing else of a recording is fetched, whatever it asks for.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data: blob:",
  "connect-src 'self'",
  "frame-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'self'",
].join('; ');
const HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'SAMEORIGIN',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
};

/** What others answer for: there a 404 is theirs, and for programs. */
const NOT_OURS = /^\/(v1|r|assets|demo)(\/|$)/;

/**
 * Serves the built app: its pages, files with a hash in their names for ever, the others after asking. Who comes by the
 * address bar to where nothing is gets the app, which says so in words; programs get `no_route`.
 */
export function addApp(http: Http, dir: string): void {
  const page = (): Promise<Buffer> => readFile(join(dir, 'index.html'));
  for (const path of PAGES)
    http.get(path, async (_request, reply) =>
      reply
        .headers({ ...HEADERS, 'cache-control': 'no-cache' })
        .type('text/html; charset=utf-8')
        .send(await page()),
    );
  http.addHook('onSend', async (request, reply, payload) => {
    if (reply.statusCode !== 404 || !isNavigation(request)) return payload;
    reply
      .headers({ ...HEADERS, 'cache-control': 'no-cache', vary: 'accept' })
      .type('text/html; charset=utf-8');
    return page();
  });
  serveFiles(http, '/assets/', join(dir, 'assets'), { immutable: true, headers: HEADERS });
  // The element may be embedded in any page.
  serveFiles(http, '/', dir, {
    headers: {
      ...HEADERS,
      'access-control-allow-origin': '*',
      'cross-origin-resource-policy': 'cross-origin',
    },
  });
}

const isNavigation = ({ method, url, headers }: HttpRequest): boolean =>
  method === 'GET' && Boolean(headers.accept?.includes('text/html')) && !NOT_OURS.test(url.split('?')[0]!);
