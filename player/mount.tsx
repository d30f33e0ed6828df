import { createSignal } from 'solid-js';
import { render } from 'solid-js/web';
import { sessionPath } from '#api';
import { createClient, type PlayerError, type TokenProvider } from './client.ts';
import { createCore, type CoreOptions, type CoreView } from './core.ts';
import type { StageClick } from './engine.ts';
import { Player } from './player.tsx';
import type { DrawnClick } from './stage.tsx';
import type { Phase } from './transition.ts';
import { createRrwebEngine } from './x-rrweb-replay.ts';

/** How long a click stays drawn. */
const RIPPLE_MS = 900;

export interface PlayerOptions {
  /** Address of the query service; default the page's own origin. */
  src?: string;
  session: string;
  /** Epoch milliseconds to begin at. */
  at?: number;
  /** Seconds from the start to begin at; `at` goes before it. */
  t?: number;
  speed?: number;
  autoplay?: boolean;
  tokenProvider?: TokenProvider;
  /** Address that a copied link has; default the app's session page at `src`. */
  linkTo?: (epochMs: number) => string;
  on?: PlayerListener;
}

export interface PlayerListener {
  ready?(detail: { durationMs: number; startMs: number }): void;
  /** At most four times a second while playing, and after each seek. */
  time?(detail: { positionMs: number; ts: number }): void;
  state?(detail: { state: Phase }): void;
  error?(detail: { error: PlayerError }): void;
}

export interface PlayerHandle {
  play(): void;
  pause(): void;
  /** Milliseconds from the start. */
  seek(positionMs: number): void;
  setSpeed(speed: number): void;
  readonly state: Phase;
  readonly positionMs: number;
  readonly durationMs: number;
  /** Epoch milliseconds of the session's start; undefined until it is known. */
  readonly startMs: number | undefined;
  /** The replayed document, for tests; it changes with every seek. */
  readonly stageDocument: Document | undefined;
  dispose(): void;
}

/** Puts a player into `element`, which must be connected and should have the player's style sheet in its root. */
export function mount(element: HTMLElement | ShadowRoot, options: PlayerOptions): PlayerHandle {
  let player = open(element, options);
  function open(target: HTMLElement | ShadowRoot, from: PlayerOptions): PlayerHandle {
    return start(target, from, () => {
      const again = { ...options, at: undefined, t: player.positionMs / 1000 };
      if (!player.durationMs) Object.assign(again, { at: options.at, t: options.t });
      player.dispose();
      player = open(target, again);
    });
  }
  return {
    play: () => player.play(),
    pause: () => player.pause(),
    seek: (positionMs) => player.seek(positionMs),
    setSpeed: (speed) => player.setSpeed(speed),
    get state() {
      return player.state;
    },
    get positionMs() {
      return player.positionMs;
    },
    get durationMs() {
      return player.durationMs;
    },
    get startMs() {
      return player.startMs;
    },
    get stageDocument() {
      return player.stageDocument;
    },
    dispose: () => player.dispose(),
  };
}

function start(element: HTMLElement | ShadowRoot, options: PlayerOptions, onRetry: () => void): PlayerHandle {
  const { src = '', session, on = {} } = options;
  const stageRoot = document.createElement('div');
  stageRoot.className = 'stage-root';
  const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const [size, setSize] = createSignal<{ width: number; height: number }>();
  const [clicks, setClicks] = createSignal<readonly DrawnClick[]>([]);
  let clickId = 0;

  const draw = (click: StageClick): void => {
    const drawn: DrawnClick = { ...click, id: clickId++ };
    const bounds = click.payload.disabled ? engine.boundsOf(click.payload.id) : undefined;
    if (bounds) drawn.bounds = { x: bounds.x, y: bounds.y, width: bounds.width, height: bounds.height };
    setClicks([...clicks().filter(({ still }) => !still), drawn]);
    if (!click.still)
      setTimeout(() => setClicks((list) => list.filter(({ id }) => id !== drawn.id)), RIPPLE_MS);
  };
  const engine = createRrwebEngine(
    stageRoot,
    {
      onResize: (width, height) => setSize({ width, height }),
      onClick: draw,
      onEnd: () => core.ended(),
    },
    { mouseTail: !reducedMotion },
  );

  const at: CoreOptions['at'] =
    options.at !== undefined
      ? { epochMs: options.at }
      : options.t !== undefined
        ? { positionMs: options.t * 1000 }
        : undefined;
  const core = createCore({
    client: createClient(src, options.tokenProvider ?? (() => undefined)),
    session,
    engine,
    at,
    speed: options.speed,
    autoplay: options.autoplay,
    everyFrame,
  });
  const [view, setView] = createSignal<CoreView>(core.view());
  let told: CoreView = core.view();
  let toldTimeMs = -Infinity;
  core.subscribe((next) => {
    const last = told;
    told = next;
    // What was drawn for the moment sought goes when the moment does.
    if (next.state.phase === 'waiting' && last.state.phase !== 'waiting') setClicks([]);
    if (next.state.phase === 'playing' && last.state.phase !== 'playing')
      setClicks((list) => list.filter(({ still }) => !still));
    setView(next);
    tell(next, last);
  });
  const tell = ({ state, manifest }: CoreView, last: CoreView): void => {
    if (!manifest) {
      if (state.error && state.error !== last.state.error) on.error?.({ error: state.error });
      return;
    }
    if (last.state.phase === 'loading' && state.phase === 'waiting')
      on.ready?.({ durationMs: state.durationMs, startMs: manifest.startMs });
    if (state.error && state.error !== last.state.error) on.error?.({ error: state.error });
    const phaseChanged = state.phase !== last.state.phase;
    if (phaseChanged) on.state?.({ state: state.phase });
    if (phaseChanged || Math.abs(state.positionMs - toldTimeMs) >= 250 * state.speed) {
      toldTimeMs = state.positionMs;
      on.time?.({ positionMs: state.positionMs, ts: manifest.startMs + state.positionMs });
    }
  };

  const linkTo =
    options.linkTo ??
    ((epochMs: number) => new URL(sessionPath(session, epochMs), new URL(src || '/', location.href)).href);
  const unrender = render(
    () => (
      <Player
        core={core}
        view={view()}
        stageRoot={stageRoot}
        size={size()}
        clicks={clicks()}
        linkTo={linkTo}
        onRetry={onRetry}
      />
    ),
    element,
  );
  return {
    play: () => core.play(),
    pause: () => core.pause(),
    seek: (positionMs) => core.seek(positionMs),
    setSpeed: (speed) => core.setSpeed(speed),
    get state() {
      return core.view().state.phase;
    },
    get positionMs() {
      return core.view().state.positionMs;
    },
    get durationMs() {
      return core.view().state.durationMs;
    },
    get startMs() {
      return core.view().manifest?.startMs;
    },
    get stageDocument() {
      return engine.document();
    },
    dispose: () => {
      core.dispose();
      unrender();
    },
  };
}

function everyFrame(callback: () => void): () => void {
  let handle = requestAnimationFrame(function next() {
    callback();
    handle = requestAnimationFrame(next);
  });
  return () => cancelAnimationFrame(handle);
}
