/** What the recorder's richer custom events hold, and what the signals mean. Part of the protocol; pure. */

/** An uncaught error. Told at its 1st, 2nd, 4th, 8th … time; `count` says how often it came so far. */
export interface ErrorPayload extends RejectionPayload {
  source: string;
  line: number;
  column: number;
}
export interface RejectionPayload {
  message: string;
  /** At most 2 KB; '' when there is none. */
  stack: string;
  count: number;
}

/** Milliseconds, for CLS a score. Told again when the value grows: the last one of an `id` counts. */
export interface VitalPayload {
  name: 'LCP' | 'INP' | 'CLS' | 'FCP' | 'TTFB';
  value: number;
  rating: 'good' | 'needs-improvement' | 'poor';
  id: string;
}

/** A request of the page, when its answer begins (fetch), ends (xhr), or when it is handed over (beacon). */
export interface NetworkPayload {
  kind: 'fetch' | 'xhr' | 'beacon';
  /** '' when it began before it could be watched. */
  method: string;
  /** Without query values. */
  url: string;
  /** 0: no answer, or none that a script may see. */
  status: number;
  ms: number;
  /** Of the answer, or of what a beacon carries; absent when not known. */
  bytes?: number;
  /** With `network: 'bodies'`: JSON or text up to 8 KB, masked. */
  request?: string;
  response?: string;
}

/** Never what was entered, nor how much. */
export interface FormPayload {
  /** `blank`: left without a value. `submitted` is of the form itself, with the text of the button. */
  kind: 'entered' | 'changed' | 'blank' | 'invalid' | 'submitted';
  id: number;
  selector: string;
  tag: string;
  role: string;
  text: string;
  /** Selector of the form around the field. */
  form: string;
  /** Since the field was entered; of `submitted` since the form's first field was. */
  ms: number;
}

/**
 * Whether, why and how much is recorded: `status()` answers with the same. Told at the start, when it
 * changed (at most once a minute), and with the farewell. Each part of the recorder adds its fields.
 */
export interface RecorderHealth {
  recorder: string;
  /** `waiting`: nothing is read, kept or sent. `holding`: recorded and kept back, see the option `mode`. */
  state: 'waiting' | 'connecting' | 'recording' | 'offline' | 'holding' | 'stopped';
  /** Why nothing is sent, now or any more: a code, as `consent_required`, `not_sampled`, `unknown_key`, `stopped`. */
  reason: string | undefined;
  /** `post`: where no socket can be had. */
  transport: 'socket' | 'post';
  /** A code, and what it is about after a colon. */
  lastError: string | undefined;
  /** Those that differ from the defaults; absent before all parts are there. */
  options?: Record<string, unknown>;
  eventsRecorded: number;
  eventsAcked: number;
  /** Lost where the buffer was full or a batch too large. */
  eventsDropped: number;
  framesUnacked: number;
  bytesBuffered: number;
  bytesSent: number;
  /** Connections after the first. */
  reconnects: number;
  /** Errors of ours, which the page never saw. */
  failures: number;
  /** Uncaught errors of the page, also those that were not told. */
  pageErrors: number;
  /** Longest script of ours in a frame of over 50 ms, where the browser says so. */
  worstTaskMs?: number;
  /** Requests and console lines beyond the bounds of a page load, not told. */
  requestsSkipped?: number;
  linesSkipped?: number;
}

/** Defaults of the options `rageClicks`, `rageGapMs` and `deadMs`. */
export const RAGE_CLICKS_MIN = 3;
export const RAGE_GAP_MS = 300;
export const DEAD_MS = 1234;
/** What SQL's signals mean, by event or view. */
export const SIGNAL_DEFINITIONS = {
  rage: `the ${RAGE_CLICKS_MIN}rd click on one target and each further one, each at most ${RAGE_GAP_MS} ms after the one before (options \`rageClicks\`, \`rageGapMs\`)`,
  dead: `a click on what looks clickable (button, link, summary, checkbox, a role of the kind, \`onclick\`, \`cursor: pointer\`) of which nothing came within ${DEAD_MS} ms (option \`deadMs\`; 0: not looked for): no change of the DOM or of styles, no navigation, scroll, change of focus or of a field, selection, submission, request, dialog, download, new tab, playback or clipboard. What changes or is requested by itself, twice or more while nobody pressed anything, does not count. A click on a disabled control is never dead`,
  disabled:
    'a click on a control that is disabled: by itself, its fieldset, `aria-disabled` around it, or for a label by its control',
  error_click:
    'a click after which, and before the next one, the page had an uncaught error or rejection within 1,000 ms',
} as const;
