import { crc32 } from 'node:zlib';

/**
 * One message in a segment file (big endian). The checksum covers all that follows it and begins from the segment's
 * random salt, so that no payload can hold what passes for an entry.
 *
 *   0        4         8      16            24             26        28
 *   ┌────────┬─────────┬──────┬─────────────┬──────────────┬─────────┬─────────┬────┬─────────┐
 *   │ crc u32│ all u32 │ seq  │ appendedMs  │ subject n u16│ id n u16│ subject │ id │ bytes … │
 *   │        │ bytes   │ u64  │ u64         │              │         │         │    │         │
 *   └────────┴─────────┴──────┴─────────────┴──────────────┴─────────┴─────────┴────┴─────────┘
 */
export interface LogEntry {
  seq: number;
  appendedMs: number;
  subject: string;
  id: string;
  bytes: Uint8Array;
}

export const ENTRY_HEADER_BYTES = 28;
/** Stands before any plausible length: 512 KB of message, subject and id. */
export const ENTRY_BYTES_MAX = 1024 * 1024;

export const entryBytes = (subject: string, id: string, bytes: Uint8Array): number =>
  ENTRY_HEADER_BYTES + Buffer.byteLength(subject) + Buffer.byteLength(id) + bytes.length;

export function encodeEntry(entry: LogEntry, salt: number): Buffer {
  const subject = Buffer.from(entry.subject);
  const id = Buffer.from(entry.id);
  const all = Buffer.allocUnsafe(ENTRY_HEADER_BYTES + subject.length + id.length + entry.bytes.length);
  all.writeUInt32BE(all.length, 4);
  all.writeBigUInt64BE(BigInt(entry.seq), 8);
  all.writeBigUInt64BE(BigInt(entry.appendedMs), 16);
  all.writeUInt16BE(subject.length, 24);
  all.writeUInt16BE(id.length, 26);
  subject.copy(all, ENTRY_HEADER_BYTES);
  id.copy(all, ENTRY_HEADER_BYTES + subject.length);
  all.set(entry.bytes, ENTRY_HEADER_BYTES + subject.length + id.length);
  all.writeUInt32BE(crc32(all.subarray(4), salt), 0);
  return all;
}

/** Length of the entry at `at`, or 0 where no whole and sound one begins. */
export function soundEntryBytes(buffer: Buffer, at: number, salt: number): number {
  if (at + ENTRY_HEADER_BYTES > buffer.length) return 0;
  const length = buffer.readUInt32BE(at + 4);
  if (length < ENTRY_HEADER_BYTES || length > ENTRY_BYTES_MAX || at + length > buffer.length) return 0;
  if (ENTRY_HEADER_BYTES + buffer.readUInt16BE(at + 24) + buffer.readUInt16BE(at + 26) > length) return 0;
  return crc32(buffer.subarray(at + 4, at + length), salt) === buffer.readUInt32BE(at) ? length : 0;
}

/** Of an entry known to be sound; `bytes` is a view into the buffer. */
export function decodeEntry(buffer: Buffer, at: number): LogEntry {
  const subjectAt = at + ENTRY_HEADER_BYTES;
  const idAt = subjectAt + buffer.readUInt16BE(at + 24);
  const bytesAt = idAt + buffer.readUInt16BE(at + 26);
  return {
    seq: Number(buffer.readBigUInt64BE(at + 8)),
    appendedMs: Number(buffer.readBigUInt64BE(at + 16)),
    subject: buffer.toString('utf8', subjectAt, idAt),
    id: buffer.toString('utf8', idAt, bytesAt),
    bytes: buffer.subarray(bytesAt, at + buffer.readUInt32BE(at + 4)),
  };
}
