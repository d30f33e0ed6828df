import { inflateRawSync, zstdDecompressSync } from 'node:zlib';

/**
 * Everything that can be read in `bytes`: the bytes themselves, and what each gzip member or zstd frame that begins
 * anywhere in them holds, also nested. So a search through it looks inside Parquet pages, stream records and batches.
 * @param tooLarge hears when such a part holds more than INNER_BYTES_MAX, or all of them too much, and is left out
 */
export function* readable(bytes: Uint8Array, tooLarge?: () => void): Generator<Buffer> {
  yield* within(bytes, tooLarge, 0, { left: ALL_BYTES_MIN + ALL_TIMES_MAX * bytes.length });
}

/** @param budget bytes that may still be unpacked, for parts may begin in each other */
function* within(
  bytes: Uint8Array,
  tooLarge: (() => void) | undefined,
  depth: number,
  budget: { left: number },
): Generator<Buffer> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  yield buffer;
  if (depth === DEPTH_MAX) return;
  const unpack = (inner: () => Buffer): Buffer | undefined => {
    try {
      const part = inner();
      budget.left -= part.length;
      return part;
    } catch (error) {
      budget.left -= FAILED_BYTES;
      if ((error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE') tooLarge?.();
      return undefined;
    }
  };
  for (const magic of [GZIP, ZSTD])
    for (let at = buffer.indexOf(magic); at >= 0; at = buffer.indexOf(magic, at + 1)) {
      if (budget.left < 0) return tooLarge?.();
      const end = magic === ZSTD ? zstdFrameEnd(buffer, at) : buffer.length;
      const inner =
        end &&
        unpack(() =>
          magic === ZSTD
            ? zstdDecompressSync(buffer.subarray(at, end), LIMIT)
            : inflateRawSync(buffer.subarray(at + GZIP_HEADER_BYTES), LIMIT),
        );
      if (inner) yield* within(inner, tooLarge, depth + 1, budget);
    }
}

/** Twice what a batch or a page of a file may hold; so much is in memory at once, for each depth. */
export const INNER_BYTES_MAX = 64 * 1024 * 1024;
const LIMIT = { maxOutputLength: INNER_BYTES_MAX };
/** What all parts of an object may hold together, also those of parts: at least, and that many times its length. */
const ALL_BYTES_MIN = 256 * 1024 * 1024;
const ALL_TIMES_MAX = 64;
/** What only looked like a part counts as: how much of it came before that was seen, nobody says. */
const FAILED_BYTES = 16 * 1024 * 1024;

/** With no optional header fields (flags 0): what zlib and CompressionStream write. Raw, for gunzip refuses what follows a member. */
const GZIP = Buffer.from([0x1f, 0x8b, 0x08, 0x00]);
const GZIP_HEADER_BYTES = 10;
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
const DEPTH_MAX = 4;

/** Where the frame that begins at `at` ends (RFC 8878 §3.1.1), for the decoder refuses what follows it. */
function zstdFrameEnd(buffer: Buffer, at: number): number | undefined {
  if (at + 6 > buffer.length) return undefined;
  const descriptor = buffer.readUInt8(at + 4);
  const single = (descriptor >> 5) & 1;
  const sizeBytes = [single, 2, 4, 8][descriptor >> 6] as number;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number;
  let next = at + 5 + (single ? 0 : 1) + dictionaryBytes + sizeBytes;
  for (;;) {
    if (next + 3 > buffer.length) return undefined;
    const header = buffer.readUIntLE(next, 3);
    const repeated = ((header >> 1) & 3) === 1;
    next += 3 + (repeated ? 1 : header >> 3);
    if (header & 1) break;
  }
  const end = next + (descriptor & 4 ? 4 : 0);
  return end <= buffer.length ? end : undefined;
}

/** Which of the needles stand in any of the haystacks, as UTF-8 or UTF-16. */
export function findIn(haystacks: Iterable<Uint8Array>, needles: readonly string[]): Set<string> {
  const forms = needles.map(
    (needle) => [needle, Buffer.from(needle), Buffer.from(needle, 'utf16le')] as const,
  );
  const found = new Set<string>();
  for (const haystack of haystacks)
    for (const text of readable(haystack))
      for (const [needle, utf8, utf16] of forms)
        if (!found.has(needle) && (text.includes(utf8) || text.includes(utf16))) found.add(needle);
  return found;
}
