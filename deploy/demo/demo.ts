import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Http } from '#service';

const FILES = {
  'styles.css': 'text/css; charset=utf-8',
  'app.js': 'text/javascript; charset=utf-8',
} as const;

/**
 * Serves the demo site under /demo/: an invented bookkeeping tool for bakeries whose sign-up has a flaw to be found.
 * Every address below it that is no file answers with the page, for its router works in the browser.
 * @throws Error when `writeKey` is no write key
 */
export function serveDemo(http: Http, { writeKey }: { writeKey: string }): void {
  if (!/^wk_[\w-]+$/.test(writeKey)) throw new Error(`write key ${JSON.stringify(writeKey)} is not wk_…`);
  const read = (name: string): string => readFileSync(join(import.meta.dirname, name), 'utf8');
  const page = read('index.html').replace('__WRITE_KEY__', writeKey);
  for (const [name, type] of Object.entries(FILES)) {
    const text = read(name);
    http.get(`/demo/${name}`, (_request, reply) =>
      reply.type(type).header('cache-control', 'no-cache').send(text),
    );
  }
  http.get('/demo', (_request, reply) => reply.redirect('/demo/'));
  http.get('/demo/*', (_request, reply) =>
    reply.type('text/html; charset=utf-8').header('cache-control', 'no-cache').send(page),
  );
}
