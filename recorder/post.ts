import { decodeFrames, encodeFrames, RR1_PATH, type Frame } from './protocol.ts';

/** Of a request that nobody answers. */
const POST_TIMEOUT_MS = 20_000;
/** However long a proxy says. */
const RETRY_AFTER_MAX_MS = 10 * 60_000;
// Before anyone, ourselves too, watches the page's requests.
export const pageFetch = globalThis.fetch?.bind(globalThis);

export interface PostError extends Error {
  retryAfterMs?: number;
}

/**
 * One request of frames, HELLO first. `keepalive`: it outlives the page, and the body is at most POST_BYTES_MAX.
 * @returns the answer's frames, at least one
 * @throws PostError for an answer that is no frames, as a proxy's; TypeError or DOMException without any
 */
export async function postFrames(url: string, frames: Uint8Array[], keepalive = false): Promise<Frame[]> {
  const response = await pageFetch(url + RR1_PATH, {
    method: 'POST',
    keepalive,
    credentials: 'omit',
    // No preflight: a page that goes has no time for one.
    headers: { 'content-type': 'text/plain' },
    body: encodeFrames(frames),
    signal: keepalive ? undefined : AbortSignal.timeout?.(POST_TIMEOUT_MS),
  });
  try {
    const answer = decodeFrames(new Uint8Array(await response.arrayBuffer()));
    if (answer.length) return answer;
  } catch {
    // Not from a collector.
  }
  const retryAfterMs = Math.min(RETRY_AFTER_MAX_MS, 1000 * Number(response.headers.get('retry-after')) || 0);
  throw Object.assign(new Error(`status ${response.status}`), { retryAfterMs }) satisfies PostError;
}
