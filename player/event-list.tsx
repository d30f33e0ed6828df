import { createEffect, createMemo, createSignal, For, Show, type JSX } from 'solid-js';
import { MARKER_TYPES, type MarkerType } from '#api';
import type { CoreView } from './core.ts';
import { formatPosition, shortUrl } from './format.ts';
import { MarkerIcon, SearchIcon } from './icons.tsx';
import { lastMarkerAt, MARKER_KINDS, type Marker } from './markers.ts';

/** Every marker in words. Follows the play head; a click goes there. */
export function EventList(props: { view: CoreView; onSeek: (positionMs: number) => void }): JSX.Element {
  let list!: HTMLOListElement;
  const [search, setSearch] = createSignal('');
  const [only, setOnly] = createSignal<ReadonlySet<MarkerType>>(new Set());
  const all = createMemo(() => props.view.markers);
  const startMs = createMemo(() => props.view.manifest?.startMs ?? 0);
  const types = createMemo(() => MARKER_TYPES.filter((type) => all().some((marker) => marker.type === type)));
  const shown = createMemo(() => {
    const wanted = search().trim().toLowerCase();
    return all().filter(
      (marker) =>
        (!only().size || only().has(marker.type)) &&
        (!wanted || `${marker.label} ${marker.url} ${marker.type}`.toLowerCase().includes(wanted)),
    );
  });
  const active = createMemo(() => shown()[lastMarkerAt(shown(), startMs() + props.view.state.positionMs)]);
  /** One stop for Tab, or the controls would lie behind a thousand; the arrows move within. */
  const [focused, setFocused] = createSignal<Marker>();
  const stop = createMemo(
    () => [focused(), active()].find((marker) => marker && shown().includes(marker)) ?? shown()[0],
  );
  const onKey = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const at = shown().indexOf(focused() ?? stop()!);
    const row = list.children[Math.min(Math.max(0, at + step), shown().length - 1)];
    row?.querySelector('button')?.focus();
  };
  const toggle = (type: MarkerType): void => {
    const next = new Set(only());
    if (!next.delete(type)) next.add(type);
    setOnly(next);
  };
  const count = (type: MarkerType): number => all().filter((marker) => marker.type === type).length;

  createEffect(() => {
    const marker = active();
    // Whoever points into the list is reading it.
    if (!marker || list.matches(':hover')) return;
    const row = list.children[shown().indexOf(marker)] as HTMLElement | undefined;
    if (!row) return;
    const top = row.offsetTop;
    if (top < list.scrollTop || top + row.offsetHeight > list.scrollTop + list.clientHeight)
      list.scrollTop = top - list.clientHeight / 2;
  });

  return (
    <section class="events" part="events" aria-label="Events">
      <div class="events-tools">
        <label class="events-search">
          <SearchIcon size={14} />
          <span class="visually-hidden">Filter events</span>
          <input
            class="field"
            type="search"
            placeholder="Filter events"
            value={search()}
            on:input={(event) => setSearch(event.currentTarget.value)}
          />
        </label>
        <div class="chips" role="group" aria-label="Show only">
          <For each={types()}>
            {(type) => (
              <button
                type="button"
                class="chip"
                aria-pressed={only().has(type)}
                aria-label={`${MARKER_KINDS[type].plural}: ${count(type)}`}
                title={MARKER_KINDS[type].plural}
                on:click={() => toggle(type)}
              >
                <MarkerIcon type={type} size={12} />
                {count(type)}
              </button>
            )}
          </For>
        </div>
      </div>
      <Show when={!shown().length}>
        <p class="events-empty quiet">
          {all().length ? 'No event fits the filter.' : 'The visitor clicked and entered nothing.'}
        </p>
      </Show>
      <ol
        ref={list}
        class="event-rows"
        classList={{ none: !shown().length }}
        on:keydown={onKey}
        on:focusout={() => setFocused(undefined)}
      >
        <For each={shown()}>
          {(marker) => (
            <li>
              <button
                type="button"
                class="event-row"
                data-type={marker.type}
                tabindex={stop() === marker ? 0 : -1}
                on:focus={() => setFocused(marker)}
                aria-current={active() === marker ? 'true' : undefined}
                on:click={() => props.onSeek(marker.ts - startMs())}
              >
                <MarkerIcon type={marker.type} size={14} />
                <span class="event-words">
                  <span class="event-kind">{MARKER_KINDS[marker.type].name}</span>
                  <span class="event-label" title={words(marker)}>
                    {words(marker)}
                  </span>
                </span>
                <time>{formatPosition(marker.ts - startMs())}</time>
              </button>
            </li>
          )}
        </For>
      </ol>
    </section>
  );
}

const words = (marker: Marker): string =>
  marker.type === 'navigation' ? shortUrl(marker.url || marker.label) : marker.label || shortUrl(marker.url);
