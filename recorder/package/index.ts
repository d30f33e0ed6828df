/** What `import … from '@mutoscope/recorder'` gives. Importing does nothing, also on a server; `record` needs a browser. */
export { record, type Recorder, type RecorderStatus, type RecordOptions } from '../core.ts';
