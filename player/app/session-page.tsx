import { A, useNavigate, useParams, useSearchParams } from '@solidjs/router';
import { createEffect, createResource, createSignal, onCleanup, Show, type JSX } from 'solid-js';
import type { ErasureAnswer, SessionSummary } from '#api';
import { sessionPath } from '#api';
import type { SessionPlayer } from '../index.ts';
import '../index.ts';
import { formatDuration, formatInstant } from '../format.ts';
import { BackIcon, TrashIcon } from '../icons.tsx';
import { client, key, me, signOut } from './auth.ts';
import { CopyButton } from './copy.tsx';
import { Problem } from './problem.tsx';
import { theme } from './theme.ts';
import { useTitle } from './title.ts';

export default function SessionPage(): JSX.Element {
  let dialog!: HTMLDialogElement;
  let box!: HTMLDivElement;
  const params = useParams<{ id: string }>();
  const navigate = useNavigate();
  const [search] = useSearchParams<{ at?: string }>();
  const [erasing, setErasing] = createSignal(false);
  const [problem, setProblem] = createSignal<unknown>();
  const [summary] = createResource(
    () => params.id,
    (id) => client.json<SessionSummary>(`/v1/sessions/${encodeURIComponent(id)}`).catch(() => undefined),
  );

  useTitle(() => (summary() ? formatInstant(summary()!.startMs) : 'Session'));
  const mayErase = (): boolean =>
    Boolean(summary() && me()?.scopes.some((scope) => scope === 'erase' || scope === 'admin'));

  let player: SessionPlayer | undefined;
  createEffect(() => {
    const made = (player = document.createElement('session-player'));
    made.tokenProvider = key;
    made.setAttribute('session', params.id);
    made.addEventListener('sp-error', (event) => {
      if ((event as CustomEvent<{ error: { code: string } }>).detail.error.code === 'unauthorized') signOut();
    });
    made.addEventListener('sp-ready', () => focusPlayer(made), { once: true });
    box.replaceChildren(made);
    onCleanup(() => made.remove());
  });
  createEffect(() => void (search.at && player!.setAttribute('at', search.at)));
  createEffect(() => player!.setAttribute('theme', theme()));
  /** So that the keyboard plays at once, unless the reader is elsewhere already. */
  const focusPlayer = (shown: SessionPlayer): void => {
    if (document.activeElement === document.body)
      shown.shadowRoot?.querySelector<HTMLElement>('.player')?.focus({ preventScroll: true });
  };
  const erase = async (): Promise<void> => {
    setErasing(true);
    setProblem(undefined);
    try {
      await client.json<ErasureAnswer>(`/v1/sessions/${encodeURIComponent(params.id)}`, { method: 'DELETE' });
      dialog.close();
      navigate('/', { replace: true });
    } catch (error) {
      setProblem(error);
    } finally {
      setErasing(false);
    }
  };
  const fullLink = (): string => new URL(sessionPath(params.id), location.origin).href;

  return (
    <div class="session-page">
      <div class="facts">
        <A href="/" class="button ghost icon" aria-label="Back to sessions" title="Back to sessions">
          <BackIcon />
        </A>
        <h1 title={params.id}>
          <Show when={summary()} fallback={<code>{params.id}</code>}>
            {(known) => <>{formatInstant(known().startMs)}</>}
          </Show>
        </h1>
        <Show when={summary()}>
          {(known) => (
            <dl>
              <Fact name="Duration" value={formatDuration(known().endMs - known().startMs)} />
              <Fact
                name="Visitor"
                value={[known().browser, known().os].filter(Boolean).join(', ') || 'unknown'}
              />
              <Fact name="Pages" value={String(known().pages)} />
              <Fact name="Clicks" value={String(known().clicks)} />
              <Fact name="Kept until" value={formatInstant(known().expiresMs).split(',')[0]!} />
            </dl>
          )}
        </Show>
        <span class="spring" />
        <Show when={summary()}>
          <CopyButton text={fullLink()} label="Copy session link" />
        </Show>
        <Show when={mayErase()}>
          <button type="button" class="button danger" on:click={() => dialog.showModal()}>
            <TrashIcon size={14} /> <span class="wide-only">Delete</span>
          </button>
        </Show>
      </div>
      <div class="player-box" ref={box} />
      <dialog ref={dialog} class="dialog" aria-labelledby="erase-title">
        <h2 id="erase-title">Delete this session?</h2>
        <p>
          Nobody can play or query it from this moment on; its bytes go with the next sweep. This cannot be
          undone.
        </p>
        <Show when={problem()}>{(error) => <Problem error={error()} />}</Show>
        <div class="dialog-buttons">
          <button type="button" class="button" on:click={() => dialog.close()}>
            Keep it
          </button>
          <button
            type="button"
            class="button danger solid"
            disabled={erasing()}
            on:click={() => void erase()}
          >
            {erasing() ? 'Deleting' : 'Delete session'}
          </button>
        </div>
      </dialog>
    </div>
  );
}

function Fact(props: { name: string; value: string }): JSX.Element {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{props.value}</dd>
    </div>
  );
}
