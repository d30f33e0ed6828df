import {
  autocompletion,
  closeBrackets,
  closeCompletion,
  completeFromList,
  completionKeymap,
  type Completion,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { PostgreSQL, sql, type SQLNamespace } from '@codemirror/lang-sql';
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { Compartment, EditorState } from '@codemirror/state';
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  keymap,
  lineNumbers,
  placeholder,
} from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { SchemaAnswer } from '#api';

export interface Editor {
  text(): string;
  replace(text: string): void;
  complete(schema: SchemaAnswer): void;
  focus(): void;
  dispose(): void;
}

/** CodeMirror with our colours: only what carries meaning in SQL has one. Tab leaves the editor, as everywhere. */
export function createEditor(
  parent: HTMLElement,
  options: { text: string; onRun: () => void; onChange: () => void },
): Editor {
  const language = new Compartment();
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: options.text,
      extensions: [
        keymap.of([
          { key: 'Mod-Enter', run: (view) => (closeCompletion(view), options.onRun(), true) },
          ...completionKeymap,
          ...historyKeymap,
          ...defaultKeymap,
        ]),
        lineNumbers(),
        history(),
        drawSelection(),
        highlightActiveLine(),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ icons: false }),
        EditorView.lineWrapping,
        placeholder('SELECT …'),
        language.of(sql({ dialect: PostgreSQL })),
        syntaxHighlighting(HIGHLIGHT),
        THEME,
        EditorView.contentAttributes.of({ 'aria-label': 'SQL statement' }),
        EditorView.updateListener.of((update) => void (update.docChanged && options.onChange())),
      ],
    }),
  });
  return {
    text: () => view.state.doc.toString(),
    replace: (text) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } }),
    complete: (schema) =>
      view.dispatch({
        effects: language.reconfigure([
          sql({
            dialect: PostgreSQL,
            schema: toNamespace(schema),
            // Hundreds, most of them never used here: after the names of views and columns.
            keywordCompletion: (label, type) => ({ label: label.toUpperCase(), type, boost: -50 }),
          }),
          PostgreSQL.language.data.of({ autocomplete: completeFromList(toColumns(schema)) }),
        ]),
      }),
    focus: () => view.focus(),
    dispose: () => view.destroy(),
  };
}

const toNamespace = ({ views }: SchemaAnswer): SQLNamespace =>
  Object.fromEntries(
    views.map(({ name, sentence, columns }) => [
      name,
      {
        self: { label: name, type: 'type', detail: 'view', info: sentence },
        children: columns.map((column) => ({
          label: column.name,
          type: 'property',
          detail: column.type.toLowerCase(),
          info: column.sentence,
        })),
      },
    ]),
  );

/** Columns without their view in front, each name once; behind a dot lang-sql knows which are meant. */
function toColumns({ views }: SchemaAnswer): Completion[] {
  const byName = new Map<string, Completion>();
  for (const { columns } of views)
    for (const { name, type, sentence } of columns)
      byName.set(name, { label: name, type: 'property', detail: type.toLowerCase(), info: sentence });
  return [...byName.values()];
}

const HIGHLIGHT = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--sp-accent)', fontWeight: '600' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--sp-input)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--sp-track)' },
  { tag: tags.comment, color: 'var(--sp-text-2)', fontStyle: 'italic' },
  { tag: [tags.typeName, tags.standard(tags.name)], color: 'var(--sp-navigation)' },
]);

const THEME = EditorView.theme({
  '&': { height: '100%', color: 'var(--sp-text)', backgroundColor: 'var(--sp-surface)', fontSize: '13px' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--sp-mono)', lineHeight: '20px' },
  '.cm-content': { padding: '8px 0', caretColor: 'var(--sp-text)' },
  '.cm-cursor': { borderLeftColor: 'var(--sp-text)' },
  '.cm-placeholder': { color: 'var(--sp-text-2)' },
  '.cm-gutters': {
    color: 'var(--sp-text-2)',
    backgroundColor: 'var(--sp-raised)',
    borderRight: '1px solid var(--sp-line)',
  },
  '.cm-activeLine': { backgroundColor: 'color-mix(in srgb, var(--sp-hover) 60%, transparent)' },
  '.cm-activeLineGutter': { backgroundColor: 'var(--sp-hover)' },
  '.cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground': {
    backgroundColor: 'color-mix(in srgb, var(--sp-accent) 28%, transparent)',
  },
  '&.cm-focused .cm-matchingBracket': { backgroundColor: 'var(--sp-accent-soft)', color: 'inherit' },
  '.cm-tooltip': {
    border: '1px solid var(--sp-line-strong)',
    borderRadius: 'var(--sp-radius)',
    backgroundColor: 'var(--sp-surface)',
    color: 'var(--sp-text)',
  },
  '.cm-tooltip.cm-completionInfo': {
    padding: '4px 8px',
    maxWidth: '280px',
    font: '13px/20px var(--sp-font)',
  },
  '.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--sp-mono)' },
  '.cm-tooltip-autocomplete > ul > li': { padding: '2px 8px', lineHeight: '20px' },
  '.cm-tooltip-autocomplete > ul > li[aria-selected]': {
    backgroundColor: 'var(--sp-accent-soft)',
    color: 'var(--sp-text)',
  },
  '.cm-completionDetail': { color: 'var(--sp-text-2)', fontStyle: 'normal' },
});
