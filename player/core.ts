import { EventType } from '#protocol';
import type { SessionManifest } from '#api';
import { idleBands, mergeSorted, skipTarget, type Band } from './activity.ts';
import { createAssets, type Assets } from './assets.ts';
import { fetchManifest, PlayerError, type Client } from './client.ts';
import type { Engine } from './engine.ts';
import type { Marker } from './markers.ts';
import type { ReplayEvent } from './sanitize.ts';
import { createSegmentSource, type LoadedSegment, type SegmentSource } from './segments.ts';
import { initialState, transition, type Phase, type PlayerEvent, type PlayerState } from './transition.ts';
import { planAhead, planWindow, validUntilMs } from './window.ts';

/** How far ahead segments are fetched, at speed 1. */
const AHEAD_MS = 15_000;
/** Up to this size a whole session is fetched in the background, for an exact silhouette and exact idle bands. */
const EAGER_BYTES_MAX = 4 * 1024 * 1024;

export interface CoreOptions {
  client: Client;
  session: string;
  engine: Engine;
  /** Where to begin: epoch milliseconds, or milliseconds from the start. */
  at?: { epochMs: number } | { positionMs: number };
  speed?: number;
  autoplay?: boolean;
  /** Calls back every frame until the function it returned is called. */
  everyFrame: (callback: () => void) => () => void;
}

/** What the view reads. Replaced, never altered. */
export interface CoreView {
  state: PlayerState;
  manifest?: SessionManifest;
  markers: readonly Marker[];
  /** Epoch milliseconds, sorted; grows while segments come in. */
  acts: readonly number[];
  idle: readonly Band[];
}

export interface Core {
  view(): CoreView;
  subscribe(listener: (view: CoreView) => void): () => void;
  play(): void;
  pause(): void;
  toggle(): void;
  seek(positionMs: number): void;
  /** To the next or last change that can be seen. */
  step(direction: 1 | -1): void;
  setSpeed(speed: number): void;
  setSkipIdle(skipIdle: boolean): void;
  /** Told by the engine. */
  ended(): void;
  dispose(): void;
}

/**
 * The player without a view. Commands change the state by `transition` at once; what they need done (fetch, show, play)
 * runs on one queue, on which only the newest seek counts.
 */
export function createCore(options: CoreOptions): Core {
  const { client, session, engine } = options;
  const closing = new AbortController();
  const listeners = new Set<(view: CoreView) => void>();
  const indexed = new Set<number>();
  let view: CoreView = { state: initialState(options), markers: [], acts: [], idle: [] };
  let source: SegmentSource;
  let assets: Assets | undefined;
  let lastLoaded = -1;
  let feeding = false;
  let seeking: AbortController | undefined;
  let queue: Promise<void> = Promise.resolve();
  let stopFrames: (() => void) | undefined;

  const update = (change: Partial<CoreView>): void => {
    view = { ...view, ...change };
    for (const listener of listeners) listener(view);
  };
  const phase = (): Phase => view.state.phase;
  const send = (event: PlayerEvent): void => {
    const state = transition(view.state, event);
    if (state !== view.state) update({ state });
  };
  const fail = (error: unknown): void => {
    if (closing.signal.aborted || (error as Error).name === 'AbortError') return;
    engine.pause();
    const known = error instanceof PlayerError;
    send({
      type: 'fail',
      error: known ? error : new PlayerError('unreadable', (error as Error).message, 0, { cause: error }),
    });
  };
  const enqueue = (work: () => Promise<void>): void => {
    queue = queue.then(work).catch(fail);
  };

  const span = (): Band => ({ startMs: view.manifest!.startMs, endMs: view.manifest!.endMs });
  const index = (i: number, segment: LoadedSegment): void => {
    if (indexed.has(i)) return;
    indexed.add(i);
    const acts = mergeSorted(view.acts, segment.acts);
    update({ acts, idle: idleBands(acts, span()) });
  };
  const load = async (i: number, signal?: AbortSignal): Promise<LoadedSegment> => {
    const segment = await source.load(i, signal ?? closing.signal);
    index(i, segment);
    return segment;
  };

  const showAt = async (positionMs: number, signal: AbortSignal): Promise<void> => {
    const { segments, startMs } = view.manifest!;
    const plan = planWindow(segments, startMs + positionMs);
    if (!plan) throw new PlayerError('unreadable', 'the session holds no full snapshot to begin with', 200);
    const numbers = Array.from({ length: plan.last - plan.first + 1 }, (_, k) => plan.first + k);
    const loaded = await Promise.all(numbers.map((i) => load(i, signal)));
    if (signal.aborted) return;
    const untilMs = validUntilMs(segments, plan.last);
    const events = loaded.flatMap((segment, k) => segment.events({ withCheckpoints: k === 0, untilMs }));
    addMissingViewport(events, view.manifest!);
    await assets?.fill(events);
    if (signal.aborted) return;
    if (!(await engine.show(events, span(), positionMs)) || signal.aborted) return;
    lastLoaded = plan.last;
    send({ type: 'shown', positionMs });
    if (phase() === 'playing') resume();
  };
  const seekTo = (positionMs: number): void => {
    engine.pause();
    seeking?.abort();
    const { signal } = (seeking = new AbortController());
    enqueue(async () => {
      if (!signal.aborted && !closing.signal.aborted) await showAt(positionMs, signal);
    });
  };
  const resume = (): void => {
    engine.setSpeed(view.state.speed);
    engine.play();
  };

  const feed = (): void => {
    const next = planAhead(
      view.manifest!.segments,
      lastLoaded,
      view.manifest!.startMs + engine.positionMs(),
      AHEAD_MS * Math.max(1, view.state.speed),
    );
    if (next === undefined || feeding) return;
    feeding = true;
    const { signal } = (seeking ??= new AbortController());
    load(next, signal)
      .then(async (segment) => {
        const untilMs = validUntilMs(view.manifest!.segments, next);
        const events = segment.events({ withCheckpoints: false, untilMs });
        await assets?.fill(events);
        if (signal.aborted || lastLoaded !== next - 1) return;
        engine.append(events);
        lastLoaded = next;
        if (phase() === 'waiting') {
          send({ type: 'shown', positionMs: engine.positionMs() });
          if (phase() === 'playing') resume();
        }
      })
      .catch(fail)
      .finally(() => (feeding = false));
  };
  const frame = (): void => {
    if (view.state.phase !== 'playing') return;
    const positionMs = engine.positionMs();
    const { segments, startMs } = view.manifest!;
    const next = segments[lastLoaded + 1];
    feed();
    if (next && startMs + positionMs >= next.startMs) {
      engine.pause();
      // A slow frame may have jumped far beyond what there is to show.
      send({ type: 'tick', positionMs: next.startMs - startMs });
      return send({ type: 'starved' });
    }
    if (positionMs >= view.state.durationMs) return core.ended();
    send({ type: 'tick', positionMs });
    const target = view.state.skipIdle ? skipTarget(view.idle, startMs + positionMs) : undefined;
    if (target !== undefined && indexed.size === segments.length) core.seek(target - startMs);
  };

  const open = async (): Promise<void> => {
    const manifest = await fetchManifest(client, session, closing.signal);
    source = createSegmentSource(client, session, manifest.segments);
    if (manifest.assets) assets = createAssets(client, session, manifest.assets);
    update({ manifest });
    const { at } = options;
    const positionMs = !at ? 0 : 'epochMs' in at ? at.epochMs - manifest.startMs : at.positionMs;
    send({ type: 'opened', durationMs: manifest.endMs - manifest.startMs, positionMs });
    const { signal } = (seeking = new AbortController());
    const markers = source.markers(closing.signal).then((list) => update({ markers: list }));
    await Promise.all([showAt(view.state.positionMs, signal), markers]);
    stopFrames = options.everyFrame(frame);
    void indexAll(manifest);
  };
  const indexAll = async (manifest: SessionManifest): Promise<void> => {
    if (manifest.segments.reduce((sum, { bytes }) => sum + bytes, 0) > EAGER_BYTES_MAX) return;
    for (const i of manifest.segments.keys()) {
      if (closing.signal.aborted) return;
      // What cannot be had now is asked for again when it is to be shown, and fails there.
      await load(i).catch(() => {});
    }
  };

  const core: Core = {
    view: () => view,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    play: () => {
      const before = view.state.phase;
      send({ type: 'play' });
      if (before === 'ended') seekTo(0);
      else if (before === 'paused') resume();
    },
    pause: () => {
      engine.pause();
      if (phase() === 'playing') send({ type: 'tick', positionMs: engine.positionMs() });
      send({ type: 'pause' });
    },
    toggle: () => (view.state.wantsPlay ? core.pause() : core.play()),
    seek: (positionMs) => {
      if (view.state.phase === 'failed' || view.state.phase === 'loading') return;
      send({ type: 'seek', positionMs });
      seekTo(view.state.positionMs);
    },
    step: (direction) => {
      core.pause();
      void stepTarget(direction).then((ms) => ms !== undefined && core.seek(ms), fail);
    },
    setSpeed: (speed) => {
      send({ type: 'speed', speed });
      engine.setSpeed(speed);
    },
    setSkipIdle: (skipIdle) => send({ type: 'skipIdle', skipIdle }),
    ended: () => {
      engine.pause();
      const { segments, startMs } = view.manifest!;
      const missing = segments[lastLoaded + 1];
      // After a frame of seconds the engine ran past what it was fed: that is no end.
      if (missing && phase() === 'playing') return core.seek(missing.startMs - startMs);
      send({ type: 'end' });
    },
    dispose: () => {
      closing.abort();
      seeking?.abort();
      stopFrames?.();
      listeners.clear();
      engine.dispose();
      assets?.dispose();
    },
  };

  const stepTarget = async (direction: 1 | -1): Promise<number | undefined> => {
    if (!view.manifest) return undefined;
    const { segments, startMs } = view.manifest;
    const atMs = startMs + view.state.positionMs;
    const here = planWindow(segments, atMs)?.last;
    if (here === undefined) return undefined;
    for (let i = here; i >= 0 && i < segments.length; i += direction) {
      const { frames } = await load(i);
      // Applied is what lies before the position: half a millisecond past a change shows it.
      const next = direction > 0 ? frames.find((ms) => ms >= atMs) : frames.findLast((ms) => ms + 0.5 < atMs);
      if (next !== undefined) return next + 0.5 - startMs;
    }
    return undefined;
  };

  enqueue(open);
  return core;
}

/** A window may begin with a checkpoint, before which no event says how large the viewport was. */
function addMissingViewport(events: ReplayEvent[], { summary }: SessionManifest): void {
  const first = events.find(({ type }) => type === EventType.meta || type === EventType.fullSnapshot);
  if (!first || first.type === EventType.meta) return;
  const [width, height] = summary.viewport ?? [1280, 720];
  events.unshift({
    type: EventType.meta,
    timestamp: first.timestamp,
    data: { href: summary.firstUrl, width, height },
  });
}
