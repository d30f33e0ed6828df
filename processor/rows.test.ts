import { describe, expect, it } from 'vitest';
import type { RecordedEvent } from './decode-batch.ts';
import type { EventRow } from './layout.ts';
import { TEXT_MAX, toRows, type BatchOrigin } from './rows.ts';
import { createRandom } from './samples.ts';

const origin: BatchOrigin = {
  project: 'shop',
  session: 's',
  rid: 'r',
  firstSeq: 11,
  offsetMs: 250,
  receivedMs: 1_000_000,
};
const rowOf = (type: number, data: unknown): Omit<EventRow, 'ts'> => {
  const { ts: _, ...row } = toRows([{ type, data, timestamp: 1000 }], origin).events[0]!;
  return JSON.parse(JSON.stringify(row)) as Omit<EventRow, 'ts'>;
};
const key = { project: 'shop', session_id: 's', rid: 'r', seq: 11 };
const custom = (tag: string, payload: unknown): Omit<EventRow, 'ts'> => rowOf(5, { tag, payload });

describe('an event becomes a row', () => {
  const target = {
    id: 9,
    selector: '#go',
    tag: 'button',
    role: 'button',
    text: 'Go',
    disabled: true,
    x: 3.6,
    y: 4,
  };
  const typedTarget = {
    node_id: 9,
    selector: '#go',
    tag: 'button',
    role: 'button',
    text: 'Go',
    disabled: true,
    x: 4,
    y: 4,
  };
  it.each([
    ['dom content loaded', rowOf(0, {}), { type: 'domcontentloaded' }],
    ['load', rowOf(1, {}), { type: 'load' }],
    ['full snapshot', rowOf(2, { node: {} }), { type: 'snapshot' }],
    [
      'meta',
      rowOf(4, { href: 'https://a/', width: 800, height: 600 }),
      { type: 'meta', url: 'https://a/', x: 800, y: 600 },
    ],
    ['click', custom('click', target), { type: 'click', ...typedTarget }],
    ['rage', custom('rage', { ...target, count: 4 }), { type: 'rage', ...typedTarget, props: '{"count":4}' }],
    [
      'navigation',
      custom('navigation', { kind: 'push', url: 'https://a/b', title: 'B' }),
      {
        type: 'navigation',
        name: 'push',
        url: 'https://a/b',
        props: '{"kind":"push","url":"https://a/b","title":"B"}',
      },
    ],
    [
      'track',
      custom('track', { name: 'variant', props: { fix: true } }),
      { type: 'track', name: 'variant', props: '{"fix":true}' },
    ],
    ['track without props', custom('track', { name: 'variant' }), { type: 'track', name: 'variant' }],
    [
      'error',
      custom('error', { message: 'boom', line: 1 }),
      { type: 'error', name: 'boom', props: '{"message":"boom","line":1}' },
    ],
    [
      'rejection',
      custom('unhandledrejection', { message: 'boom', stack: 'at x', count: 2 }),
      { type: 'unhandledrejection', name: 'boom', props: '{"message":"boom","stack":"at x","count":2}' },
    ],
    [
      'dead click',
      custom('dead', { ...target, disabled: false, ms: 1234 }),
      { type: 'dead', ...typedTarget, disabled: false, duration_ms: 1234 },
    ],
    [
      'form event',
      custom('form', { ...target, kind: 'blank', form: '#f', ms: 812, disabled: undefined }),
      {
        type: 'form',
        ...typedTarget,
        disabled: undefined,
        name: 'blank',
        duration_ms: 812,
        props: '{"form":"#f"}',
      },
    ],
    [
      'request',
      custom('network', {
        kind: 'xhr',
        method: 'PUT',
        url: 'https://a/b?c=',
        status: 404,
        ms: 81.4,
        bytes: 12,
      }),
      {
        ...{ type: 'network', name: 'PUT', value: 'https://a/b?c=', status: 404, duration_ms: 81 },
        props: '{"kind":"xhr","bytes":12}',
      },
    ],
    [
      'request with bodies',
      custom('network', { kind: 'fetch', request: 'q'.repeat(8192), response: 'r'.repeat(8192) }),
      {
        type: 'network',
        props: JSON.stringify({ kind: 'fetch', request: 'q'.repeat(8192), response: 'r'.repeat(8192) }),
      },
    ],
    [
      'web vital',
      custom('web-vital', { name: 'CLS', value: 0.125, rating: 'good', id: 'v6-1' }),
      { type: 'web-vital', name: 'CLS', value: '0.125', props: '{"rating":"good","id":"v6-1"}' },
    ],
    [
      'console line',
      custom('console', { level: 'warn', text: 'careful' }),
      { type: 'console', name: 'warn', value: 'careful' },
    ],
    [
      'visitor',
      custom('identify', { visitor: 'u-17' }),
      { type: 'identify', name: 'u-17', props: '{"visitor":"u-17"}' },
    ],
    [
      'visibility',
      custom('visibility', { visible: false }),
      { type: 'visibility', props: '{"visible":false}' },
    ],
    ['any custom event', custom('mine', 7), { type: 'mine', props: '7' }],
    [
      'plugin',
      rowOf(6, { plugin: 'rrweb/console@1', payload: {} }),
      { type: 'plugin', name: 'rrweb/console@1' },
    ],
    [
      'mutation',
      rowOf(3, { source: 0, adds: [1, 2], removes: [1], attributes: [], texts: [1, 2, 3] }),
      { type: 'mutation', adds: 2, removes: 1, attrs: 0, texts: 3 },
    ],
    [
      'mouse move, by its last position',
      rowOf(3, {
        source: 1,
        positions: [
          { x: 1, y: 1, id: 1 },
          { x: 5, y: 6, id: 7, timeOffset: 0 },
        ],
      }),
      { type: 'move', x: 5, y: 6, node_id: 7 },
    ],
    ['touch move', rowOf(3, { source: 6, positions: [] }), { type: 'touchmove' }],
    [
      'press',
      rowOf(3, { source: 2, type: 1, id: 4, x: 1, y: 2 }),
      { type: 'mousedown', node_id: 4, x: 1, y: 2 },
    ],
    ['native click', rowOf(3, { source: 2, type: 2, id: 4 }), { type: 'native_click', node_id: 4 }],
    ['focus', rowOf(3, { source: 2, type: 5, id: 4 }), { type: 'focus', node_id: 4 }],
    ['touch cancel', rowOf(3, { source: 2, type: 10, id: 4 }), { type: 'touchcancel', node_id: 4 }],
    ['scroll', rowOf(3, { source: 3, id: 1, x: 0, y: 300.4 }), { type: 'scroll', node_id: 1, x: 0, y: 300 }],
    ['resize', rowOf(3, { source: 4, width: 320, height: 640 }), { type: 'viewport', x: 320, y: 640 }],
    [
      'input',
      rowOf(3, { source: 5, id: 8, text: '·····', isChecked: false }),
      { type: 'input', node_id: 8, value: '·····' },
    ],
    ['media', rowOf(3, { source: 7, id: 8 }), { type: 'media', node_id: 8 }],
    ['style', rowOf(3, { source: 13, id: 8 }), { type: 'style', node_id: 8 }],
    ['adopted style sheet', rowOf(3, { source: 15, id: 8 }), { type: 'adopted', node_id: 8 }],
    ['custom element', rowOf(3, { source: 16 }), { type: 'custom_element' }],
    ['unknown source', rowOf(3, { source: 99 }), { type: 'rrweb_3_99' }],
    ['unknown type', rowOf(42, { anything: 1 }), { type: 'rrweb_42' }],
    ['event without data', rowOf(3, undefined), { type: 'rrweb_3_unknown' }],
  ])('%s', (_name, row, expected) =>
    expect(row).toEqual(JSON.parse(JSON.stringify({ ...key, ...expected }))),
  );
});

describe('rows of a batch', () => {
  const at = (timestamp: number, type = 3, data: unknown = { source: 3, id: 1 }): RecordedEvent => ({
    type,
    data,
    timestamp,
  });

  it('are numbered on, and timed by the server', () => {
    const { events, replay } = toRows([at(1000), at(1000.25)], origin);
    expect(events.map(({ seq, ts }) => [seq, ts])).toEqual([
      [11, 1_250_000n],
      [12, 1_250_250n],
    ]);
    expect(replay[1]).toEqual({
      ...key,
      seq: 12,
      ts: 1_250_250n,
      type: 3,
      kind: 'event',
      payload: '{"source":3,"id":1}',
    });
  });

  it('did not happen after they were received, but for what clocks err', () => {
    const { events } = toRows([at(1_000_000 + 59_000), at(1_000_000 + 61_000)], { ...origin, offsetMs: 0 });
    expect(events.map(({ ts }) => ts)).toEqual([1_059_000_000n, 1_000_000_000n]);
  });

  it.each([-1e308, -2e16, 1e308])('are of an instant whatever their clock said: %d', (offsetMs) => {
    const { ts } = toRows([{ type: 4, data: {}, timestamp: -8.64e15 }], { ...origin, offsetMs }).events[0]!;
    expect(BigInt.asIntN(64, ts)).toBe(ts);
    expect(Number.isFinite(new Date(Number(ts) / 1000).getTime())).toBe(true);
  });

  it('bear the address of the page, also those before it is said', () => {
    const batch = [
      at(1),
      at(2, 4, { href: 'https://a/1' }),
      at(3),
      at(4, 5, { tag: 'navigation', payload: { url: 'https://a/2' } }),
      at(5),
    ];
    const rows = toRows(batch, origin);
    expect(rows.events.map(({ url }) => url)).toEqual([
      'https://a/1',
      'https://a/1',
      'https://a/1',
      'https://a/2',
      'https://a/2',
    ]);
    expect(rows.url).toBe('https://a/2');
    expect(toRows(batch, { ...origin, url: 'https://a/0' }).events[0]!.url).toBe('https://a/0');
  });

  it('have bounded strings that end between characters', () => {
    const long = `${'x'.repeat(79)}🙂${'y'.repeat(100_000)}`;
    const row = custom('click', { id: 1, text: long, selector: long, tag: long, role: long });
    expect(row.text).toBe('x'.repeat(79));
    expect(row.selector).toHaveLength(TEXT_MAX.selector);
    expect(row.tag).toHaveLength(TEXT_MAX.word);
    expect(rowOf(4, { href: long }).url).toHaveLength(TEXT_MAX.url);
    expect(custom('track', { name: long, props: { long } })).toMatchObject({ props: '{"truncated":true}' });
  });

  it('never throw, whatever an event holds', () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
    process.stdout.write(`rows of anything: SEED=${seed}\n`);
    const random = createRandom(seed);
    const atoms = [null, true, -1, 1e300, NaN, 'text', '\ud800', [], {}, [[]], 'click', 0, 2, 5];
    const words = [
      'tag',
      'payload',
      'source',
      'type',
      'id',
      'x',
      'positions',
      'adds',
      'href',
      'text',
      'props',
      'name',
      'url',
    ];
    const pick = <T>(from: T[]): T => from[Math.floor(random() * from.length)]!;
    const anything = (depth: number): unknown =>
      depth && random() < 0.7
        ? Object.fromEntries(Array.from({ length: 4 }, () => [pick(words), anything(depth - 1)]))
        : pick(atoms);
    for (let i = 0; i < 2000; i++) {
      const event = { type: Math.floor(random() * 9), data: anything(3), timestamp: 1 };
      const { events, replay } = toRows([event], origin);
      const row = events[0]!;
      expect(row.type, JSON.stringify(event)).not.toBe('');
      for (const value of [row.x, row.y, row.node_id])
        expect(value === undefined || Number.isInteger(value)).toBe(true);
      expect(() => JSON.parse(replay[0]!.payload)).not.toThrow();
    }
  });
});
