import type { RecordedEvent } from './batcher.ts';
import type { RecordingContext } from './context.ts';
import { isBlocked, isLookMasked } from './masking.ts';
import { pageFetch } from './post.ts';
import {
  decodeFrames,
  decodeJsonPayload,
  encodeFrame,
  encodeFrames,
  encodeJsonFrame,
  type Hello,
} from './protocol.ts';
import { scrubUrl } from './scrub.ts';

export { Hold } from './hold.ts';

/** What a part that few pages need is given of the core. */
export interface ExtraContext extends Omit<RecordingContext, 'parts' | 'healthNow' | 'late' | 'observe'> {
  /** Resolves once all that is on the page has been told, and so has its id. */
  told(): Promise<void>;
  emit(event: RecordedEvent): void;
  /** For HELLO, of whatever recorder instance; without a token before the first WELCOME. */
  greeting(): Pick<Hello, 'key' | 'token' | 'url' | 'recorder'>;
  snapshotSoon(): void;
  /** Hands all events to another recorder, from a full snapshot on. Nothing more is sent by this one. */
  divert(to: (event: RecordedEvent) => void): void;
  fail(error: unknown): void;
}
export interface ExtraHost extends ExtraContext {
  /** The page's own, taken before anything of ours stands before it: our requests are not the page's. */
  fetch: typeof fetch;
  /** Blocked or masked: nothing of how it looks may be recorded. */
  isPrivate(element: Element): boolean;
  scrubUrl(url: string): string;
  protocol: typeof protocol;
}

/** Of the protocol, from the core: what parts of parts import, the bundler would put beside it. */
const protocol = { decodeFrames, decodeJsonPayload, encodeFrame, encodeFrames, encodeJsonFrame };

/** What few pages need: a chunk of its own, fetched only where its option asks for it. */
export interface Extra {
  /** A full snapshot was emitted, from which playback may begin: what stands beside the DOM is to be told again. */
  onSnapshot?(): void;
  stop(): void;
}

export function loadExtras(context: ExtraContext): Required<Extra> {
  const isPrivate = (element: Element): boolean => isBlocked(element) || isLookMasked(element);
  const host: ExtraHost = { ...context, fetch: pageFetch, isPrivate, scrubUrl, protocol };
  const { options, guard, fail } = host;
  const running: Extra[] = [];
  let isStopped = false;
  const load = (isWanted: boolean, chunk: () => Promise<{ start(host: ExtraHost): Extra }>): void => {
    if (isWanted)
      chunk()
        .then(({ start }) => {
          if (!isStopped) running.push(start(host));
        })
        .catch(fail);
  };
  load(options.canvasFps > 0, () => import('./canvas.ts'));
  load(options.fonts, () => import('./fonts.ts'));
  // Held back sessions may never be sent: nothing of theirs is sent ahead.
  load(Boolean(options.crossOriginFrames), () => import('./cross-origin.ts'));
  load(options.assets && options.mode === 'full', () => import('./assets.ts'));
  return {
    onSnapshot: guard(() => running.forEach((extra) => extra.onSnapshot?.())),
    stop: () => {
      isStopped = true;
      running.forEach((extra) => guard(extra.stop)());
    },
  };
}
