import { A } from '@solidjs/router';
import {
  createEffect,
  createMemo,
  createSignal,
  For,
  on,
  onCleanup,
  onMount,
  Show,
  type JSX,
} from 'solid-js';
import type { SqlAnswer } from '#api';
import { PlayIcon } from '../icons.tsx';
import { alignmentOf, formatCell, isReplayUrl, linkColumn, visibleRows, type Cell } from './result.ts';

const ROW_PX = 28;

export function ResultTable(props: { answer: SqlAnswer }): JSX.Element {
  let box!: HTMLDivElement;
  const [scrollPx, setScrollPx] = createSignal(0);
  const [viewPx, setViewPx] = createSignal(600);
  onMount(() => {
    const observer = new ResizeObserver(() => setViewPx(box.clientHeight));
    observer.observe(box);
    onCleanup(() => observer.disconnect());
  });
  createEffect(on([() => props.answer], () => void (box.scrollTop = 0)));
  const link = createMemo(() => linkColumn(props.answer.columns));
  const count = (): number => props.answer.rows.length;
  const range = createMemo(() => visibleRows(count(), ROW_PX, scrollPx(), viewPx()));
  const rows = createMemo(() => props.answer.rows.slice(range().first, range().end));
  const width = (): number => props.answer.columns.length + 2;

  return (
    <div
      ref={box}
      class="result-box"
      tabindex="0"
      role="region"
      aria-label="Result"
      on:scroll={() => setScrollPx(box.scrollTop)}
    >
      <table class="result" aria-rowcount={count() + 1}>
        <thead>
          <tr>
            <th scope="col" class="row-number">
              <span class="visually-hidden">Row</span>
            </th>
            <For each={props.answer.columns}>
              {(column) => (
                <th scope="col" class={alignmentOf(column.type)}>
                  {column.name} <small>{shortType(column.type)}</small>
                </th>
              )}
            </For>
            <td class="filler" />
          </tr>
        </thead>
        <tbody>
          <Spacer rows={range().first} span={width()} />
          <For each={rows()}>
            {(row, i) => (
              <tr aria-rowindex={range().first + i() + 2}>
                <td class="row-number">
                  <Show when={link()?.(row)} fallback={range().first + i() + 1}>
                    {(path) => (
                      <A
                        href={path()}
                        class="open-row"
                        aria-label={`Play the session of row ${range().first + i() + 1}`}
                      >
                        <PlayIcon size={12} />
                        {range().first + i() + 1}
                      </A>
                    )}
                  </Show>
                </td>
                <For each={props.answer.columns}>
                  {(column, j) => <Value value={row[j()]!} type={column.type} />}
                </For>
                <td class="filler" />
              </tr>
            )}
          </For>
          <Spacer rows={count() - range().end} span={width()} />
        </tbody>
      </table>
    </div>
  );
}

function Value(props: { value: Cell; type: string }): JSX.Element {
  const text = (): string => formatCell(props.value ?? null, props.type);
  return (
    <td class={alignmentOf(props.type)} classList={{ null: props.value === null }} title={text()}>
      <Show when={isReplayUrl(props.value ?? null)} fallback={text()}>
        <A href={text()}>{text()}</A>
      </Show>
    </td>
  );
}

function Spacer(props: { rows: number; span: number }): JSX.Element {
  return (
    <Show when={props.rows > 0}>
      <tr class="spacer" aria-hidden="true">
        <td colspan={props.span} style={{ height: `${props.rows * ROW_PX}px` }} />
      </tr>
    </Show>
  );
}

const shortType = (type: string): string =>
  type
    .replace('TIMESTAMP WITH TIME ZONE', 'timestamp, UTC')
    .replace('VARCHAR', 'text')
    .toLowerCase()
    .replace('utc', 'UTC');
