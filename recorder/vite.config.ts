import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig, type Plugin } from 'vite';
import { foldedValues } from './fold-values.ts';
import { checkImports, fillLoader, integrityOf, versionOf } from './integrity.ts';
import { noticesOf, packagesOf } from './package/third-party.ts';
import { rrwebTransforms } from './rrweb-transforms.ts';
import { minified, terserChunks } from './x-terser.ts';

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as {
  version: string;
};

/**
 * The loader is no module: it runs in a scope of its own, and is told the core's hashed name and its hash. A second
 * loader stands under a name that never changes, for pages that pin it; `integrity.json` has the hash of each file.
 */
function classicLoader(): Plugin {
  return {
    name: 'classic-loader',
    generateBundle: {
      order: 'post',
      async handler(_options, bundle) {
        const chunks = Object.values(bundle).filter((file) => file.type === 'chunk');
        const core = chunks.find((chunk) => chunk.name === 'core')!;
        const loader = chunks.find((chunk) => chunk.name === 'loader')!;
        if (loader.imports.length || loader.exports.length)
          this.error('the loader must be one file without imports and exports');
        const lazy = chunks.filter((chunk) => chunk !== core && chunk !== loader);
        // The shortest that browsers take: nothing else in the core is as incompressible.
        const hashes = new Map(lazy.map(({ fileName, code }) => [fileName, integrityOf(code, 'sha256')]));
        core.code = await minified(checkImports(core.code, hashes));
        const integrity = integrityOf(core.code);
        const template = `(()=>{${loader.code.trim()}})();\n`;
        loader.code = fillLoader(template, { core: core.fileName, integrity, base: '..' });
        const pinned = `${versionOf(version, loader.code)}/loader.js`;
        const source = fillLoader(template, { core: `../${core.fileName}`, integrity, base: '../..' });
        this.emitFile({ type: 'asset', fileName: pinned, source });
        const files = chunks.map(({ fileName, code }): [string, string] => [fileName, integrityOf(code)]);
        const all = Object.fromEntries([...files, [pinned, integrityOf(source)]]);
        this.emitFile({
          type: 'asset',
          fileName: 'integrity.json',
          source: JSON.stringify({ pinned, integrity: all }, null, 2),
        });
      },
    },
  };
}

/** The licences of what the files hold stand beside them, and each file says what that is. */
function notices(): Plugin {
  return {
    name: 'notices',
    generateBundle(_options, bundle) {
      const chunks = Object.values(bundle).filter((file) => file.type === 'chunk');
      for (const chunk of chunks) {
        const names = packagesOf(chunk.moduleIds).map((dir) => dir.split('/node_modules/').at(-1));
        if (names.length)
          chunk.code = `/*! mutoscope | ${names.join(', ')}: see licenses.txt */\n${chunk.code}`;
      }
      const source = noticesOf(chunks.flatMap(({ moduleIds }) => moduleIds));
      this.emitFile({ type: 'asset', fileName: 'licenses.txt', source });
    },
  };
}

/** A lazy chunk has no styles and few imports: there is nothing to preload, and 0.6 KB of the core to save. */
function plainImports(): Plugin {
  return {
    name: 'plain-imports',
    enforce: 'pre',
    load: (id) =>
      id === '\0vite/preload-helper.js' ? 'export const __vitePreload = (load) => load();' : undefined,
  };
}

export default defineConfig({
  root: import.meta.dirname,
  plugins: [rrwebTransforms(), foldedValues(), terserChunks(), notices(), classicLoader(), plainImports()],
  build: {
    target: 'es2022',
    // By terserChunks, which also knows which names are only ours.
    minify: false,
    outDir: join(import.meta.dirname, '../dist/recorder'),
    emptyOutDir: true,
    modulePreload: false,
    rollupOptions: {
      input: {
        core: join(import.meta.dirname, 'core.ts'),
        loader: join(import.meta.dirname, 'loader.ts'),
        // Named here, they may be one file with what others take of them.
        meaning: join(import.meta.dirname, 'meaning.ts'),
        assets: join(import.meta.dirname, 'assets.ts'),
      },
      // What the entries export is used by pages; lazy chunks may take more from the core, which then stays one file.
      preserveEntrySignatures: 'allow-extension',
      output: {
        entryFileNames: (chunk) => (chunk.name === 'loader' ? 'loader.js' : '[name]-[hash].js'),
        chunkFileNames: '[name]-[hash].js',
        // What lazy chunks take from the core would else be split off it, and be one more file that every page fetches.
        codeSplitting: {
          groups: [
            { name: 'core', test: /recorder\/(core|attributes|masking|scrub)\.ts$/, priority: 1 },
            // The same for what parts take of the one that every page gets.
            { name: 'meaning', test: /recorder\/(meaning|scrub-text)\.ts$/ },
            // Taken along with the protocol, the core would have it for nothing.
            {
              name: 'assets',
              test: /recorder\/asset(s|-types)\.ts$/,
              priority: 2,
              includeDependenciesRecursively: false,
            },
          ],
        },
        minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
      },
    },
  },
});
