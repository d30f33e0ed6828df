import { createMemo, createSignal, For, Match, onCleanup, Show, Switch, type JSX } from 'solid-js';
import { Controls } from './controls.tsx';
import type { Core, CoreView } from './core.ts';
import { EventList } from './event-list.tsx';
import { formatPosition } from './format.ts';
import { CloseIcon, FitIcon, ListIcon, WarningIcon } from './icons.tsx';
import { SHORTCUTS, shortcutOf, type Shortcut } from './keyboard.ts';
import { urlAt } from './markers.ts';
import type { PlayerError } from './client.ts';
import { Stage, type DrawnClick } from './stage.tsx';
import { Timeline } from './timeline.tsx';

export interface PlayerProps {
  core: Core;
  view: CoreView;
  stageRoot: HTMLElement;
  size: { width: number; height: number } | undefined;
  clicks: readonly DrawnClick[];
  /** Full address that shows this session at epoch milliseconds. */
  linkTo: (epochMs: number) => string;
  onRetry: () => void;
}

const SIGNAL_TYPES = new Set(['rage', 'dead', 'disabled', 'error']);
const NARROW_PX = 900;

export function Player(props: PlayerProps): JSX.Element {
  let root!: HTMLDivElement;
  let help!: HTMLDialogElement;
  const [fit, setFit] = createSignal(true);
  const [eventsChosen, setEventsChosen] = createSignal<boolean>();
  const [narrow, setNarrow] = createSignal(false);
  /** Before anything is known there is nothing to list. */
  const events = (): boolean => Boolean(props.view.manifest) && (eventsChosen() ?? !narrow());
  const startMs = createMemo(() => props.view.manifest?.startMs ?? 0);
  const nowMs = (): number => startMs() + props.view.state.positionMs;
  const url = createMemo(
    () => urlAt(props.view.markers, nowMs()) ?? props.view.manifest?.summary.firstUrl ?? '',
  );

  const observe = (element: HTMLDivElement): void => {
    root = element;
    const observer = new ResizeObserver(([entry]) => setNarrow(entry!.contentRect.width < NARROW_PX));
    observer.observe(element);
    onCleanup(() => observer.disconnect());
  };
  const seek = (positionMs: number): void => props.core.seek(positionMs);
  const fullScreen = (): void => {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void root.requestFullscreen?.().catch(() => {});
  };
  const copyLink = (): Promise<boolean> =>
    navigator.clipboard
      ? navigator.clipboard.writeText(props.linkTo(nowMs())).then(
          () => true,
          () => false,
        )
      : Promise.resolve(false);
  const toSignal = (direction: 1 | -1): void => {
    const signals = props.view.markers.filter(({ type }) => SIGNAL_TYPES.has(type));
    const target =
      direction > 0
        ? signals.find(({ ts }) => ts > nowMs() + 1)
        : signals.findLast(({ ts }) => ts < nowMs() - 1);
    if (target) seek(target.ts - startMs());
  };
  const act = (shortcut: Shortcut): void => {
    switch (shortcut.act) {
      case 'toggle':
        return props.core.toggle();
      case 'jump':
        return seek(props.view.state.positionMs + shortcut.ms);
      case 'step':
        return props.core.step(shortcut.direction);
      case 'signal':
        return toSignal(shortcut.direction);
      case 'speed':
        return props.core.setSpeed(shortcut.speed);
      case 'skipIdle':
        return props.core.setSkipIdle(!props.view.state.skipIdle);
      case 'events':
        return void setEventsChosen(!events());
      case 'copyLink':
        return void copyLink();
      case 'fullScreen':
        return fullScreen();
      case 'help':
        return help.showModal();
      case 'close':
        return help.close();
    }
  };
  const onKey = (event: KeyboardEvent): void => {
    const { key, shiftKey, ctrlKey, altKey, metaKey } = event;
    const target = event.composedPath()[0] as Element;
    const shortcut = shortcutOf({
      key,
      shiftKey,
      modified: ctrlKey || altKey || metaKey,
      tagName: target.tagName,
    });
    if (!shortcut || (shortcut.act === 'close' && !help.open)) return;
    event.preventDefault();
    act(shortcut);
  };

  return (
    <div
      ref={observe}
      class="player"
      classList={{ narrow: narrow(), 'with-events': events() }}
      part="player"
      role="region"
      aria-label="Session replay"
      tabindex="-1"
      on:keydown={onKey}
    >
      <header class="bar" part="bar">
        <span class="url" title={url()}>
          <span class="visually-hidden">Page: </span>
          {url() || '\u00a0'}
        </span>
        <Show when={props.size}>
          {(size) => (
            <span class="quiet viewport" title="The visitor's viewport">
              {size().width} × {size().height}
            </span>
          )}
        </Show>
        <button
          type="button"
          class="button ghost icon"
          aria-pressed={fit()}
          aria-label="Fit to the room there is"
          title="Fit, or its own size"
          on:click={() => setFit(!fit())}
        >
          <FitIcon />
        </button>
        <button
          type="button"
          class="button ghost icon"
          aria-pressed={events()}
          disabled={!props.view.manifest}
          aria-label="Events"
          title="Events (e)"
          on:click={() => setEventsChosen(!events())}
        >
          <ListIcon />
        </button>
      </header>
      <div class="middle">
        <div class="stage-pane" on:click={() => props.core.toggle()}>
          <Stage root={props.stageRoot} size={props.size} fit={fit()} clicks={props.clicks} />
          <Switch>
            <Match when={props.view.state.phase === 'failed' && props.view.state.error}>
              {(error) => <Failure error={error()} onRetry={props.onRetry} />}
            </Match>
            <Match when={props.view.state.phase === 'loading' || props.view.state.phase === 'waiting'}>
              <div class="waiting" role="status">
                <span class="spinner" />
                {props.view.state.phase === 'loading' ? 'Loading session' : 'Loading this moment'}
              </div>
            </Match>
          </Switch>
        </div>
        <Show when={events()}>
          <EventList view={props.view} onSeek={seek} />
        </Show>
      </div>
      <Timeline view={props.view} onSeek={seek} />
      <Controls
        view={props.view}
        core={props.core}
        onFullScreen={fullScreen}
        onHelp={() => help.showModal()}
        onCopyLink={copyLink}
      />
      <dialog ref={help} class="help" aria-labelledby="help-title">
        <div class="help-head">
          <h2 id="help-title">Keyboard</h2>
          <button type="button" class="button ghost icon" aria-label="Close" on:click={() => help.close()}>
            <CloseIcon />
          </button>
        </div>
        <dl>
          <For each={SHORTCUTS}>
            {([keys, sentence]) => (
              <div>
                <dt>
                  <For each={keys}>{(key) => (key === '…' ? <span> … </span> : <kbd>{key}</kbd>)}</For>
                </dt>
                <dd>{sentence}</dd>
              </div>
            )}
          </For>
        </dl>
      </dialog>
      <div class="visually-hidden" role="status">
        {props.view.state.phase === 'ended' ? `End, ${formatPosition(props.view.state.durationMs)}` : ''}
      </div>
    </div>
  );
}

const FAILURES: Partial<Record<PlayerError['code'], { title: string; advice: string; retry: boolean }>> = {
  unauthorized: { title: 'Not signed in', advice: 'The key is missing or no longer valid.', retry: true },
  forbidden: {
    title: 'Not allowed',
    advice: 'This key may not play sessions: it lacks the scope play.',
    retry: false,
  },
  unknown_session: {
    title: 'No such session',
    advice: 'It was never recorded, is not flushed yet, was erased, or is past its retention class.',
    retry: true,
  },
  unreachable: {
    title: 'No answer',
    advice: 'The server cannot be reached. Check the network.',
    retry: true,
  },
};

function Failure(props: { error: PlayerError; onRetry: () => void }): JSX.Element {
  const known = (): { title: string; advice: string; retry: boolean } =>
    FAILURES[props.error.code] ?? {
      title: 'This session cannot be played',
      advice: props.error.message,
      retry: true,
    };
  return (
    <div class="failure" role="alert" part="error">
      <WarningIcon size={24} />
      <h2>{known().title}</h2>
      <p>{known().advice}</p>
      <p class="quiet">
        <code>{props.error.code}</code> {props.error.message}
      </p>
      <Show when={known().retry}>
        <button
          type="button"
          class="button"
          on:click={(event) => {
            event.stopPropagation();
            props.onRetry();
          }}
        >
          Try again
        </button>
      </Show>
    </div>
  );
}
