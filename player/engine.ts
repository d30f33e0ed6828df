import type { ClickPayload } from '#protocol';
import type { ReplayEvent } from './sanitize.ts';

/**
 * The port to what rebuilds the DOM. It knows one window of events at a time and plays it by its own clock; which
 * window, and when the next events are needed, the core decides. Positions are milliseconds from `startMs`.
 */
export interface Engine {
  /**
   * Shows the state at `positionMs`, paused. `events` begin with a full snapshot, and are the engine's from now on.
   * What was shown before stays until then. Resolves false when another `show` has overtaken it.
   */
  show(events: ReplayEvent[], span: { startMs: number; endMs: number }, positionMs: number): Promise<boolean>;
  /** Later events of the same run. They must lie ahead of the position. */
  append(events: ReplayEvent[]): void;
  /** Goes on from where it is. */
  play(): void;
  pause(): void;
  setSpeed(speed: number): void;
  positionMs(): number;
  /** The replayed document; it changes with every `show`. */
  document(): Document | undefined;
  /** Where the control that was clicked is, in the stage's CSS pixels. */
  boundsOf(nodeId: number): DOMRect | undefined;
  dispose(): void;
}

export interface EngineListener {
  /** The visitor's viewport. */
  onResize(widthPx: number, heightPx: number): void;
  onClick(click: StageClick): void;
  onEnd(): void;
}

/** A click as it is drawn over the stage. */
export interface StageClick {
  kind: 'click' | 'rage';
  payload: ClickPayload;
  /** It happened at the moment that was sought, and stays until playback goes on. */
  still: boolean;
}
