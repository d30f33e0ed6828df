import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * What a recorder shows to go on with its session, on any collector: `<claims>.<HMAC-SHA256 of them>`, both base64url.
 * The retention class stands in it because it is fixed when the session starts.
 *
 * Version history: 1 — first.
 */
export interface SessionClaims {
  v: 1;
  project: string;
  session: string;
  retentionDays: number;
  issuedMs: number;
}

export const TOKEN_LIFE_MS = 60 * 60_000;
/** Before half its life has passed, so that a recorder that loses its connection holds one good for half an hour. */
export const TOKEN_RENEW_MS = 25 * 60_000;
export const TOKEN_LENGTH_MAX = 1024;

const sign = (secret: string, claims: string): Buffer => createHmac('sha256', secret).update(claims).digest();

export function encodeToken(secret: string, claims: SessionClaims): string {
  const text = Buffer.from(JSON.stringify(claims)).toString('base64url');
  return `${text}.${sign(secret, text).toString('base64url')}`;
}

/** The claims, or undefined when it was not made with this secret. Whether they still hold is the caller's to judge. */
export function decodeToken(secret: string, token: string): SessionClaims | undefined {
  const [text = '', signature = ''] = token.split('.');
  const given = Buffer.from(signature, 'base64url');
  const wanted = sign(secret, text);
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined;
  const claims = JSON.parse(Buffer.from(text, 'base64url').toString()) as SessionClaims;
  return claims.v === 1 ? claims : undefined;
}
