import { record } from '@rrweb/record';
import type { RecordedEvent } from './batcher.ts';
import { fieldValue, isIgnored, isScrollMasked } from './masking.ts';
import { EventType, IncrementalSource } from './protocol.ts';
import type { RecordedTree } from './recorded-tree.ts';
import { scrubCss, scrubUrl } from './scrub.ts';
import { observeStates } from './states.ts';

/** What the rest of the recorder needs of rrweb. */
export interface Capture {
  /** -1: the node is not part of the recording. */
  idOf(node: Node): number;
  takeFullSnapshot(): void;
  /** Resolves once all that is on the page has been told. */
  told(): Promise<void>;
  /** Tells at once, for at most so long, what of the page is not told yet; the page may be gone afterwards. */
  finish(ms: number): void;
  stop(): void;
}
export interface CaptureLimits {
  nodesMax: number;
  onTruncated(cut: { nodes: number; nodesMax: number }): void;
}

/** The first snapshot waits for the page to be idle, but not longer. */
const IDLE_TIMEOUT_MS = 1000;
const TOLD_POLL_MS = 10;
/** See `rrweb-transforms.ts`. */
const { tree } = record as unknown as { tree: RecordedTree };

interface InputData {
  source: typeof IncrementalSource.input;
  id: number;
  text: string;
  isChecked: boolean;
}
interface SelectionData {
  source: typeof IncrementalSource.selection;
  ranges: { start: number; end: number }[];
}

const CSS_SOURCES: number[] = [
  IncrementalSource.styleSheetRule,
  IncrementalSource.styleDeclaration,
  IncrementalSource.adoptedStyleSheet,
];

/** Every text in the data of a change to styles. A value of a custom property stands there beside its name. */
function scrubStrings<T>(data: T): T {
  return JSON.parse(
    JSON.stringify(data, function (this: { property?: string }, key, value: unknown) {
      if (typeof value !== 'string') return value;
      const name = this.property ?? key;
      return name.startsWith('--') && key !== 'property'
        ? scrubCss(`${name}:${value}`, true).slice(name.length + 1)
        : scrubCss(value);
    }),
  ) as T;
}

/** Starts rrweb, once the document is parsed and the page idle. Masks are applied in rrweb (see `rrweb-transforms.ts`) and here. */
export function startCapture(
  emit: (event: RecordedEvent) => void,
  onError: (error: unknown) => void,
  limits: CaptureLimits,
): Capture {
  let isRecording = true;
  let stop: (() => void) | undefined;
  const idOf = (node: Node): number => record.mirror.getId(node as never);
  const stopStates = observeStates(idOf, (attributes) => {
    const data = { source: IncrementalSource.mutation, adds: [], removes: [], texts: [], attributes };
    if (isRecording) emit({ type: EventType.incrementalSnapshot, data, timestamp: Date.now() });
  });
  const lastInput = new WeakMap<Node, string>();

  /** A masked value is the same after each key: only the first change is told, so that the number of keys is not. */
  const maskInput = (data: InputData): InputData | undefined => {
    const node = record.mirror.getNode(data.id);
    if (!node || isIgnored(node)) return undefined;
    const text = fieldValue(data.text, node as Element);
    const state = `${data.isChecked} ${text}`;
    if (lastInput.get(node) === state) return undefined;
    lastInput.set(node, state);
    return { ...data, text };
  };
  const isMaskedId = (id: number): boolean => {
    const node = record.mirror.getNode(id);
    return !node || isScrollMasked(node as Node);
  };
  const filter = (event: RecordedEvent): RecordedEvent | undefined => {
    if (event.type === EventType.meta) {
      const data = event.data as { href: string };
      return { ...event, data: { ...data, href: scrubUrl(data.href) } };
    }
    if (event.type !== EventType.incrementalSnapshot) return event;
    const data = event.data as InputData | SelectionData | { source: number; id: number };
    if (data.source === IncrementalSource.input) {
      const masked = maskInput(data as InputData);
      return masked && { ...event, data: masked };
    }
    if (data.source === IncrementalSource.scroll)
      return isMaskedId((data as { id: number }).id) ? undefined : event;
    if (CSS_SOURCES.includes(data.source)) return { ...event, data: scrubStrings(data) };
    // Offsets into a masked text tell its length.
    if (data.source === IncrementalSource.selection)
      return (data as SelectionData).ranges.some(({ start, end }) => isMaskedId(start) || isMaskedId(end))
        ? undefined
        : event;
    return event;
  };

  const start = (): (() => void) | undefined =>
    record({
      emit: (event) => {
        try {
          const filtered = filter(event as RecordedEvent);
          if (isRecording && filtered) emit(filtered);
        } catch (error) {
          onError(error);
        }
      },
      maskInputFn: (text, element) => fieldValue(text, element),
      // What fails inside rrweb is ours to bear, not the page's.
      errorHandler: (error) => {
        onError(error);
        return true;
      },
    });
  /** A page too large to be recorded is told of instead. */
  const takeSnapshot = (): void => {
    const nodes = countNodes();
    if (nodes > limits.nodesMax) limits.onTruncated({ nodes, nodesMax: limits.nodesMax });
    else if (stop) record.takeFullSnapshot();
    else if (!(stop = start())) onError('rrweb did not start');
  };
  let isWaiting = true;
  const whenIdle = (run: () => void): void =>
    typeof requestIdleCallback === 'function'
      ? void requestIdleCallback(run, { timeout: IDLE_TIMEOUT_MS })
      : void setTimeout(run, 50);
  const begin = (): void =>
    whenIdle(() => {
      isWaiting = false;
      try {
        if (isRecording) takeSnapshot();
      } catch (error) {
        onError(error);
      }
    });
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', begin, { once: true });
  else begin();

  return {
    idOf,
    takeFullSnapshot: () => {
      // The first snapshot is still to come.
      if (isRecording && !isWaiting) takeSnapshot();
    },
    told: async () => {
      while (isRecording && (isWaiting || tree.isPending()))
        await new Promise((resolve) => setTimeout(resolve, TOLD_POLL_MS));
    },
    finish: (ms) => {
      const nodes = tree.finish(ms);
      if (nodes !== undefined) limits.onTruncated({ nodes: countNodes(), nodesMax: nodes });
    },
    stop: () => {
      isRecording = false;
      stopStates();
      stop?.();
    },
  };
}

/** Elements and texts of the document, its frames and shadow roots not counted. */
function countNodes(): number {
  return document.evaluate('count(//node())', document, null, XPathResult.NUMBER_TYPE).numberValue;
}
