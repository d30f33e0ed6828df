import { join } from 'node:path';
import { build, type InlineConfig, type Rolldown } from 'vite';
import config from '../vite.config.ts';

/** Built as the collector's own files are, but for how the parts find each other. */
async function bundle(outDir: string, input: Record<string, string>, output: object): Promise<string[]> {
  const { plugins, build: options } = config as InlineConfig;
  const result = await build({
    ...config,
    configFile: false,
    logLevel: 'warn',
    plugins: plugins!.filter((plugin) => (plugin as { name?: string }).name !== 'classic-loader'),
    build: {
      ...options,
      outDir,
      emptyOutDir: false,
      rolldownOptions: undefined,
      // What the entry exports is all that a site sees of it.
      rollupOptions: { ...options!.rollupOptions, preserveEntrySignatures: 'strict', input, output },
    },
  });
  const outputs = (Array.isArray(result) ? result : [result]) as Rolldown.RolldownOutput[];
  return outputs.flatMap((one) =>
    one.output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : [])),
  );
}

const source = (name: string): string => join(import.meta.dirname, name);

/** An ES module with its lazy chunks, for bundlers. Returns the ids of the modules in it. */
export const bundleModule = (outDir: string): Promise<string[]> =>
  bundle(
    outDir,
    { index: source('index.ts') },
    { entryFileNames: 'index.js', chunkFileNames: 'chunks/[name]-[hash].js' },
  );

/** One classic script, lazy parts and all. Returns the ids of the modules in it. */
export const bundleClassic = (outDir: string): Promise<string[]> =>
  bundle(
    outDir,
    { mutoscope: source('classic.ts') },
    { format: 'iife', entryFileNames: 'mutoscope.js', codeSplitting: false },
  );

/** The loader, the core and its chunks, as the collector serves them under `/r/`. */
export async function bundleLoader(outDir: string): Promise<void> {
  await build({
    ...config,
    configFile: false,
    logLevel: 'warn',
    build: { ...(config as InlineConfig).build, outDir, emptyOutDir: true },
  });
}
