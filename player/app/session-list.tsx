import { A, useNavigate, useSearchParams } from '@solidjs/router';
import {
  createEffect,
  createMemo,
  createSignal,
  For,
  on,
  onCleanup,
  onMount,
  Show,
  type JSX,
} from 'solid-js';
import { createStore, reconcile } from 'solid-js/store';
import { sessionPath, SIGNALS, type SessionsAnswer, type SessionSummary, type Signal } from '#api';
import { formatAgo, formatDuration, formatInstant, shortUrl } from '../format.ts';
import { MarkerIcon, SearchIcon } from '../icons.tsx';
import { MARKER_KINDS } from '../markers.ts';
import { client } from './auth.ts';
import { Snippet } from './copy.tsx';
import { Problem } from './problem.tsx';
import { Sparkline } from './sparkline.tsx';
import { useTitle } from './title.ts';

const PAGE_ROWS = 50;
const REFRESH_MS = 10_000;
const TYPING_MS = 250;

const listPath = (filter: { search?: string; signal?: string; cursor?: string }): string => {
  const query = new URLSearchParams({ limit: String(PAGE_ROWS) });
  for (const [name, value] of Object.entries(filter)) if (value) query.set(name, value);
  return `/v1/sessions?${query}`;
};

/** Newest first. New sessions are announced, not pushed under the reader's eyes. */
export function SessionList(): JSX.Element {
  let searchField!: HTMLInputElement;
  useTitle(() => 'Sessions');
  const navigate = useNavigate();
  const [filter, setFilter] = useSearchParams<{ search?: string; signal?: string }>();
  const [sessions, setStored] = createStore<SessionSummary[]>([]);
  /** In place: a row that the reader is on stays, also while its session goes on. */
  const setSessions = (list: SessionSummary[]): void => setStored(reconcile(list));
  const [cursor, setCursor] = createSignal<string>();
  const [loaded, setLoaded] = createSignal(false);
  const [busy, setBusy] = createSignal(false);
  const [problem, setProblem] = createSignal<unknown>();
  const [fresh, setFresh] = createSignal(0);
  const [nowMs, setNowMs] = createSignal(Date.now());
  let loading: AbortController | undefined;
  let typing: ReturnType<typeof setTimeout>;

  const load = async (more: boolean): Promise<void> => {
    loading?.abort();
    const { signal } = (loading = new AbortController());
    setBusy(true);
    setProblem(undefined);
    try {
      const path = listPath({
        search: filter.search,
        signal: filter.signal,
        cursor: more ? cursor() : undefined,
      });
      const answer = await client.json<SessionsAnswer>(path, { signal });
      setSessions(more ? [...sessions, ...answer.sessions] : answer.sessions);
      setCursor(answer.cursor);
      if (!more) setFresh(0);
      setNowMs(Date.now());
      setLoaded(true);
      setBusy(false);
    } catch (error) {
      if (signal.aborted) return;
      setProblem(error);
      setBusy(false);
    }
  };
  createEffect(on([() => filter.search, () => filter.signal], () => void load(false)));

  const look = async (): Promise<void> => {
    if (document.hidden || !loaded() || busy()) return;
    setNowMs(Date.now());
    const path = listPath({ search: filter.search, signal: filter.signal });
    const answer = await client.json<SessionsAnswer>(path).catch(() => undefined);
    const overtaken = busy() || path !== listPath({ search: filter.search, signal: filter.signal });
    if (!answer || overtaken) return;
    const newer = new Map(answer.sessions.map((session) => [session.id, session]));
    setSessions(sessions.map((session) => newer.get(session.id) ?? session));
    for (const { id } of sessions) newer.delete(id);
    // An empty page has nobody reading it.
    if (newer.size && !sessions.length) void load(false);
    else setFresh(newer.size);
  };
  const onKey = (event: KeyboardEvent): void => {
    const focus = document.activeElement as HTMLElement | null;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (focus?.matches('input, textarea, select')) {
      if (event.key === 'Escape') focus.blur();
      return;
    }
    if (event.key === '/') {
      event.preventDefault();
      searchField.focus();
    }
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const links = [...document.querySelectorAll<HTMLAnchorElement>('.session-link')];
    if (!links.length) return;
    event.preventDefault();
    const at = links.indexOf(focus as HTMLAnchorElement);
    links[Math.min(Math.max(0, at + step), links.length - 1)]!.focus();
  };
  onMount(() => {
    const timer = setInterval(() => void look(), REFRESH_MS);
    document.addEventListener('keydown', onKey);
    onCleanup(() => {
      clearInterval(timer);
      clearTimeout(typing);
      loading?.abort();
      document.removeEventListener('keydown', onKey);
    });
  });
  const filtered = createMemo(() => Boolean(filter.search || filter.signal));
  const type = (value: string): void => {
    clearTimeout(typing);
    typing = setTimeout(() => setFilter({ search: value || undefined }, { replace: true }), TYPING_MS);
  };

  return (
    <div class="list-page">
      <div class="tools">
        <h1>Sessions</h1>
        <label class="search">
          <SearchIcon size={14} />
          <span class="visually-hidden">Search addresses and clicked text</span>
          <input
            ref={searchField}
            class="field"
            type="search"
            placeholder="Search addresses and clicked text"
            value={filter.search ?? ''}
            on:input={(event) => type(event.currentTarget.value)}
          />
          <kbd aria-hidden="true">/</kbd>
        </label>
        <div class="segmented" role="group" aria-label="Only sessions with">
          <button
            type="button"
            aria-pressed={!filter.signal}
            on:click={() => setFilter({ signal: undefined }, { replace: true })}
          >
            All
          </button>
          <For each={SIGNALS}>
            {(signal) => (
              <button
                type="button"
                aria-pressed={filter.signal === signal}
                on:click={() =>
                  setFilter({ signal: filter.signal === signal ? undefined : signal }, { replace: true })
                }
              >
                <MarkerIcon type={signal} size={12} />
                {MARKER_KINDS[signal].plural}
              </button>
            )}
          </For>
        </div>
        <span class="spring" />
        <span role="status">
          <Show when={fresh()}>
            <button type="button" class="button fresh" on:click={() => void load(false)}>
              {fresh() >= PAGE_ROWS ? `${PAGE_ROWS}+` : fresh()} new session{fresh() === 1 ? '' : 's'}
            </button>
          </Show>
        </span>
      </div>
      <Show when={problem()}>{(error) => <Problem error={error()} onRetry={() => void load(false)} />}</Show>
      <Show when={!loaded() && !problem()}>
        <p class="page-wait quiet" role="status">
          Loading sessions
        </p>
      </Show>
      <Show when={loaded() && sessions.length}>
        <div class="table-box" tabindex="0" role="region" aria-label="Sessions">
          <table class="sessions" classList={{ busy: busy() }}>
            <thead>
              <tr>
                <th scope="col">Start</th>
                <th scope="col">Visitor</th>
                <th scope="col" class="number">
                  Duration
                </th>
                <th scope="col" class="number">
                  Pages
                </th>
                <th scope="col" class="number">
                  Clicks
                </th>
                <th scope="col">Signals</th>
                <th scope="col">First and last page</th>
                <th scope="col" class="activity">
                  Activity
                </th>
              </tr>
            </thead>
            <tbody>
              <For each={sessions}>
                {(session) => <Row session={session} nowMs={nowMs()} onOpen={(path) => navigate(path)} />}
              </For>
            </tbody>
          </table>
          <Show when={cursor()}>
            <p class="more">
              <button type="button" class="button" disabled={busy()} on:click={() => void load(true)}>
                {busy() ? 'Loading' : 'Show older sessions'}
              </button>
            </p>
          </Show>
        </div>
      </Show>
      <Show when={loaded() && !sessions.length && !problem()}>
        <Show when={filtered()} fallback={<NothingYet />}>
          <div class="narrow-page">
            <h2>No session fits</h2>
            <p class="quiet">No session that is kept has what you look for.</p>
            <button
              type="button"
              class="button"
              on:click={() => {
                searchField.value = '';
                setFilter({ search: undefined, signal: undefined }, { replace: true });
              }}
            >
              Show all sessions
            </button>
          </div>
        </Show>
      </Show>
    </div>
  );
}

function Row(props: { session: SessionSummary; nowMs: number; onOpen: (path: string) => void }): JSX.Element {
  const session = props.session;
  const path = sessionPath(session.id);
  const onClick = (event: MouseEvent): void => {
    if ((event.target as Element).closest('a') || getSelection()?.toString()) return;
    if (event.ctrlKey || event.metaKey) window.open(path, '_blank', 'noopener');
    else props.onOpen(path);
  };
  const count = (signal: Signal): number =>
    ({
      rage: session.rageClicks,
      dead: session.deadClicks,
      disabled: session.disabledClicks,
      error: session.errors,
    })[signal];
  return (
    <tr on:click={onClick}>
      <td>
        <A href={path} class="session-link" title={session.id}>
          {formatInstant(session.startMs)}
        </A>
        <span class="quiet ago">{formatAgo(session.startMs, props.nowMs)}</span>
      </td>
      <td>
        {session.browser || 'Unknown browser'}
        <span class="quiet"> {session.os}</span>
        <Show when={session.viewport}>
          {(viewport) => <span class="quiet size">{`${viewport()[0]} × ${viewport()[1]}`}</span>}
        </Show>
      </td>
      <td class="number">{formatDuration(session.endMs - session.startMs)}</td>
      <td class="number">{session.pages}</td>
      <td class="number">{session.clicks}</td>
      <td>
        <span class="badges">
          <For each={SIGNALS}>
            {(signal) => (
              <Show when={count(signal)}>
                <span
                  class={`badge is-${signal}`}
                  title={`${count(signal)} ${(count(signal) === 1 ? MARKER_KINDS[signal].name : MARKER_KINDS[signal].plural).toLowerCase()}`}
                >
                  <MarkerIcon type={signal} size={12} />
                  {count(signal)}
                  <span class="visually-hidden"> {MARKER_KINDS[signal].plural}</span>
                </span>
              </Show>
            )}
          </For>
        </span>
      </td>
      <td class="pages">
        <span title={session.firstUrl}>{shortUrl(session.firstUrl)}</span>
        <Show when={session.lastUrl !== session.firstUrl}>
          <span class="quiet" aria-label="to">
            →
          </span>
          <span title={session.lastUrl}>{shortUrl(session.lastUrl)}</span>
        </Show>
      </td>
      <td class="activity">
        <Sparkline values={session.activity} />
      </td>
    </tr>
  );
}

function NothingYet(): JSX.Element {
  return (
    <div class="narrow-page">
      <h2>No session yet</h2>
      <p>
        Put this line into the <code>head</code> of your pages, with the write key of your project. Sessions
        show up here by themselves.
      </p>
      <Snippet
        label="Line that records"
        text={`<script async src="${location.origin}/r/loader.js" data-key="wk_…"></script>`}
      />
      <p class="quiet">
        The page's origin must be among those that the key allows. Every input is masked before anything is
        sent.
      </p>
    </div>
  );
}
