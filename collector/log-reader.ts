import type { LogSegment, Selection } from './log-segment.ts';

/** What a reader takes at once; also the bound of what it holds in memory. */
const READ_BYTES_MAX = 1024 * 1024;
/** Up to this far apart, two messages are cheaper to read at once than one by one. */
const READ_GAP_BYTES_MAX = 16 * 1024;

/** Entries that one read fetches. */
export interface Span {
  segment: LogSegment;
  /** Of the entries wanted; what lies between them is read and skipped. */
  indices: number[];
}

/** What one reader of the log wants; it looks at each subject of a segment once. */
export class LogReader {
  readonly #matches: (subject: string) => boolean;
  readonly #selections = new WeakMap<LogSegment, Selection>();

  constructor(matches: (subject: string) => boolean) {
    this.#matches = matches;
  }

  /** The next entries with numbers in `[fromSeq, endSeq]`, as far as one read should fetch them. */
  findSpan(segments: readonly LogSegment[], fromSeq: number, endSeq: number): Span | undefined {
    for (const segment of segments) {
      if (segment.lastSeq < fromSeq) continue;
      const selection = segment.select(this.#matches, this.#selections.get(segment));
      this.#selections.set(segment, selection);
      const indices = selection.any ? planRead(segment, selection, fromSeq, endSeq) : [];
      if (indices.length) return { segment, indices };
    }
    return undefined;
  }
}

function planRead(segment: LogSegment, selection: Selection, fromSeq: number, endSeq: number): number[] {
  const indices: number[] = [];
  let start = 0;
  let end = 0;
  for (let i = segment.indexFrom(fromSeq); i < segment.count && segment.seqAt(i) <= endSeq; i++) {
    const offset = segment.offsetAt(i);
    if (indices.length && offset - end > READ_GAP_BYTES_MAX) break;
    if (!segment.isSelected(i, selection)) continue;
    if (!indices.length) start = offset;
    else if (segment.offsetAt(i + 1) - start > READ_BYTES_MAX) break;
    end = segment.offsetAt(i + 1);
    indices.push(i);
  }
  return indices;
}
