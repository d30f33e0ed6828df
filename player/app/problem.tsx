import { Show, type JSX } from 'solid-js';
import { PlayerError } from '../client.ts';
import { WarningIcon } from '../icons.tsx';

/** An error in a page's place: what happened, its code, and what can be done. */
export function Problem(props: { error: unknown; onRetry?: () => void }): JSX.Element {
  const code = (): string => (props.error instanceof PlayerError ? props.error.code : 'internal');
  const title = (): string =>
    ({ unreachable: 'No answer from the server', unauthorized: 'Not signed in', forbidden: 'Not allowed' })[
      code() as string
    ] ?? 'That did not work';
  return (
    <div class="problem" role="alert">
      <WarningIcon size={20} />
      <div>
        <strong>{title()}</strong>
        <p>
          <code>{code()}</code> {(props.error as Error).message}
        </p>
      </div>
      <Show when={props.onRetry}>
        {(retry) => (
          <button type="button" class="button" on:click={() => retry()()}>
            Try again
          </button>
        )}
      </Show>
    </div>
  );
}
