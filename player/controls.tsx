import { createSignal, For, Show, type JSX } from 'solid-js';
import type { Core, CoreView } from './core.ts';
import { formatPosition } from './format.ts';
import {
  AgainIcon,
  CheckIcon,
  FullScreenIcon,
  HelpIcon,
  LinkIcon,
  PauseIcon,
  PlayIcon,
  SkipIcon,
  StepBackIcon,
  StepOnIcon,
} from './icons.tsx';
import { SPEEDS } from './transition.ts';

export interface ControlsProps {
  view: CoreView;
  core: Core;
  onFullScreen: () => void;
  onHelp: () => void;
  onCopyLink: () => Promise<boolean>;
}

export function Controls(props: ControlsProps): JSX.Element {
  const [copied, setCopied] = createSignal<'yes' | 'no'>();
  const state = (): CoreView['state'] => props.view.state;
  const ready = (): boolean => state().phase !== 'loading' && state().phase !== 'failed';
  const copy = async (): Promise<void> => {
    setCopied((await props.onCopyLink()) ? 'yes' : 'no');
    setTimeout(() => setCopied(undefined), 1500);
  };
  return (
    <div class="controls" part="controls" role="group" aria-label="Playback">
      <button
        type="button"
        class="button primary icon play"
        disabled={!ready()}
        aria-label={state().wantsPlay ? 'Pause' : state().phase === 'ended' ? 'Play again' : 'Play'}
        title={`${state().wantsPlay ? 'Pause' : 'Play'} (space)`}
        on:click={() => props.core.toggle()}
      >
        <Show when={!state().wantsPlay} fallback={<PauseIcon />}>
          <Show when={state().phase === 'ended'} fallback={<PlayIcon />}>
            <AgainIcon />
          </Show>
        </Show>
      </button>
      <button
        type="button"
        class="button ghost icon"
        disabled={!ready()}
        aria-label="Step back"
        title="Last change (,)"
        on:click={() => props.core.step(-1)}
      >
        <StepBackIcon />
      </button>
      <button
        type="button"
        class="button ghost icon"
        disabled={!ready()}
        aria-label="Step on"
        title="Next change (.)"
        on:click={() => props.core.step(1)}
      >
        <StepOnIcon />
      </button>
      <span class="clock">
        <span class="now">{formatPosition(state().positionMs)}</span>
        <span class="quiet"> / {formatPosition(state().durationMs)}</span>
      </span>
      <span class="spring" />
      <div class="speeds" role="group" aria-label="Speed">
        <For each={SPEEDS}>
          {(speed, i) => (
            <button
              type="button"
              class="speed"
              aria-pressed={state().speed === speed}
              aria-label={`${speedText(speed)} speed`}
              title={`Speed ${speedText(speed)} (${i() + 1})`}
              on:click={() => props.core.setSpeed(speed)}
            >
              {speedText(speed)}
            </button>
          )}
        </For>
      </div>
      <button
        type="button"
        class="button ghost skip"
        aria-pressed={state().skipIdle}
        title="Skip spans in which the visitor did nothing (i)"
        on:click={() => props.core.setSkipIdle(!state().skipIdle)}
      >
        <SkipIcon /> <span class="wide-only">Skip idle</span>
      </button>
      <button
        type="button"
        class="button ghost"
        disabled={!ready()}
        title="Copy a link to this moment (c)"
        aria-label="Copy link to this moment"
        on:click={() => void copy()}
      >
        <Show when={copied() === 'yes'} fallback={<LinkIcon />}>
          <CheckIcon />
        </Show>
        <span class="wide-only" role="status">
          {copied() === 'yes' ? 'Copied' : copied() === 'no' ? 'Not copied' : 'Copy link'}
        </span>
      </button>
      <button
        type="button"
        class="button ghost icon keys"
        aria-label="Keyboard shortcuts"
        title="Keyboard shortcuts (?)"
        on:click={() => props.onHelp()}
      >
        <HelpIcon />
      </button>
      <button
        type="button"
        class="button ghost icon"
        aria-label="Full screen"
        title="Full screen (f)"
        on:click={() => props.onFullScreen()}
      >
        <FullScreenIcon />
      </button>
    </div>
  );
}

const speedText = (speed: number): string => `${speed === 0.5 ? '½' : speed}×`;
