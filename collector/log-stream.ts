import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Duplicates } from './duplicates.ts';
import { entryBytes, type LogEntry } from './log-entry.ts';
import { lockDirectory } from './log-lock.ts';
import { LogReader } from './log-reader.ts';
import { isSegmentName, LogSegment, syncDirectory } from './log-segment.ts';
import {
  DUPLICATE_WINDOW_MS,
  firstSeqAt,
  MESSAGE_BYTES_MAX,
  StreamError,
  type Stream,
  type StreamMessage,
  type StreamOptions,
  type StreamState,
} from './stream.ts';
import { checkSubject, compileFilter } from './subject-filter.ts';

/**
 * The embedded stream: a log of segment files in one directory, held by one process.
 *
 * Appends that come while a sync runs wait and then share the next one (group commit); a message is readable only
 * once it is durable. What changes files (commit, trim, erase) runs one after another; readers go by positions and
 * are never in the way. At open every segment is read and checked, which costs a second per gigabyte or so.
 */
export interface LogStreamOptions extends StreamOptions {
  /** A segment is closed at this size or age; trim frees whole segments. Default: an eighth of `bytesMax`, at most 64 MB. */
  segmentBytesMax?: number;
  now?: () => number;
}

const SEGMENT_BYTES_MAX = 64 * 1024 * 1024;
/** Where little comes a segment would take months to fill, and what is trimmed must not lie in it for so long. */
const SEGMENT_MS_MAX = 3_600_000;
/** One sync carries at most this, so that the first of a crowd does not wait for all of it. */
const GROUP_BYTES_MAX = 4 * 1024 * 1024;
const FIRST_SEQ_FILE = 'first-seq';

interface Waiting {
  entry: LogEntry;
  bytes: number;
  resolve: (answer: { seq: number; duplicate: boolean }) => void;
  reject: (error: unknown) => void;
}

/** @throws StreamError `stream_unavailable` when another process has the directory, `bad_record` when a file is damaged */
export async function openLogStream(dir: string, options: LogStreamOptions): Promise<Stream> {
  await mkdir(dir, { recursive: true });
  const unlock = await lockDirectory(dir);
  try {
    return await load(dir, options, unlock);
  } catch (error) {
    await unlock();
    throw error;
  }
}

async function load(dir: string, options: LogStreamOptions, unlock: () => Promise<void>): Promise<Stream> {
  const names = await readdir(dir);
  await Promise.all(names.filter((name) => name.endsWith('.draft')).map((name) => rm(join(dir, name))));
  const segmentNames = names.filter(isSegmentName).sort();
  const now = options.now ?? Date.now;
  const duplicates = new Duplicates(DUPLICATE_WINDOW_MS);
  const segments: LogSegment[] = [];
  for (const name of segmentNames) {
    const newest = name === segmentNames.at(-1);
    const { segment, tornBytes } = await LogSegment.open(dir, name, newest, (entry) => {
      if (now() - entry.appendedMs < DUPLICATE_WINDOW_MS)
        duplicates.add(entry.id, entry.seq, entry.appendedMs);
    });
    if (tornBytes)
      options.warn?.(
        { file: segment.path, tornBytes },
        'the stream was cut off while it wrote; an unfinished, unacked end was removed',
      );
    segments.push(segment);
  }
  if (!segments.length) segments.push(await LogSegment.create(dir, options.firstSeq ?? firstSeqAt(now())));
  const firstSeq = await readFile(join(dir, FIRST_SEQ_FILE), 'utf8').then(Number, () => 1);
  return new LogStream(dir, options, segments, firstSeq, duplicates, unlock);
}

class LogStream implements Stream {
  readonly #dir: string;
  readonly #bytesMax: number;
  readonly #segmentBytesMax: number;
  readonly #now: () => number;
  /** Ascending; the last one is written to. */
  readonly #segments: LogSegment[];
  readonly #duplicates: Duplicates;
  readonly #unlock: () => Promise<void>;
  /** Everything below is trimmed, though its segment may still be there. */
  #trimmedBefore: number;
  #nextSeq: number;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  readonly #pending = new Map<string, Promise<{ seq: number; duplicate: boolean }>>();
  #committing = false;
  #exclusive: Promise<unknown> = Promise.resolve();
  readonly #sleepers = new Set<() => void>();
  #broken: unknown;
  #closed: Promise<void> | undefined;

  constructor(
    dir: string,
    options: LogStreamOptions,
    segments: LogSegment[],
    firstSeq: number,
    duplicates: Duplicates,
    unlock: () => Promise<void>,
  ) {
    this.#dir = dir;
    this.#bytesMax = options.bytesMax;
    this.#segmentBytesMax = options.segmentBytesMax ?? Math.min(SEGMENT_BYTES_MAX, options.bytesMax / 8);
    this.#now = options.now ?? Date.now;
    this.#segments = segments;
    this.#trimmedBefore = firstSeq;
    this.#duplicates = duplicates;
    this.#unlock = unlock;
    this.#nextSeq = this.#active.lastSeq + 1;
  }

  get #active(): LogSegment {
    return this.#segments.at(-1)!;
  }

  async append(subject: string, bytes: Uint8Array, id: string): Promise<{ seq: number; duplicate: boolean }> {
    this.#assertUsable();
    checkSubject(subject);
    if (bytes.length > MESSAGE_BYTES_MAX)
      throw new StreamError(
        'message_too_large',
        `message of ${bytes.length} bytes is over ${MESSAGE_BYTES_MAX}`,
      );
    const pending = this.#pending.get(id);
    if (pending) return { ...(await pending), duplicate: true };
    const nowMs = this.#now();
    const known = this.#duplicates.find(id, nowMs);
    if (known !== undefined) return { seq: known, duplicate: true };
    const entry: LogEntry = { seq: this.#nextSeq, appendedMs: nowMs, subject, id, bytes };
    const cost = entryBytes(subject, id, bytes);
    if (this.#kept().bytes + this.#waitingBytes + cost > this.#bytesMax)
      throw new StreamError('stream_full', `stream holds ${this.#bytesMax} bytes, which is its bound`);
    this.#nextSeq++;
    this.#waitingBytes += cost;
    const durable = new Promise<{ seq: number; duplicate: boolean }>((resolve, reject) =>
      this.#waiting.push({ entry, bytes: cost, resolve, reject }),
    );
    this.#pending.set(id, durable);
    void this.#commitWaiting();
    return durable;
  }

  async #commitWaiting(): Promise<void> {
    if (this.#committing) return;
    this.#committing = true;
    while (this.#waiting.length) await this.#alone(() => this.#commitGroup());
    this.#committing = false;
  }

  /** Never rejects: each of the group hears for itself. */
  async #commitGroup(): Promise<void> {
    const group = this.#takeGroup();
    try {
      if (this.#broken) this.#assertUsable();
      if (this.#activeIsFull()) await this.#startSegment();
      await this.#active.append(group.map(({ entry }) => entry));
      for (const { entry, resolve } of group) {
        this.#pending.delete(entry.id);
        this.#duplicates.add(entry.id, entry.seq, entry.appendedMs);
        resolve({ seq: entry.seq, duplicate: false });
      }
      for (const wake of this.#sleepers) wake();
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EIO') this.#broken = error;
      const failure =
        code === 'ENOSPC' || code === 'EDQUOT'
          ? new StreamError('stream_full', `no space is left for ${this.#dir}`, { cause: error })
          : new StreamError('stream_unavailable', `writing to ${this.#dir} failed`, { cause: error });
      for (const { entry, reject } of group) {
        this.#pending.delete(entry.id);
        reject(failure);
      }
    } finally {
      for (const { bytes } of group) this.#waitingBytes -= bytes;
    }
  }

  #takeGroup(): Waiting[] {
    let count = 0;
    for (let bytes = 0; count < this.#waiting.length; count++) {
      bytes += this.#waiting[count]!.bytes;
      if (count && bytes > GROUP_BYTES_MAX) break;
    }
    return this.#waiting.splice(0, count);
  }

  read(
    fromSeq: number,
    filter: string,
    { live = false, signal }: { live?: boolean; signal?: AbortSignal } = {},
  ): AsyncIterable<StreamMessage> {
    return this.#messages(fromSeq, filter, live ? undefined : this.#active.lastSeq, signal);
  }

  async *#messages(
    fromSeq: number,
    filter: string,
    endSeq: number | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<StreamMessage> {
    const reader = new LogReader(compileFilter(filter));
    let next = fromSeq;
    while (!signal?.aborted && !this.#closed) {
      const fromNext = Math.max(next, this.#trimmedBefore);
      const span = reader.findSpan(this.#segments, fromNext, endSeq ?? Infinity);
      if (!span) {
        if (endSeq !== undefined) return;
        next = Math.max(next, this.#active.lastSeq + 1);
        await this.#sleep(signal);
        continue;
      }
      for (const { seq, subject, bytes, appendedMs } of await span.segment.read(span.indices)) {
        // What was trimmed or erased while it was read is not shown any more.
        if (signal?.aborted || span.segment.retired || seq < this.#trimmedBefore) break;
        next = seq + 1;
        yield { seq, subject, bytes, appendedMs };
      }
    }
  }

  /** Until something was appended, the signal aborts or the stream is closed. */
  #sleep(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#sleepers.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.#sleepers.add(wake);
      signal?.addEventListener('abort', wake);
    });
  }

  async last(filter: string): Promise<StreamMessage | undefined> {
    this.#assertOpen();
    const matches = compileFilter(filter);
    for (const segment of this.#segments.toReversed()) {
      const index = segment.lastSelected(segment.select(matches));
      if (index < 0) continue;
      if (segment.seqAt(index) < this.#trimmedBefore) return undefined;
      const [entry] = await segment.read([index]);
      const { seq, subject, bytes, appendedMs } = entry!;
      return { seq, subject, bytes, appendedMs };
    }
    return undefined;
  }

  async trim(beforeSeq: number): Promise<void> {
    this.#assertUsable();
    await this.#alone(async () => {
      const before = Math.min(beforeSeq, this.#active.lastSeq + 1);
      if (before <= this.#trimmedBefore) return;
      await writeDurably(this.#dir, FIRST_SEQ_FILE, String(before));
      this.#trimmedBefore = before;
      if (this.#active.count && this.#active.lastSeq < before) await this.#startSegment();
      const gone = this.#segments.filter((segment) => segment !== this.#active && segment.lastSeq < before);
      this.#segments.splice(0, gone.length);
      for (const segment of gone) await segment.remove();
    });
  }

  async erase(filter: string): Promise<number> {
    this.#assertUsable();
    const matches = compileFilter(filter);
    return this.#alone(async () => {
      let erased = 0;
      // The newest number must not go with the newest message, so the segment that is written to stands aside.
      if (this.#active.select(matches).any) await this.#startSegment();
      for (const [i, segment] of this.#segments.entries()) {
        const selection = segment.select(matches);
        if (!selection.any) continue;
        for (let index = segment.indexFrom(this.#trimmedBefore); index < segment.count; index++)
          if (segment.isSelected(index, selection)) erased++;
        this.#segments[i] = await segment.rewriteWithout(selection);
        await segment.retire();
      }
      return erased;
    });
  }

  async state(): Promise<StreamState> {
    this.#assertOpen();
    const lastSeq = this.#active.lastSeq;
    const { messages, bytes, firstSeq } = this.#kept();
    return { firstSeq: firstSeq ?? lastSeq + 1, lastSeq, messages, bytes };
  }

  /** What is neither trimmed nor erased. */
  #kept(): { messages: number; bytes: number; firstSeq: number | undefined } {
    let messages = 0;
    let bytes = 0;
    let firstSeq: number | undefined;
    for (const segment of this.#segments) {
      const from = this.#trimmedBefore > segment.baseSeq ? segment.indexFrom(this.#trimmedBefore) : 0;
      if (from === segment.count) continue;
      firstSeq ??= segment.seqAt(from);
      messages += segment.count - from;
      bytes += segment.size - segment.offsetAt(from);
    }
    return { messages, bytes, firstSeq };
  }

  #activeIsFull(): boolean {
    const { size, startMs } = this.#active;
    if (startMs === undefined) return false;
    return size >= this.#segmentBytesMax || this.#now() - startMs >= SEGMENT_MS_MAX;
  }

  async #startSegment(): Promise<void> {
    this.#segments.push(await LogSegment.create(this.#dir, this.#active.lastSeq + 1));
  }

  /** Runs after all that was asked for before. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#exclusive.then(work);
    this.#exclusive = done.catch(() => undefined);
    return done;
  }

  #assertOpen(): void {
    if (this.#closed) throw new StreamError('stream_unavailable', `stream ${this.#dir} is closed`);
  }
  #assertUsable(): void {
    this.#assertOpen();
    if (this.#broken)
      throw new StreamError('stream_unavailable', `stream ${this.#dir} failed and must be opened again`, {
        cause: this.#broken,
      });
  }

  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  async #finish(): Promise<void> {
    for (const wake of this.#sleepers) wake();
    while (this.#waiting.length) await this.#exclusive;
    await this.#alone(async () => {
      for (const segment of this.#segments) await segment.retire();
      await this.#unlock();
    });
  }
}

async function writeDurably(dir: string, name: string, text: string): Promise<void> {
  const draft = join(dir, `${name}.draft`);
  const handle = await open(draft, 'w');
  await handle.writeFile(text);
  await handle.datasync();
  await handle.close();
  await rename(draft, join(dir, name));
  await syncDirectory(dir);
}
