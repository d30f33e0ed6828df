import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { integrityOf } from '../integrity.ts';
import { writeDeclarations } from './declarations.ts';
import { noticesOf } from './third-party.ts';
import { bundleClassic, bundleLoader, bundleModule } from './x-vite.ts';

const ROOT = join(import.meta.dirname, '../..');

/** The manifest of `@mutoscope/recorder`. Pure. */
export const manifestOf = (version: string): object => ({
  name: '@mutoscope/recorder',
  version,
  description: 'Records what visitors do on a web page, masked before it leaves the page',
  license: 'Apache-2.0',
  keywords: ['session-recording', 'session-replay', 'rrweb', 'analytics', 'privacy'],
  type: 'module',
  sideEffects: ['./mutoscope.js', './loader/*.js'],
  main: './index.js',
  types: './types/package/index.d.ts',
  exports: {
    '.': { types: './types/package/index.d.ts', default: './index.js' },
    './loader': { types: './types/package/loader-types.d.ts', default: './loader/loader.js' },
    './mutoscope.js': { types: './types/package/loader-types.d.ts', default: './mutoscope.js' },
    './integrity.json': './integrity.json',
    './package.json': './package.json',
  },
  publishConfig: { access: 'public' },
});

/** Writes the package into `outDir`, which is emptied first, as `npm publish` takes it. */
export async function makePackage(outDir: string): Promise<void> {
  rmSync(outDir, { recursive: true, force: true });
  mkdirSync(outDir, { recursive: true });
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const modules = [...(await bundleModule(outDir)), ...(await bundleClassic(outDir))];
  await bundleLoader(join(outDir, 'loader'));
  // Of the two loaders the one for pages that pin a version: here the package's version does that.
  for (const extra of globSync('loader/{integrity.json,[0-9]*}', { cwd: outDir }))
    rmSync(join(outDir, extra), { recursive: true });
  writeDeclarations(join(outDir, 'types'));
  const scripts = globSync('**/*.js', { cwd: outDir }).sort();
  const hashes = scripts.map((path) => [path, integrityOf(readFileSync(join(outDir, path)))] as const);
  const write = (name: string, text: string): void => writeFileSync(join(outDir, name), text);
  write('integrity.json', JSON.stringify(Object.fromEntries(hashes), null, 2));
  write('package.json', JSON.stringify(manifestOf(version), null, 2));
  write('THIRD-PARTY-NOTICES.txt', noticesOf(modules));
  cpSync(join(ROOT, 'LICENSE'), join(outDir, 'LICENSE'));
  cpSync(join(ROOT, 'recorder/README.md'), join(outDir, 'README.md'));
}

if (import.meta.main) {
  const outDir = join(ROOT, 'dist/package/recorder');
  await makePackage(outDir);
  for (const path of globSync('**/*.js', { cwd: outDir }).sort()) {
    const gzKb = gzipSync(readFileSync(join(outDir, path)), { level: 9 }).length / 1024;
    console.log(`${path.padEnd(32)} ${gzKb.toFixed(2).padStart(7)} KB gz`);
  }
}
