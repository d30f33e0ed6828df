import type { Guard } from './guard.ts';
import type { CustomPayloads } from './protocol.ts';
import { scrubText, scrubUrl } from './scrub.ts';

const MESSAGE_CHARS_MAX = 500;
const STACK_CHARS_MAX = 2048;
/** Told in a page load. */
const ERRORS_MAX = 100;

interface Repeated {
  stack: string;
  count: number;
}

export const environmentNow = (recorder: string): CustomPayloads['environment'] => ({
  userAgent: navigator.userAgent,
  language: navigator.language,
  screen: [screen.width, screen.height],
  referrer: scrubUrl(document.referrer),
  recorder,
});

export interface ErrorSink {
  onError(error: CustomPayloads['error']): void;
  onRejection(rejection: CustomPayloads['unhandledrejection']): void;
}
export interface ErrorObserver {
  /** Errors and rejections so far, also those that were not told. */
  readonly count: number;
  stop(): void;
}

/**
 * Tells uncaught errors and rejections of the page, without query values. One that comes again is told at its 2nd,
 * 4th, 8th … time, and ERRORS_MAX are told in all: a page that fails in a loop floods nobody.
 */
export function observeErrors(sink: ErrorSink, guard: Guard): ErrorObserver {
  const times = new Map<string, number>();
  let told = 0;
  let all = 0;
  const tell = <T extends object>(to: (what: T & Repeated) => void, what: T, thrown: unknown): void => {
    all++;
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
  const stopping = new AbortController();
  const { signal } = stopping;
  addEventListener(
    'error',
    guard(({ message, filename, lineno, colno, error }: ErrorEvent) => {
      const place = { source: scrubUrl(filename), line: lineno, column: colno };
      tell(sink.onError, { message: messageOf(message), ...place }, error);
    }),
    { signal },
  );
  addEventListener(
    'unhandledrejection',
    guard(({ reason }: PromiseRejectionEvent) => {
      const message = reason instanceof Error ? `${reason.name}: ${reason.message}` : reason;
      tell(sink.onRejection, { message: messageOf(message) }, reason);
    }),
    { signal },
  );
  return {
    get count() {
      return all;
    },
    stop: () => stopping.abort(),
  };
}

export interface PageLife {
  onVisibility(visible: boolean): void;
  /** `isKept`: the page may come back by the back button. */
  onHide(isKept: boolean): void;
  onReturn(): void;
  onOnline(): void;
}

/** Tells when the page is hidden, goes, comes back from the back-forward cache, or has a network again. */
export function observePageLife(life: PageLife, guard: Guard): () => void {
  const isVisible = (): boolean => document.visibilityState === 'visible';
  const onVisibility = guard(() => life.onVisibility(isVisible()));
  const onHide = guard((event: PageTransitionEvent) => life.onHide(event.persisted));
  const onShow = guard((event: PageTransitionEvent) => event.persisted && life.onReturn());
  const onOnline = guard(() => life.onOnline());
  document.addEventListener('visibilitychange', onVisibility);
  addEventListener('pagehide', onHide);
  addEventListener('pageshow', onShow);
  addEventListener('online', onOnline);
  return () => {
    document.removeEventListener('visibilitychange', onVisibility);
    removeEventListener('pagehide', onHide);
    removeEventListener('pageshow', onShow);
    removeEventListener('online', onOnline);
  };
}
