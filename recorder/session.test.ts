import { afterEach, expect, test, vi } from 'vitest';
import { SESSION_IDLE_MS, SESSION_MAX_MS } from './protocol.ts';
import { isSessionOver, keepSession } from './session.ts';

afterEach(() => void vi.unstubAllGlobals());

function storage(): Map<string, string> {
  const items = new Map<string, string>();
  vi.stubGlobal('sessionStorage', {
    getItem: (name: string) => items.get(name) ?? null,
    setItem: (name: string, value: string) => items.set(name, value),
    removeItem: (name: string) => items.delete(name),
  });
  return items;
}

test('a session is over after idle time, after its whole time, or when the clock went back', () => {
  const session = { token: 't', startedMs: 1000, activeMs: 1000 };
  expect(isSessionOver(session, 1000 + SESSION_IDLE_MS)).toBe(false);
  expect(isSessionOver(session, 1001 + SESSION_IDLE_MS)).toBe(true);
  expect(isSessionOver({ ...session, activeMs: 1000 + SESSION_MAX_MS }, 1000 + SESSION_MAX_MS)).toBe(false);
  expect(isSessionOver({ ...session, activeMs: 1000 + SESSION_MAX_MS }, 1001 + SESSION_MAX_MS)).toBe(true);
  expect(isSessionOver(session, 999)).toBe(true);
});

test('the next page of the tab goes on with the session, one of another key does not', () => {
  storage();
  const first = keepSession('wk_a', 0);
  expect(first.token).toBeUndefined();
  first.welcome('token', 1000, true);
  first.hold(false);
  const second = keepSession('wk_a', 2000);
  expect([second.token, second.isPost]).toEqual(['token', true]);
  second.hold(false);
  expect(keepSession('wk_b', 2000).token).toBeUndefined();
  expect(keepSession('wk_a', 2001 + SESSION_IDLE_MS).token).toBeUndefined();
  expect(keepSession('wk_a', 2000).token).toBeUndefined();
});

test('a session that another page still holds is left to it, also after a renewed token', () => {
  storage();
  const original = keepSession('wk_a', 0);
  original.welcome('token', 1000);
  const copy = keepSession('wk_a', 2000);
  expect(copy.token).toBeUndefined();
  expect(original.token).toBe('token');
});

test('whether a session is recorded is drawn once, holds over reloads, and anew for the next session', () => {
  storage();
  const draws = [0.4, 0.6, 0.2];
  vi.spyOn(Math, 'random').mockImplementation(() => draws.shift()!);
  const reload = (nowMs: number): ReturnType<typeof keepSession> => {
    const keeper = keepSession('wk_a', nowMs);
    keeper.hold(false);
    return keeper;
  };
  expect(reload(0).sample(0.5)).toBe(true);
  draws.unshift(-1);
  expect(reload(1).draw).toBe(0.4);
  expect(reload(2).sample(0.4)).toBe(false);
  // Refused once, it is not taken at a higher rate either.
  draws.unshift(-1, -1);
  expect(reload(3).sample(1)).toBe(false);
  const next = reload(4 + SESSION_IDLE_MS + 60_000);
  expect(next.draw).not.toBe(1);
  next.welcome('token', 5 + SESSION_IDLE_MS + 60_000);
  // Welcomed once, it is recorded to its end.
  expect(next.sample(0)).toBe(true);
  vi.restoreAllMocks();
});

test('activity keeps a session alive, a renewed token does not lengthen it', () => {
  storage();
  const keeper = keepSession('wk_a', 0);
  keeper.welcome('one', 0);
  let nowMs = 0;
  while (nowMs + SESSION_IDLE_MS <= SESSION_MAX_MS) {
    nowMs += SESSION_IDLE_MS;
    expect(keeper.touch(nowMs)).toBe(true);
    keeper.welcome('two', nowMs);
  }
  expect(keeper.touch(SESSION_MAX_MS + 1)).toBe(false);
});

test('storage that is missing, forbidden, or holds nonsense is as good as empty', () => {
  expect(keepSession('wk_a', 0).token).toBeUndefined();
  storage().set('mutoscope.wk_a', '{"token":7}');
  expect(keepSession('wk_a', 0).token).toBeUndefined();
  storage().set('mutoscope.wk_a', 'nonsense');
  expect(keepSession('wk_a', 0).token).toBeUndefined();
  vi.stubGlobal('sessionStorage', {
    getItem: () => {
      throw new Error('forbidden');
    },
  });
  const keeper = keepSession('wk_a', 0);
  keeper.welcome('token', 0);
  expect(keeper.token).toBe('token');
});
