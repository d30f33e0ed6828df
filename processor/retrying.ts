import { setTimeout as delay } from 'node:timers/promises';
import { isStoreError } from './store.ts';

export interface RetryLimits {
  /** How often one request is made in all. */
  attemptsMax: number;
  /** Longest wait before the second attempt; it doubles with each further one. */
  firstWaitMs: number;
  waitMsMax: number;
}

/** Full jitter, so that the many who failed together do not come back together. @param random in [0, 1) */
export const retryWaitMs = (failures: number, limits: RetryLimits, random: number): number =>
  random * Math.min(limits.waitMsMax, limits.firstWaitMs * 2 ** (failures - 1));

/** The same methods; what failed with `store_unavailable` is done again, so each must be one that can be repeated. */
export function retrying<T extends object>(inner: T, limits: RetryLimits, random = Math.random): T {
  const repeat =
    (act: (...args: unknown[]) => unknown) =>
    async (...args: unknown[]): Promise<unknown> => {
      for (let failures = 1; ; failures++) {
        try {
          return await act.apply(inner, args);
        } catch (error) {
          if (!isStoreError(error, 'store_unavailable') || failures === limits.attemptsMax) throw error;
          await delay(retryWaitMs(failures, limits, random()));
        }
      }
    };
  return Object.fromEntries(
    Object.entries(inner).map(([name, value]) => [
      name,
      typeof value === 'function' ? repeat(value as (...args: unknown[]) => unknown) : value,
    ]),
  ) as T;
}
