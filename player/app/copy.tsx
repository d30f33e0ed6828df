import { createSignal, Show, type JSX } from 'solid-js';
import { CheckIcon, CopyIcon } from '../icons.tsx';

export function CopyButton(props: { text: string; label: string }): JSX.Element {
  const [copied, setCopied] = createSignal(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard?.writeText(props.text).then(
      () => setCopied(true),
      () => {},
    );
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <button
      type="button"
      class="button"
      aria-label={props.label}
      title={props.label}
      on:click={() => void copy()}
    >
      <Show when={copied()} fallback={<CopyIcon size={14} />}>
        <CheckIcon size={14} />
      </Show>
      <span class="wide-only" role="status">
        {copied() ? 'Copied' : props.label}
      </span>
    </button>
  );
}

/** A line to paste, and the button that copies it. */
export function Snippet(props: { text: string; label: string }): JSX.Element {
  return (
    <div class="snippet">
      <pre tabindex="0" aria-label={props.label}>
        {props.text}
      </pre>
      <CopyButton text={props.text} label="Copy" />
    </div>
  );
}
