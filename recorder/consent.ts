import type { Recorder, RecorderStatus } from './core.ts';
import type { RecorderOptions } from './options.ts';
import { RECORDER } from './recorder-version.ts';
import { eraseSession, randomId } from './session.ts';

/** What runs while the visitor agrees. */
export interface Recording extends Omit<Recorder, 'grant' | 'revoke'> {
  /** Ends at once: sends nothing more, and forgets the session. */
  drop(): void;
}

/** Without what is not known yet. */
const WAITING = {
  recorder: RECORDER,
  state: 'waiting',
  transport: 'socket',
  rid: '',
  eventsRecorded: 0,
  eventsAcked: 0,
  eventsDropped: 0,
  framesUnacked: 0,
  bytesBuffered: 0,
  bytesSent: 0,
  reconnects: 0,
  failures: 0,
  pageErrors: 0,
} as RecorderStatus;

/**
 * A recorder that begins only when it may. Until then nothing of it exists: no listener, no patch, no storage, no
 * connection. Global Privacy Control, where it counts, is a refusal that `grant()` does not lift.
 */
export function gated(
  options: RecorderOptions,
  start: (options: RecorderOptions, visitor?: string) => Recording,
): Recorder {
  const { globalPrivacyControl, doNotTrack } = navigator as Navigator & { globalPrivacyControl?: boolean };
  let recording: Recording | undefined;
  let visitor: string | undefined;
  let reason: string | undefined =
    options.honorGpc && (globalPrivacyControl || doNotTrack === '1')
      ? 'gpc'
      : options.consent === 'required'
        ? 'consent_required'
        : undefined;
  let isStopped = false;
  const begin = (): void => {
    reason = undefined;
    recording = start(options, options.visitorId ? visitorId(options.key) : undefined);
    if (visitor !== undefined) recording.identify(visitor);
  };
  if (!reason) begin();

  return {
    stop: () => {
      isStopped = true;
      recording?.stop();
    },
    grant: () => {
      if (!recording && reason !== 'gpc' && !isStopped) begin();
    },
    revoke: () => {
      recording?.drop();
      recording = visitor = undefined;
      if (reason !== 'gpc') reason = 'revoked';
      eraseSession(options.key);
      visitorId(options.key, true);
    },
    track: (name, props) => recording?.track(name, props),
    identify: (id) => {
      // Before consent it is held, not told.
      visitor = id;
      recording?.identify(id);
    },
    flush: async () => recording?.flush(),
    status: () =>
      recording?.status() ?? {
        ...WAITING,
        reason,
        ...(isStopped && { state: 'stopped', reason: 'stopped' }),
      },
  };
}

/** Where the page may not store, the visitor has no id. */
function visitorId(key: string, isForgotten = false): string | undefined {
  const name = `mutoscope.visitor.${key}`;
  try {
    if (isForgotten) localStorage.removeItem(name);
    else {
      const id = localStorage.getItem(name) ?? randomId();
      localStorage.setItem(name, id);
      return id;
    }
  } catch {
    // Forbidden.
  }
  return undefined;
}
