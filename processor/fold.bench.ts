import { readFileSync } from 'node:fs';
import { constants, zstdCompressSync } from 'node:zlib';
import { checkpointsOf, type SessionEvent } from './checkpoints.ts';
import { Fold } from './fold.ts';
import { createRandom } from './samples.ts';
import { splitAssets } from './split-assets.ts';

/**
 * `node processor/fold.bench.ts [events.json]`: how many events a second are folded, alone, with a checkpoint a minute,
 * and with its assets split and compressed, beside JSON.parse of the same events. Without a file of rrweb's events it
 * makes a session of its own: a page of 4,000 nodes on which rows come and go, classes, texts, inline styles and rules change.
 */
const EVENTS = 100_000;
const ROUNDS = 5;

interface Recorded {
  type: number;
  timestamp: number;
  data: unknown;
}
const file = process.argv[2];
const recorded = file ? (JSON.parse(readFileSync(file, 'utf8')) as Recorded[]) : createSession(7);
const texts = recorded.map(({ data }) => JSON.stringify(data));
const bytes = texts.reduce((sum, text) => sum + text.length, 0);

const parse = (): SessionEvent[] =>
  recorded.map(({ type, timestamp: ts }, i) => ({
    rid: 'a',
    seq: i + 1,
    ts,
    type,
    data: JSON.parse(texts[i]!) as unknown,
  }));
/** Median of the rounds. */
function time(run: () => unknown): number {
  const took = Array.from({ length: ROUNDS }, () => {
    const begin = performance.now();
    run();
    return performance.now() - begin;
  });
  return took.sort((a, b) => a - b)[ROUNDS >> 1]!;
}

const parsed = parse();
const checkpoints = [...checkpointsOf(parsed)];
const parseMs = time(parse);
const foldMs = time(() => {
  const fold = new Fold();
  for (const event of parsed) fold.apply(event);
});
const checkpointMs = time(() => [...checkpointsOf(parsed)]);
/** As a `replay` file is made: each minute's payloads and its checkpoint are one row group. */
const sealMs = time(() => {
  const events = parse();
  let next = 0;
  for (const { seq, payload } of [...checkpointsOf(events), { seq: events.length + 1, payload: '' }]) {
    const group = texts.slice(next, seq - 1);
    next = seq - 1;
    zstdCompressSync([...group, payload].map((text) => splitAssets(text).payload).join('\n'), {
      params: { [constants.ZSTD_c_compressionLevel]: 12 },
    });
  }
});

const rate = (ms: number): number => Math.round((recorded.length / ms) * 1000);
console.log(
  `${recorded.length} events, ${(bytes / 1e6).toFixed(1)} MB of JSON, ${checkpoints.length} checkpoints of ${Math.round(checkpoints.reduce((sum, { payload }) => sum + payload.length, 0) / Math.max(1, checkpoints.length) / 1000)} kB`,
);
const show = (what: string, ms: number): void =>
  console.log(
    `${rate(ms).toLocaleString('en').padStart(12)} events/s  ${ms.toFixed(0).padStart(6)} ms  ${(ms / parseMs).toFixed(2).padStart(5)} of JSON.parse  ${what}`,
  );
show('JSON.parse', parseMs);
show('fold', foldMs);
show('fold, checkpoints', checkpointMs);
show('JSON.parse, fold, checkpoints, assets split, all payloads in zstd 12', sealMs);
console.log(`figure fold_events_per_s ${rate(foldMs)} events/s`);
console.log(`figure fold_checkpoints_events_per_s ${rate(checkpointMs)} events/s`);
console.log(`figure seal_events_per_s ${rate(sealMs)} events/s`);

function createSession(seed: number): Recorded[] {
  const random = createRandom(seed);
  const int = (below: number): number => Math.floor(random() * below);
  let lastId = 10;
  let nowMs = 1_800_000_000_000;
  const rows: number[] = [];
  const element = (tagName: string, attributes: object, childNodes: object[] = []): { id: number } => ({
    ...{ type: 2, id: ++lastId, tagName, attributes, childNodes },
  });
  const cell = (): object =>
    element('td', { class: `c${int(20)}` }, [{ type: 3, id: ++lastId, textContent: `value ${int(1000)}` }]);
  const row = (cells: object[]): { id: number } => {
    const made = element('tr', { class: 'row', 'data-n': String(int(1000)) }, cells);
    rows.push(made.id);
    return made;
  };
  const css = Array.from({ length: 800 }, (_, i) => `.c${i} { color: red; margin: ${i}px; }`).join('\n');
  const body = Array.from({ length: 450 }, () => row([cell(), cell(), cell(), cell()]));
  const tree = {
    id: 1,
    type: 0,
    childNodes: [
      element('html', {}, [
        element('head', {}, [element('style', { _cssText: css })]),
        {
          type: 2,
          id: 5,
          tagName: 'body',
          attributes: {},
          childNodes: [{ type: 2, id: 6, tagName: 'style', attributes: {}, childNodes: [] }, ...body],
        },
      ]),
    ],
  };
  const events: Recorded[] = [
    { type: 4, timestamp: nowMs, data: { href: 'https://shop.example/', width: 1280, height: 800 } },
    { type: 2, timestamp: nowMs, data: { node: tree, initialOffset: { left: 0, top: 0 } } },
  ];
  const mutate = (what: object): object => ({
    source: 0,
    adds: [],
    removes: [],
    texts: [],
    attributes: [],
    ...what,
  });
  const acts: (() => object)[] = [
    () => ({
      source: 1,
      positions: Array.from({ length: 10 }, (_, i) => ({
        x: int(900),
        y: int(600),
        id: 5,
        timeOffset: -50 * i,
      })),
    }),
    () => {
      const made = row([]);
      const td = cell() as { id: number; childNodes: object[] };
      const text = td.childNodes.pop();
      return mutate({
        adds: [
          { parentId: 5, nextId: null, node: made },
          { parentId: made.id, nextId: null, node: td },
          { parentId: td.id, nextId: null, node: text },
        ],
      });
    },
    () =>
      mutate({
        removes: rows.length > 300 ? rows.splice(int(rows.length), 1).map((id) => ({ id, parentId: 5 })) : [],
      }),
    () => mutate({ attributes: [{ id: rows[int(rows.length)], attributes: { class: `row c${int(9)}` } }] }),
    () => mutate({ attributes: [{ id: rows[int(20)], attributes: { style: { top: `${int(99)}px` } } }] }),
    () => ({
      source: 8,
      id: 6,
      ...(random() < 0.5
        ? { adds: [{ rule: `.x${int(99)} { top: 1px; }`, index: 0 }] }
        : { removes: [{ index: 0 }] }),
    }),
    () => ({ source: 3, id: 1, x: 0, y: int(2000) }),
  ];
  while (events.length < EVENTS)
    events.push({ type: 3, timestamp: (nowMs += int(40)), data: acts[int(acts.length)]!() });
  return events;
}
