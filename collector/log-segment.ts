import { randomInt } from 'node:crypto';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { decodeEntry, encodeEntry, soundEntryBytes, type LogEntry } from './log-entry.ts';
import { StreamError } from './stream.ts';

/**
 * One file of the log: a header (`mutolog`, version, salt), then entries without gaps between them.
 * Its name is the number that its first entry has or would have, so that a new, empty segment keeps numbers from being
 * given twice when all before it is gone. In memory stand 12 bytes an entry, and each subject once.
 *
 * Version history: 1 — first.
 */
export class LogSegment {
  readonly path: string;
  readonly baseSeq: number;
  readonly salt: number;
  /** Durable bytes of the file. */
  size = HEADER_BYTES;
  /** When its oldest entry was appended; undefined while there is none. */
  startMs: number | undefined;
  /** Replaced or removed: who reads on must look for its successor. */
  retired = false;
  readonly #file: FileHandle;
  readonly #seqs = new Column();
  readonly #offsets = new Column();
  readonly #subjectOf = new Column();
  readonly #subjects: string[] = [];
  readonly #lastOf: number[] = [];
  readonly #subjectIds = new Map<string, number>();
  #readers = 0;
  #closed = false;

  constructor(path: string, baseSeq: number, salt: number, file: FileHandle) {
    this.path = path;
    this.baseSeq = baseSeq;
    this.salt = salt;
    this.#file = file;
  }

  get count(): number {
    return this.#seqs.length;
  }
  seqAt(index: number): number {
    return this.baseSeq + this.#seqs.at(index);
  }
  /** Where entry `index` begins; the end of the file for the one past the last. */
  offsetAt(index: number): number {
    return index < this.count ? this.#offsets.at(index) : this.size;
  }
  /** The number of the newest entry, or of the one before the segment. */
  get lastSeq(): number {
    return this.count ? this.seqAt(this.count - 1) : this.baseSeq - 1;
  }

  /** Index of the first entry with at least this number. */
  indexFrom(seq: number): number {
    let low = 0;
    for (let high = this.count; low < high;) {
      const middle = (low + high) >>> 1;
      if (this.seqAt(middle) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Which subjects the filter matches; a selection made before is carried on to the subjects that are new. */
  select(matches: (subject: string) => boolean, selection: Selection = { flags: [], any: false }): Selection {
    for (let id = selection.flags.length; id < this.#subjects.length; id++) {
      const matched = matches(this.#subjects[id]!);
      selection.flags.push(matched);
      selection.any ||= matched;
    }
    return selection;
  }
  isSelected(index: number, selection: Selection): boolean {
    return selection.flags[this.#subjectOf.at(index)] === true;
  }
  /** Index of the newest selected entry, or -1. */
  lastSelected(selection: Selection): number {
    return this.#lastOf.reduce((last, index, id) => (selection.flags[id] ? Math.max(last, index) : last), -1);
  }

  /** Puts an entry that stands at `offset` into the index. */
  #remember(entry: Omit<LogEntry, 'id' | 'bytes'>, offset: number): void {
    this.startMs ??= entry.appendedMs;
    let id = this.#subjectIds.get(entry.subject);
    if (id === undefined) {
      id = this.#subjects.push(entry.subject) - 1;
      this.#subjectIds.set(entry.subject, id);
    }
    this.#lastOf[id] = this.#seqs.push(entry.seq - this.baseSeq);
    this.#offsets.push(offset);
    this.#subjectOf.push(id);
  }

  /**
   * Writes the entries behind the last and makes them durable. When the write fails the file is as it was before;
   * when that cannot be made sure, or the sync fails, the error's code is EIO and the segment must not be used again.
   */
  async append(entries: LogEntry[]): Promise<void> {
    const buffers = entries.map((entry) => encodeEntry(entry, this.salt));
    try {
      await writeAll(this.#file, buffers, this.size);
    } catch (error) {
      await this.#file.truncate(this.size).catch((cause: unknown) => {
        throw Object.assign(new Error('half a write could not be undone', { cause }), { code: 'EIO' });
      });
      throw error;
    }
    // What a failed sync left in the page cache may pass for written the next time, so there is no next time.
    await this.#file.datasync().catch((cause: unknown) => {
      throw Object.assign(new Error('sync failed', { cause }), { code: 'EIO' });
    });
    for (const [i, entry] of entries.entries()) {
      this.#remember(entry, this.size);
      this.size += buffers[i]!.length;
    }
  }

  /**
   * The entries of these ascending indices, checked; one read fetches them and what lies between.
   * @throws StreamError `bad_record` that names file and offset
   */
  async read(indices: number[]): Promise<LogEntry[]> {
    const start = this.offsetAt(indices[0]!);
    const buffer = await this.#readBytes(start, this.offsetAt(indices.at(-1)! + 1));
    return indices.map((index) => {
      const offset = this.offsetAt(index);
      if (!soundEntryBytes(buffer, offset - start, this.salt)) throw damaged(this.path, offset);
      const entry = decodeEntry(buffer, offset - start);
      // A copy, or one small message that is kept would keep the whole read in memory.
      return { ...entry, bytes: new Uint8Array(entry.bytes) };
    });
  }

  async #readBytes(start: number, end: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(end - start);
    this.#readers++;
    try {
      for (let at = 0; at < buffer.length;) {
        const { bytesRead } = await this.#file.read(buffer, at, buffer.length - at, start + at);
        if (!bytesRead) throw damaged(this.path, start + at);
        at += bytesRead;
      }
      return buffer;
    } finally {
      this.#readers--;
      if (this.retired && !this.#readers) await this.#close();
    }
  }

  /**
   * Writes a file that lacks the selected entries over this one and returns its segment. This one still reads the old
   * bytes until it is retired, which the caller does when it has put the other into its place.
   */
  async rewriteWithout(selection: Selection): Promise<LogSegment> {
    const draft = `${this.path}.draft`;
    const file = await open(draft, 'w+');
    const next = new LogSegment(this.path, this.baseSeq, this.salt, file);
    await writeAll(file, [header(this.salt)], 0);
    for (let index = 0; index < this.count; index++) {
      if (this.isSelected(index, selection)) continue;
      const bytes = await this.#readBytes(this.offsetAt(index), this.offsetAt(index + 1));
      if (!soundEntryBytes(bytes, 0, this.salt)) throw damaged(this.path, this.offsetAt(index));
      await writeAll(file, [bytes], next.size);
      next.#remember(decodeEntry(bytes, 0), next.size);
      next.size += bytes.length;
    }
    await file.datasync();
    await rename(draft, this.path);
    await syncDirectory(dirname(this.path));
    return next;
  }

  async remove(): Promise<void> {
    await rm(this.path, { force: true });
    await this.retire();
  }

  /** Closes the file once nobody reads from it. */
  async retire(): Promise<void> {
    this.retired = true;
    if (!this.#readers) await this.#close();
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#file.close();
  }

  /** Makes an empty segment durable. */
  static async create(dir: string, baseSeq: number): Promise<LogSegment> {
    const path = join(dir, segmentName(baseSeq));
    const file = await open(`${path}.draft`, 'w+');
    const salt = randomInt(2 ** 32);
    await writeAll(file, [header(salt)], 0);
    await file.datasync();
    await rename(`${path}.draft`, path);
    await syncDirectory(dir);
    return new LogSegment(path, baseSeq, salt, file);
  }

  /**
   * Reads and checks the whole file. Of the newest segment an unfinished end is cut off, for nothing of it was ever
   * acked; damage anywhere else is an error. @throws StreamError `bad_record` that names file and offset
   */
  static async open(
    dir: string,
    name: string,
    newest: boolean,
    onEntry: (entry: LogEntry) => void,
  ): Promise<{ segment: LogSegment; tornBytes: number }> {
    const path = join(dir, name);
    const file = await open(path, 'r+');
    try {
      const buffer = await file.readFile();
      if (buffer.length < HEADER_BYTES || !buffer.subarray(0, MAGIC.length).equals(MAGIC))
        throw damaged(path, 0);
      const segment = new LogSegment(path, baseSeqOf(name), buffer.readUInt32BE(MAGIC.length), file);
      for (;;) {
        const length = soundEntryBytes(buffer, segment.size, segment.salt);
        if (!length) break;
        const entry = decodeEntry(buffer, segment.size);
        segment.#remember(entry, segment.size);
        onEntry(entry);
        segment.size += length;
      }
      const tornBytes = buffer.length - segment.size;
      if (tornBytes && (!newest || holdsEntry(buffer, segment.size + 1, segment.salt)))
        throw damaged(path, segment.size);
      if (tornBytes) {
        await file.truncate(segment.size);
        await file.datasync();
      }
      return { segment, tornBytes };
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }
}

/** By subject id whether a filter matches it, and whether it matches any. */
export interface Selection {
  flags: boolean[];
  any: boolean;
}

const MAGIC = Buffer.from('mutolog\x01');
const HEADER_BYTES = MAGIC.length + 4;
const header = (salt: number): Buffer => {
  const bytes = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt32BE(salt, MAGIC.length);
  return bytes;
};

const SEGMENT_NAME = /^\d{16}\.segment$/;
const segmentName = (baseSeq: number): string => `${String(baseSeq).padStart(16, '0')}.segment`;
const baseSeqOf = (name: string): number => Number(name.slice(0, 16));
export const isSegmentName = (name: string): boolean => SEGMENT_NAME.test(name);

const damaged = (path: string, offset: number): StreamError =>
  new StreamError('bad_record', `${path} is damaged at byte ${offset}`);

/** Whether a sound entry begins anywhere from `at` on: then what stands before it is damage and not an unfinished end. */
function holdsEntry(buffer: Buffer, at: number, salt: number): boolean {
  for (; at < buffer.length; at++) if (soundEntryBytes(buffer, at, salt)) return true;
  return false;
}

async function writeAll(file: FileHandle, buffers: Buffer[], position: number): Promise<void> {
  let { bytesWritten } = await file.writev(buffers, position);
  const bytes = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
  // The system may take less than it is given.
  if (bytesWritten < bytes)
    for (const all = Buffer.concat(buffers); bytesWritten < bytes;)
      bytesWritten += (await file.write(all, bytesWritten, bytes - bytesWritten, position + bytesWritten))
        .bytesWritten;
}

/** Makes names that were created, moved or removed in it durable. */
export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Numbers below 2^32 that only grow in count, four bytes each. */
class Column {
  length = 0;
  #values = new Uint32Array(64);
  /** Returns the index that the value got. */
  push(value: number): number {
    if (this.length === this.#values.length) {
      const grown = new Uint32Array(this.#values.length * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.length] = value;
    return this.length++;
  }
  at(index: number): number {
    return this.#values[index]!;
  }
}
