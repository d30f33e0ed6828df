import { expect, test } from 'vitest';
import type { Segment } from '#api';
import { PlayerError, type Client } from './client.ts';
import { createSegmentSource } from './segments.ts';
import { encodeMarkers, encodeSegment } from './x-apache-arrow.ts';

const segment = (n: number, bytes = 100): Segment => ({
  n,
  startMs: n,
  endMs: n + 1,
  rows: 2,
  bytes,
  snapshot: true,
});
const EVENTS = [
  { type: 3, timestamp: 1_764_000_000_000.25, data: { source: 2, type: 2, id: 7 } },
  { type: 3, timestamp: 1_764_000_000_001, data: { source: 0, removes: [{ id: 1 }] } },
];
function clientOf(answer: (path: string) => Promise<Uint8Array>): { client: Client; paths: string[] } {
  const paths: string[] = [];
  const bytes = (path: string): Promise<Uint8Array> => (paths.push(path), answer(path));
  return { client: { bytes } as unknown as Client, paths };
}

test('a segment gives its events, new ones at each asking', async () => {
  const { client } = clientOf(async () => encodeSegment(EVENTS));
  const loaded = await createSegmentSource(client, 'id', [segment(4)]).load(0);
  const first = loaded.events({ withCheckpoints: true });
  expect(first).toEqual(EVENTS);
  (first[1]!.data as { removes: unknown[] }).removes = [];
  expect(loaded.events({ withCheckpoints: true })).toEqual(EVENTS);
  expect(loaded.acts).toEqual([1_764_000_000_000.25]);
});

test('checkpoints are left out where playback only passes by', async () => {
  const { client } = clientOf(async () => encodeSegment(EVENTS, 'checkpoint'));
  const loaded = await createSegmentSource(client, 'id', [segment(0)]).load(0);
  expect(loaded.events({ withCheckpoints: false })).toEqual([]);
  expect(loaded.events({ withCheckpoints: true })).toHaveLength(2);
});

test('events from a given moment on are left out', async () => {
  const { client } = clientOf(async () => encodeSegment(EVENTS));
  const loaded = await createSegmentSource(client, 'id', [segment(0)]).load(0);
  const kept = loaded.events({ withCheckpoints: true, untilMs: EVENTS[1]!.timestamp });
  expect(kept).toEqual(EVENTS.slice(0, 1));
});

test('a segment is fetched once, also while it is on its way, and again only when it was pushed out', async () => {
  const { client, paths } = clientOf(async () => encodeSegment(EVENTS));
  const source = createSegmentSource(client, 'a/b', [segment(10), segment(11), segment(12)], 200);
  await Promise.all([source.load(0), source.load(0)]);
  await source.load(1);
  await source.load(0);
  expect(paths).toEqual(['/v1/sessions/a%2Fb/segments/10', '/v1/sessions/a%2Fb/segments/11']);
  await source.load(2);
  await source.load(0);
  expect(paths, 'the one used last stays').toHaveLength(3);
  await source.load(1);
  expect(paths).toHaveLength(4);
});

test('a failure is not remembered', async () => {
  let down = true;
  const { client } = clientOf(async () => {
    if (down) throw new PlayerError('unreachable', 'no answer');
    return encodeSegment(EVENTS);
  });
  const source = createSegmentSource(client, 'id', [segment(0)]);
  await expect(source.load(0)).rejects.toThrow('no answer');
  down = false;
  await expect(source.load(0)).resolves.toBeDefined();
});

test('who gives up waiting does not stop the others', async () => {
  let release!: () => void;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const { client, paths } = clientOf(async () => (await gate, encodeSegment(EVENTS)));
  const source = createSegmentSource(client, 'id', [segment(0)]);
  const gone = new AbortController();
  const first = source.load(0, gone.signal);
  const second = source.load(0);
  gone.abort();
  await expect(first).rejects.toMatchObject({ name: 'AbortError' });
  release();
  await expect(second).resolves.toBeDefined();
  expect(paths).toHaveLength(1);
});

test('bytes that are no Arrow, or lack a column, are unreadable', async () => {
  const { client } = clientOf(
    async (path) =>
    path.endsWith('0') ? new TextEncoder().encode('<html>not arrow</html>') : encodeMarkers([{ ts: 1, type: 'click', label: '', url: '', node_id: 1 }]), // prettier-ignore
  );
  const source = createSegmentSource(client, 'id', [segment(0), segment(1)]);
  await expect(source.load(0)).rejects.toMatchObject({ code: 'unreadable' });
  await expect(source.load(1)).rejects.toMatchObject({ code: 'unreadable' });
});

test('markers come sorted, and those of unknown type are left out', async () => {
  const row = { label: 'Continue', url: 'https://a.test/', node_id: 3 };
  const { client } = clientOf(async () =>
    encodeMarkers([
      { ts: 20, type: 'rage', ...row },
      { ts: 10, type: 'disabled', ...row },
      { ts: 15, type: 'novelty' as 'click', ...row },
    ]),
  );
  const markers = await createSegmentSource(client, 'id', []).markers();
  expect(markers.map(({ ts, type, nodeId }) => [ts, type, nodeId])).toEqual([
    [10, 'disabled', 3],
    [20, 'rage', 3],
  ]);
});
