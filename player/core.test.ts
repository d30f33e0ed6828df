import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { SessionManifest } from '#api';
import type { Client } from './client.ts';
import { createCore, type Core } from './core.ts';
import type { Engine } from './engine.ts';
import type { ReplayEvent } from './sanitize.ts';
import { encodeMarkers, encodeSegment } from './x-apache-arrow.ts';

/** Three segments of ten seconds; the engine's clock and the frames are moved by hand. */
const START_MS = 1_764_000_000_000;
const SEGMENT_MS = 10_000;
const event = (type: number, afterMs: number): ReplayEvent =>
  ({ type, timestamp: START_MS + afterMs, data: {} }) as ReplayEvent;

let engineMs: number;
let shown: number[];
let appended: number;
let frame: () => void;
let release: () => void;
let core: Core;

beforeEach(() => {
  engineMs = 0;
  shown = [];
  appended = 0;
  const held = new Promise<void>((resolve) => (release = resolve));
  const segments = [0, 1, 2].map((n) => ({
    n,
    startMs: START_MS + n * SEGMENT_MS,
    endMs: START_MS + n * SEGMENT_MS + 9_000,
    rows: 2,
    bytes: 100,
    snapshot: n === 0,
  }));
  const manifest = { startMs: START_MS, endMs: START_MS + 29_000, segments } as unknown as SessionManifest;
  const client = {
    json: async () => manifest,
    bytes: async (path: string) => {
      if (path.endsWith('markers')) return encodeMarkers([]);
      const n = Number(path.at(-1));
      if (n > 0) await held;
      const first = n === 0 ? [event(4, 0), event(2, 1)] : [event(3, n * SEGMENT_MS)];
      return encodeSegment([...first, event(3, n * SEGMENT_MS + 9_000)]);
    },
  } as unknown as Client;
  const engine: Engine = {
    show: async (_events, _span, positionMs) => (shown.push((engineMs = positionMs)), true),
    append: () => void appended++,
    play: () => {},
    pause: () => {},
    setSpeed: () => {},
    positionMs: () => engineMs,
    document: () => undefined,
    boundsOf: () => undefined,
    dispose: () => {},
  };
  const everyFrame = (callback: () => void): (() => void) => ((frame = callback), () => {});
  core = createCore({ client, session: 's', engine, autoplay: true, everyFrame });
});
afterEach(() => core.dispose());

const phase = (): string => core.view().state.phase;
const position = (): number => core.view().state.positionMs;
const playing = (): Promise<unknown> =>
  vi.waitFor(() => expect([phase(), typeof frame]).toEqual(['playing', 'function']));

test('a slow frame that jumps beyond what is loaded waits where that ends, and plays on when it comes', async () => {
  await playing();
  engineMs = 17_000;
  frame();
  expect([phase(), position()]).toEqual(['waiting', SEGMENT_MS]);
  release();
  await vi.waitFor(() => expect([phase(), appended]).toEqual(['playing', 1]));
});

test('an engine that ran past what it was fed has not ended: the missing part is shown', async () => {
  await playing();
  engineMs = 29_001;
  core.ended();
  expect([phase(), position()]).toEqual(['waiting', SEGMENT_MS]);
  release();
  await vi.waitFor(() => expect([phase(), shown]).toEqual(['playing', [0, SEGMENT_MS]]));
});

test('the end is the end once everything was fed', async () => {
  await playing();
  release();
  core.seek(25_000);
  await vi.waitFor(() => expect([phase(), shown]).toEqual(['playing', [0, 25_000]]));
  core.ended();
  expect([phase(), position()]).toEqual(['ended', 29_000]);
});
