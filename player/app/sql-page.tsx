import { useSearchParams } from '@solidjs/router';
import { createResource, createSignal, For, onCleanup, onMount, Show, type JSX } from 'solid-js';
import type { SchemaAnswer, SqlAnswer, SqlRequest } from '#api';
import { PlayerError } from '../client.ts';
import { formatCount, formatInstant } from '../format.ts';
import { DownloadIcon, PlayIcon, StopIcon, WarningIcon } from '../icons.tsx';
import { client } from './auth.ts';
import { createEditor, type Editor } from './editor.ts';
import { EXAMPLES } from './examples.ts';
import { ResultTable } from './result-table.tsx';
import { useTitle } from './title.ts';

const STORED = 'mutoscope.sql';

export default function SqlPage(): JSX.Element {
  useTitle(() => 'SQL');
  let editorBox!: HTMLDivElement;
  let editor: Editor;
  const [search, setSearch] = useSearchParams<{ q?: string }>();
  const [answer, setAnswer] = createSignal<SqlAnswer>();
  const [problem, setProblem] = createSignal<PlayerError>();
  const [note, setNote] = createSignal('');
  const [running, setRunning] = createSignal<AbortController>();
  const [schema] = createResource(() => client.json<SchemaAnswer>('/v1/schema').catch(() => undefined));

  const ask = (format: SqlRequest['format'], signal: AbortSignal): Promise<Response> =>
    client.send('/v1/sql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sql: editor.text(), format } satisfies SqlRequest),
      signal,
    });
  /** One statement at a time; what is asked next cancels what runs. */
  const attempt = async (work: (signal: AbortSignal) => Promise<void>): Promise<void> => {
    running()?.abort();
    const controller = new AbortController();
    setRunning(controller);
    setProblem(undefined);
    setNote('');
    try {
      await work(controller.signal);
    } catch (error) {
      if (running() !== controller) return;
      if (controller.signal.aborted) setNote('Cancelled.');
      else setProblem(error instanceof PlayerError ? error : new PlayerError('internal', String(error)));
    } finally {
      if (running() === controller) setRunning(undefined);
    }
  };
  const run = (): void => {
    if (!editor.text().trim()) return;
    void attempt(async (signal) => {
      setSearch({ q: editor.text() }, { replace: true });
      const asked = ask('json', signal);
      // The rows of another statement must not stand below this one's error.
      asked.catch(() => signal.aborted || setAnswer(undefined));
      setAnswer((await (await asked).json()) as SqlAnswer);
    });
  };
  const download = (): void =>
    void attempt(async (signal) => {
      const file = URL.createObjectURL(await (await ask('csv', signal)).blob());
      const link = document.createElement('a');
      link.href = file;
      link.download = 'mutoscope.csv';
      link.click();
      URL.revokeObjectURL(file);
    });
  const insert = (text: string): void => {
    editor.replace(text);
    editor.focus();
  };

  onMount(() => {
    const text = search.q ?? sessionStorage.getItem(STORED) ?? EXAMPLES[0]!.sql;
    editor = createEditor(editorBox, {
      text,
      onRun: run,
      onChange: () => sessionStorage.setItem(STORED, editor.text()),
    });
    // The editor takes the keys when it has the focus; elsewhere on the page they mean the same.
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !event.defaultPrevented) run();
    };
    window.addEventListener('keydown', onKey);
    onCleanup(() => {
      window.removeEventListener('keydown', onKey);
      running()?.abort();
      editor.dispose();
    });
  });
  const completing = (): SchemaAnswer | undefined => {
    const known = schema();
    if (known) editor.complete(known);
    return known;
  };

  return (
    <div class="sql-page">
      <aside class="schema" aria-label="Examples and views" tabindex="0">
        <h2>Examples</h2>
        <ul class="examples">
          <For each={EXAMPLES}>
            {(example) => (
              <li>
                <button type="button" class="example" on:click={() => insert(example.sql)}>
                  {example.name}
                </button>
              </li>
            )}
          </For>
        </ul>
        <h2>Views</h2>
        <Show when={!schema.loading} fallback={<p class="quiet">Loading</p>}>
          <Show when={completing()} fallback={<p class="quiet">The schema could not be loaded.</p>}>
            {(known) => (
              <For each={known().views}>
                {(view) => (
                  <details>
                    <summary title={view.sentence}>
                      <code>{view.name}</code>
                    </summary>
                    <p class="quiet">{view.sentence}</p>
                    <ul>
                      <For each={view.columns}>
                        {(column) => (
                          <li title={column.sentence}>
                            <code>{column.name}</code>{' '}
                            <small class="quiet">
                              {column.type.toLowerCase().replace(' with time zone', '')}
                            </small>
                          </li>
                        )}
                      </For>
                    </ul>
                  </details>
                )}
              </For>
            )}
          </Show>
        </Show>
      </aside>
      <section class="desk">
        <h1 class="visually-hidden">SQL</h1>
        <div class="editor" ref={editorBox} />
        <div class="run-bar">
          <Show
            when={running()}
            fallback={
              <button type="button" class="button primary" on:click={run}>
                <PlayIcon size={14} /> Run
              </button>
            }
          >
            {(controller) => (
              <button type="button" class="button" on:click={() => controller().abort()}>
                <StopIcon size={14} /> Cancel
              </button>
            )}
          </Show>
          <span class="quiet keys">
            <kbd>Ctrl</kbd> <kbd>Enter</kbd>
          </span>
          <span class="run-note" role="status">
            <Show when={running()} fallback={note() || <Notes answer={answer()} />}>
              Running
            </Show>
          </span>
          <span class="spring" />
          <button type="button" class="button" disabled={!answer() || Boolean(running())} on:click={download}>
            <DownloadIcon size={14} /> CSV
          </button>
        </div>
        <Show when={problem()}>
          {(error) => (
            <div class="sql-problem" role="alert">
              <WarningIcon />
              <div>
                <code class="code">{error().code}</code>
                <pre>{error().message}</pre>
              </div>
            </div>
          )}
        </Show>
        <Show
          when={answer()}
          fallback={
            <Show when={!problem()}>
              <p class="result-empty quiet">
                Run a statement. Rows that name a session open it at their moment with one click.
              </p>
            </Show>
          }
        >
          {(result) => (
            <Show when={result().rows.length} fallback={<p class="result-empty quiet">No row.</p>}>
              <ResultTable answer={result()} />
            </Show>
          )}
        </Show>
      </section>
    </div>
  );
}

function Notes(props: { answer: SqlAnswer | undefined }): JSX.Element {
  return (
    <Show when={props.answer}>
      {(answer) => (
        <>
          <b>{formatCount(answer().rows.length)}</b> row{answer().rows.length === 1 ? '' : 's'} in{' '}
          {formatCount(Math.round(answer().elapsedMs))} ms
          <span class="quiet"> · fresh as of {formatInstant(answer().freshness.asOfMs)}</span>
          <Show when={answer().truncated}>
            <span class="truncated">Cut: there are more rows. Add a LIMIT or aggregate.</span>
          </Show>
        </>
      )}
    </Show>
  );
}
