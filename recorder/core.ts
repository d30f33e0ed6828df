import { createBatcher, type Batcher, type ClosedBatch, type RecordedEvent } from './batcher.ts';
import { gated, type Recording } from './consent.ts';
import type { HealthPart } from './context.ts';
import { keepEarly } from './early.ts';
import type { Extra } from './extras.ts';
import { createGuard } from './guard.ts';
import type { Held, Hold } from './hold.ts';
import { recordedProps, setMasking } from './masking.ts';
import type { Meaning } from './meaning.ts';
import { on, stopAll } from './on.ts';
import { idOf } from './node-ids.ts';
import { withDefaults, type RecorderOptions, type RecordOptions } from './options.ts';
import type { Batch } from './outbox.ts';
import { EventType, type CustomPayloads, type CustomTag, type RecorderHealth } from './protocol.ts';
import { RECORDER } from './recorder-version.ts';
import { forgetTyped, scrubPersonal, scrubUrl } from './scrub.ts';
import { keepSession, randomId } from './session.ts';
import { environmentNow, navigationNow } from './signals.ts';
import { createTransport, type Transport } from './transport.ts';
import { startCapture, type Capture } from './capture.ts';

export { optionsOf, type RecordOptions } from './options.ts';

/** One `track` call's JSON; a larger one is refused, for it would crowd out the session. */
const TRACK_CHARS_MAX = 8 * 1024;

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

const isVisible = (): boolean => document.visibilityState === 'visible';

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
  let meaning: Meaning | undefined;
  /** Settled once `meaning` is there, or will never be; until then what it is to tell of is kept. */
  let meaningHere: Promise<unknown> | undefined;
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
    if (!BY_ITSELF.test(tag)) meaning?.flush();
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
        // Those who count them come later.
        pageErrors: 0,
      };
    },
  ];
  /** One record out of all parts' fields. */
  const healthNow = (): RecorderHealth => Object.assign({}, ...parts.map((part) => part())) as RecorderHealth;

  function connect(): void {
    if (!isHolding) instance.transport.connect();
  }
  /** Of the page's life. Not on the way down, so that vitals, which listen there, come to their end before. */
  const onPage = (type: string, target: EventTarget, listener: (event: PageTransitionEvent) => void) =>
    on(type, guard(listener), target, false);

  /** Starts what may come late, once its chunk is here. Resolves when it runs, or never will. */
  function late<M>(chunk: Promise<M>, start: (module: M) => () => void): Promise<unknown> {
    return chunk.then(
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
    connect();
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
    connect();
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
    stopAll(stops, guard);
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
      import('./extras.ts')
        .then((chunk) => {
          hold = new chunk.Hold(snapshotSoon);
          for (const held of early.splice(0)) hold.add(...held);
        })
        .catch(() => isHolding && end('hold_failed'));
    const kept = keepEarly(guard);
    stops.push(kept.take);
    announce();
    capture = startCapture(emit, fail, {
      nodesMax: options.nodesMax,
      onTruncated: (cut) => custom('truncated', cut),
    });
    const { observe } = capture;
    stops.push(
      onPage('visibilitychange', document, () => {
        // A page that goes is hidden a moment later: that was told, but not what vitals come to in the end.
        if (!isVisible() && isGone) return farewell(true, false);
        custom('visibility', { visible: isVisible() });
        if (!isVisible()) farewell(false, false);
      }),
      onPage('pagehide', window, ({ persisted }) => {
        if (isVisible()) custom('visibility', { visible: false });
        isGone = true;
        farewell(true, !persisted);
      }),
      // Back from the back-forward cache.
      onPage('pageshow', window, ({ persisted }) => {
        if (!persisted) return;
        isGone = false;
        session.hold(true);
        connect();
        snapshotSoon();
      }),
      onPage('online', window, connect),
    );
    const context = { custom, idOf, observe, guard, options, parts, healthNow, late };
    meaningHere = late(
      import('./meaning.ts'),
      ({ observeMeaning }) => (meaning = observeMeaning(context, kept)).stop,
    );
    const { canvasFps, fonts, crossOriginFrames, assets } = options;
    if (canvasFps || fonts || crossOriginFrames || assets)
      void late(
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
    // A frame first asks the page around it to take its events.
    if (crossOriginFrames && parent !== window) setTimeout(() => diverted || connect(), FRAME_WAIT_MS);
    else connect();
  })();

  function farewell(isEnd: boolean, isFinal: boolean): void {
    meaning?.flush();
    if (isEnd) capture?.finish(HIDE_MS_MAX);
    custom('recorder_health', healthNow());
    instance.batcher.close(isFinal);
    if (isEnd) session.hold(false);
    if (!isHolding) instance.transport.farewell(isEnd);
  }

  return {
    stop: guard(() => {
      if (isStopped) return;
      meaning?.flush();
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
      await meaningHere;
      meaning?.flush();
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
