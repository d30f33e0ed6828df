import { expect, test } from 'vitest';
import { decodeToken, encodeToken, TOKEN_LENGTH_MAX, type SessionClaims } from './tokens.ts';
import { newSessionId, sessionStartMs } from './x-uuidv7.ts';

const claims: SessionClaims = {
  v: 1,
  project: 'p'.repeat(32),
  session: newSessionId(1_700_000_000_000),
  retentionDays: 365,
  issuedMs: 1_700_000_000_000,
};

test('a token gives back its claims, to who has the secret', () => {
  const token = encodeToken('secret', claims);
  expect(token.length).toBeLessThan(TOKEN_LENGTH_MAX);
  expect(decodeToken('secret', token)).toEqual(claims);
  expect(decodeToken('another', token)).toBeUndefined();
});

test('a token with any one character changed is refused', () => {
  const token = encodeToken('secret', claims);
  for (let i = 0; i < token.length; i++) {
    const changed = token.slice(0, i) + (token[i] === 'A' ? 'B' : 'A') + token.slice(i + 1);
    const decoded = decodeToken('secret', changed);
    // The last character of a signature has bits that mean nothing.
    if (i === token.length - 1)
      expect(decoded === undefined || decoded.project === claims.project).toBe(true);
    else expect(decoded).toBeUndefined();
  }
});

test.each(['', '.', 'a', 'a.b', '..', 'a.b.c'])('%j is no token', (token) => {
  expect(decodeToken('secret', token)).toBeUndefined();
});

test('session ids tell their start and are all different', () => {
  const ids = Array.from({ length: 1000 }, () => newSessionId(1_700_000_000_123));
  expect(new Set(ids).size).toBe(1000);
  for (const id of ids) {
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(sessionStartMs(id)).toBe(1_700_000_000_123);
  }
});
