import { PROTOCOL_VERSION, ProtocolError, SESSION_MAX_MS, type Hello } from '#protocol';
import { findWriteKey, originAllowed, type ProjectsDocument } from './projects.ts';
import { decodeToken, TOKEN_LENGTH_MAX, TOKEN_LIFE_MS, type SessionClaims } from './tokens.ts';
import { sessionStartMs } from './x-uuidv7.ts';

/** What HELLO earns: the right to record for a project, in the session that its token names or in a new one. */
export interface Admission {
  project: string;
  rid: string;
  retentionDays: number;
  /** Add to a recorder's timestamp to get server time. */
  offsetMs: number;
  /** Of the token; undefined for a new session. */
  session: string | undefined;
  /** As the recorder says; another collector may have acked what this one never saw. */
  ackedFrame: number;
  /** Whether a new session is recorded: when this is below the project's sample rate. 0 where the recorder draws none. */
  draw: number;
}

const RID = /^[A-Za-z0-9_-]{8,32}$/;
const KEY_LENGTH_MAX = 128;
const TEXT_LENGTH_MAX = 8192;

/** @throws ProtocolError `bad_frame`, `unsupported_version` */
export function readHello(value: unknown): Hello {
  const hello = (typeof value === 'object' && value !== null ? value : {}) as Partial<
    Record<keyof Hello, unknown>
  >;
  const text = (name: 'key' | 'url' | 'recorder' | 'token', lengthMax: number): string => {
    const field = hello[name];
    if (typeof field !== 'string' || field.length > lengthMax)
      throw new ProtocolError(
        'bad_frame',
        `${name} of HELLO is not a text of at most ${lengthMax} characters`,
      );
    return field;
  };
  if (!Number.isInteger(hello.version))
    throw new ProtocolError('bad_frame', 'version of HELLO is not a number');
  const version = hello.version as number;
  if (version !== PROTOCOL_VERSION)
    throw new ProtocolError('unsupported_version', `version ${version} is not ${PROTOCOL_VERSION}`);
  const { rid, nowMs } = hello;
  if (typeof rid !== 'string' || !RID.test(rid))
    throw new ProtocolError('bad_frame', 'rid of HELLO is not 8 to 32 of [A-Za-z0-9_-]');
  if (typeof nowMs !== 'number' || !Number.isFinite(nowMs))
    throw new ProtocolError('bad_frame', 'nowMs of HELLO is not a number');
  const ackedFrame = hello.ackedFrame ?? 0;
  if (
    typeof ackedFrame !== 'number' ||
    !Number.isInteger(ackedFrame) ||
    ackedFrame < 0 ||
    ackedFrame >= 2 ** 32
  )
    throw new ProtocolError('bad_frame', 'ackedFrame of HELLO is not a frame number');
  const draw = hello.draw ?? 0;
  if (typeof draw !== 'number' || !(draw >= 0 && draw <= 1))
    throw new ProtocolError('bad_frame', 'draw of HELLO is not a number from 0 to 1');
  return {
    version,
    ackedFrame,
    draw,
    key: text('key', KEY_LENGTH_MAX),
    rid,
    nowMs,
    ...(hello.token != null && { token: text('token', TOKEN_LENGTH_MAX) }),
    url: text('url', TEXT_LENGTH_MAX),
    recorder: text('recorder', TEXT_LENGTH_MAX),
  };
}

/** @throws ProtocolError `unknown_key`, `origin_refused`, `bad_token` */
export function admit(
  hello: Hello,
  { projects, origin, nowMs }: { projects: ProjectsDocument; origin: string | undefined; nowMs: number },
): Admission {
  const found = findWriteKey(projects, hello.key);
  if (!found) throw new ProtocolError('unknown_key', 'the write key belongs to no project');
  const { project, writeKey } = found;
  if (!originAllowed(writeKey, origin))
    throw new ProtocolError(
      'origin_refused',
      `origin ${origin === undefined ? 'none' : JSON.stringify(origin)} is not allowed for this write key`,
    );
  const claims = hello.token === undefined ? undefined : decodeToken(projects.secret, hello.token);
  if (hello.token !== undefined) checkClaims(claims, project.id, nowMs);
  return {
    project: project.id,
    rid: hello.rid,
    retentionDays: claims?.retentionDays ?? project.retentionDays,
    offsetMs: Math.round(nowMs - hello.nowMs),
    session: claims?.session,
    ackedFrame: hello.ackedFrame ?? 0,
    draw: hello.draw ?? 0,
  };
}

function checkClaims(claims: SessionClaims | undefined, project: string, nowMs: number): void {
  if (!claims) throw new ProtocolError('bad_token', 'the session token is not ours');
  if (claims.project !== project)
    throw new ProtocolError('bad_token', 'the session token is of another project than the write key');
  if (nowMs - claims.issuedMs > TOKEN_LIFE_MS)
    throw new ProtocolError('bad_token', `the session token is older than ${TOKEN_LIFE_MS} ms`);
  if (isOver(claims.session, nowMs)) throw new ProtocolError('bad_token', SESSION_OVER);
}

export const SESSION_OVER = `the session is older than ${SESSION_MAX_MS} ms`;
/** The lake counts on no session going on for longer. */
export const isOver = (session: string, nowMs: number): boolean =>
  nowMs - sessionStartMs(session) > SESSION_MAX_MS;
