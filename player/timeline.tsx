import { createMemo, createSignal, For, onCleanup, onMount, Show, type JSX } from 'solid-js';
import { silhouette } from './activity.ts';
import type { CoreView } from './core.ts';
import { formatMoment, formatPosition, speakPosition } from './format.ts';
import { MarkerIcon } from './icons.tsx';
import { clusterMarkers, describeCluster, MARKER_KINDS, type MarkerCluster } from './markers.ts';

/** A marker this near to the pointer is what is meant. */
const NEAR_PX = 8;
const BUCKET_PX = 3;
/** An icon and a count of two digits. */
const CLUSTER_PX = 26;

/** The whole session on one line: what the visitor did as a silhouette, idle spans as gaps, markers above. */
export function Timeline(props: { view: CoreView; onSeek: (positionMs: number) => void }): JSX.Element {
  let track!: HTMLDivElement;
  const [width, setWidth] = createSignal(0);
  const [hoverPx, setHoverPx] = createSignal<number>();
  onMount(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.round(entry!.contentRect.width)));
    observer.observe(track);
    onCleanup(() => observer.disconnect());
  });

  const startMs = createMemo(() => props.view.manifest?.startMs ?? 0);
  const durationMs = createMemo(() => props.view.state.durationMs);
  const span = createMemo(() => ({ startMs: startMs(), endMs: startMs() + durationMs() }));
  const markers = createMemo(() => props.view.markers);
  const clusters = createMemo(() => clusterMarkers(markers(), span(), width(), CLUSTER_PX));
  const acts = createMemo(() => props.view.acts);
  const idle = createMemo(() => props.view.idle);
  const bars = createMemo(() => silhouette(acts(), span(), Math.max(1, Math.floor(width() / BUCKET_PX))));
  const share = (ms: number): number => (durationMs() ? ms / durationMs() : 0);
  const percent = (ms: number): string => `${(share(ms) * 100).toFixed(3)}%`;
  const played = createMemo(() => percent(props.view.state.positionMs));

  const near = createMemo((): MarkerCluster | undefined => {
    const px = hoverPx();
    if (px === undefined) return undefined;
    const away = (cluster: MarkerCluster): number =>
      Math.abs(share(cluster.startMs - startMs()) * width() - px);
    const nearest = clusters().reduce<MarkerCluster | undefined>(
      (best, cluster) => (!best || away(cluster) < away(best) ? cluster : best),
      undefined,
    );
    return nearest && away(nearest) <= NEAR_PX ? nearest : undefined;
  });
  const hoverMs = (): number =>
    near() ? near()!.startMs - startMs() : ((hoverPx() ?? 0) / (width() || 1)) * durationMs();

  const toPx = (event: PointerEvent): number => {
    const { left, width: whole } = track.getBoundingClientRect();
    return Math.min(Math.max(0, event.clientX - left), whole);
  };
  const onPointer = (event: PointerEvent): void => {
    setHoverPx(toPx(event));
    if (event.type === 'pointerdown') {
      if (event.button) return;
      track.setPointerCapture(event.pointerId);
    } else if (!track.hasPointerCapture(event.pointerId)) return;
    props.onSeek(hoverMs());
  };
  const onKey = (event: KeyboardEvent): void => {
    const to: Record<string, number> = {
      Home: 0,
      End: durationMs(),
      PageUp: props.view.state.positionMs + durationMs() / 10,
      PageDown: props.view.state.positionMs - durationMs() / 10,
      ArrowUp: props.view.state.positionMs + 5000,
      ArrowDown: props.view.state.positionMs - 5000,
    };
    const target = to[event.key];
    if (target === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    props.onSeek(target);
  };

  return (
    <div class="timeline" part="timeline">
      <div
        ref={track}
        class="track"
        role="slider"
        tabindex="0"
        aria-label="Position in the session"
        aria-valuemin="0"
        aria-valuemax={Math.round(durationMs() / 1000)}
        aria-valuenow={Math.floor(props.view.state.positionMs / 1000)}
        aria-valuetext={`${speakPosition(props.view.state.positionMs)} of ${speakPosition(durationMs())}`}
        on:pointerdown={onPointer}
        on:pointermove={onPointer}
        on:pointerleave={() => setHoverPx(undefined)}
        on:keydown={onKey}
      >
        <div class="idle-lane">
          <For each={idle()}>
            {(band) => (
              <span
                class="idle"
                style={{ left: percent(band.startMs - startMs()), width: percent(band.endMs - band.startMs) }}
              />
            )}
          </For>
        </div>
        <svg
          class="silhouette"
          viewBox={`0 0 ${bars().length} 1`}
          preserveAspectRatio="none"
          aria-hidden="true"
        >
          <path d={outline(bars())} />
        </svg>
        <div class="played" style={{ width: played() }} />
        <div class="marker-lane">
          <For each={clusters()}>
            {(cluster) => (
              <span
                class={`marker is-${cluster.type}`}
                classList={{ near: near() === cluster }}
                style={{ left: percent(cluster.startMs - startMs()) }}
              >
                <MarkerIcon type={cluster.type} size={12} />
                <Show when={cluster.markers.length > 1}>
                  <b>{cluster.markers.length}</b>
                </Show>
              </span>
            )}
          </For>
        </div>
        <Show when={durationMs()}>
          <div class="head" style={{ left: played() }} />
        </Show>
        <Show when={durationMs() && hoverPx() !== undefined}>
          <div class="hover-line" style={{ left: percent(hoverMs()) }} />
          <div
            class="hover-card"
            style={{ left: `clamp(0px, ${hoverPx()}px - 110px, ${Math.max(0, width() - 220)}px)` }}
          >
            <strong>{formatMoment(hoverMs())}</strong>
            <Show when={near()} fallback={<span class="quiet">of {formatPosition(durationMs())}</span>}>
              {(cluster) => (
                <>
                  <span>{cluster().markers.length > 1 ? describeCluster(cluster()) : nameOf(cluster())}</span>
                  <Show when={cluster().markers.length === 1 && cluster().markers[0]!.label}>
                    {(label) => <span class="quiet">{label()}</span>}
                  </Show>
                </>
              )}
            </Show>
          </div>
        </Show>
      </div>
    </div>
  );
}

const nameOf = (cluster: MarkerCluster): string => MARKER_KINDS[cluster.type].name;

/** Steps, closed along the ground. */
function outline(bars: readonly number[]): string {
  let path = `M0 1`;
  for (const [i, bar] of bars.entries()) path += `V${(1 - bar).toFixed(3)}H${i + 1}`;
  return `${path}V1Z`;
}
