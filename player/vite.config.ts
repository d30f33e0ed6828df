import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { build, defineConfig, type InlineConfig, type Plugin } from 'vite';
import solid from 'vite-plugin-solid';
import { rrwebTransform } from './rrweb-transform.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
export const ELEMENT_FILE = 'session-player.js';
/** The element and all it needs, gzipped. */
export const ELEMENT_GZ_BYTES_MAX = 60 * 1024;

const shared = (): InlineConfig => ({
  configFile: false,
  logLevel: 'warn',
  // Without delegation nothing touches `document` at import, and the host page gets no listeners.
  plugins: [rrwebTransform(), solid({ solid: { delegateEvents: false } })],
  build: { target: 'es2022', sourcemap: false, reportCompressedSize: false },
});

/** `<session-player>` as one ES module without imports. */
export const elementConfig = (outDir: string): InlineConfig => {
  const base = shared();
  return {
    ...base,
    build: {
      ...base.build,
      outDir,
      emptyOutDir: false,
      lib: { entry: here('index.ts'), formats: ['es'], fileName: () => ELEMENT_FILE },
      // Vite leaves the white space of an ES library in.
      rolldownOptions: { checks: { pluginTimings: false }, output: { codeSplitting: false, minify: true } },
    },
  };
};

/** The app: `index.html` and hashed files under `assets/`. */
export const appConfig = (outDir: string): InlineConfig => {
  const base = shared();
  return {
    ...base,
    root: here('app'),
    build: {
      ...base.build,
      outDir,
      emptyOutDir: true,
      modulePreload: { polyfill: false },
      assetsInlineLimit: 0,
      rolldownOptions: { checks: { pluginTimings: false } },
    },
  };
};

/** After the app, so that one command makes both. */
function withElement(outDir: string): Plugin {
  return {
    name: 'session-player-entry',
    apply: 'build',
    async closeBundle() {
      const result = await build(elementConfig(outDir));
      const chunk = (Array.isArray(result) ? result[0]! : result) as { output: { code?: string }[] };
      const bytes = gzipSync(chunk.output[0]!.code!).length;
      if (bytes > ELEMENT_GZ_BYTES_MAX)
        throw new Error(`${ELEMENT_FILE} has ${bytes} bytes gzipped, over ${ELEMENT_GZ_BYTES_MAX}`);
      console.log(`figure player_gz_kb ${(bytes / 1024).toFixed(1)} KB`);
    },
  };
}

/** `vite build -c player/vite.config.ts` */
export default defineConfig(() => {
  const outDir = here('../dist/player');
  const config = appConfig(outDir);
  return { ...config, plugins: [...config.plugins!, withElement(outDir)] };
});
