import { For, type JSX } from 'solid-js';

const HEIGHT = 18;
const STEP = 6;

/** Events per tenth of a session. Decoration for the eye: the row says the rest in words. */
export function Sparkline(props: { values: readonly number[] }): JSX.Element {
  const most = (): number => Math.max(1, ...props.values);
  const height = (value: number): number => (value ? 2 + Math.sqrt(value / most()) * (HEIGHT - 2) : 1);
  return (
    <svg
      class="sparkline"
      width={props.values.length * STEP}
      height={HEIGHT}
      viewBox={`0 0 ${props.values.length * STEP} ${HEIGHT}`}
      aria-hidden="true"
    >
      <For each={props.values}>
        {(value, i) => (
          <rect x={i() * STEP} y={HEIGHT - height(value)} width={STEP - 1} height={height(value)} />
        )}
      </For>
    </svg>
  );
}
