import { posix } from 'node:path';

/**
 * The repository's rules about its own shape. Each is a pure function of the files (path from the root → text) and
 * returns what breaks it, a sentence each.
 */
export type Files = ReadonlyMap<string, string>;

export const FOLDERS = ['recorder', 'collector', 'processor', 'query', 'player', 'deploy'] as const;

/** Which seams a folder may import. `type:` allows types only. */
const ARROWS: Record<string, readonly string[]> = {
  recorder: [],
  collector: ['#protocol'],
  processor: ['#protocol', '#stream', '#service', '#projects', '#store'],
  query: ['#layout', '#store', '#service', '#projects', 'type:#protocol'],
  player: ['#protocol', '#api'],
};
/** Seams that run anywhere: no Node, no DOM, no library, and neither has anything that they import. */
const PURE = ['recorder/protocol.ts', 'processor/layout.ts', 'query/api.ts'];
const DOM_GLOBAL = /\b(?:window|document|navigator|localStorage|sessionStorage|location)\./;

const TEST_SUPPORT = /\/(test|mock|fixture)-[\w-]+\.tsx?$|\.(contract|victim)\.ts$/;
/** Libraries that a file of any name may import: which, where, and why. */
const LIBRARY_EXCEPTIONS: readonly { library: RegExp; path: RegExp; reason: string }[] = [
  {
    library: /./,
    path: /\.(test|bench)\.tsx?$/,
    reason: 'a test or benchmark may use whatever library it likes',
  },
  { library: /./, path: TEST_SUPPORT, reason: 'so may what only tests use, if its name says so' },
  {
    library: /^(vite|vite-plugin-solid)$/,
    path: /\/(vite\.config|rrweb-transforms?|x-terser|x-vite)\.ts$/,
    reason: 'the build',
  },
  { library: /^vitest/, path: /^(vitest\.config|deploy\/(servers|reporter))\.ts$/, reason: 'the test run' },
  { library: /^testcontainers$/, path: /^deploy\/servers\.ts$/, reason: 'the test run' },
  { library: /^playwright-core$/, path: /^deploy\/|\/browser\.ts$/, reason: 'tests drive a browser' },
  { library: /^solid-js|^@solidjs\/router$/, path: /^player\//, reason: 'the language of the view' },
  { library: /^(@codemirror|@lezer)\//, path: /^player\//, reason: 'its parts make one editor' },
  { library: /^@rrweb\/types$/, path: /^(recorder|player)\//, reason: 'types of what is recorded' },
];

const LINES_MAX = 400;
/** One file by its nature: a table of the changes to rrweb, in upstream's own words. */
const TABLES = ['recorder/rrweb-transforms.ts'];
const TEST_LINES_MAX = 800;

export interface Import {
  from: string;
  typeOnly: boolean;
}

export function importsOf(text: string): Import[] {
  const found: Import[] = [];
  const statement =
    /^[ \t]*(import|export)\s+(type\s)?([^'"`;]*?\sfrom\s*)?['"]([^'"\n]+)['"]|\bimport\(\s*['"]([^'"\n]+)['"]\s*\)/gm;
  for (const [, , type, names = '', from, dynamic] of text.matchAll(statement)) {
    const inBraces = /^\{([^}]*)\}\s*from/s.exec(names.trim())?.[1];
    const allTypes = inBraces?.split(',').every((name) => !name.trim() || /^type\s/.test(name.trim()));
    found.push({ from: (from ?? dynamic) as string, typeOnly: Boolean(type ?? (inBraces && allTypes)) });
  }
  return found;
}

const isCode = (path: string): boolean => /\.tsx?$/.test(path);
const isTest = (path: string): boolean => /\.(test|bench)\.tsx?$/.test(path);
const folderOf = (path: string): string => path.split('/')[0] as string;
const code = (files: Files): [string, string][] => [...files].filter(([path]) => isCode(path));
const resolveFrom = (path: string, from: string): string => posix.join(posix.dirname(path), from);

export function checkArrows(files: Files): string[] {
  const wrong: string[] = [];
  for (const [path, text] of code(files)) {
    const folder = folderOf(path);
    const allowed = ARROWS[folder];
    for (const { from, typeOnly } of importsOf(text)) {
      if (from.startsWith('.') && folderOf(resolveFrom(path, from)) !== folder)
        wrong.push(`${path} leaves its folder by ${from}`);
      if (!from.startsWith('#') || !allowed || isTest(path)) continue;
      if (!allowed.includes(from) && !(typeOnly && allowed.includes(`type:${from}`)))
        wrong.push(
          `${path} may not import ${from}${allowed.includes(`type:${from}`) ? ' but its types' : ''}`,
        );
    }
  }
  return wrong;
}

/** @param seams the `imports` of package.json */
export function checkPure(files: Files, seams: Record<string, string>): string[] {
  const wrong: string[] = [];
  const queue = PURE.map((path) => [path, path] as const);
  const seen = new Set<string>();
  for (let next = queue.shift(); next; next = queue.shift()) {
    const [path, seam] = next;
    const text = files.get(path);
    if (text === undefined) wrong.push(`${seam} needs ${path}, which is not there`);
    if (text === undefined || seen.has(path)) continue;
    seen.add(path);
    if (DOM_GLOBAL.test(withoutComments(text))) wrong.push(`${path}, part of ${seam}, uses the DOM`);
    for (const { from, typeOnly } of importsOf(text)) {
      if (typeOnly) continue;
      const target = seams[from]?.slice(2) ?? (from.startsWith('.') ? resolveFrom(path, from) : undefined);
      if (target) queue.push([target, seam]);
      else wrong.push(`${path}, part of ${seam}, imports ${from}`);
    }
  }
  return wrong;
}

export function checkVendors(files: Files): string[] {
  const wrong: string[] = [];
  const importers = new Map<string, string>();
  for (const [path, text] of code(files))
    for (const { from } of importsOf(text)) {
      if (/^(\.|#|node:|virtual:)/.test(from)) continue;
      if (LIBRARY_EXCEPTIONS.some((exception) => exception.library.test(from) && exception.path.test(path)))
        continue;
      if (!/^x-[\w-]+\.tsx?$/.test(posix.basename(path)))
        wrong.push(`${path} imports ${from}, which only a file x-….ts may`);
      const library = `${from.split('/', from.startsWith('@') ? 2 : 1).join('/')} in ${folderOf(path)}`;
      const other = importers.get(library);
      if (other && other !== path) wrong.push(`${library} has two importers: ${other} and ${path}`);
      importers.set(library, path);
    }
  return wrong;
}

export function checkVersions(manifest: Record<string, Record<string, string> | unknown>): string[] {
  return ['dependencies', 'devDependencies', 'optionalDependencies', 'overrides'].flatMap((kind) =>
    Object.entries((manifest[kind] ?? {}) as Record<string, string>)
      .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.-]+)?$/.test(version))
      .map(([name, version]) => `${kind}: ${name} is ${version}, which is not one exact version`),
  );
}

/** Code that cannot be reached from a test, a configuration or a file that is not code (a page, the Makefile, …). */
export function checkDead(files: Files, seams: Record<string, string>): string[] {
  const alive = new Set<string>();
  const queue = [...files.keys()].filter(
    (path) => !path.endsWith('.md') && (!isCode(path) || isTest(path) || /\.(config|d)\.ts$/.test(path)),
  );
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (alive.has(path)) continue;
    alive.add(path);
    const text = files.get(path) ?? '';
    const named = isCode(path)
      ? // A process, a worker or a build entry is named by a string, not by an import.
        [...text.matchAll(/['"`]([^'"`\s]+\.tsx?)['"`]/g), ...text.matchAll(/['"](#[\w-]+)['"]/g)]
      : text.matchAll(/([\w@./-]+\.tsx?)\b/g);
    for (const [, name = ''] of named)
      for (const target of [seams[name]?.slice(2), resolveFrom(path, name), name.replace(/^\.?\//, '')])
        if (target && files.has(target)) queue.push(target);
  }
  return code(files)
    .filter(([path]) => !alive.has(path))
    .map(([path]) => `${path} is dead: nothing leads to it`);
}

export function checkLeftovers(files: Files): string[] {
  return lines(files, /\b(?:TODO|FIXME|XXX|HACK)\b/).map(({ at, found }) => `${at} has a leftover ${found}`);
}

/** Words that the glossary avoids, where they can mean nothing else. */
const AVOIDED: readonly (readonly [RegExp, string])[] = [
  [/\b(?:recording|replay|visit|recorded_session)_?ids?\b/i, 'session'],
  [/(?<!@)keyframe(?!Effect)/i, 'full snapshot or checkpoint'],
  [/\b(?:tenant|account|site)_?ids?\b/i, 'project'],
  [/\bwarehouse\b/i, 'lake'],
  [/\bhigh_?water_?mark\b/i, 'watermark'],
  [/\bgdpr_?delete\b/i, 'erasure'],
  [/^\s*(?:export )?(?:abstract )?class \w+(?:Manager|Impl|Helper|Util)\b/, 'the domain’s noun'],
];
export function checkWords(files: Files): string[] {
  const text = new Map([...files].filter(([path]) => /\.(tsx?|js|html)$/.test(path)));
  const words = AVOIDED.flatMap(([word, instead]) =>
    lines(text, word).map(({ at, found }) => `${at} says ${found}; the glossary says ${instead}`),
  );
  const names = [...files.keys()]
    .filter((path) => /\/(utils?|helpers?|types|common|misc)\.tsx?$/.test(path))
    .map((path) => `${path} is named after no content`);
  return [...words, ...names];
}

export function checkLengths(files: Files): string[] {
  return [...files]
    .filter(([path]) => /\.(tsx?|js)$/.test(path) && !TABLES.includes(path))
    .map(([path, text]) => ({
      path,
      count: text.split('\n').length - 1,
      max: isTest(path) ? TEST_LINES_MAX : LINES_MAX,
    }))
    .filter(({ count, max }) => count > max)
    .map(({ path, count, max }) => `${path} has ${count} lines, more than ${max}`);
}

function lines(files: Files, pattern: RegExp): { at: string; found: string }[] {
  return [...files]
    .filter(([path]) => !/^deploy\/tidy\b/.test(path))
    .flatMap(([path, text]) =>
      text.split('\n').flatMap((line, index) => {
        const found = pattern.exec(line)?.[0];
        return found ? [{ at: `${path}:${index + 1}`, found }] : [];
      }),
    );
}

const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '');
