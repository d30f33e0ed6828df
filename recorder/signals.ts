import type { Guard } from './guard.ts';
import type { CustomPayloads } from './protocol.ts';
import { scrubText, scrubUrl } from './scrub.ts';

const MESSAGE_CHARS_MAX = 500;

export const environmentNow = (recorder: string): CustomPayloads['environment'] => ({
  userAgent: navigator.userAgent,
  language: navigator.language,
  screen: [screen.width, screen.height],
  referrer: scrubUrl(document.referrer),
  recorder,
});

/** Tells uncaught errors and rejections of the page, without query values. */
export function observeErrors(onError: (error: CustomPayloads['error']) => void, guard: Guard): () => void {
  const tell = (message: unknown, source = '', line = 0, column = 0): void =>
    onError({
      message: scrubText(String(message).slice(0, MESSAGE_CHARS_MAX)),
      source: scrubUrl(source),
      line,
      column,
    });
  const onErrorEvent = guard((event: ErrorEvent) =>
    tell(event.message, event.filename, event.lineno, event.colno),
  );
  const onRejection = guard(({ reason }: PromiseRejectionEvent) =>
    tell(reason instanceof Error ? `${reason.name}: ${reason.message}` : reason),
  );
  addEventListener('error', onErrorEvent);
  addEventListener('unhandledrejection', onRejection);
  return () => {
    removeEventListener('error', onErrorEvent);
    removeEventListener('unhandledrejection', onRejection);
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
