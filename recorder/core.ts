import { Batcher, type ClosedBatch } from './batcher.ts';
import { observeClicks } from './clicks.ts';
import { createGuard } from './guard.ts';
import { navigationNow, observeNavigation, type NavigationObserver } from './navigation.ts';
import { withDefaults, type RecordOptions } from './options.ts';
import type { Batch } from './outbox.ts';
import { EventType, type CustomPayloads, type CustomTag } from './protocol.ts';
import { RECORDER } from './recorder-version.ts';
import { scrubUrl } from './scrub.ts';
import { SessionKeeper } from './session.ts';
import { environmentNow, observeErrors, observePageLife } from './signals.ts';
import { Transport } from './transport.ts';
import { startCapture, type Capture } from './x-rrweb.ts';

export { optionsOf, type RecordOptions } from './options.ts';

/** One `track` call's JSON; a larger one is refused, for it would crowd out the session. */
export const TRACK_CHARS_MAX = 8 * 1024;

export interface Recorder {
  /** Ends the recording for this page: what was recorded is still sent, the page is put back as it was. */
  stop(): void;
  /** Records an event of the site. `props` must be plain JSON of at most TRACK_CHARS_MAX. */
  track(name: string, props?: Record<string, unknown>): void;
  /** Says who the visitor is, by the site's own id. */
  identify(visitor: string): void;
  /** Sends what is recorded so far. Resolves when it is acked, or when the recording has ended. */
  flush(): Promise<void>;
  /** Answers why a page was or was not recorded. */
  status(): RecorderStatus;
}
export interface RecorderStatus {
  state: 'connecting' | 'recording' | 'offline' | 'stopped';
  /** UUIDv7, once welcomed. */
  session: string | undefined;
  /** Of this instance: it changes when a session ends while the page stays. */
  rid: string;
  eventsRecorded: number;
  eventsAcked: number;
  framesUnacked: number;
  bytesBuffered: number;
  /** A code, and what it is about after a colon. */
  lastError: string | undefined;
}

/** How long a stopped recorder tries to bring home what is left. */
const STOP_TIMEOUT_MS = 5000;

/** Begins to record this page. Never throws: `status().lastError` says what failed. */
export function record(given: RecordOptions): Recorder {
  const options = withDefaults(given);
  const { url, key } = options;
  const session = new SessionKeeper(key, Date.now());
  const stops: (() => void)[] = [];
  let sessionId: string | undefined;
  let lastError: string | undefined;
  let capture: Capture | undefined;
  let navigation: NavigationObserver | undefined;
  let isStopped = false;
  let isSnapshotDue = false;
  const fail = (error: unknown): void =>
    void (lastError = typeof error === 'string' ? error : `failed: ${String(error)}`);
  const guard = createGuard(fail);
  let instance = begin();

  /** A recorder instance: events and frames count from 1 under a new rid. */
  function begin(): { rid: string; batcher: Batcher; transport: Transport } {
    const rid = randomId();
    const transport = new Transport({
      url,
      hello: () => ({ key, rid, token: session.token, url: scrubUrl(location.href), recorder: RECORDER }),
      onWelcome: (welcome) => {
        session.welcome(welcome.token, Date.now());
        sessionId = welcome.session;
        if (!welcome.settings.record) end('recording_disabled');
      },
      onSnapshotWanted: snapshotSoon,
      onSessionLost: () => session.forget(),
      onVoid: guard(restart),
      onRefused: (code) => end(code),
      onError: fail,
    });
    const batcher = new Batcher((batch) => {
      session.save();
      transport.send(batch);
    });
    return { rid, batcher, transport };
  }

  function emit(event: { type: number; data: unknown; timestamp: number }): void {
    if (isStopped) return;
    if (!session.touch(event.timestamp)) {
      session.forget();
      restart();
    }
    instance.batcher.add(event);
  }
  function custom<T extends CustomTag>(tag: T, payload: CustomPayloads[T]): void {
    // What follows a navigation happened on the new page.
    if (tag !== 'navigation') navigation?.flush();
    emit({ type: EventType.custom, data: { tag, payload }, timestamp: Date.now() });
  }

  /** Each instance says first where it is. */
  function announce(): void {
    custom('environment', environmentNow(RECORDER));
    custom('navigation', navigationNow('load'));
  }

  function restart(): void {
    const { batcher, transport } = instance;
    batcher.close();
    const carried: (ClosedBatch | Batch)[] = transport.retire();
    instance = begin();
    announce();
    instance.batcher.close();
    for (const batch of carried) instance.transport.send(batch);
    instance.transport.connect();
    snapshotSoon();
  }

  /** Not within the call that asks for it: that may be in the midst of rrweb's own work. */
  function snapshotSoon(): void {
    if (isSnapshotDue) return;
    isSnapshotDue = true;
    setTimeout(() => {
      isSnapshotDue = false;
      guard(() => !isStopped && capture?.takeFullSnapshot())();
    });
  }

  function unhook(): void {
    isStopped = true;
    capture?.stop();
    for (const stop of stops.splice(0)) guard(stop)();
  }
  /** The collector wants nothing of us. */
  function end(code: string): void {
    fail(code);
    guard(unhook)();
    instance.transport.retire();
  }

  guard(() => {
    announce();
    capture = startCapture(emit, fail);
    const { idOf } = capture;
    navigation = observeNavigation((payload) => custom('navigation', payload), guard);
    stops.push(
      () => navigation?.stop(),
      observeClicks(
        { idOf, onClick: (click) => custom('click', click), onRage: (rage) => custom('rage', rage) },
        guard,
      ),
      observeErrors((error) => custom('error', error), guard),
      observePageLife(
        {
          onVisibility: (visible) => {
            custom('visibility', { visible });
            if (!visible) farewell(false, false);
          },
          onHide: (isKept) => farewell(true, !isKept),
          onReturn: () => {
            instance.transport.connect();
            snapshotSoon();
          },
          onOnline: () => instance.transport.connect(),
        },
        guard,
      ),
    );
    instance.transport.connect();
  })();

  function farewell(isEnd: boolean, isFinal: boolean): void {
    navigation?.flush();
    instance.batcher.close(isFinal);
    session.save();
    instance.transport.farewell(isEnd);
  }

  return {
    stop: guard(() => {
      if (isStopped) return;
      navigation?.flush();
      unhook();
      const { batcher, transport } = instance;
      batcher.close(true);
      const retire = (): void => void transport.retire();
      setTimeout(retire, STOP_TIMEOUT_MS);
      void transport.drained().then(retire);
    }),
    track: guard((name: string, props: Record<string, unknown> = {}) => {
      const chars = JSON.stringify(props).length;
      if (chars > TRACK_CHARS_MAX) return fail(`track_too_large: ${name} has ${chars} characters`);
      custom('track', { name: String(name), props });
    }),
    identify: guard((visitor: string) => custom('identify', { visitor: String(visitor) })),
    flush: async () => {
      instance.batcher.close();
      await instance.transport.drained();
    },
    status: () => ({
      state: instance.transport.state,
      session: sessionId,
      rid: instance.rid,
      eventsRecorded: instance.batcher.eventsRecorded,
      eventsAcked: instance.transport.outbox.eventsAcked,
      framesUnacked: instance.transport.outbox.framesUnacked,
      bytesBuffered: instance.transport.bytesBuffered,
      lastError,
    }),
  };
}

/** 22 characters of [A-Za-z0-9_-]: 128 bits. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .replace(/=+$/, '')
    .replaceAll('+', '-')
    .replaceAll('/', '_');
}
