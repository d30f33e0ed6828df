import { describe, expect, it } from 'vitest';
import { takeAssets } from './assets.ts';
import { createCheckpoints } from './checkpoints.ts';
import { decodeBatch, type RecordedEvent } from './decode-batch.ts';
import { Fold } from './fold.ts';
import { encodeEventsFile, encodeReplayFile, encodeSessionsFile } from './lake-file.ts';
import type { SessionRow } from './layout.ts';
import { toRows } from './rows.ts';
import { createRandom, pageLoad } from './samples.ts';
import { sealRows } from './seal.ts';
import { sessionRows } from './session-rows.ts';
import { assetsIn, joinAssets, splitAssets } from './split-assets.ts';
import { createFoldEvents } from './test-fold-events.ts';

const START_MS = 1_800_000_000_000;
const SEEDS = 40;
/** Kinds of values that a script never makes and JSON can hold. `toString` and `valueOf`: no text or number can be made of such. */
const ATOMS: unknown[] = [
  ...[
    null,
    0,
    -1,
    1.5,
    1e308,
    8e15,
    -8e15,
    2 ** 40,
    '',
    'x',
    'length',
    'constructor',
    '__proto__',
    '\ud800',
    true,
    false,
  ],
  ...[[], [[]], [null], {}, { id: 1 }, { id: null }, { type: 2 }, { type: 99 }, { length: -1 }],
  ...[{ childNodes: null }, { childNodes: [null, 1] }, { attributes: null, tagName: 5 }, { toJSON: 1 }],
  ...[{ toString: null }, { toString: 1, valueOf: null }, [{ toString: null }], [[{ toString: null }]]],
];

/** The value, with some of its parts gone and others in place of what was there. */
function spoilt(value: unknown, random: () => number, share: number): unknown {
  if (random() < share) return ATOMS[Math.floor(random() * ATOMS.length)];
  if (Array.isArray(value)) return value.map((one) => spoilt(one, random, share));
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(() => random() >= share / 3);
  return Object.fromEntries(kept.map(([key, one]) => [key, spoilt(one, random, share)]));
}

/** Of the batch as its recorder might send it, as far as a batch is taken. */
async function taken(events: readonly unknown[]): Promise<RecordedEvent[]> {
  const some: RecordedEvent[] = [];
  for (const event of events)
    some.push(...(await decodeBatch(Buffer.from(JSON.stringify([event])), false).catch(() => [])));
  return some;
}

it(
  'what anybody may send as events is stored, folded, sealed and counted, and nothing fails',
  { timeout: 60_000 },
  async () => {
    const first = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
    process.stdout.write(`hostile events: SEED=${first}\n`);
    const origin = {
      project: 'shop',
      session: 'session',
      rid: 'rid',
      firstSeq: 1,
      offsetMs: 0,
      receivedMs: START_MS,
    };
    for (let seed = first; seed < first + SEEDS; seed++) {
      const at = `SEED=${seed}`;
      const random = createRandom(seed);
      const share = [0.002, 0.01, 0.06, 0.2][seed % 4]!;
      const whole = [
        ...createFoldEvents(seed, 200),
        ...pageLoad(60, START_MS),
        ...createFoldEvents(seed + 1, 100),
      ];
      const events = await taken(whole.map((event) => spoilt(event, random, share)));
      if (!events.length) continue;
      takeAssets(events);
      const rows = toRows(events, origin);
      for (const { type, url, name, text, value, props } of rows.events)
        for (const one of [type, url, name, text, value, props])
          expect(one === undefined || typeof one === 'string', `${at} ${JSON.stringify(one)}`).toBe(true);
      await encodeEventsFile('v1/events', 'r30', rows.events);
      const sessions: SessionRow[] = [];
      for await (const row of sessionRows(rows.events)) sessions.push(row);
      expect(
        sessions.map((row) => row.events),
        at,
      ).toEqual([rows.events.length]);
      await encodeSessionsFile('v1/sessions', 'r30', sessions);

      // Without the net that is under it: nothing is to fall.
      const fold = new Fold();
      for (const { type, timestamp, data } of events) fold.apply({ type, ts: timestamp, data });
      const checkpoint = fold.checkpoint(START_MS);
      expect(() => JSON.stringify(checkpoint), at).not.toThrow();
      const { rows: sealed } = sealRows(rows.replay);
      expect(
        sealed.filter(({ kind }) => kind === 'event'),
        at,
      ).toHaveLength(rows.replay.length);
      await encodeReplayFile('v1/replay', 'r30', sealed);
    }
  },
);

it('a page load whose events cannot be folded has no checkpoints until its next snapshot', () => {
  const checkpoints = createCheckpoints(1000);
  let seq = 0;
  const add = (atMs: number, type: number, data: unknown) =>
    checkpoints.add({ rid: 'rid', seq: ++seq, type, ts: START_MS + atMs, data, chars: 10 });
  const snapshot = { node: { type: 0, id: 1, childNodes: [] }, initialOffset: { left: 0, top: 0 } };
  const broken = new Proxy(
    { source: 0 },
    {
      get: () => {
        throw new Error('nobody thought of it');
      },
    },
  );
  add(0, 2, snapshot);
  add(1, 3, { source: 99 });
  expect(add(2000, 3, { source: 99 })).toBeDefined();
  expect(add(2001, 3, broken)).toBeUndefined();
  expect(add(9000, 3, { source: 99 })).toBeUndefined();
  add(9001, 2, snapshot);
  add(9002, 3, { source: 99 });
  expect(add(19_000, 3, { source: 99 })).toBeDefined();
});

describe('a page that is made to be much work', () => {
  const element = (id: number, childNodes: unknown[] = [], tagName = 'div', attributes = {}) => ({
    ...{ type: 2, id, tagName, attributes, childNodes },
  });
  const page = (body: unknown[] = []) => ({
    node: { type: 0, id: 1, childNodes: [element(2, [element(3, body, 'body')], 'html')] },
    initialOffset: { left: 0, top: 0 },
  });
  const added = (adds: unknown[]) => ({ source: 0, adds, removes: [], texts: [], attributes: [] });
  const COUNT = 150_000;
  const ids = Array.from({ length: COUNT }, (_, i) => i + 10);
  const last = ids.at(-1)!;
  const nodes = ids.map((id) => element(id));
  const options = ids.map((id) => element(id, [], 'option', { value: String(id) }));
  const cases: [string, unknown, unknown[], boolean][] = [
    [
      'each node before the one that comes after it',
      page(),
      [added(ids.map((id) => ({ parentId: 3, nextId: id === last ? null : id + 1, node: element(id) })))],
      false,
    ],
    [
      'each node in the one before it',
      page(),
      [added(ids.map((id) => ({ parentId: id === 10 ? 3 : id - 1, nextId: null, node: element(id) })))],
      false,
    ],
    [
      'a large part put in again and again',
      page([element(9, nodes)]),
      Array.from({ length: 1000 }, () => added([{ parentId: 3, nextId: null, node: element(9) }])),
      false,
    ],
    [
      'many properties of one style',
      page([element(9)]),
      ids.map((id) => ({
        ...added([]),
        attributes: [{ id: 9, attributes: { style: { [`--p${id}`]: '1' } } }],
      })),
      false,
    ],
    [
      'an entry chosen among very many, again and again',
      page([element(9, options, 'select')]),
      ids.slice(0, 1000).map((id) => ({ source: 5, id: 9, text: String(id), isChecked: false })),
      false,
    ],
    [
      'a rule set after very many came before it',
      page([element(9, [], 'style')]),
      [
        { source: 8, id: 9, adds: ids.map(() => ({ rule: '.a{left:1px}', index: 0 })) },
        ...ids.slice(0, 1000).map((id) => ({
          ...{ source: 13, id: 9, index: [COUNT - 1] },
          set: { property: `--p${id}`, value: '1' },
        })),
      ],
      false,
    ],
    [
      'very many sheets',
      page(),
      ids.map((id) => ({
        ...{ source: 15, id: 1, styleIds: [id] },
        styles: [{ styleId: id, rules: [{ rule: '.a{}' }] }],
      })),
      true,
    ],
    ['very many scrolled elements', page(nodes), ids.map((id) => ({ source: 3, id, x: 1, y: 2 })), true],
  ];
  it.each(cases)(
    'is not followed for long, and fails nothing: %s',
    { timeout: 60_000 },
    (_, snapshot, events, isWhole) => {
      const fold = new Fold();
      fold.apply({ type: 2, ts: START_MS, data: snapshot });
      for (const data of events) fold.apply({ type: 3, ts: START_MS, data, chars: 100 });
      expect(fold.checkpoint(START_MS) !== undefined).toBe(isWhole);
      fold.apply({ type: 2, ts: START_MS, data: page() });
      expect(fold.checkpoint(START_MS)).toBeDefined();
    },
  );
});

it('what looks like very much of a reference to an asset is written and read at once', () => {
  const payload = JSON.stringify({ source: 0, texts: [{ id: 1, value: `${'~'.repeat(1_000_000)}asset:` }] });
  const { payload: split, assets } = splitAssets(payload);
  expect(assets.size).toBe(0);
  expect(joinAssets(split, () => undefined) === payload).toBe(true);
  const tildes = JSON.stringify({ text: '~'.repeat(1_000_000) });
  expect(splitAssets(tildes).payload === tildes).toBe(true);
  expect(assetsIn(tildes)).toEqual([]);
});
