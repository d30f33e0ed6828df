/** What the tests of other folders need of the recorder's: real recordings of many kinds. */
export { Gallery } from './gallery/test-gallery.ts';
export { PAGES } from './gallery/test-pages.ts';
export { buildFuzz, recordFuzz, stockRecorder } from './test-fuzz.ts';
