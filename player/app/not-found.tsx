import { A, useLocation } from '@solidjs/router';
import type { JSX } from 'solid-js';
import { useTitle } from './title.ts';

export function NotFound(): JSX.Element {
  const location = useLocation();
  useTitle(() => 'Nothing here');
  return (
    <div class="narrow-page">
      <h1>Nothing here</h1>
      <p>
        There is no page at <code>{location.pathname}</code>.
      </p>
      <p>
        <A href="/" class="button">
          Show sessions
        </A>
      </p>
    </div>
  );
}
