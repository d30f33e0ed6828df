import type { MarkerType } from '#api';

export interface Marker {
  /** Epoch milliseconds. */
  ts: number;
  type: MarkerType;
  label: string;
  url: string;
  nodeId: number;
}

interface MarkerKind {
  name: string;
  plural: string;
  /** The most telling member of a cluster gives it its look. */
  weight: number;
}
/** One meaning, one word, one weight; colour and shape follow in `tokens.css` and `icons.tsx`. */
export const MARKER_KINDS: Record<MarkerType, MarkerKind> = {
  rage: { name: 'Rage click', plural: 'Rage clicks', weight: 11 },
  dead: { name: 'Dead click', plural: 'Dead clicks', weight: 10 },
  disabled: { name: 'Click on disabled control', plural: 'Disabled clicks', weight: 9 },
  error: { name: 'Error', plural: 'Errors', weight: 8 },
  network: { name: 'Failed request', plural: 'Failed requests', weight: 7 },
  navigation: { name: 'Navigation', plural: 'Navigations', weight: 6 },
  track: { name: 'Tracked event', plural: 'Tracked events', weight: 5 },
  form: { name: 'Form event', plural: 'Form events', weight: 4 },
  console: { name: 'Console warning or error', plural: 'Console warnings and errors', weight: 3 },
  click: { name: 'Click', plural: 'Clicks', weight: 2 },
  input: { name: 'Input', plural: 'Inputs', weight: 1 },
  vital: { name: 'Web vital', plural: 'Web vitals', weight: 0 },
};

export interface MarkerCluster {
  startMs: number;
  endMs: number;
  /** Type of the weightiest marker. */
  type: MarkerType;
  markers: Marker[];
}

/** Joins markers that would stand less than `gapPx` apart from the cluster's first. `markers` are sorted by `ts`. */
export function clusterMarkers(
  markers: readonly Marker[],
  span: { startMs: number; endMs: number },
  widthPx: number,
  gapPx = 12,
): MarkerCluster[] {
  const gapMs = widthPx > 0 ? (gapPx * (span.endMs - span.startMs)) / widthPx : Infinity;
  const clusters: MarkerCluster[] = [];
  for (const marker of markers) {
    const open = clusters.at(-1);
    if (open && marker.ts - open.startMs < gapMs) {
      open.endMs = marker.ts;
      open.markers.push(marker);
      if (MARKER_KINDS[marker.type].weight > MARKER_KINDS[open.type].weight) open.type = marker.type;
    } else clusters.push({ startMs: marker.ts, endMs: marker.ts, type: marker.type, markers: [marker] });
  }
  return clusters;
}

/** `3 clicks, 1 error`: weightiest first. */
export function describeCluster(cluster: MarkerCluster): string {
  const counts = new Map<MarkerType, number>();
  for (const { type } of cluster.markers) counts.set(type, (counts.get(type) ?? 0) + 1);
  return [...counts]
    .sort(([a], [b]) => MARKER_KINDS[b].weight - MARKER_KINDS[a].weight)
    .map(
      ([type, n]) => `${n} ${(n === 1 ? MARKER_KINDS[type].name : MARKER_KINDS[type].plural).toLowerCase()}`,
    )
    .join(', ');
}

/** Index of the last marker at or before `atMs`; -1 before the first. */
export function lastMarkerAt(markers: readonly Marker[], atMs: number): number {
  let low = 0;
  let high = markers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (markers[middle]!.ts <= atMs) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Of the page shown at `atMs`: the last marker's address that had one. */
export function urlAt(markers: readonly Marker[], atMs: number): string | undefined {
  for (let i = lastMarkerAt(markers, atMs); i >= 0; i--) if (markers[i]!.url) return markers[i]!.url;
  return markers.find(({ url }) => url)?.url;
}
