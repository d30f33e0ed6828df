import type { PlayerError } from './client.ts';

/**
 *   loading ──opened──▶ waiting ──shown──▶ paused ⇄ playing ──end──▶ ended
 *                         ▲                   │        │
 *                         └───── seek ────────┴────────┤
 *                         └───── starved ──────────────┘          any ──fail──▶ failed
 *
 * `waiting` is both a seek under way and segments still missing; `wantsPlay` says what comes after it.
 */
export type Phase = 'loading' | 'waiting' | 'paused' | 'playing' | 'ended' | 'failed';

export interface PlayerState {
  phase: Phase;
  wantsPlay: boolean;
  positionMs: number;
  durationMs: number;
  speed: number;
  skipIdle: boolean;
  error?: PlayerError;
}

export type PlayerEvent =
  | { type: 'opened'; durationMs: number; positionMs: number }
  | { type: 'play' | 'pause' | 'starved' | 'end' }
  | { type: 'seek' | 'shown' | 'tick'; positionMs: number }
  | { type: 'speed'; speed: number }
  | { type: 'skipIdle'; skipIdle: boolean }
  | { type: 'fail'; error: PlayerError };

export const SPEEDS = [0.5, 1, 2, 4, 8, 16] as const;

export const initialState = (options: { speed?: number; autoplay?: boolean } = {}): PlayerState => ({
  phase: 'loading',
  wantsPlay: options.autoplay ?? false,
  positionMs: 0,
  durationMs: 0,
  speed: options.speed ?? 1,
  skipIdle: true,
});

/** Returns the very same state when the event changes nothing. */
export function transition(state: PlayerState, event: PlayerEvent): PlayerState {
  const at = (ms: number): number => Math.min(Math.max(0, ms), state.durationMs);
  switch (event.type) {
    case 'opened': {
      const durationMs = Math.max(0, event.durationMs);
      const positionMs = Math.min(Math.max(0, event.positionMs), durationMs);
      return { ...state, phase: 'waiting', durationMs, positionMs, error: undefined };
    }
    case 'play':
      if (state.phase === 'failed' || state.wantsPlay) return state;
      // The end is a place to start again from.
      if (state.phase === 'ended') return { ...state, phase: 'waiting', wantsPlay: true, positionMs: 0 };
      return { ...state, phase: state.phase === 'paused' ? 'playing' : state.phase, wantsPlay: true };
    case 'pause':
      if (!state.wantsPlay) return state;
      return { ...state, phase: state.phase === 'playing' ? 'paused' : state.phase, wantsPlay: false };
    case 'seek':
      if (state.phase === 'failed' || state.phase === 'loading') return state;
      return { ...state, phase: 'waiting', positionMs: at(event.positionMs) };
    case 'shown':
      if (state.phase !== 'waiting') return state;
      return {
        ...state,
        phase: state.wantsPlay ? 'playing' : 'paused',
        positionMs: at(event.positionMs),
      };
    case 'starved':
      return state.phase === 'playing' ? { ...state, phase: 'waiting' } : state;
    case 'tick':
      if (state.phase !== 'playing' || at(event.positionMs) === state.positionMs) return state;
      return { ...state, positionMs: at(event.positionMs) };
    case 'end':
      if (state.phase !== 'playing') return state;
      return { ...state, phase: 'ended', wantsPlay: false, positionMs: state.durationMs };
    case 'speed':
      return state.speed === event.speed ? state : { ...state, speed: event.speed };
    case 'skipIdle':
      return state.skipIdle === event.skipIdle ? state : { ...state, skipIdle: event.skipIdle };
    case 'fail':
      return { ...state, phase: 'failed', wantsPlay: false, error: event.error };
  }
}
