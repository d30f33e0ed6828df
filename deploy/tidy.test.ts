import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CONFIG } from '#service';
import { DOCUMENTS, fillTables, optionsTable, TABLES } from './readme.ts';
import {
  checkArrows,
  checkDead,
  checkLeftovers,
  checkLengths,
  checkPure,
  checkVendors,
  checkVersions,
  checkWords,
  FOLDERS,
  importsOf,
  type Files,
} from './tidy.ts';

const ROOT = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const TEXT = /(\.(tsx?|js|css|html|sh|ya?ml|tpl)|(^|\/)(Dockerfile|Makefile|run))$/;
const files: Files = new Map(
  globSync([`{${FOLDERS.join(',')}}/**/*`, '*.ts', 'Makefile', 'package.json', '.ci/run'], { cwd: ROOT })
    .filter((path) => (TEXT.test(path) || path === 'package.json') && !path.includes('/fixtures/'))
    .map((path) => [path, read(path)]),
);
const manifest = JSON.parse(read('package.json')) as { version: string; imports: Record<string, string> };

describe('the repository', () => {
  test('is what the rules look at', () => {
    for (const folder of FOLDERS)
      expect([...files.keys()].some((path) => path.startsWith(folder))).toBe(true);
  });
  test('keeps its import arrows', () => expect(checkArrows(files)).toEqual([]));
  test('keeps its pure seams pure', () => expect(checkPure(files, manifest.imports)).toEqual([]));
  test('imports each library in one place', () => expect(checkVendors(files)).toEqual([]));
  test('has exact versions', () => expect(checkVersions(manifest)).toEqual([]));
  test('has no dead files', () => expect(checkDead(files, manifest.imports)).toEqual([]));
  test('has no leftovers', () => expect(checkLeftovers(files)).toEqual([]));
  test('uses the words of the glossary', () => expect(checkWords(files)).toEqual([]));
  test('has no file that is too long', () => expect(checkLengths(files)).toEqual([]));
  test.each(Object.entries(DOCUMENTS))(
    'has a %s whose tables are those of the code (make readme)',
    (path, tables) => {
      const text = read(path);
      expect(fillTables(text, tables)).toBe(text);
    },
  );
});

describe('the chart', () => {
  const chart = [...files].filter(([path]) => path.startsWith('deploy/chart/'));
  const schema = JSON.parse(read('deploy/chart/values.schema.json')) as {
    properties: { config: { propertyNames: { enum: string[] } } };
  };
  /** Settings that are not Mutoscope's own. */
  const foreign = /^(AWS_|MINIO_|NATS_PASSWORD$|HOME$)/;

  test('sets no setting that does not exist', () => {
    const set = chart.flatMap(([, text]) =>
      [...text.matchAll(/^\s*(?:- name: |)([A-Z][A-Z_]+)(?::.*|)$/gm)].map(([, name]) => name as string),
    );
    expect(set).toContain('SQL_MEMORY_BYTES_MAX');
    expect(set.filter((name) => !(name in CONFIG) && !foreign.test(name))).toEqual([]);
  });
  test('lets every other setting be given, and no other', () => {
    const templates = chart.filter(([path]) => path.includes('/templates/')).map(([, text]) => text);
    const own = Object.keys(CONFIG).filter((name) => templates.some((text) => text.includes(name)));
    const left = Object.keys(CONFIG).filter((name) => !own.includes(name) && name !== 'CACHE_DIR');
    expect(schema.properties.config.propertyNames.enum.toSorted()).toEqual(left.toSorted());
  });
  test('is of the same version', () => {
    expect(read('deploy/chart/Chart.yaml')).toContain(`appVersion: ${manifest.version}\n`);
  });
});

describe('a rule finds', () => {
  const of = (entries: Record<string, string>): Files => new Map(Object.entries(entries));

  test('imports of every form', () => {
    const text = `import a from 'a';\nimport type { B } from "b";\nimport {\n  type C,\n} from 'c';\nimport 'd';
export * from './e.ts';\nconst f = await import('f');\nimport { type G, h } from 'g';\nconst text = 'from';`;
    expect(importsOf(text)).toEqual([
      { from: 'a', typeOnly: false },
      { from: 'b', typeOnly: true },
      { from: 'c', typeOnly: true },
      { from: 'd', typeOnly: false },
      { from: './e.ts', typeOnly: false },
      { from: 'f', typeOnly: false },
      { from: 'g', typeOnly: false },
    ]);
  });
  test('an arrow that is not allowed, but by a test', () => {
    const text = `import { x } from '#store';`;
    expect(
      checkArrows(of({ 'collector/a.ts': text, 'collector/a.test.ts': text, 'deploy/a.ts': text })),
    ).toEqual(['collector/a.ts may not import #store']);
  });
  test('a value where only a type may be imported', () => {
    const files = of({
      'query/a.ts': `import type { X } from '#protocol';`,
      'query/b.ts': `import { x } from '#protocol';`,
    });
    expect(checkArrows(files)).toEqual(['query/b.ts may not import #protocol but its types']);
  });
  test('a relative import that leaves its folder', () => {
    expect(checkArrows(of({ 'query/x/a.ts': `import { x } from '../../processor/layout.ts';` }))).toEqual([
      'query/x/a.ts leaves its folder by ../../processor/layout.ts',
    ]);
    expect(checkArrows(of({ 'query/x/a.ts': `import { x } from '../b.ts';` }))).toEqual([]);
  });
  test('Node, the DOM and libraries in what is pure, however deep', () => {
    const files = of({
      'recorder/protocol.ts': '/* window.x */ export const a = 1;',
      'processor/layout.ts': `import { a } from '#protocol';\nimport { b } from './deep.ts';`,
      'processor/deep.ts': `import { join } from 'node:path';`,
      'query/api.ts': 'export const b = document.title;',
    });
    expect(checkPure(files, { '#protocol': './recorder/protocol.ts' })).toEqual([
      'query/api.ts, part of query/api.ts, uses the DOM',
      'processor/deep.ts, part of processor/layout.ts, imports node:path',
    ]);
  });
  test('a library outside an x- file, and one with two', () => {
    const text = `import { connect } from '@nats-io/transport-node';`;
    expect(checkVendors(of({ 'collector/x-nats.ts': text, 'query/x-nats.ts': text }))).toEqual([]);
    expect(checkVendors(of({ 'collector/stream.ts': text }))).toHaveLength(1);
    expect(checkVendors(of({ 'collector/x-a.ts': text, 'collector/x-b.ts': text }))).toEqual([
      '@nats-io/transport-node in collector has two importers: collector/x-a.ts and collector/x-b.ts',
    ]);
    expect(checkVendors(of({ 'player/a.tsx': `import { For } from 'solid-js';` }))).toEqual([]);
  });
  test('a version that is a range', () => {
    expect(
      checkVersions({ dependencies: { a: '1.2.3', b: '^1.2.3' }, devDependencies: { c: 'latest' } }),
    ).toEqual([
      'dependencies: b is ^1.2.3, which is not one exact version',
      'devDependencies: c is latest, which is not one exact version',
    ]);
  });
  test('dead files, also those that only each other need', () => {
    const files = of({
      Makefile: 'start: ; node deploy/all.ts',
      'deploy/all.ts': `import { q } from '#query';`,
      'query/query.ts': `fork(join(here, 'child.ts'))`,
      'query/child.ts': '',
      'query/a.ts': `import './b.ts';`,
      'query/b.ts': `import './a.ts';`,
      'query/tested.ts': '',
      'query/tested.test.ts': `import './tested.ts';`,
    });
    expect(checkDead(files, { '#query': './query/query.ts' })).toEqual([
      'query/a.ts is dead: nothing leads to it',
      'query/b.ts is dead: nothing leads to it',
    ]);
  });
  test('leftovers', () => {
    expect(checkLeftovers(of({ 'query/a.ts': 'ok\n// TODO: later' }))).toEqual([
      'query/a.ts:2 has a leftover TODO',
    ]);
  });
  test('words that the glossary avoids', () => {
    const say = (text: string): string[] => checkWords(of({ 'query/a.ts': text }));
    for (const text of [
      'recordingId',
      'replay_id',
      'tenantId',
      'nearestKeyframe',
      'keyframe',
      'class FooManager {}',
    ])
      expect(say(text), text).toHaveLength(1);
    for (const text of ['session_id', '@keyframes spin {', 'new KeyframeEffect()', 'the recording goes on'])
      expect(say(text), text).toEqual([]);
    expect(checkWords(of({ 'query/utils.ts': '' }))).toHaveLength(1);
  });
  test('files that are too long', () => {
    expect(checkLengths(of({ 'query/a.ts': 'x\n'.repeat(400), 'query/b.ts': 'x\n'.repeat(401) }))).toEqual([
      'query/b.ts has 401 lines, more than 400',
    ]);
  });
  test('a table of the README that is old, and one that is missing', () => {
    const empty = Object.keys(TABLES)
      .map((name) => `<!-- ${name}:begin -->\na stale row\n<!-- ${name}:end -->\n`)
      .join('\n');
    const filled = fillTables(empty);
    expect(filled).toContain('| `FLUSH_INTERVAL_MS` | `10000` |');
    expect(filled).not.toContain('stale');
    expect(fillTables(filled)).toBe(filled);
    expect(() => fillTables('# Mutoscope')).toThrow('config');
  });
  test('an option of the recorder that has no default, or a source that cannot be read', () => {
    const source = (value: string): string =>
      `export interface RecordOptions {\n  /** How\n   * much. */\n  sampleRate?: number;\n  url: string;\n}\nconst DEFAULTS: X = {\n${value}};\n`;
    expect(optionsTable(source('  sampleRate: 1_000,\n'))).toContain(
      '| `sampleRate` | `data-sample-rate` | `number` | `1000` | How much. |\n| `url` | `data-url` | `string` | required | How much. |',
    );
    expect(() => optionsTable(source('  other: 1,\n'))).toThrow('sampleRate has no default');
    expect(() => optionsTable('interface Other {}')).toThrow('no RecordOptions');
  });
});
