import type { JSX } from 'solid-js';
import type { MarkerType } from '#api';

/** Drawn on 16 × 16, one stroke weight; the colour is the text's. */
const icon =
  (draw: () => JSX.Element) =>
  (props: { size?: number }): JSX.Element => (
    <svg
      width={props.size ?? 16}
      height={props.size ?? 16}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      stroke-width="1.5"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {draw()}
    </svg>
  );

export const PlayIcon = icon(() => <path d="M4.5 2.8v10.4L13 8z" fill="currentColor" />);
export const PauseIcon = icon(() => <path d="M5 3v10M11 3v10" stroke-width="3" stroke-linecap="butt" />);
export const AgainIcon = icon(() => <path d="M3 8a5 5 0 1 0 1.6-3.7M3 2.5V5h2.5" />);
export const StepBackIcon = icon(() => <path d="M11 3.5 5.5 8l5.5 4.5zM3.5 3.5v9" />);
export const StepOnIcon = icon(() => <path d="M5 3.5 10.5 8 5 12.5zM12.5 3.5v9" />);
export const SkipIcon = icon(() => <path d="M2 4l4.5 4L2 12zM8 4l4.5 4L8 12zM14.2 4v8" />);
export const LinkIcon = icon(() => (
  <path d="M6.5 9.5l3-3M7 4.5l1.4-1.4a3 3 0 0 1 4.3 4.3L11.2 8.8M9 11.5l-1.4 1.4a3 3 0 0 1-4.3-4.3L4.8 7.2" />
));
export const FullScreenIcon = icon(() => <path d="M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10" />);
export const ListIcon = icon(() => <path d="M5.5 4h8M5.5 8h8M5.5 12h8M2.5 4h.01M2.5 8h.01M2.5 12h.01" />);
export const FitIcon = icon(() => (
  <path d="M2.5 3.5h11v9h-11zM5 8h6M5 8l1.5-1.5M5 8l1.5 1.5M11 8 9.5 6.5M11 8 9.5 9.5" />
));
export const HelpIcon = icon(() => (
  <path d="M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM6.3 6.4a1.8 1.8 0 1 1 2.6 1.7c-.6.3-.9.6-.9 1.3M8 11.4h.01" />
));
export const CheckIcon = icon(() => <path d="M3 8.5l3.2 3L13 4.5" />);
export const CloseIcon = icon(() => <path d="M4 4l8 8M12 4l-8 8" />);
export const SearchIcon = icon(() => (
  <path d="M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.3 10.3 13.5 13.5" />
));
export const BackIcon = icon(() => <path d="M9.5 3.5 5 8l4.5 4.5" />);
export const TrashIcon = icon(() => (
  <path d="M2.5 4.5h11M6 4.5V2.5h4v2M4 4.5l.6 9h6.8l.6-9M6.8 7v4M9.2 7v4" />
));
export const CopyIcon = icon(() => <path d="M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3" />);
export const SunIcon = icon(() => (
  <path d="M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7" />
));
export const MoonIcon = icon(() => <path d="M13 9.5A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5z" />);
export const AutoIcon = icon(() => (
  <>
    <path d="M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12z" />
    <path d="M8 2v12a6 6 0 0 0 0-12z" fill="currentColor" stroke="none" />
  </>
));
export const WarningIcon = icon(() => <path d="M8 2 1.5 13.5h13zM8 6.5v3M8 11.5h.01" />);
export const DownloadIcon = icon(() => <path d="M8 2.5v8M4.8 7.5 8 10.6l3.2-3.1M2.5 13.5h11" />);
export const StopIcon = icon(() => <path d="M4 4h8v8H4z" fill="currentColor" />);

/** Shape says what colour says. */
const SHAPES: Record<MarkerType, (props: { size?: number }) => JSX.Element> = {
  navigation: icon(() => <path d="M2.5 8h10M8.5 4l4 4-4 4" stroke-width="2" />),
  click: icon(() => <circle cx="8" cy="8" r="3.5" fill="currentColor" />),
  disabled: icon(() => (
    <>
      <circle cx="8" cy="8" r="5.5" stroke-width="2" />
      <path d="M4.2 11.8l7.6-7.6" stroke-width="2" />
    </>
  )),
  rage: icon(() => <path d="M9.5 1.5 3.5 9H8l-1.5 5.5 6-8H8z" fill="currentColor" />),
  error: icon(() => <path d="M4 4l8 8M12 4l-8 8" stroke-width="2.5" />),
  input: icon(() => <path d="M5.5 2.5h5M5.5 13.5h5M8 2.5v11" stroke-width="2" />),
  dead: icon(() => (
    <>
      <circle cx="8" cy="8" r="5.5" stroke-width="2" stroke-dasharray="2.6 2" />
      <circle cx="8" cy="8" r="1.6" fill="currentColor" stroke="none" />
    </>
  )),
  network: icon(() => (
    <path d="M5 2.5v9M2.5 9 5 11.5 7.5 9M11 13.5v-9M8.5 7 11 4.5 13.5 7" stroke-width="1.8" />
  )),
  form: icon(() => <path d="M2.5 4.5h11v7h-11zM5 7v2" stroke-width="1.8" />),
  console: icon(() => <path d="M3 4.5 6.5 8 3 11.5M8.5 12h5" stroke-width="2" />),
  vital: icon(() => <path d="M1.5 8.5h3l2-5 3 9 2-4h3" stroke-width="1.8" />),
  track: icon(() => <path d="M8 2.5 13.5 8 8 13.5 2.5 8z" fill="currentColor" />),
};
export function MarkerIcon(props: { type: MarkerType; size?: number }): JSX.Element {
  return <span class={`marker-icon is-${props.type}`}>{SHAPES[props.type]({ size: props.size })}</span>;
}
