import { useNavigate, useSearchParams } from '@solidjs/router';
import { createSignal, onMount, Show, type JSX } from 'solid-js';
import { PlayerError } from '../client.ts';
import { signIn } from './auth.ts';
import { useTitle } from './title.ts';

export function SignIn(): JSX.Element {
  let field!: HTMLInputElement;
  useTitle(() => 'Sign in');
  onMount(() => field.focus());
  const navigate = useNavigate();
  const [search] = useSearchParams<{ next?: string }>();
  const [candidate, setCandidate] = createSignal('');
  const [busy, setBusy] = createSignal(false);
  const [problem, setProblem] = createSignal<string>();
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (!candidate().trim()) {
      setProblem('Enter the key first.');
      return field.focus();
    }
    setBusy(true);
    setProblem(undefined);
    try {
      await signIn(candidate().trim());
      // Only a path of ours: an address that somebody sent must not lead away.
      const next = search.next ?? '/';
      navigate(/^\/(?![/\\])/.test(next) ? next : '/', { replace: true });
    } catch (error) {
      const unknown = error instanceof PlayerError && error.code === 'unauthorized';
      field.focus();
      setProblem(unknown ? 'Nobody has this key. Check that it was copied whole.' : (error as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="sign-in" novalidate on:submit={(event) => void submit(event)}>
      <h1>Sign in</h1>
      <p class="quiet">
        With an API key of your project. It stays in this tab until you sign out or close it.
      </p>
      <label for="key">API key</label>
      <input
        ref={field}
        id="key"
        class="field"
        type="password"
        autocomplete="off"
        spellcheck={false}
        placeholder="ak_…"
        aria-invalid={problem() ? 'true' : undefined}
        aria-describedby={problem() ? 'key-problem' : undefined}
        value={candidate()}
        on:input={(event) => setCandidate(event.currentTarget.value)}
      />
      <Show when={problem()}>
        <p id="key-problem" class="form-problem" role="alert">
          {problem()}
        </p>
      </Show>
      <button type="submit" class="button primary" disabled={busy()}>
        {busy() ? 'Signing in' : 'Sign in'}
      </button>
      <p class="quiet">
        No key? <code>make start</code> prints a sign-in link that holds one.
      </p>
    </form>
  );
}
