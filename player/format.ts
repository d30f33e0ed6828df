/** How times, sizes and counts are written. Pure; every instant is an argument. */

const two = (n: number): string => String(n).padStart(2, '0');

/** `0:07`, `12:34`, `1:02:03`. Rounds down, so that the end shows only at the end. */
export function formatPosition(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(seconds % 60)}`;
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

/** With tenths, for what a hover names. */
export const formatMoment = (ms: number): string =>
  `${formatPosition(ms)}.${Math.floor((Math.max(0, ms) % 1000) / 100)}`;

/** `1 minute 5 seconds`: for screen readers. */
export function speakPosition(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts: string[] = [];
  const add = (n: number, unit: string): void => void (n && parts.push(`${n} ${unit}${n === 1 ? '' : 's'}`));
  add(Math.floor(seconds / 3600), 'hour');
  add(Math.floor(seconds / 60) % 60, 'minute');
  add(seconds % 60, 'second');
  return parts.join(' ') || '0 seconds';
}

/** `4s`, `3m 20s`, `1h 05m`. Rounds down as positions do, so that a list and the player's clock agree. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (!seconds) return '<1s';
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${two(seconds % 60)}s`;
  return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
}

/** `just now`, `5 min ago`, `3 h ago`, `2 days ago`. */
export function formatAgo(thenMs: number, nowMs: number): string {
  const minutes = Math.floor((nowMs - thenMs) / 60_000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ago`;
  const days = Math.floor(hours / 24);
  return `${days} day${days === 1 ? '' : 's'} ago`;
}

/** In the viewer's zone: `Nov 23, 18:04:09`. */
export const formatInstant = (ms: number): string =>
  new Date(ms).toLocaleString('en-GB', {
    month: 'short',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  });

export const formatCount = (n: number): string => n.toLocaleString('en-US');

/** What tells addresses of one site apart: `/signup/step-2`. Whole when it is no address. */
export function shortUrl(url: string): string {
  try {
    const { pathname, search, hash } = new URL(url);
    return pathname + search + hash;
  } catch {
    return url;
  }
}
