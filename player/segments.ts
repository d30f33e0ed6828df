import { EventType } from '#protocol';
import type { Segment } from '#api';
import { isVisitorAct } from './activity.ts';
import { markersPath, PlayerError, segmentPath, type Client } from './client.ts';
import type { Marker } from './markers.ts';
import { sanitize, type ReplayEvent } from './sanitize.ts';
import { decodeMarkers, decodeSegment, type SegmentRows } from './x-flechette.ts';

/** Compressed, as the manifest counts them: about ten times that in memory. */
const CACHE_BYTES_MAX = 16 * 1024 * 1024;

export interface SegmentSource {
  load(index: number, signal?: AbortSignal): Promise<LoadedSegment>;
  markers(signal?: AbortSignal): Promise<Marker[]>;
}

export interface LoadedSegment {
  /** Fresh objects at every call: the replayer alters what it is given. Checkpoints only count where a window begins. */
  events(options: { withCheckpoints: boolean; untilMs?: number }): ReplayEvent[];
  /** Epoch milliseconds of what the visitor did, sorted. */
  acts: number[];
  /** Epoch milliseconds of what can be seen, sorted. */
  frames: number[];
}

/** Fetches segments, each once at a time, and keeps the ones used last. */
export function createSegmentSource(
  client: Client,
  session: string,
  segments: readonly Segment[],
  cacheBytesMax = CACHE_BYTES_MAX,
): SegmentSource {
  const cache = new Map<number, Promise<LoadedSegment>>();
  let cachedBytes = 0;
  const forget = (index: number): void => {
    if (cache.delete(index)) cachedBytes -= segments[index]!.bytes;
  };
  const fetchSegment = async (index: number): Promise<LoadedSegment> =>
    openSegment(decodeSegment(await client.bytes(segmentPath(session, segments[index]!.n))));
  return {
    load: (index, signal) => {
      const held = cache.get(index);
      if (held) {
        cache.delete(index);
        cache.set(index, held);
        return abortable(held, signal);
      }
      const loading = fetchSegment(index);
      cache.set(index, loading);
      cachedBytes += segments[index]!.bytes;
      loading.catch(() => forget(index));
      for (const oldest of cache.keys()) {
        if (cachedBytes <= cacheBytesMax || oldest === index) break;
        forget(oldest);
      }
      return abortable(loading, signal);
    },
    markers: async (signal) => decodeMarkers(await client.bytes(markersPath(session), { signal })),
  };
}

/** One waiter giving up must not cancel the fetch for the others. */
function abortable<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new DOMException('no longer wanted', 'AbortError'));
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

function openSegment(rows: SegmentRows): LoadedSegment {
  const acts: number[] = [];
  const frames: number[] = [];
  for (let i = 0; i < rows.rows; i++) {
    const type = rows.type(i);
    if (rows.kind(i) === 'checkpoint') continue;
    if (isVisitorAct(type, rows.payload(i))) acts.push(rows.ts(i));
    if (type === EventType.incrementalSnapshot || type === EventType.fullSnapshot) frames.push(rows.ts(i));
  }
  return {
    acts: acts.sort((a, b) => a - b),
    frames: frames.sort((a, b) => a - b),
    events: ({ withCheckpoints, untilMs = Infinity }) => {
      const events: ReplayEvent[] = [];
      for (let i = 0; i < rows.rows; i++) {
        if (rows.ts(i) >= untilMs || (!withCheckpoints && rows.kind(i) === 'checkpoint')) continue;
        const event = sanitize({ type: rows.type(i), timestamp: rows.ts(i), data: parse(rows.payload(i)) });
        if (event) events.push(event);
      }
      return events;
    },
  };
}

function parse(payload: string): unknown {
  try {
    return JSON.parse(payload);
  } catch (error) {
    throw new PlayerError('unreadable', 'a payload of the session is not JSON', 200, { cause: error });
  }
}
