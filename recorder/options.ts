import { DEAD_MS, RAGE_CLICKS_MIN, RAGE_GAP_MS } from './protocol.ts';

/** What a page may set. On the loader's tag each is a `data-` attribute in kebab case: `data-consent="required"`. */
export interface RecordOptions {
  /** Base address of the collector, `https://…`, without a slash at its end. */
  url: string;
  /** Write key, `wk_…`. */
  key: string;
  /** `required`: not a byte is read before `grant()`. */
  consent?: 'granted' | 'required';
  /** Global Privacy Control and Do Not Track count as a refusal, which `grant()` does not lift. */
  honorGpc?: boolean;
  /** `strict`: the page's own texts are masked, too, with names in attributes and parts of addresses. */
  privacy?: 'default' | 'strict';
  /** Selectors that mean what the attributes and classes of the same name mean (`data-rr-mask`, `rr-mask`). The nearest of mask and unmask counts; block holds for all inside. */
  mask?: string;
  block?: string;
  ignore?: string;
  /** Of texts and fields that may be recorded as they are; never of secrets. */
  unmask?: string;
  /** Names of query parameters whose values are kept, separated by commas; `utm_*` stands for all that begin so. */
  keepParams?: string;
  /** Share of sessions that are recorded, 0 to 1. Drawn once a session. */
  sampleRate?: number;
  /** `on-error`: the last 60 s are held back, and sent only after an error or `flush()`. */
  mode?: 'full' | 'on-error';
  /** A random first-party id that tells that two sessions are of one visitor. Kept in localStorage, never without consent. */
  visitorId?: boolean;
  /** Rage: so many clicks on one target, each at most so long after the one before. */
  rageClicks?: number;
  rageGapMs?: number;
  /** Dead: nothing came of a click on what looks clickable, within this. 0: not looked for. */
  deadMs?: number;
  /** Web vitals: LCP, INP, CLS, FCP, TTFB. */
  vitals?: boolean;
  /** Requests: method, address without values, status, duration; `bodies` adds their texts, masked. */
  network?: 'off' | 'requests' | 'bodies';
  /** The page's console, masked. */
  console?: boolean;
  /** Pictures of canvases a second, at most 10; 0: none. */
  canvasFps?: number;
  /** Fonts that scripts make once the recorder runs. */
  fonts?: boolean;
  /**
   * Origins of frames in this page, and of pages around it, that record together as one session; separated by commas.
   * Each must run the recorder with the same key, and list the other.
   */
  crossOriginFrames?: string;
  /** Style sheets, images and fonts that a replay could not fetch later, by content hash. In secure contexts, and with `mode: 'full'`. */
  assets?: boolean;
  /** A page with more nodes is not recorded, but a note that it was. */
  nodesMax?: number;
}
export type RecorderOptions = Required<RecordOptions>;

export const DEFAULTS: Omit<RecorderOptions, 'url' | 'key'> = {
  consent: 'granted',
  honorGpc: false,
  visitorId: false,
  console: false,
  fonts: false,
  assets: false,
  vitals: true,
  privacy: 'default',
  mask: '',
  block: '',
  ignore: '',
  unmask: '',
  keepParams: '',
  crossOriginFrames: '',
  mode: 'full',
  network: 'requests',
  canvasFps: 0,
  sampleRate: 1,
  rageClicks: RAGE_CLICKS_MIN,
  rageGapMs: RAGE_GAP_MS,
  deadMs: DEAD_MS,
  nodesMax: 200_000,
};

export const withDefaults = (options: RecordOptions): RecorderOptions => ({ ...DEFAULTS, ...options });

/** Options from the attributes of the loader's tag, each of the kind that its default has. Pure. */
export function optionsOf(dataset: Record<string, string | undefined>): Partial<RecordOptions> {
  const options: Record<string, unknown> = {};
  for (const [name, byDefault] of Object.entries(DEFAULTS)) {
    const text = dataset[name];
    if (text === undefined) continue;
    options[name] =
      typeof byDefault === 'number'
        ? Number(text)
        : typeof byDefault === 'boolean'
          ? text !== 'false' && text !== '0'
          : text;
  }
  return options;
}
