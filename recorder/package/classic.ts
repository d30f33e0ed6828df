import { optionsOf, record, type Recorder, type RecordOptions } from '../core.ts';

/**
 * The whole recorder as one classic script, for pages that cannot use modules or the loader:
 * `<script src="mutoscope.js" data-url="https://collector.example" data-key="wk_…"></script>` begins at once;
 * without `data-key` the page calls `mutoscope.record(options)` when it likes.
 */
type Call = [method: string, ...args: unknown[]];
type Api = Partial<Recorder> & { q?: Call[]; record?(options: RecordOptions): Recorder };

const script = document.currentScript as HTMLScriptElement | null;
const page = window as unknown as { mutoscope?: Api };
const api = (page.mutoscope ??= {});
const methods = api as Record<string, (...args: unknown[]) => unknown>;
const queue = (api.q ??= []);
const run = ([method, ...args]: Call): unknown => methods[method]?.(...args);

// A second copy of this script, or the loader before it, has the page already.
if (!api.record && !api.status) {
  let recorder: Recorder | undefined;
  for (const method of ['track', 'identify', 'grant', 'revoke', 'stop'])
    methods[method] = (...args) => void queue.push([method, ...args]);
  api.flush = async () => {};
  api.record = (options) => {
    if (recorder) return recorder;
    recorder = record(options);
    Object.assign(api, recorder);
    queue.splice(0).forEach(run);
    queue.push = (...calls) => (calls.forEach(run), 0);
    return recorder;
  };
  const { key, url } = script?.dataset ?? {};
  if (key && url) api.record({ ...optionsOf(script!.dataset), url: url.replace(/\/$/, ''), key });
  else if (key) console.warn('mutoscope: the script has no data-url');
}
