import { Route, Router } from '@solidjs/router';
import { lazy } from 'solid-js';
import { render } from 'solid-js/web';
import '../tokens.css';
import './app.css';
import { NotFound } from './not-found.tsx';
import { SessionList } from './session-list.tsx';
import { Shell } from './shell.tsx';
import { SignIn } from './sign-in.tsx';

// CodeMirror and the replayer come only where they are used.
const SessionPage = lazy(() => import('./session-page.tsx'));
const SqlPage = lazy(() => import('./sql-page.tsx'));

render(
  () => (
    <Router root={Shell}>
      <Route path={['/', '/sessions']} component={SessionList} />
      <Route path="/sessions/:id" component={SessionPage} />
      <Route path="/sql" component={SqlPage} />
      <Route path="/sign-in" component={SignIn} />
      <Route path="*" component={NotFound} />
    </Router>
  ),
  document.getElementById('app')!,
);
