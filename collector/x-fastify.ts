import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import fastifyStatic from '@fastify/static';
import {
  fastify,
  LogController,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import type { Log } from './x-pino.ts';
import type { Metrics } from './x-prom-client.ts';

/** The HTTP server that the roles of one process share: each adds its routes before `listen`. */
export type Http = FastifyInstance;
export type HttpRequest = FastifyRequest;
export type HttpReply = FastifyReply;

/**
 * With `/healthz` (the process lives), `/readyz` (503 with reasons while a service has problems) and `/metrics`.
 * Every error is answered as `{ error: { code, message } }`.
 */
export function createHttp(log: Log, metrics: Metrics, problems: () => string[]): Http {
  const http = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: 1024 * 1024,
    requestTimeout: 60_000,
    // Headers that trickle in hold a socket for this long at most.
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 5_000 },
    connectionTimeout: 0,
    keepAliveTimeout: 10_000,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 256 },
    // An address that cannot be decoded fails before any route and its error handler.
    frameworkErrors: (_error, _request, reply) =>
      void (reply as unknown as HttpReply)
        .code(400)
        .send({ error: { code: 'bad_request', message: 'the address cannot be read' } }),
  }) as unknown as Http;
  http.get('/healthz', () => ({ status: 'alive' }));
  http.get('/readyz', (_request, reply) => {
    const reasons = problems();
    return reply
      .code(reasons.length ? 503 : 200)
      .send({ status: reasons.length ? 'not ready' : 'ready', reasons });
  });
  http.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  http.setNotFoundHandler((request, reply) =>
    reply.code(404).send({
      error: {
        code: 'no_route',
        message: `there is nothing at ${request.method} ${request.url.split('?')[0]}`,
      },
    }),
  );
  http.setErrorHandler(
    (error: Error & { code?: string; statusCode?: number; status?: number }, request, reply) => {
      const status = error.statusCode ?? error.status ?? 500;
      if (status >= 500)
        log.error(
          { err: error, method: request.method, route: request.routeOptions.url },
          'a request failed',
        );
      const code =
        status === 500 ? 'internal' : (error.code ?? 'bad_request').toLowerCase().replace(/^fst_err_/, '');
      return reply.code(status).send({
        error: { code, message: status === 500 ? 'the server failed; its log says why' : error.message },
      });
    },
  );
  return http;
}

/** `host:port`; port 0 takes a free one. Returns the address it got. */
export async function listen(http: Http, address: string): Promise<string> {
  const at = address.lastIndexOf(':');
  return http.listen({ host: address.slice(0, at), port: Number(address.slice(at + 1)) });
}

/**
 * Serves the files of `dir` under `prefix`. Those that are `immutable` may be cached for ever (their names carry a
 * hash); of the others each use asks whether they changed, or one in `maxAgeS` does. A missing directory is an error here and now, not at the
 * first request.
 */
export function serveFiles(
  http: Http,
  prefix: string,
  dir: string,
  {
    immutable = false as boolean | ((path: string) => boolean),
    maxAgeS = 0,
    headers = {} as Record<string, string>,
  } = {},
): void {
  if (!statSync(dir).isDirectory()) throw new Error(`${dir} is not a directory`);
  const isImmutable = typeof immutable === 'function' ? immutable : () => immutable;
  void http.register(fastifyStatic, {
    root: resolve(dir),
    prefix,
    decorateReply: false,
    index: ['index.html'],
    cacheControl: false,
    setHeaders: (reply, path) => {
      reply.header(
        'cache-control',
        isImmutable(path)
          ? 'public, max-age=31536000, immutable'
          : maxAgeS
            ? `public, max-age=${maxAgeS}, must-revalidate`
            : 'public, no-cache',
      );
      for (const [name, value] of Object.entries(headers)) reply.header(name, value);
    },
  });
}
