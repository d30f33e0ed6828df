const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 30_000;

/** Exponential with jitter: between half and all of 0.5, 1, 2 … 30 s. Pure but for the random number given. */
export const backoffMs = (attempt: number, random: number): number =>
  Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** attempt) * (0.5 + random / 2);
