import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { API_ERRORS } from '#api';
import { EVENTS_COLUMNS, REPLAY_COLUMNS, type Column } from '#layout';
import { WIRE_ERRORS } from '#protocol';
import { VIEWS } from '#query';
import { CONFIG } from '#service';
import { COMPLETION_RATES, FOUNDING_QUESTION } from './story.ts';

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
  views: () =>
    table(
      ['view', 'what it holds'],
      VIEWS.map(({ name, sentence }) => [code(name), sentence]),
    ),
  'founding-question': () => sql(FOUNDING_QUESTION),
  'completion-rates': () => sql(COMPLETION_RATES),
};

/** @throws Error that names the table whose markers are missing */
export function fillTables(readme: string): string {
  for (const [name, make] of Object.entries(TABLES)) {
    const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
    const from = readme.indexOf(begin);
    const to = readme.indexOf(end, from);
    if (from < 0 || to < 0) throw new Error(`README.md has no ${begin} … ${end}`);
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

if (import.meta.main) {
  const path = join(import.meta.dirname, '../README.md');
  writeFileSync(path, fillTables(readFileSync(path, 'utf8')));
}
