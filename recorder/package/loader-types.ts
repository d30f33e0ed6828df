import type { Recorder } from '../core.ts';

/** Types of what `loader.js` and `mutoscope.js` put on the page: `import type {} from '@mutoscope/recorder/loader'`. */
declare global {
  interface Window {
    mutoscope: Recorder;
  }
}
export type { Recorder, RecorderStatus, RecordOptions } from '../core.ts';
