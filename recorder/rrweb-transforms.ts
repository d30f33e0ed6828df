import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/**
 * What we take of rrweb's recorder at build time, and what we change in that. How style sheets are written down, which
 * is a matter of browsers' oddities that upstream knows, is taken as it is. The tree, its nodes and the observers are
 * ours, for their cost and for the masks; they speak rrweb's events. Every name and text is expected exactly and once:
 * where upstream's text has moved the build fails, and someone looks.
 */
export const UPSTREAM = { name: '@rrweb/record', version: '2.1.6' };
const TAKEN = [
  'stringifyStylesheet',
  'stringifyRule',
  'escapeImportStatement',
  'fixSafariColons',
  'isCSSImportRule',
  'isCSSStyleRule',
];

/** Replaces `find`. */
export interface Change {
  why: string;
  find: string;
  put: string;
}
const CHANGES: Change[] = [
  {
    why: 'the browsers that lack it lack our build target, too',
    find: '    const rules = s.rules || s.cssRules;\n    if (!rules) {\n      return null;\n    }\n',
    put: '    const rules = s.cssRules;\n',
  },
  {
    why: 'it mends `background-clip: text` of browsers from before 2020, and carries an expression of its own',
    find: 'return fixBrowserCompatibilityIssuesInCSS(stringifiedRules);',
    put: 'return stringifiedRules;',
  },
];

/** @throws Error naming the change whose text is not there exactly once */
export function applyChanges(source: string, changes: Change[]): string {
  for (const { why, find, put } of changes) {
    const count = source.split(find).length - 1;
    if (count !== 1)
      throw new Error(
        `${UPSTREAM.name} has moved: "${find.slice(0, 80)}" stands there ${count} times (${why})`,
      );
    source = source.replace(find, () => put);
  }
  return source;
}

/** The functions of these names, whole. @throws Error naming the one that is not there exactly once */
export function takeFunctions(source: string, names: readonly string[]): string {
  return names
    .map((name) => {
      const found = source.match(new RegExp(`^function ${name}\\([^]*?^\\}\\n`, 'gm')) ?? [];
      if (found.length !== 1)
        throw new Error(`${UPSTREAM.name} has moved: ${name} stands there ${found.length} times`);
      return found[0];
    })
    .join('');
}

/** A Vite plugin. @throws Error at build when the installed version is another */
export function rrwebTransforms(): {
  name: string;
  transform(code: string, id: string): { code: string; map: null } | undefined;
} {
  return {
    name: 'rrweb-transforms',
    transform(code, id) {
      if (!id.replaceAll('\\', '/').endsWith('@rrweb/record/dist/record.js')) return undefined;
      const folder = dirname(dirname(createRequire(import.meta.url).resolve(UPSTREAM.name)));
      const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
        version: string;
      };
      if (version !== UPSTREAM.version)
        throw new Error(`${UPSTREAM.name} is ${version}; the changes were made for ${UPSTREAM.version}`);
      const absolute = JSON.stringify(join(import.meta.dirname, 'absolute.ts'));
      return {
        code: `import { absoluteCss as absolutifyURLs } from ${absolute};
${applyChanges(takeFunctions(code, TAKEN), CHANGES)}
export { stringifyStylesheet, stringifyRule };
`,
        map: null,
      };
    },
  };
}
