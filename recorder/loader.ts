/**
 * The classic script that a page includes: `<script async src="ORIGIN/r/loader.js" data-key="wk_…"></script>`.
 * A copy that is served elsewhere is told the collector's address by `data-url`. It waits until the browser is idle, then
 * loads and starts the core that stands beside it, if that is the very file that was built with it. What the page calls
 * on `window.mutoscope` before that is queued; a page may also make that queue itself, before this script is there:
 * `(window.mutoscope ??= { q: [], track(...a) { this.q.push(['track', ...a]) } }).track('name', {})`.
 *
 * Nothing is imported or exported here, for the file is no module.
 */
{
  type Call = [method: string, ...args: unknown[]];
  type Api = Record<string, (...args: unknown[]) => unknown> & { q?: Call[] };
  const IDLE_TIMEOUT_MS = 2000;
  const page = window as unknown as { mutoscope?: Api };
  const script = document.currentScript as HTMLScriptElement | null;
  const key = script?.dataset.key;
  const api = (page.mutoscope ??= {} as Api);
  const queue = (api.q ??= []);
  let settle!: () => void;
  const settled = new Promise<void>((resolve) => (settle = resolve));
  const run = ([method, ...args]: Call): unknown => api[method]?.(...args);

  /**
   * Fills the page's map of modules with a file whose hash is right: what is imported next is that file. A link, for
   * its address needs no Trusted Type, as that of a script would. A browser that knows no such link checks nothing.
   */
  const check = (href: string): Promise<unknown> =>
    new Promise<unknown>((resolve, reject) => {
      const link = document.createElement('link');
      const isKnown = link.relList.supports((link.rel = 'modulepreload'));
      if (!isKnown) return resolve(0);
      // The build puts the core's hash here, and below its file name and the way to the collector.
      link.integrity = '__INTEGRITY__';
      link.crossOrigin = '';
      link.href = href;
      link.onload = resolve;
      link.onerror = () => reject(`${href} is not there, not allowed, or not what it was`);
      document.head.append(link);
      void settled.then(() => link.remove());
    });

  const start = async (): Promise<void> => {
    const core = new URL('__CORE__', script!.src).href;
    await check(core);
    const { record, optionsOf } = (await import(/* @vite-ignore */ core)) as typeof import('./core.ts');
    // A page that wants no recording gets none, not even a beginning.
    if (queue.some(([method]) => method === 'stop')) return off();
    const { url = new URL('__BASE__', script!.src).href } = script!.dataset;
    const options = optionsOf(script!.dataset);
    // What was revoked before it began shall not begin.
    if (queue.some(([method]) => method === 'revoke')) options.consent = 'required';
    Object.assign(api, record({ ...options, url: url.replace(/\/$/, ''), key: key! }));
    queue.splice(0).forEach(run);
    queue.push = (...calls) => (calls.forEach(run), 0);
  };
  const off = (lastError?: string): void => {
    for (const method in api) if (method !== 'q') api[method] = async () => {};
    api.status = () => ({ state: 'stopped', lastError });
  };
  const fail = (error: unknown): void => {
    console.warn('mutoscope: not recording', error);
    off(`not_loaded: ${String(error)}`);
    settle();
  };
  const begin = (): void => void start().then(settle, fail);

  // A second copy of this script on the page does nothing.
  if (!api.status) {
    for (const method of ['track', 'identify', 'grant', 'revoke', 'stop'])
      api[method] = (...args) => void queue.push([method, ...args]);
    api.flush = () => settled.then(() => api.flush!());
    api.status = () => ({ state: 'connecting' });
    if (!key) fail('the script has no data-key');
    else if ('requestIdleCallback' in window) requestIdleCallback(begin, { timeout: IDLE_TIMEOUT_MS });
    else setTimeout(begin, 200);
  }
}
