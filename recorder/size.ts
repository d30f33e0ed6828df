import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

export interface Sizes {
  coreGzBytes: number;
  loaderGzBytes: number;
}

/** @throws Error when the folder holds no build */
export function measure(folder: string): Sizes {
  const gzBytes = (pattern: RegExp): number => {
    const file = readdirSync(folder).find((name) => pattern.test(name));
    if (!file) throw new Error(`no ${pattern} in ${folder}`);
    return gzipSync(readFileSync(join(folder, file)), { level: 9 }).length;
  };
  return { coreGzBytes: gzBytes(/^core-.+\.js$/), loaderGzBytes: gzBytes(/^loader\.js$/) };
}

if (import.meta.main) {
  const { coreGzBytes, loaderGzBytes } = measure(join(import.meta.dirname, '../dist/recorder'));
  console.log(`figure recorder_core_gz_kb ${(coreGzBytes / 1024).toFixed(2)} kb`);
  console.log(`figure recorder_loader_gz_kb ${(loaderGzBytes / 1024).toFixed(2)} kb`);
}
