import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { findIn } from './scan.ts';

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
