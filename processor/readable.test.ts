import { deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { idsIn } from './erasure-scan.ts';
import { findIn, INNER_BYTES_MAX, readable } from './readable.ts';

const hidden = Buffer.from(`{"value":"needle-in-${'hay'.repeat(50)}"}`);
const wrap = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from('before'), bytes, Buffer.from('after')]);

test.each([
  ['plain', hidden],
  ['UTF-16', Buffer.from('needle-in', 'utf16le')],
  ['gzip', gzipSync(hidden)],
  ['zstd', zstdCompressSync(hidden)],
  ['gzip in zstd', zstdCompressSync(wrap(gzipSync(hidden)))],
  [
    'the second of two zstd frames',
    Buffer.concat([zstdCompressSync(Buffer.alloc(5000)), zstdCompressSync(hidden)]),
  ],
])('finds a needle in %s amid other bytes', (_name, bytes) => {
  expect([...findIn([wrap(bytes)], ['needle-in', 'absent'])]).toEqual(['needle-in']);
});

test('finds nothing where there is nothing, nor in formats the product never writes', () => {
  expect(findIn([wrap(gzipSync('other')), deflateSync(hidden), ZSTD_MAGIC_ALONE], ['needle-in']).size).toBe(
    0,
  );
});
const ZSTD_MAGIC_ALONE = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

test('says when a part is too large to be searched, and goes on', () => {
  const large = gzipSync(Buffer.alloc(INNER_BYTES_MAX + 1));
  let told = 0;
  const read = [...readable(Buffer.concat([large, gzipSync(hidden)]), () => told++)];
  expect(told).toBe(1);
  expect(read.at(-1)?.toString()).toBe(hidden.toString());
});

test('says when parts begin in each other without end, and comes to one', () => {
  // Each header is followed by a stored block of all that follows, up to one that unpacks to 30 MB.
  const bomb = deflateRawSync(Buffer.alloc(30 * 1024 * 1024));
  const parts: Buffer[] = [];
  for (let length = 0; length < 60_000; length += 15) {
    const head = Buffer.from([0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0]);
    head.writeUInt16LE(length, 11);
    head.writeUInt16LE(~length & 0xffff, 13);
    parts.unshift(head);
  }
  let told = 0;
  let bytes = 0;
  for (const part of readable(Buffer.concat([...parts, bomb]), () => told++)) bytes += part.length;
  expect(told).toBeGreaterThan(0);
  expect(bytes).toBeGreaterThan(30 * 1024 * 1024);
  expect(bytes).toBeLessThan(400 * 1024 * 1024);
});

test('ids are found in what only passes for a container file, however many entries that tells of', () => {
  const id = '019b76da-a800-7000-8000-000000000001';
  // A map of 2^55 entries, as a visitor may have sent it.
  const count = Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]);
  expect([...idsIn(Buffer.concat([Buffer.from('Obj\x01'), count, Buffer.from(id)]))]).toEqual([id]);
});
