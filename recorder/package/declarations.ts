import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, posix } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const ENTRIES = ['package/index.d.ts', 'package/loader-types.d.ts'];
const RELATIVE = /((?:from|import\()\s*['"])(\.[^'"]+?)\.ts(?=['"])/g;

/**
 * Writes the types of the package into `outDir`: those that its two entries lead to, and nothing else.
 * @throws Error when the sources have type errors, or lead to a type of a library
 */
export function writeDeclarations(outDir: string): void {
  const cache = join(ROOT, 'dist');
  mkdirSync(cache, { recursive: true });
  // Inside the repository, for the compiler looks for packages from there.
  const work = mkdtempSync(join(cache, '.types-'));
  try {
    const project = {
      extends: '../../tsconfig.json',
      compilerOptions: {
        ...{ noEmit: false, declaration: true, emitDeclarationOnly: true, types: [] },
        ...{ rootDir: '../../recorder', outDir: './out' },
      },
      include: [],
      files: ['../../recorder/package/index.ts', '../../recorder/package/loader-types.ts'],
    };
    writeFileSync(join(work, 'tsconfig.json'), JSON.stringify(project));
    const compiler = join(
      dirname(createRequire(import.meta.url).resolve('typescript/package.json')),
      'bin/tsc',
    );
    execFileSync(process.execPath, [compiler, '-p', work], { stdio: ['ignore', 'inherit', 'inherit'] });
    const queue = [...ENTRIES];
    for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
      const text = readFileSync(join(work, 'out', path), 'utf8');
      for (const [, from] of text.matchAll(/^(?:import|export)\b[^'"]*from ['"]([^.'"][^'"]*)['"]/gm))
        throw new Error(`the types in ${path} lead to ${from}`);
      for (const [, , to = ''] of text.matchAll(RELATIVE)) {
        const next = posix.join(posix.dirname(path), `${to}.d.ts`);
        if (!queue.includes(next)) queue.push(next);
      }
      mkdirSync(join(outDir, dirname(path)), { recursive: true });
      writeFileSync(join(outDir, path), text.replace(RELATIVE, '$1$2.js'));
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
