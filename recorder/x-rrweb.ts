import { record } from '@rrweb/record';
import type { RecordedEvent } from './batcher.ts';
import { fieldValue, isIgnored, isScrollMasked, maskText } from './masking.ts';
import { EventType, IncrementalSource } from './protocol.ts';
import { scrubUrl } from './scrub.ts';

/** What the rest of the recorder needs of rrweb. */
export interface Capture {
  /** -1: the node is not part of the recording. */
  idOf(node: Node): number;
  takeFullSnapshot(): void;
  stop(): void;
}

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

/** Starts rrweb, once the document is parsed. Masks are applied in rrweb (see `rrweb-transforms.ts`) and here. */
export function startCapture(
  emit: (event: RecordedEvent) => void,
  onError: (error: unknown) => void,
): Capture {
  let isRecording = true;
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
    // Offsets into a masked text tell its length.
    if (data.source === IncrementalSource.selection)
      return (data as SelectionData).ranges.some(({ start, end }) => isMaskedId(start) || isMaskedId(end))
        ? undefined
        : event;
    return event;
  };

  const stop = record({
    emit: (event) => {
      try {
        const filtered = filter(event as RecordedEvent);
        if (isRecording && filtered) emit(filtered);
      } catch (error) {
        onError(error);
      }
    },
    recordAfter: 'DOMContentLoaded',
    slimDOMOptions: 'all',
    maskInputOptions: { input: true, textarea: true, select: true } as object,
    maskInputFn: (text, element) => fieldValue(text, element),
    maskTextFn: maskText,
    // What fails inside rrweb is ours to bear, not the page's.
    errorHandler: (error) => {
      onError(error);
      return true;
    },
  });
  if (!stop) throw new Error('rrweb did not start');

  return {
    idOf: (node) => record.mirror.getId(node as never),
    takeFullSnapshot: () => {
      // Before the document is parsed there is nothing to take, and the first snapshot is still to come.
      if (isRecording && document.readyState !== 'loading') record.takeFullSnapshot(true);
    },
    stop: () => {
      isRecording = false;
      stop();
    },
  };
}
