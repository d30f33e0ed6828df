import { createSignal, For, onCleanup, onMount, Show, type JSX } from 'solid-js';
import type { StageClick } from './engine.ts';

export interface DrawnClick extends StageClick {
  id: number;
  /** Of the disabled control, in the stage's CSS pixels. */
  bounds?: { x: number; y: number; width: number; height: number };
}

/** Scales up to this: beyond it text only gets blurred. */
const SCALE_MAX = 1.5;

/** The replayed page, fitted or in its own size, and what is drawn over it. */
export function Stage(props: {
  root: HTMLElement;
  size: { width: number; height: number } | undefined;
  fit: boolean;
  clicks: readonly DrawnClick[];
}): JSX.Element {
  let area!: HTMLDivElement;
  const [room, setRoom] = createSignal({ width: 0, height: 0 });
  onMount(() => {
    const observer = new ResizeObserver(() =>
      setRoom({ width: area.clientWidth, height: area.clientHeight }),
    );
    observer.observe(area);
    onCleanup(() => observer.disconnect());
  });
  const scale = (): number => {
    if (!props.size || !props.fit) return 1;
    return Math.min(room().width / props.size.width, room().height / props.size.height, SCALE_MAX) || 1;
  };
  return (
    <div
      class="stage-area"
      classList={{ natural: !props.fit }}
      ref={area}
      tabindex={props.fit ? undefined : 0}
      role={props.fit ? undefined : 'region'}
      aria-label={props.fit ? undefined : 'Recorded page in its own size'}
    >
      <div
        class="stage-box"
        part="stage"
        style={{
          width: `${(props.size?.width ?? 0) * scale()}px`,
          height: `${(props.size?.height ?? 0) * scale()}px`,
        }}
      >
        <div class="stage-scaled" style={{ transform: `scale(${scale()})`, '--stage-scale': `${scale()}` }}>
          {props.root}
          <div class="overlay" aria-hidden="true">
            <For each={props.clicks}>
              {(click) => (
                <>
                  <Show when={click.bounds}>
                    {(bounds) => (
                      <span
                        class="disabled-control"
                        style={{
                          left: `${bounds().x}px`,
                          top: `${bounds().y}px`,
                          width: `${bounds().width}px`,
                          height: `${bounds().height}px`,
                        }}
                      />
                    )}
                  </Show>
                  <span
                    class={`ripple ${click.payload.disabled ? 'is-disabled' : click.kind === 'rage' ? 'is-rage' : 'is-click'}`}
                    classList={{ still: click.still }}
                    style={{ left: `${click.payload.x}px`, top: `${click.payload.y}px` }}
                  >
                    <Show when={click.payload.disabled}>
                      <b>disabled</b>
                    </Show>
                  </span>
                </>
              )}
            </For>
          </div>
        </div>
      </div>
    </div>
  );
}
