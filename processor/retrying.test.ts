import { describe, expect, it } from 'vitest';
import { retrying, retryWaitMs } from './retrying.ts';
import { StoreError, type StoreErrorCode } from './store.ts';

const LIMITS = { attemptsMax: 3, firstWaitMs: 8, waitMsMax: 20 };

function failing(times: number, code: StoreErrorCode) {
  const calls: string[] = [];
  return {
    calls,
    get: async (key: string): Promise<string> => {
      calls.push(key);
      if (calls.length <= times) throw new StoreError(code, 'made up by a test');
      return `${key} at ${calls.length}`;
    },
  };
}

describe('what failed', () => {
  it('is done again when the store was not to be had, with the same arguments', async () => {
    const inner = failing(2, 'store_unavailable');
    expect(await retrying(inner, LIMITS).get('a')).toBe('a at 3');
    expect(inner.calls).toEqual(['a', 'a', 'a']);
  });

  it('is done no more often than the limit says', async () => {
    const inner = failing(99, 'store_unavailable');
    await expect(retrying(inner, LIMITS).get('a')).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(inner.calls).toHaveLength(LIMITS.attemptsMax);
  });

  it.each(['not_found', 'already_exists', 'bad_range', 'bad_key', 'store_refused'] as const)(
    'is an answer, and not done again, with %s',
    async (code) => {
      const inner = failing(1, code);
      await expect(retrying(inner, LIMITS).get('a')).rejects.toMatchObject({ code });
      expect(inner.calls).toHaveLength(1);
    },
  );

  it('waits longer each time, up to a bound, and anything from nothing up to that', () => {
    expect([1, 2, 3, 4].map((failures) => retryWaitMs(failures, LIMITS, 1))).toEqual([8, 16, 20, 20]);
    expect(retryWaitMs(3, LIMITS, 0)).toBe(0);
    expect(retryWaitMs(1, LIMITS, 0.5)).toBe(4);
  });
});
