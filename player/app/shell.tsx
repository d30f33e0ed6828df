import { A, useLocation, useNavigate, type RouteSectionProps } from '@solidjs/router';
import { createEffect, Show, Suspense, type JSX } from 'solid-js';
import { AutoIcon, MoonIcon, SunIcon } from '../icons.tsx';
import { identify, key, me, signOut } from './auth.ts';
import { nextTheme, theme } from './theme.ts';

/** The top bar around every page. Without a key there is only the sign-in page. */
export function Shell(props: RouteSectionProps): JSX.Element {
  const location = useLocation();
  const navigate = useNavigate();
  const signedOutPage = (): boolean => location.pathname === '/sign-in';
  createEffect(() => {
    if (key()) void identify();
    else if (!signedOutPage())
      navigate(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`, { replace: true });
  });
  const inSessions = (): boolean => location.pathname === '/' || location.pathname.startsWith('/sessions');
  return (
    <div class="shell">
      <a class="skip-link" href="#main" rel="external">
        Skip to content
      </a>
      <header class="top">
        <A href="/" class="brand" aria-label="Mutoscope, sessions">
          <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
            <circle cx="10" cy="10" r="8" fill="none" stroke="currentColor" stroke-width="2" />
            <path
              d="M10 6v8M6.5 7.5v5M13.5 7.5v5"
              stroke="currentColor"
              stroke-width="2"
              stroke-linecap="round"
            />
          </svg>
          <span>Mutoscope</span>
        </A>
        <Show when={key()}>
          <nav aria-label="Main">
            <A href="/" aria-current={inSessions() ? 'page' : undefined} class="tab">
              Sessions
            </A>
            <A href="/sql" aria-current={location.pathname === '/sql' ? 'page' : undefined} class="tab">
              SQL
            </A>
          </nav>
        </Show>
        <span class="spring" />
        <Show when={me()}>
          {(mine) => (
            <span class="project">
              <span class="quiet">Project</span> <b>{mine().project}</b>
              <span class="quiet kept">kept {mine().retentionDays} days</span>
            </span>
          )}
        </Show>
        <button
          type="button"
          class="button ghost icon"
          aria-label={`Theme: ${theme()}. Change`}
          title={`Theme: ${theme()}`}
          on:click={nextTheme}
        >
          <Show when={theme() === 'auto'} fallback={theme() === 'light' ? <SunIcon /> : <MoonIcon />}>
            <AutoIcon />
          </Show>
        </button>
        <Show when={key()}>
          <button type="button" class="button ghost" on:click={signOut}>
            Sign out
          </button>
        </Show>
      </header>
      <main id="main" tabindex="-1">
        <Show when={key() || signedOutPage()}>
          <Suspense fallback={<p class="page-wait quiet">Loading</p>}>{props.children}</Suspense>
        </Show>
      </main>
    </div>
  );
}
