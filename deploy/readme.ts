import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { API_ERRORS } from '#api';
import { EVENTS_COLUMNS, REPLAY_COLUMNS, SESSIONS_COLUMNS, type Column } from '#layout';
import { SIGNAL_DEFINITIONS, WIRE_ERRORS } from '#protocol';
import { VIEWS } from '#query';
import { CONFIG } from '#service';
import { COMPLETION_RATES, FOUNDING_QUESTION } from './story.ts';

const ROOT = join(import.meta.dirname, '..');

/** The README's tables that come from the code, by the name in their markers `<!-- name:begin -->`, `<!-- name:end -->`. */
export const TABLES: Record<string, () => string> = {
  config: () =>
    table(
      ['setting', 'default', 'what it is'],
      Object.entries(CONFIG).map(([name, [, fallback, sentence]]) => [
        code(name),
        fallback && code(fallback),
        sentence,
      ]),
    ),
  'wire-errors': () =>
    table(
      ['code', 'close', 'HTTP', 'when'],
      Object.entries(WIRE_ERRORS).map(([name, { close, status, sentence }]) => [
        code(name),
        String(close),
        String(status),
        sentence,
      ]),
    ),
  'api-errors': () =>
    table(
      ['code', 'HTTP', 'when'],
      Object.entries(API_ERRORS).map(([name, { status, sentence }]) => [
        code(name),
        String(status),
        sentence,
      ]),
    ),
  'events-columns': () => columns(EVENTS_COLUMNS),
  'replay-columns': () => columns(REPLAY_COLUMNS),
  'sessions-columns': () => columns(SESSIONS_COLUMNS),
  views: () =>
    table(
      ['view', 'what it holds'],
      VIEWS.map(({ name, sentence }) => [code(name), sentence]),
    ),
  signals: () =>
    table(
      ['signal', 'what it means'],
      Object.entries(SIGNAL_DEFINITIONS).map(([name, sentence]) => [code(name), sentence]),
    ),
  'founding-question': () => sql(FOUNDING_QUESTION),
  'completion-rates': () => sql(COMPLETION_RATES),
};

/** Every document that has such tables, and which; of files from the repository's root. */
export const DOCUMENTS: Record<string, Record<string, () => string>> = {
  'README.md': TABLES,
  'recorder/README.md': {
    options: () => optionsTable(readFileSync(join(ROOT, 'recorder/options.ts'), 'utf8')),
  },
};

/** @throws Error that names the table whose markers are missing */
export function fillTables(readme: string, tables = TABLES): string {
  for (const [name, make] of Object.entries(tables)) {
    const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
    const from = readme.indexOf(begin);
    const to = readme.indexOf(end, from);
    if (from < 0 || to < 0) throw new Error(`the document has no ${begin} … ${end}`);
    readme = `${readme.slice(0, from)}${begin}\n<!-- prettier-ignore -->\n${make()}\n${readme.slice(to)}`;
  }
  return readme;
}

const sql = (text: string): string => ['```sql', text, '```'].join('\n');
const code = (text: string): string => `\`${text}\``;
const cell = (text: string): string => text.replaceAll('|', '\\|');
const row = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');
const columns = (list: readonly Column[]): string =>
  table(
    ['column', 'type', 'what it holds'],
    list.map(({ name, type, required, sentence }) => [
      code(name),
      required ? type : `${type}, may be null`,
      sentence,
    ]),
  );

/**
 * The recorder's options, read from its source: a deployment may not import the recorder. An option without a sentence
 * of its own shares that of the one before. Pure.
 * @throws Error where the source has another form
 */
export function optionsTable(source: string): string {
  const options = /interface RecordOptions \{\n([^]*?)\n\}/.exec(source)?.[1];
  const defaults = /const DEFAULTS[^=]*= \{\n([^]*?)\n\};/.exec(source)?.[1];
  if (!options || !defaults) throw new Error('options.ts has no RecordOptions or no DEFAULTS');
  const byDefault = new Map(
    [...defaults.matchAll(/^ {2}(\w+): (.*),$/gm)].map(([, name, value]) => [name, value]),
  );
  let sentence = '';
  const rows = [...options.matchAll(/^ {2}(?:\/\*\*([^]*?)\*\/|(\w+)(\??): (.*);)$/gm)].flatMap(
    ([, comment, name = '', isOptional, type = '']) => {
      if (comment) sentence = comment.replace(/\s*\n\s*\*?\s*/g, ' ').trim();
      if (comment) return [];
      const value = byDefault.get(name)?.replaceAll('_', '');
      if (isOptional && value === undefined) throw new Error(`${name} has no default`);
      const attribute = `data-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
      return [[code(name), code(attribute), code(type), value ? code(value) : 'required', sentence]];
    },
  );
  if (!rows.length) throw new Error('options.ts has no options');
  return table(['option', 'attribute', 'type', 'default', 'what it does'], rows);
}

if (import.meta.main)
  for (const [name, tables] of Object.entries(DOCUMENTS)) {
    const path = join(ROOT, name);
    writeFileSync(path, fillTables(readFileSync(path, 'utf8'), tables));
  }
