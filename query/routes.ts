import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { findApiKey, type ProjectSource, type Scope } from '#projects';
import { assetType } from '#layout';
import type { Config, Http, HttpReply, HttpRequest, Log } from '#service';
import { isDamage, isStoreError } from '#store';
import {
  API_ERRORS,
  ApiError,
  SIGNALS,
  SQL_FORMATS,
  type ApiErrorCode,
  type ErasuresRequest,
  type Me,
  type SchemaAnswer,
  type SessionsQuery,
  type SqlAnswer,
  type SqlFormat,
  type SqlRequest,
} from './api.ts';
import type { Erasing } from './erasure.ts';
import type { Playback } from './playback.ts';
import { csv, jsonRows } from './rows.ts';
import { SESSIONS_LIMIT_MAX, type Sessions } from './sessions.ts';
import { ANSWER_BYTES_MAX, type Answer, type Statements } from './statements.ts';
import { createUnread } from './unread.ts';
import { VIEWS } from './views.ts';
import { arrowOf } from './x-arrow.ts';

export interface RouteParts {
  config: Config;
  log: Log;
  projects: ProjectSource;
  statements: Statements;
  sessions: Sessions;
  playback: Playback;
  erasing: Erasing;
  now: () => number;
}

const SQL_BYTES_MAX = 100_000;
const PARAMS_MAX = 1000;
/** Two whole answers of a project may wait for slow clients. */
const UNREAD_BYTES_MAX = 2 * ANSWER_BYTES_MAX;
const ARROW = 'application/vnd.apache.arrow.stream';

/** Adds the API to the server. Every answer but the app's files passes `authorize`. */
export function addRoutes(server: Http, parts: RouteParts): void {
  const { config, log, projects, statements, sessions, playback, erasing, now } = parts;
  const unread = createUnread(UNREAD_BYTES_MAX);
  void server.register(async (http: Http) => {
    http.setErrorHandler((error, request, reply) => answerError(error, request, reply, log));
    http.addHook('onSend', async (_request, reply) => {
      // Any page may embed the player: what it may read is decided by the key it holds, and no cookie says who asks.
      reply.headers({ 'x-content-type-options': 'nosniff', 'access-control-allow-origin': '*' });
      reply.header('access-control-expose-headers', 'x-truncated, x-elapsed-ms, x-fresh-as-of, etag');
      if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
    });
    /** Whose key the request bears. @throws ApiError `unauthorized`, `forbidden` */
    const authorize = (request: HttpRequest, ...scopes: Scope[]) => {
      const key = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
      const found = key?.startsWith('ak_') ? findApiKey(projects.current(), key) : undefined;
      if (!found) throw new ApiError('unauthorized', API_ERRORS.unauthorized.sentence);
      if (scopes.length && !scopes.some((scope) => found.apiKey.scopes.includes(scope)))
        throw new ApiError('forbidden', `the key lacks the scope ${scopes.join(' or ')}`);
      return found;
    };

    http.options('/v1/*', (_request, reply) =>
      reply
        .header('access-control-allow-methods', 'GET, POST, DELETE')
        .header('access-control-allow-headers', 'authorization, content-type, if-none-match')
        .header('access-control-max-age', '86400')
        .code(204)
        .send(),
    );
    http.get('/v1/me', (request): Me => {
      const { project, apiKey } = authorize(request);
      return { project: project.id, retentionDays: project.retentionDays, scopes: [...apiKey.scopes] };
    });
    http.get('/v1/schema', (request): SchemaAnswer => {
      authorize(request, 'query');
      return { views: VIEWS.map(({ name, sentence, columns }) => ({ name, sentence, columns })) };
    });

    http.post<{ Body: SqlRequest }>(
      '/v1/sql',
      {
        onRequest: async (request) => void authorize(request, 'query'),
        schema: { body: sqlBody(config.SQL_ROWS_MAX) },
      },
      async (request, reply) => {
        const { project } = authorize(request, 'query');
        checkParams(request.body.params);
        const { sql, params, format = 'json', rowsMax = config.SQL_ROWS_MAX } = request.body;
        const gone = new AbortController();
        reply.raw.once('close', () => reply.raw.writableFinished || gone.abort());
        unread.check(project.id);
        const answer = await statements.run(project.id, { sql, params, lane: 'sql', rowsMax }, gone.signal);
        // Others that waited in the same line may have filled it since.
        unread.check(project.id);
        const bytes = encodeAnswer(answer, format);
        unread.hold(project.id, bytes.length, reply.raw);
        if (format === 'json') return reply.type('application/json; charset=utf-8').send(bytes);
        reply
          .header('x-truncated', String(answer.rows.truncated))
          .header('x-elapsed-ms', String(answer.elapsedMs))
          .header('x-fresh-as-of', String(answer.freshness.asOfMs));
        if (format === 'csv') return reply.type('text/csv; charset=utf-8; header=present').send(bytes);
        return sendArrow(request, reply, bytes);
      },
    );

    http.get<{ Querystring: SessionsQuery }>(
      '/v1/sessions',
      {
        onRequest: async (request) => void authorize(request, 'query', 'play'),
        schema: { querystring: SESSIONS_QUERY },
      },
      (request) => sessions.list(authorize(request).project.id, request.query),
    );
    http.get<{ Params: { id: string } }>('/v1/sessions/:id', (request) =>
      sessions.summary(authorize(request, 'query', 'play').project.id, request.params.id),
    );
    http.get<{ Params: { id: string } }>('/v1/sessions/:id/manifest', (request) =>
      playback.manifest(authorize(request, 'play').project.id, request.params.id),
    );
    http.get<{ Params: { id: string } }>('/v1/sessions/:id/markers', async (request, reply) => {
      const { project } = authorize(request, 'play');
      return sendArrow(request, reply, await sessions.markers(project.id, request.params.id));
    });
    http.get<{ Params: { id: string; n: number } }>(
      '/v1/sessions/:id/segments/:n',
      {
        onRequest: async (request) => void authorize(request, 'play'),
        schema: { params: SEGMENT_PARAMS },
      },
      async (request, reply) => {
        const { project } = authorize(request, 'play');
        const segment = await playback.segment(project.id, request.params.id, request.params.n);
        if (!segment.cacheable) return sendArrow(request, reply, await segment.read());
        // A segment never changes, but each use asks, for what is erased must not be seen again.
        reply.header('etag', segment.etag).header('cache-control', 'private, no-cache');
        if (request.headers['if-none-match'] === segment.etag) return reply.code(304).send();
        return sendArrow(request, reply, await segment.read());
      },
    );
    http.get<{ Params: { id: string; name: string } }>(
      '/v1/sessions/:id/assets/:name',
      async (request, reply) => {
        const { project } = authorize(request, 'play');
        const { id, name } = request.params;
        const type = assetType(name);
        if (!type) throw new ApiError('unknown_asset', 'that is no name of an asset');
        const bytes = await playback.asset(project.id, id, name);
        // It is another site's, and may be SVG: as a page of its own it can do nothing. As for segments, each use asks.
        reply
          .type(type)
          .header('content-security-policy', "sandbox; default-src 'none'")
          .header('etag', `"${name}"`)
          .header('cache-control', 'private, no-cache')
          .header('vary', 'authorization');
        if (request.headers['if-none-match'] === `"${name}"`) return reply.code(304).send();
        return reply.send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
      },
    );
    http.delete<{ Params: { id: string } }>('/v1/sessions/:id', async (request, reply) => {
      const { project } = authorize(request, 'erase');
      const answer = await erasing.session(project.id, request.params.id, now());
      log.info({ project: project.id, session: answer.session }, 'a session is to be erased');
      return reply.code(202).send(answer);
    });
    http.post<{ Body: ErasuresRequest }>(
      '/v1/erasures',
      { onRequest: async (request) => void authorize(request, 'erase'), schema: { body: ERASURES_BODY } },
      async (request, reply) => {
        const { project } = authorize(request, 'erase');
        const answer = await erasing.erase(project.id, request.body, now());
        if (answer.dryRun) return answer;
        log.info({ project: project.id, sessions: answer.sessions }, 'sessions are to be erased');
        return reply.code(202).send(answer);
      },
    );
    http.get<{ Params: { session: string } }>('/v1/erasures/:session', async (request, reply) => {
      const { project } = authorize(request, 'erase');
      // As it stands in the store, for a receipt's signature is over its very text.
      const stored = await erasing.read(project.id, request.params.session);
      return reply.type('application/json; charset=utf-8').send(Buffer.from(stored));
    });
  });
}

/** Not by the schema: the validator would make texts of numbers and single values of lists. @throws ApiError `bad_request` */
function checkParams(params: readonly unknown[] = []): void {
  const bad = params.findIndex((value) => typeof value === 'object' && value !== null);
  if (bad >= 0)
    throw new ApiError('bad_request', `body/params/${bad} must be string, number, boolean or null`);
}

const sqlAnswer = ({ rows, freshness, elapsedMs }: Answer): SqlAnswer => ({
  columns: rows.columns.map(({ name, type }) => ({ name, type })),
  rows: jsonRows(rows),
  truncated: rows.truncated,
  elapsedMs,
  freshness,
});

function encodeAnswer(answer: Answer, format: SqlFormat): Uint8Array {
  if (format === 'arrow') return arrowOf(answer.rows);
  return Buffer.from(format === 'csv' ? csv(answer.rows) : JSON.stringify(sqlAnswer(answer)));
}

const zip = promisify(gzip);
/** Shorter answers gain nothing. */
const GZIP_BYTES_MIN = 1400;
async function sendArrow(request: HttpRequest, reply: HttpReply, bytes: Uint8Array): Promise<HttpReply> {
  reply.type(ARROW).header('vary', 'accept-encoding, authorization');
  if (bytes.length < GZIP_BYTES_MIN || !/\bgzip\b/.test(String(request.headers['accept-encoding'] ?? '')))
    return reply.send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  return reply.header('content-encoding', 'gzip').send(await zip(bytes, { level: 4 }));
}

/** As `{ error: { code, message } }`, with a code of API_ERRORS whatever went wrong. */
function answerError(error: unknown, request: HttpRequest, reply: HttpReply, log: Log): HttpReply {
  const { code, message } = asApiError(error);
  const { status } = API_ERRORS[code];
  if (status >= 500)
    log.error({ err: error, method: request.method, route: request.routeOptions.url }, 'a request failed');
  if (code === 'unauthorized') reply.header('www-authenticate', 'Bearer');
  return reply.code(status).send({ error: { code, message } });
}

function asApiError(error: unknown): { code: ApiErrorCode; message: string } {
  if (error instanceof ApiError)
    return error.code === 'internal' ? { code: 'internal', message: API_ERRORS.internal.sentence } : error;
  if (isStoreError(error, 'store_unavailable'))
    return { code: 'store_unavailable', message: API_ERRORS.store_unavailable.sentence };
  if (isDamage(error)) return { code: 'lake_damaged', message: API_ERRORS.lake_damaged.sentence };
  const { statusCode, message } = error as { statusCode?: number; message: string };
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return { code: 'bad_request', message: message.charAt(0).toLowerCase() + message.slice(1) };
  return { code: 'internal', message: API_ERRORS.internal.sentence };
}

const sqlBody = (rowsMax: number) => ({
  type: 'object',
  required: ['sql'],
  properties: {
    sql: { type: 'string', minLength: 1, maxLength: SQL_BYTES_MAX },
    params: { type: 'array', maxItems: PARAMS_MAX },
    format: { type: 'string', enum: [...SQL_FORMATS] },
    rowsMax: { type: 'integer', minimum: 1, maximum: rowsMax },
  },
});
const ERASURES_BODY = {
  type: 'object',
  properties: {
    session: { type: 'string', maxLength: 100 },
    visitor: { type: 'string', minLength: 1, maxLength: 1000 },
    sql: { type: 'string', minLength: 1, maxLength: SQL_BYTES_MAX },
    dryRun: { type: 'boolean' },
  },
};
const SESSIONS_QUERY = {
  type: 'object',
  properties: {
    cursor: { type: 'string', pattern: '^[0-9a-f-]{36}$' },
    limit: { type: 'integer', minimum: 1, maximum: SESSIONS_LIMIT_MAX },
    search: { type: 'string', maxLength: 500 },
    signal: { type: 'string', enum: [...SIGNALS] },
    fromMs: { type: 'number', minimum: 0 },
    toMs: { type: 'number', minimum: 0 },
  },
};
const SEGMENT_PARAMS = {
  type: 'object',
  properties: {
    id: { type: 'string' },
    n: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
  },
};
