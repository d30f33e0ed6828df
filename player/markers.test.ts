import { expect, test } from 'vitest';
import type { MarkerType } from '#api';
import { clusterMarkers, describeCluster, lastMarkerAt, urlAt, type Marker } from './markers.ts';

const marker = (ts: number, type: MarkerType = 'click', url = ''): Marker => ({
  ts,
  type,
  label: '',
  url,
  nodeId: 1,
});
const SPAN = { startMs: 0, endMs: 10_000 };

test('markers that would overlap become one, with the look of the weightiest', () => {
  const clusters = clusterMarkers(
    [marker(0), marker(100, 'rage'), marker(110, 'disabled'), marker(500), marker(9000)],
    SPAN,
    1000,
    20,
  );
  expect(clusters.map(({ type, markers }) => [type, markers.length])).toEqual([
    ['rage', 3],
    ['click', 1],
    ['click', 1],
  ]);
  expect(clusters[0]).toMatchObject({ startMs: 0, endMs: 110 });
});

test('a wider timeline shows them apart, and none is ever lost', () => {
  const markers = Array.from({ length: 300 }, (_, i) => marker(i * 33));
  for (const width of [1, 100, 400, 5000, 100_000]) {
    const clusters = clusterMarkers(markers, SPAN, width, 12);
    expect(clusters.flatMap((cluster) => cluster.markers)).toEqual(markers);
  }
  expect(clusterMarkers(markers, SPAN, 100_000, 12)).toHaveLength(300);
  expect(clusterMarkers(markers, SPAN, 0)).toHaveLength(1);
});

test('a cluster is described weightiest first', () => {
  const [cluster] = clusterMarkers([marker(0), marker(1), marker(2, 'error'), marker(3, 'rage')], SPAN, 100);
  expect(describeCluster(cluster!)).toBe('1 rage click, 1 error, 2 clicks');
});

test('the marker of a moment is the last one that has happened', () => {
  const markers = [marker(10), marker(20), marker(20), marker(30)];
  expect([5, 10, 15, 20, 99].map((ms) => lastMarkerAt(markers, ms))).toEqual([-1, 0, 0, 2, 3]);
});

test('the address is that of the last page entered, and of the first before any', () => {
  const markers = [
    marker(10, 'navigation', 'https://a.test/1'),
    marker(20),
    marker(30, 'navigation', 'https://a.test/2'),
  ];
  expect(urlAt(markers, 0)).toBe('https://a.test/1');
  expect(urlAt(markers, 25)).toBe('https://a.test/1');
  expect(urlAt(markers, 30)).toBe('https://a.test/2');
  expect(urlAt([], 30)).toBeUndefined();
});
