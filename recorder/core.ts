import { createBatcher, type Batcher, type ClosedBatch, type RecordedEvent } from './batcher.ts';
import { gated, type Recording } from './consent.ts';
import type { HealthPart } from './context.ts';
import { keepEarly } from './early.ts';
import type { Extra } from './extras.ts';
import { createGuard } from './guard.ts';
import type { Held, Hold } from './hold.ts';
import { recordedProps, setMasking } from './masking.ts';
import type { Meaning } from './meaning.ts';
import { navigationNow, observeNavigation, type NavigationObserver } from './navigation.ts';
import { withDefaults, type RecorderOptions, type RecordOptions } from './options.ts';
import type { Batch } from './outbox.ts';
import { EventType, type CustomPayloads, type CustomTag, type RecorderHealth } from './protocol.ts';
import { RECORDER } from './recorder-version.ts';
import { forgetTyped, scrubPersonal, scrubUrl } from './scrub.ts';
import { keepSession, randomId } from './session.ts';
import { environmentNow, observeErrors, observePageLife } from './signals.ts';
import { createTransport, type Transport } from './transport.ts';
import { startCapture, type Capture } from './capture.ts';

export { optionsOf, type RecordOptions } from './options.ts';

/** One `track` call's JSON; a larger one is refused, for it would crowd out the session. */
export const TRACK_CHARS_MAX = 8 * 1024;

type Page = CustomPayloads['navigation'];

export interface Recorder {
  /**
   * Ends the recording for this page: what was recorded is still sent (what was held back is not), the page is put back
   * as it was. The next page of the tab goes on with the session.
   */
  stop(): void;
  /** Records an event of the site. `props` must be plain JSON of at most TRACK_CHARS_MAX. */
  track(name: string, props?: Record<string, unknown>): void;
  /** Says who the visitor is, by the site's own id. */
  identify(visitor: string): void;
  /** Sends what is recorded so far, or held back. Resolves when it is acked, or when the recording has ended. */
  flush(): Promise<void>;
  /** The visitor agrees: recording begins, or begins anew after `revoke()`. */
  grant(): void;
  /** The visitor no longer agrees: nothing more is sent, what waits is dropped, session and visitor are forgotten. */
  revoke(): void;
  /** Answers why a page was or was not recorded. */
  status(): RecorderStatus;
}
export interface RecorderStatus extends RecorderHealth {
  /** UUIDv7, once welcomed. */
  session: string | undefined;
  /** Of this instance: it changes when a session ends while the page stays. */
  rid: string;
}

/** What a page that goes may be held up for, to tell the rest of a snapshot. */
const HIDE_MS_MAX = 50;
/** Of custom events. */
const BY_ITSELF = /^(nav|env|web|net|rec|con|can|ass|gap)/;
/** How long a stopped recorder tries to bring home what is left. */
const STOP_TIMEOUT_MS = 5000;

/** A frame that runs in another origin's page waits so long for that page to take its events. */
const FRAME_WAIT_MS = 2000;

/** Begins to record this page, once it may. Never throws: `status().lastError` says what failed. */
export const record = (given: RecordOptions): Recorder => gated(withDefaults(given), start);

function start(options: RecorderOptions, visitor?: string): Recording {
  const { url, key } = options;
  const session = keepSession(key, Date.now());
  const stops: (() => void)[] = [];
  let sessionId: string | undefined;
  let lastError: string | undefined;
  let reason: string | undefined;
  let capture: Capture | undefined;
  let extras: Required<Extra> | undefined;
  let diverted: ((event: RecordedEvent) => void) | undefined;
  let navigation: NavigationObserver | undefined;
  let meaning: Meaning | undefined;
  let failures = 0;
  let isStopped = false;
  let isSnapshotDue = false;
  /** Of sessions that are over: they bring home what is left. */
  const leaving = new Set<Transport>();
  let isGone = false;
  const fail = (error: unknown): void =>
    void (lastError = typeof error === 'string' ? error : `failed: ${String(error)}`);
  const guard = createGuard((error) => {
    failures++;
    fail(error);
  });
  // Who has sent once in this session goes on to send.
  let isHolding = options.mode === 'on-error' && session.token === undefined;
  let hold: Hold<Page> | undefined;
  /** Until the hold is there. */
  const early: Parameters<Hold<Page>['add']>[] = [];
  let instance = begin();

  const greeting = () => ({
    key,
    token: session.token,
    url: scrubUrl(location.href),
    recorder: RECORDER,
  });
  /** A recorder instance: events and frames count from 1 under a new rid. */
  function begin(): { rid: string; batcher: Batcher; transport: Transport } {
    const rid = randomId();
    // Of its own: it may still be at work when the session is over.
    let { token } = session;
    const isCurrent = (): boolean => instance.transport === transport;
    const transport = createTransport({
      url,
      isPost: session.isPost,
      hello: () => ({ ...greeting(), rid, token, draw: session.draw }),
      onWelcome: (welcome) => {
        token = welcome.token;
        const { record, sampleRate = 1 } = welcome.settings;
        if (!isCurrent()) return record || transport.retire();
        if (!record) return end('recording_disabled');
        if (!session.sample(Math.min(options.sampleRate, sampleRate))) return end('not_sampled');
        session.welcome(token, Date.now(), transport.isPost);
        sessionId = welcome.session;
      },
      onSnapshotWanted: snapshotSoon,
      onGap: (gap) => custom('gap', gap),
      onSessionLost: () => {
        token = undefined;
        if (isCurrent()) session.forget(Date.now());
        else transport.retire();
      },
      onVoid: guard(() => (isCurrent() ? restart(true) : transport.retire())),
      onRefused: (code) => (isCurrent() ? end(code) : transport.retire()),
      onError: fail,
    });
    const batcher = createBatcher((batch) => {
      session.keep();
      if (!isHolding) return transport.send(batch);
      const held: (typeof early)[0] = [batch, Date.now(), navigationNow('load')];
      if (hold) hold.add(...held);
      else early.push(held);
    });
    return { rid, batcher, transport };
  }

  function emit(event: { type: number; data: unknown; timestamp: number }): void {
    if (isStopped) return;
    if (diverted) return diverted(event);
    if (!session.touch(event.timestamp)) {
      session.forget(event.timestamp);
      if (!session.sample(options.sampleRate)) return end('not_sampled');
      restart(false);
    }
    instance.batcher.add(event);
    meaning?.recorded(event);
    if (event.type === EventType.fullSnapshot) extras?.onSnapshot();
  }
  function custom<T extends CustomTag>(tag: T, payload: CustomPayloads[T], timestamp = Date.now()): void {
    // What a visitor does after a navigation happened on the new page; what goes on by itself may wait for its title.
    if (!BY_ITSELF.test(tag)) navigation?.flush();
    emit({ type: EventType.custom, data: { tag, payload }, timestamp });
    if (tag === 'error' || tag === 'unhandledrejection') release();
  }

  const parts: HealthPart[] = [
    () => {
      const { batcher, transport } = instance;
      return {
        recorder: RECORDER,
        reason,
        ...transport.health(),
        ...(isHolding && { state: 'holding', reason: 'no_error' }),
        lastError,
        eventsRecorded: batcher.eventsRecorded,
        failures,
      };
    },
  ];
  /** One record out of all parts' fields. */
  const healthNow = (): RecorderHealth => Object.assign({}, ...parts.map((part) => part())) as RecorderHealth;

  /** Starts what may come late, once its chunk is here. */
  function late<M>(chunk: Promise<M>, start: (module: M) => () => void): void {
    chunk.then(
      guard((module) => !isStopped && stops.push(start(module))),
      (error: unknown) => fail(`chunk_failed: ${String(error)}`),
    );
  }

  /** Each instance says first where it is. */
  function announce(page = navigationNow('load'), timestamp = Date.now()): void {
    custom('environment', { ...environmentNow(RECORDER), visitor }, timestamp);
    custom('navigation', page, timestamp);
  }

  /** From now on all is sent, what was held back first. */
  function release(): void {
    if (!isHolding || isStopped) return;
    instance.batcher.close();
    const held: Held<Page> | undefined = hold
      ? hold.release()
      : { batches: early.splice(0).map(([batch]) => batch), startMs: 0 };
    isHolding = false;
    if (held?.page) announce(held.page, held.startMs);
    instance.batcher.close();
    for (const batch of held?.batches ?? []) instance.transport.send(batch);
    instance.transport.connect();
  }

  /** `isVoid`: what was numbered cannot be sent any more, the rest goes to the new instance. */
  function restart(isVoid: boolean): void {
    const { batcher, transport } = instance;
    batcher.close(!isVoid);
    const carried: (ClosedBatch | Batch)[] = isVoid ? transport.retire() : [];
    if (!isVoid) {
      leaving.add(transport);
      void transport.drained().then(() => transport.retire());
    }
    instance = begin();
    announce();
    instance.batcher.close();
    for (const batch of carried) instance.transport.send(batch);
    if (!isHolding) instance.transport.connect();
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

  function divert(to: (event: RecordedEvent) => void): void {
    diverted = to;
    instance.transport.retire();
    snapshotSoon();
  }

  function unhook(): void {
    isStopped = true;
    isHolding = false;
    session.hold(false);
    capture?.stop();
    for (const stop of stops.splice(0)) guard(stop)();
  }
  /** The collector wants nothing of us. */
  function end(code: string): void {
    fail(code);
    reason = code;
    guard(unhook)();
    instance.batcher.close();
    instance.transport.retire();
  }

  guard(() => {
    // Without masks nothing may be recorded.
    isStopped = true;
    setMasking(options);
    isStopped = false;
    if (!session.sample(options.sampleRate)) return end('not_sampled');
    if (isHolding)
      import('./hold.ts')
        .then(({ Hold }) => {
          hold = new Hold(snapshotSoon);
          for (const held of early.splice(0)) hold.add(...held);
        })
        .catch(() => isHolding && end('hold_failed'));
    const clicks = keepEarly(guard);
    stops.push(clicks.take);
    announce();
    capture = startCapture(emit, fail, {
      nodesMax: options.nodesMax,
      onTruncated: (cut) => custom('truncated', cut),
    });
    const { idOf } = capture;
    const errors = observeErrors(
      {
        onError: (error) => custom('error', error),
        onRejection: (rejection) => custom('unhandledrejection', rejection),
      },
      guard,
    );
    parts.push(() => ({ pageErrors: errors.count }));
    navigation = observeNavigation((payload) => custom('navigation', payload), guard);
    stops.push(
      () => navigation?.stop(),
      errors.stop,
      observePageLife(
        {
          onVisibility: (visible) => {
            // A page that goes is hidden a moment later: that was told, but not what vitals come to in the end.
            if (!visible && isGone) return farewell(true, false);
            custom('visibility', { visible });
            if (!visible) farewell(false, false);
          },
          onHide: (isKept) => {
            if (document.visibilityState === 'visible') custom('visibility', { visible: false });
            isGone = true;
            farewell(true, !isKept);
          },
          onReturn: () => {
            isGone = false;
            session.hold(true);
            if (!isHolding) instance.transport.connect();
            snapshotSoon();
          },
          onOnline: () => isHolding || instance.transport.connect(),
        },
        guard,
      ),
    );
    const context = { custom, idOf, guard, options, parts, healthNow, late };
    late(
      import('./meaning.ts'),
      ({ observeMeaning }) => (meaning = observeMeaning(context, clicks.take())).stop,
    );
    const { canvasFps, fonts, crossOriginFrames, assets } = options;
    if (canvasFps || fonts || crossOriginFrames || assets)
      late(
        import('./extras.ts'),
        ({ loadExtras }) =>
          (extras = loadExtras({
            ...context,
            told: () => capture!.told(),
            emit,
            greeting,
            snapshotSoon,
            divert,
            fail,
          })).stop,
      );
    if (!isHolding)
      if (crossOriginFrames && parent !== window)
        // A frame first asks the page around it to take its events.
        setTimeout(() => diverted || instance.transport.connect(), FRAME_WAIT_MS);
      else instance.transport.connect();
  })();

  function farewell(isEnd: boolean, isFinal: boolean): void {
    navigation?.flush();
    if (isEnd) capture?.finish(HIDE_MS_MAX);
    custom('recorder_health', healthNow());
    instance.batcher.close(isFinal);
    if (isEnd) session.hold(false);
    if (!isHolding) instance.transport.farewell(isEnd);
  }

  return {
    stop: guard(() => {
      if (isStopped) return;
      navigation?.flush();
      custom('recorder_health', healthNow());
      reason = 'stopped';
      const { batcher, transport } = instance;
      batcher.close(true);
      unhook();
      const retire = (): void => void transport.retire();
      setTimeout(retire, STOP_TIMEOUT_MS);
      void transport.drained().then(retire);
      // Should the page go before that.
      addEventListener('pagehide', () => transport.farewell(true));
    }),
    drop: guard(() => {
      if (!isStopped) unhook();
      instance.batcher.close();
      for (const transport of leaving.add(instance.transport)) transport.retire();
      forgetTyped();
    }),
    track: guard((name: string, props: Record<string, unknown> = {}) => {
      const chars = JSON.stringify(props).length;
      if (chars > TRACK_CHARS_MAX) return fail(`track_too_large: ${name} has ${chars} characters`);
      custom('track', { name: scrubPersonal(String(name)), props: recordedProps(props) });
    }),
    identify: guard((visitor: string) => custom('identify', { visitor: String(visitor) })),
    flush: async () => {
      await capture?.told();
      navigation?.flush();
      release();
      instance.batcher.close();
      // While it waits another instance may take over.
      for (let at; at !== instance; await at.transport.drained()) at = instance;
    },
    status: () => ({
      ...healthNow(),
      ...(diverted && !isStopped && { state: 'recording' as const }),
      session: sessionId,
      rid: instance.rid,
    }),
  };
}
