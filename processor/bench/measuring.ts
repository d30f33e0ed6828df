import { loadavg } from 'node:os';
import { constants, zstdCompressSync } from 'node:zlib';

export const figure = (name: string, value: number, unit: string): void =>
  console.log(`figure ${name} ${value < 10 ? value.toFixed(3) : value.toFixed(1)} ${unit}`);

export function sum<T>(items: Iterable<T>, of: (item: T) => number): number {
  let total = 0;
  for (const item of items) total += of(item);
  return total;
}

/** @param at 0.5 for the median */
export const percentile = (values: readonly number[], at: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * at))]!;

/** As `zstd -LEVEL` of one piece. */
export const zstd = (bytes: Uint8Array, level: number): Buffer =>
  zstdCompressSync(bytes, {
    params: { [constants.ZSTD_c_compressionLevel]: level },
    chunkSize: Math.min(256 + (bytes.length >> 1), 1024 * 1024),
  });

/** Seconds of processor time, all threads: a busy machine disturbs them less. */
export async function cpuSeconds(act: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** Runs and names the parts of a benchmark; one that would begin after `secondsMax` is left out and named. */
export function createParts(secondsMax: number) {
  const beginMs = performance.now();
  return async (name: string, act: () => Promise<void>): Promise<void> => {
    if ((performance.now() - beginMs) / 1000 > secondsMax)
      return console.log(`\nnot measured for want of time: ${name}`);
    console.log(`\n${name}  (load ${loadavg()[0]!.toFixed(1)})`);
    await act();
  };
}
