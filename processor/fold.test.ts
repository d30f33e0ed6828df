import { describe, expect, test } from 'vitest';
import { checkpointsOf, decodeCheckpoint, eventsOf, type SessionEvent } from './checkpoints.ts';
import { Fold, type Checkpoint } from './fold.ts';
import { createFoldEvents } from './test-fold-events.ts';

type Fields = Record<string, unknown>;
interface Told {
  type: number;
  id: number;
  tagName?: string;
  attributes: Fields;
  childNodes: Told[];
  textContent?: string;
  [more: string]: unknown;
}
const element = (id: number, tagName: string, attributes: object = {}, ...childNodes: object[]): object => ({
  ...{ type: 2, id, tagName, attributes, childNodes },
});
const text = (id: number, textContent: string): object => ({ type: 3, id, textContent });
const page = (...body: object[]): object => ({
  node: {
    type: 0,
    id: 1,
    childNodes: [element(2, 'html', {}, element(3, 'head'), element(4, 'body', {}, ...body))],
  },
  initialOffset: { left: 0, top: 0 },
});
const mutation = (what: object): Fields => ({
  source: 0,
  adds: [],
  removes: [],
  texts: [],
  attributes: [],
  ...what,
});
const add = (parentId: number, node: object, nextId: number | null = null): object => ({
  parentId,
  nextId,
  node,
});

/** A fold of a page and what happened on it. */
function folded(body: object[], ...datas: unknown[]): Fold {
  const fold = new Fold();
  fold.apply({ type: 4, ts: 0, data: { href: 'https://shop.example/', width: 800, height: 600 } });
  fold.apply({ type: 2, ts: 0, data: page(...body) });
  for (const data of datas) fold.apply({ type: 3, ts: 1000, data });
  return fold;
}
const at = (fold: Fold, atMs = 1000): Checkpoint =>
  JSON.parse(JSON.stringify(fold.checkpoint(atMs))) as Checkpoint;
const bodyOf = ({ node }: Checkpoint): Told[] => (node as Told).childNodes[0]!.childNodes[1]!.childNodes;
/** Tags, texts and nesting. */
const sketch = (nodes: readonly Told[]): string =>
  nodes
    .map(({ tagName, textContent, childNodes }) =>
      tagName ? `<${tagName}>${childNodes.length ? `(${sketch(childNodes)})` : ''}` : textContent,
    )
    .join(' ');
const tailOf = (fold: Fold, source: number): Fields[] =>
  at(fold)
    .tail.map(({ data }) => data as Fields)
    .filter((data) => data.source === source);

describe('the tree', () => {
  test('of a snapshot that nothing followed is that of the snapshot', () => {
    const body = [element(5, 'p', { class: 'a' }, text(6, 'x')), element(7, 'ul')];
    const { node, initialOffset, meta, tail } = at(folded(body));
    expect({ node, initialOffset }).toEqual(page(...body));
    expect(meta).toEqual({ href: 'https://shop.example/', width: 800, height: 600 });
    expect(tail).toEqual([]);
  });
  test('has what was added, before its neighbour, without what was told below it', () => {
    const fold = folded(
      [element(5, 'p')],
      mutation({ adds: [add(4, element(6, 'b', {}, text(7, 'lost')), 5), add(4, text(8, 'end'))] }),
    );
    expect(sketch(bodyOf(at(fold)))).toBe('<b> <p> end');
  });
  test('has what came before its parent or neighbour in one event', () => {
    const adds = [
      add(6, text(7, 'child')),
      add(4, text(9, 'first'), 8),
      add(4, element(6, 'p')),
      add(4, text(8, 'last')),
    ];
    expect(sketch(bodyOf(at(folded([], mutation({ adds })))))).toBe('<p>(child) first last');
  });
  test('loses what was removed, with all below it', () => {
    const body = [element(5, 'div', {}, element(6, 'p', {}, text(7, 'x')))];
    const fold = folded(
      body,
      mutation({ removes: [{ parentId: 4, id: 5 }] }),
      mutation({ texts: [{ id: 7, value: 'y' }] }),
    );
    expect(sketch(bodyOf(at(fold)))).toBe('');
    expect(fold.skipped).toBe(1);
  });
  test('tells shadow roots, frames and which document is whose', () => {
    const inner = { type: 0, id: 20, childNodes: [element(21, 'html')] };
    const fold = folded(
      [element(5, 'div'), element(6, 'iframe')],
      mutation({ adds: [add(5, { ...text(7, 'shade'), isShadow: true })] }),
      mutation({ adds: [add(6, inner)], isAttachIframe: true }),
      mutation({ adds: [add(21, { ...element(22, 'p'), rootId: 20 })] }),
    );
    const [host] = bodyOf(at(fold));
    expect(host).toMatchObject({ isShadowHost: true, childNodes: [{ id: 7, isShadow: true }] });
    const [{ adds }] = tailOf(fold, 0) as [{ adds: { parentId: number; node: Told }[] }];
    expect(adds[0]!.parentId).toBe(6);
    expect(adds[0]!.node.childNodes[0]).toMatchObject({
      id: 21,
      rootId: 20,
      childNodes: [{ id: 22, rootId: 20 }],
    });
  });
  test('keeps a node whose number another took, under a number of its own', () => {
    const fold = folded([element(5, 'p')], mutation({ adds: [add(4, element(5, 'b'))] }));
    expect(bodyOf(at(fold)).map(({ id, tagName }) => [id < 0, tagName])).toEqual([
      [true, 'p'],
      [false, 'b'],
    ]);
  });
});

describe('attributes', () => {
  test('are those told last; null takes one away', () => {
    const attributes = { class: 'b', title: null, hidden: '' };
    const fold = folded(
      [element(5, 'p', { class: 'a', title: 't' })],
      mutation({ attributes: [{ id: 5, attributes }] }),
    );
    expect(bodyOf(at(fold))[0]!.attributes).toEqual({ class: 'b', hidden: '' });
    expect(at(fold).tail).toEqual([]);
  });
  test('that building would treat otherwise go into the tail', () => {
    const fold = folded(
      [element(5, 'p')],
      mutation({ attributes: [{ id: 5, attributes: { onclick: 'x()' } }] }),
    );
    expect(tailOf(fold, 0)[0]!.attributes).toEqual([{ id: 5, attributes: { onclick: 'x()' } }]);
  });
  test('of a style keep the first and the last of a property, and nothing before a text', () => {
    const style = (value: unknown): Fields =>
      mutation({ attributes: [{ id: 5, attributes: { style: value } }] });
    const moves = Array.from({ length: 100 }, (_, i) => style({ top: `${i}px` }));
    const fold = folded([element(5, 'p')], ...moves, style({ left: '1px' }), style({ left: false }));
    expect((tailOf(fold, 0)[0]!.attributes as Fields[]).map(({ attributes }) => attributes)).toEqual([
      { style: { top: '0px' } },
      { style: { top: '99px' } },
      { style: { left: false } },
    ]);
    fold.apply({ type: 3, ts: 1000, data: style('left: 2px') });
    expect(bodyOf(at(fold))[0]!.attributes).toEqual({ style: 'left: 2px' });
    expect(at(fold).tail).toEqual([]);
  });
});

describe('style sheets', () => {
  const rule = (n: number): string => `.r${n} { top: 0; }`;
  const insert = (n: number, index: unknown): Fields => ({
    source: 8,
    id: 5,
    adds: [{ rule: rule(n), index }],
  });
  const remove = (index: unknown): Fields => ({ source: 8, id: 5, removes: [{ index }] });
  const set = (index: number[], property: string, value: string): Fields => ({
    ...{ source: 13, id: 5, index, set: { property, value } },
  });
  const style = [element(5, 'style')];

  test('forget rules that came and went, and count the others anew', () => {
    const fold = folded(style, insert(1, 0), insert(2, 1), insert(3, 2), set([2], 'top', '9px'), remove(1));
    expect(tailOf(fold, 8)).toEqual([
      {
        source: 8,
        id: 5,
        adds: [
          { rule: rule(1), index: 0 },
          { rule: rule(3), index: 1 },
        ],
        removes: [],
      },
    ]);
    expect(tailOf(fold, 13)).toMatchObject([{ index: [1] }]);
  });
  test('do not grow with what is done over and over', () => {
    const churn = Array.from({ length: 200 }, (_, i) => [
      insert(i, 0),
      set([0], 'top', `${i}px`),
      remove(0),
      set([0], 'left', `${i}px`),
    ]);
    expect(tailOf(folded(style, insert(1, 0), ...churn.flat()), 8)).toHaveLength(1);
    expect(tailOf(folded(style, insert(1, 0), ...churn.flat()), 13)).toHaveLength(2);
  });
  test('keep all where a browser may have refused a rule', () => {
    const odd = { source: 8, id: 5, adds: [{ rule: 'p::-moz-odd {}', index: 0 }] };
    expect(tailOf(folded(style, insert(1, 0), odd, remove(1)), 8)).toMatchObject([
      { removes: [{ index: 1 }] },
    ]);
  });
  test('lose what scripts did when the text changes', () => {
    const fold = folded(
      [element(5, 'style', {}, text(6, '.a {}'))],
      insert(1, 0),
      mutation({ texts: [{ id: 6, value: '.b {}' }] }),
    );
    expect(at(fold).tail).toEqual([]);
    expect(bodyOf(at(fold))[0]!.childNodes).toMatchObject([{ textContent: '.b {}', isStyle: true }]);
  });
  test('that were adopted are made and adopted again, changed as they are', () => {
    const fold = folded(
      [],
      {
        source: 15,
        id: 1,
        styleIds: [1, 2],
        styles: [
          { styleId: 1, rules: [{ rule: rule(1), index: 0 }] },
          { styleId: 2, rules: [] },
        ],
      },
      { source: 8, styleId: 2, replaceSync: '.x {}' },
      { source: 15, id: 1, styleIds: [2] },
    );
    expect(tailOf(fold, 15)).toEqual([
      {
        source: 15,
        id: 1,
        styleIds: [2],
        styles: [
          { styleId: 1, rules: [{ rule: rule(1), index: 0 }] },
          { styleId: 2, rules: [] },
        ],
      },
    ]);
    expect(tailOf(fold, 8)).toEqual([{ source: 8, styleId: 2, replaceSync: '.x {}' }]);
  });
});

describe('the tail', () => {
  test('has values, positions, fonts, media, pictures, elements defined, and where the mouse is', () => {
    const fold = folded(
      [element(5, 'input'), element(6, 'video', { rr_mediaState: 'paused' }), element(7, 'canvas')],
      { source: 5, id: 5, text: '••', isChecked: false },
      { source: 3, id: 5, x: 1, y: 2 },
      { source: 10, family: 'Icons', fontSource: 'url(data:,)', buffer: false },
      { source: 10, family: 'Icons', fontSource: 'url(data:,)', buffer: false },
      { source: 7, id: 6, type: 0, currentTime: 3, volume: 1, muted: true, loop: false, playbackRate: 2 },
      { source: 16, define: { name: 'my-card' } },
      {
        source: 1,
        positions: [
          { x: 1, y: 1, id: 5, timeOffset: -50 },
          { x: 9, y: 8, id: 6, timeOffset: 0 },
        ],
      },
    );
    fold.apply({ type: 5, ts: 1000, data: { tag: 'canvas', payload: { id: 7, image: 'data:,' } } });
    // Half a second later the video is a second further.
    expect(fold.checkpoint(1500)!.tail).toEqual([
      { type: 3, data: { source: 16, define: { name: 'my-card' } } },
      { type: 3, data: { source: 10, family: 'Icons', fontSource: 'url(data:,)', buffer: false } },
      {
        type: 3,
        data: {
          source: 7,
          id: 6,
          type: 0,
          currentTime: 4,
          volume: 1,
          muted: true,
          loop: false,
          playbackRate: 2,
        },
      },
      { type: 5, data: { tag: 'canvas', payload: { id: 7, image: 'data:,' } } },
      { type: 3, data: { source: 5, id: 5, text: '••', isChecked: false } },
      { type: 3, data: { source: 3, id: 5, x: 1, y: 2 } },
      { type: 3, data: { source: 1, positions: [{ x: 9, y: 8, id: 6, timeOffset: 0 }] } },
    ]);
  });
  test('is empty of what was removed, and after another full snapshot', () => {
    const gone = mutation({ removes: [{ parentId: 4, id: 5 }] });
    const fold = folded([element(5, 'input')], { source: 5, id: 5, text: 'x', isChecked: false }, gone);
    expect(at(fold).tail).toEqual([]);
  });
});

describe('what cannot be applied', () => {
  test.each([
    ['no data', null],
    ['a mutation without lists', { source: 0 }],
    ['lists of nothing', mutation({ adds: [null, {}], removes: [null], texts: [7], attributes: ['x'] })],
    ['a node of no kind', mutation({ adds: [add(4, { id: 9, type: 77 })] })],
    ['a parent that is not there', mutation({ adds: [add(99, text(9, 'x'))] })],
    ['a neighbour that never comes', mutation({ adds: [add(4, text(9, 'x'), 98)] })],
    ['a neighbour elsewhere', mutation({ adds: [add(4, text(9, 'x'), 6)] })],
    ['a child of a text', mutation({ adds: [add(6, text(9, 'x'))] })],
    ['a removal from another parent', mutation({ removes: [{ parentId: 4, id: 6 }] })],
    ['a rule of nothing', { source: 8, id: 5, adds: [{ rule: '.a {}', index: 0 }] }],
    ['a sheet of nobody', { source: 15, id: 99, styleIds: [1] }],
    ['a position of nothing', { source: 3, id: 99, x: 1, y: 1 }],
    ['no position', { source: 1 }],
  ])('is counted: %s', (_, data) => {
    const fold = folded([element(5, 'p', {}, text(6, 'x'))]);
    const before = sketch(bodyOf(at(fold)));
    fold.apply({ type: 3, ts: 1, data });
    expect(fold.skipped).toBeGreaterThan(0);
    expect([before, before.replace('x', '')]).toContain(sketch(bodyOf(at(fold))).replace(/\(\)/, ''));
  });
  test('is a page deeper than can be written', () => {
    let deep = text(9999, 'x');
    for (let id = 9998; id > 5000; id--) deep = element(id, 'div', {}, deep);
    const fold = folded([]);
    fold.apply({ type: 2, ts: 0, data: page(deep) });
    expect(fold.checkpoint(0)).toBeUndefined();
  });
});

test('a checkpoint, folded, gives the same checkpoint, and alters no event', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const events = createFoldEvents(seed, 150);
    const before = JSON.stringify(events);
    const fold = new Fold();
    for (const { type, timestamp, data } of events) fold.apply({ type, ts: timestamp, data });
    const ts = events.at(-1)!.timestamp;
    const again = new Fold();
    for (const { type, timestamp, data } of eventsOf(at(fold, ts), ts))
      again.apply({ type, ts: timestamp, data });
    expect(at(again, ts), `seed ${seed}`).toEqual(at(fold, ts));
    expect(JSON.stringify(events)).toBe(before);
  }
});

describe('checkpoints', () => {
  const event = (seq: number, ts: number, type: number, data: unknown, rid = 'a'): SessionEvent => ({
    rid,
    seq,
    ts,
    type,
    data,
  });
  const begin = (rid: string, ts: number): SessionEvent[] => [
    event(1, ts, 4, { href: 'https://shop.example/', width: 8, height: 6 }, rid),
    event(2, ts, 2, page(element(5, 'p')), rid),
  ];
  const change = (seq: number, ts: number, rid = 'a'): SessionEvent =>
    event(seq, ts, 3, mutation({ attributes: [{ id: 5, attributes: { class: `c${seq}` } }] }), rid);
  const placesOf = (events: SessionEvent[]): [string, number, number][] =>
    Array.from(checkpointsOf(events), ({ rid, seq, ts }) => [rid, seq, ts]);

  test('stand before the first event that is a minute or more after the last one', () => {
    const events = [
      ...begin('a', 0),
      change(3, 30_000),
      change(4, 60_000),
      change(5, 61_000),
      change(6, 300_000),
    ];
    expect(placesOf(events)).toEqual([
      ['a', 4, 60_000],
      ['a', 6, 300_000],
    ]);
  });
  test('of a page that is large beside what happens on it are few', () => {
    const [meta, snapshot] = begin('a', 0);
    const small = Array.from({ length: 40 }, (_, i) => ({ ...change(3 + i, i * 20_000), chars: 10 }));
    const chars = 10_000;
    const told = [meta!, { ...snapshot!, chars }, ...small];
    // After ten minutes; then the page, as it is written, is no longer large.
    expect(placesOf(told)[0]).toEqual(['a', 33, 600_000]);
    const many = small.map((one) => ({ ...one, chars: chars / 6 }));
    expect(placesOf([meta!, { ...snapshot!, chars }, ...many])[0]).toEqual(['a', 6, 60_000]);
  });
  test('hold the page as it was before that event', () => {
    const [found] = checkpointsOf([...begin('a', 0), change(3, 30_000), change(4, 60_000)]);
    expect(bodyOf(decodeCheckpoint(found!.payload))[0]!.attributes).toEqual({ class: 'c3' });
  });
  test('do not stand where a full snapshot does, and count from it', () => {
    const own = begin('a', 90_000).map((one) => ({ ...one, seq: one.seq + 9 }));
    expect(placesOf([...begin('a', 0), change(3, 30_000), ...own, change(12, 100_000)])).toEqual([]);
  });
  test('begin anew with each recorder instance', () => {
    expect(
      placesOf([...begin('a', 0), change(3, 1000), ...begin('b', 99_000), change(3, 100_000, 'b')]),
    ).toEqual([]);
    expect(placesOf([change(1, 0), change(2, 100_000)])).toEqual([]);
  });
});
