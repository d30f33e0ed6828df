import fastifyStatic from '@fastify/static';
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
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
    disableRequestLogging: true,
    bodyLimit: 1024 * 1024,
    requestTimeout: 60_000,
    connectionTimeout: 0,
    keepAliveTimeout: 10_000,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 256 },
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
    reply
      .code(404)
      .send({
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
      return reply
        .code(status)
        .send({
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
 * Serves the files of `dir` under `prefix`. With `immutable` they may be cached for ever (their names carry a hash),
 * else each use asks whether they changed. A missing directory is an error here and now, not at the first request.
 */
export function serveFiles(
  http: Http,
  prefix: string,
  dir: string,
  { immutable = false, headers = {} as Record<string, string> } = {},
): void {
  void http.register(fastifyStatic, {
    root: dir,
    prefix,
    decorateReply: false,
    index: ['index.html'],
    maxAge: immutable ? '365d' : 0,
    immutable,
    setHeaders: (reply) => {
      for (const [name, value] of Object.entries(headers)) reply.setHeader(name, value);
    },
  });
}
