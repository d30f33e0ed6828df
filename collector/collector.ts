import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { FRAME_BYTES_MAX, RR1_PATH } from '#protocol';
import { createCollectorMetrics } from './collector-metrics.ts';
import { Connection } from './connection.ts';
import { Intake } from './intake.ts';
import { LIMITS, type CollectorLimits } from './limits.ts';
import { refusePost, takePost, type PostAnswer } from './post.ts';
import { originAllowed, type ProjectSource } from './projects.ts';
import {
  serveFiles,
  type Http,
  type HttpReply,
  type HttpRequest,
  type Service,
  type ServiceContext,
} from './service.ts';
import type { Stream } from './stream.ts';
import { createSockets, refuseUpgrade } from './x-ws.ts';

export interface CollectorParts {
  stream: Stream;
  projects: ProjectSource;
  /** Directory of the built recorder, served under `/r/`. */
  assetsDir?: string;
  limits?: Partial<CollectorLimits>;
  random?: () => number;
}

/**
 * Accepts batches and makes them durable, nothing else: a WebSocket and a POST on RR1_PATH, and the recorder's own
 * files. Adds its routes to `context.http`, so it is made before that listens.
 */
export function createCollector(context: ServiceContext, parts: CollectorParts): Service {
  const { log, http, now } = context;
  const limits: CollectorLimits = { ...LIMITS, ...parts.limits };
  const random = parts.random ?? Math.random;
  const metrics = createCollectorMetrics(context.metrics);
  const connections = new Set<Connection>();
  let resolveStopped = (): void => {};
  const stopped = new Promise<void>((resolve) => (resolveStopped = resolve));
  const posts = new Set<Promise<PostAnswer>>();
  let draining = false;

  const intake = new Intake({
    ...{ stream: parts.stream, projects: parts.projects, limits, metrics, now, random },
    onGate: (closed) => {
      if (closed)
        log.warn(
          { code: intake.gate.failure?.error.code },
          'the stream takes no batches; recorders keep theirs',
        );
      else log.info('the stream takes batches again, or nothing waits for it any more');
      for (const connection of connections) connection.setCredit(!closed);
    },
  });

  const takeSocket = createSockets(FRAME_BYTES_MAX);
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (request.url?.split('?')[0] !== RR1_PATH) return refuseUpgrade(socket, '404 Not Found');
    if (draining || connections.size >= limits.connectionsMax)
      return refuseUpgrade(socket, '503 Service Unavailable', ['retry-after: 1']);
    takeSocket(request, socket, head, (peer) => {
      const connection = new Connection(peer, intake, log, request.headers.origin);
      connections.add(connection);
      metrics.connections.set(connections.size);
      return {
        onMessage: (bytes, isBinary) => connection.onMessage(bytes, isBinary),
        onViolation: (isTooLarge) =>
          metrics.rejections.inc({ code: isTooLarge ? 'frame_too_large' : 'bad_frame' }),
        onClose: () => {
          connection.onClose();
          connections.delete(connection);
          metrics.connections.set(connections.size);
        },
      };
    });
  };
  http.server.on('upgrade', onUpgrade);
  addPostRoute(http, parts.projects, limits.postBytesMax, {
    take: (body, origin) => {
      if (draining) return Promise.resolve(refusePost(intake, 'draining', 'the collector is going down'));
      const answer = takePost(intake, body, origin, log);
      posts.add(answer);
      return answer.finally(() => posts.delete(answer));
    },
    refuseTooLarge: () =>
      refusePost(intake, 'frame_too_large', `the body is over ${limits.postBytesMax} bytes`),
  });
  if (parts.assetsDir) serveRecorder(http, parts.assetsDir);

  const ticker = setInterval(() => {
    for (const connection of connections) connection.tick();
  }, limits.tickMs);
  ticker.unref();

  return {
    name: 'collector',
    run: () => stopped,
    async drain() {
      draining = true;
      const timer = setTimeout(() => intake.gate.giveUp(), limits.drainMs);
      await Promise.all([...[...connections].map((connection) => connection.drain()), ...posts]);
      clearTimeout(timer);
    },
    async stop() {
      draining = true;
      clearInterval(ticker);
      http.server.off('upgrade', onUpgrade);
      for (const connection of connections) connection.reject('draining', 'the collector is going down');
      intake.gate.giveUp();
      resolveStopped();
    },
    problems() {
      const { failure } = intake.gate;
      return [
        ...(draining ? ['the collector is draining'] : []),
        ...(failure
          ? [
              `the stream has taken no batches for ${Math.round((performance.now() - failure.sinceMs) / 1000)} s: ${failure.error.message}`,
            ]
          : []),
      ];
    },
  };
}

interface PostHandlers {
  take(body: Uint8Array, origin: string | undefined): Promise<PostAnswer>;
  refuseTooLarge(): PostAnswer;
}

/** In a scope of its own, for here every content type is bytes: a page that goes away may only send text/plain. */
function addPostRoute(http: Http, projects: ProjectSource, bodyLimit: number, handlers: PostHandlers): void {
  const allowOrigin = (request: HttpRequest, reply: HttpReply): void => {
    const { origin } = request.headers;
    reply.header('vary', 'origin');
    // The key is in the body, which a preflight does not have; whether this key allows the origin is checked then.
    const keys = projects.current().projects.flatMap(({ writeKeys }) => writeKeys);
    if (origin !== undefined && keys.some((key) => originAllowed(key, origin)))
      reply.header('access-control-allow-origin', origin);
  };
  const send = (reply: HttpReply, { status, body }: PostAnswer): HttpReply =>
    reply
      .code(status)
      .type('application/octet-stream')
      .header('cache-control', 'no-store')
      .send(Buffer.from(body));
  void http.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit }, (_request, body, done) =>
      done(null, body),
    );
    scope.addHook('onRequest', async (request, reply) => allowOrigin(request, reply));
    scope.setErrorHandler((error: Error & { code?: string }, _request, reply) => {
      if (error.code !== 'FST_ERR_CTP_BODY_TOO_LARGE') throw error;
      return send(reply, handlers.refuseTooLarge());
    });
    scope.options(RR1_PATH, (_request, reply) =>
      reply
        .code(204)
        .header('access-control-allow-methods', 'POST')
        .header('access-control-allow-headers', 'content-type')
        .header('access-control-max-age', '86400')
        .send(),
    );
    scope.post(RR1_PATH, { bodyLimit }, async (request, reply) =>
      send(
        reply,
        await handlers.take((request.body as Buffer | undefined) ?? Buffer.alloc(0), request.headers.origin),
      ),
    );
  });
}

/** What a browser believes of the loader without asking; as long a page may ask for a core that is no more. */
const LOADER_MAX_AGE_S = 60;
/** Names with a hash never change, nor what stands under a version: `0.1.0-1a2b3c4d5e/loader.js`. */
const IMMUTABLE =
  /[-.](?=[^.]*[0-9A-Z_])[\w-]{8,}\.(js|css|map)$|[\\/]\d+\.\d+\.\d+[\w.-]*-[0-9a-f]{10}[\\/][^\\/]+$/;

/** Any site may load the recorder. */
function serveRecorder(http: Http, dir: string): void {
  serveFiles(http, '/r/', dir, {
    immutable: (path) => IMMUTABLE.test(path),
    maxAgeS: LOADER_MAX_AGE_S,
    headers: {
      'access-control-allow-origin': '*',
      'cross-origin-resource-policy': 'cross-origin',
      'x-content-type-options': 'nosniff',
    },
  });
}
