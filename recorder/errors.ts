import type { RecordingContext } from './context.ts';
import type { EarlyEvent } from './early.ts';
import { scrubText } from './scrub-text.ts';
import { scrubUrl } from './scrub.ts';

const MESSAGE_CHARS_MAX = 500;
const STACK_CHARS_MAX = 2048;
/** Told in a page load. */
const ERRORS_MAX = 100;

interface Repeated {
  stack: string;
  count: number;
}

/**
 * Tells uncaught errors and rejections of the page, without query values. One that comes again is told at its 2nd,
 * 4th, 8th … time, and ERRORS_MAX are told in all: a page that fails in a loop floods nobody.
 * @param early events of which some are errors that came before
 */
export function observeErrors({ custom, guard, parts }: RecordingContext, early: EarlyEvent[]): () => void {
  const times = new Map<string, number>();
  let told = 0;
  /** Also those that were not told. */
  let pageErrors = 0;
  const tell = <T extends object>(to: (what: T & Repeated) => void, what: T, thrown: unknown): void => {
    pageErrors++;
    const key = JSON.stringify(what);
    const count = (times.get(key) ?? 0) + 1;
    if (told >= ERRORS_MAX) return;
    times.set(key, count);
    if (count & (count - 1)) return;
    told++;
    const { stack } = (thrown ?? {}) as { stack?: unknown };
    to({
      ...what,
      stack: typeof stack === 'string' ? scrubText(stack.slice(0, STACK_CHARS_MAX)) : '',
      count,
    });
  };
  const messageOf = (message: unknown): string => scrubText(String(message).slice(0, MESSAGE_CHARS_MAX));
  const onError = guard(({ message, filename, lineno, colno, error }: ErrorEvent, atMs?: number) => {
    const place = { source: scrubUrl(filename), line: lineno, column: colno };
    tell((what) => custom('error', what, atMs), { message: messageOf(message), ...place }, error);
  });
  const onRejection = guard(({ reason }: PromiseRejectionEvent, atMs?: number) => {
    const message = reason instanceof Error ? `${reason.name}: ${reason.message}` : reason;
    tell((what) => custom('unhandledrejection', what, atMs), { message: messageOf(message) }, reason);
  });
  parts.push(() => ({ pageErrors }));
  for (const [event, , atMs] of early)
    if (event.type === 'error') onError(event as ErrorEvent, atMs);
    else if (event.type === 'unhandledrejection') onRejection(event as PromiseRejectionEvent, atMs);
  const stopping = new AbortController();
  const { signal } = stopping;
  addEventListener('error', (event) => onError(event), { signal });
  addEventListener('unhandledrejection', (event) => onRejection(event), { signal });
  return () => stopping.abort();
}
