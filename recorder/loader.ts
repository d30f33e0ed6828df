/**
 * The classic script that a page includes: `<script async src="ORIGIN/r/loader.js" data-key="wk_…"></script>`.
 * It waits until the browser is idle, then loads and starts the core that stands beside it. What the page calls on
 * `window.mutoscope` before that is queued; a page may also make that queue itself, before this script is there:
 * `(window.mutoscope ??= { q: [], track(...a) { this.q.push(a) } }).track('name', {})`.
 *
 * Nothing is imported or exported here, for the file is no module.
 */
{
  type Api = Partial<import('./core.ts').Recorder> & {
    q?: [name: string, props?: Record<string, unknown>][];
  };
  const IDLE_TIMEOUT_MS = 2000;
  const page = window as unknown as { mutoscope?: Api };
  const script = document.currentScript as HTMLScriptElement | null;
  const key = script?.dataset.key;
  const api: Api = (page.mutoscope ??= {});
  const queue = (api.q ??= []);

  const start = async (): Promise<void> => {
    // The build puts the core's file name here.
    const core = new URL('__CORE__', script!.src).href;
    const { record, optionsOf } = (await import(/* @vite-ignore */ core)) as typeof import('./core.ts');
    const url = new URL('..', script!.src).href.replace(/\/$/, '');
    Object.assign(api, record({ ...optionsOf(script!.dataset), url, key: key! }));
    for (const call of queue.splice(0)) api.track!(...call);
  };
  const begin = (): void =>
    void start().catch((error: unknown) => console.warn('mutoscope: not recording', error));

  if (!key) console.warn('mutoscope: the script has no data-key');
  else if (!api.status) {
    api.track = (...call) => void queue.push(call);
    // A second copy of this script on the page does nothing.
    api.status = () => ({ state: 'connecting' }) as import('./core.ts').RecorderStatus;
    if ('requestIdleCallback' in window) requestIdleCallback(begin, { timeout: IDLE_TIMEOUT_MS });
    else setTimeout(begin, 200);
  }
}
