import { join } from 'node:path';
import { defineConfig, type Plugin } from 'vite';
import { rrwebTransforms } from './rrweb-transforms.ts';

/** The loader is no module: it runs in a scope of its own, and is told the core's hashed name. */
function classicLoader(): Plugin {
  return {
    name: 'classic-loader',
    generateBundle(_options, bundle) {
      const chunks = Object.values(bundle).filter((file) => file.type === 'chunk');
      const core = chunks.find((chunk) => chunk.name === 'core')!;
      const loader = chunks.find((chunk) => chunk.name === 'loader')!;
      if (loader.imports.length || loader.exports.length || !loader.code.includes('__CORE__'))
        this.error('the loader must be one file without imports and exports, with a place for the core');
      loader.code = `(()=>{${loader.code.replace('__CORE__', core.fileName).trim()}})();\n`;
    },
  };
}

export default defineConfig({
  root: import.meta.dirname,
  plugins: [rrwebTransforms(), classicLoader()],
  build: {
    target: 'es2022',
    outDir: join(import.meta.dirname, '../dist/recorder'),
    emptyOutDir: true,
    modulePreload: false,
    rollupOptions: {
      input: {
        core: join(import.meta.dirname, 'core.ts'),
        loader: join(import.meta.dirname, 'loader.ts'),
      },
      // What the entries export is used by pages, not by each other.
      preserveEntrySignatures: 'strict',
      output: { entryFileNames: (chunk) => (chunk.name === 'loader' ? 'loader.js' : '[name]-[hash].js') },
    },
  },
});
