import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

export interface Sizes {
  coreGzBytes: number;
  loaderGzBytes: number;
  /** Of every script, by its name; lazy chunks among them. */
  gzBytes: Map<string, number>;
}

export const gzBytesOf = (text: string | Uint8Array): number => gzipSync(text, { level: 9 }).length;

/** @throws Error when the folder holds no build */
export function measure(folder: string): Sizes {
  const scripts = readdirSync(folder).filter((name) => name.endsWith('.js'));
  const gzBytes = new Map(scripts.map((name) => [name, gzBytesOf(readFileSync(join(folder, name)))]));
  const find = (pattern: RegExp): number => {
    const name = scripts.find((script) => pattern.test(script));
    if (!name) throw new Error(`no ${pattern} in ${folder}`);
    return gzBytes.get(name)!;
  };
  return { coreGzBytes: find(/^core-.+\.js$/), loaderGzBytes: find(/^loader\.js$/), gzBytes };
}

if (import.meta.main) {
  const { coreGzBytes, loaderGzBytes } = measure(join(import.meta.dirname, '../dist/recorder'));
  console.log(`figure recorder_core_gz_kb ${(coreGzBytes / 1024).toFixed(2)} kb`);
  console.log(`figure recorder_loader_gz_kb ${(loaderGzBytes / 1024).toFixed(2)} kb`);
}
