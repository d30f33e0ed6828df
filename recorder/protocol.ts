/**
 * The wire protocol `rr1`, between a recorder and a collector.
 *
 * Every WebSocket message is one binary frame: a 16-byte header (big endian), then the payload.
 *
 *   0      1      2        4          8              12           16
 *   ┌──────┬──────┬────────┬──────────┬──────────────┬────────────┬─────────────┐
 *   │ type │flags │ 0      │ frame    │ firstSeq     │ clientMs   │ payload …   │
 *   │ u8   │ u8   │ u16    │ u32      │ u32          │ u32        │             │
 *   └──────┴──────┴────────┴──────────┴──────────────┴────────────┴─────────────┘
 *
 * `frame` counts a recorder instance's BATCH frames from 1 and is what an ACK names; `firstSeq` is the ordinal of
 * the payload's first event in that instance, from 1; `clientMs` is milliseconds since HELLO was sent.
 * HELLO, WELCOME, CREDIT, BYE, ASSETS, WANT and ERR carry JSON; a BATCH carries the JSON array of its events, gzipped when flagged.
 * A payload over PAYLOAD_BYTES_MAX goes on in further frames: all but the last bear the flag `more`, each has its own
 * number, and all repeat `firstSeq` and the flags of the batch.
 *
 * By POST the same frames travel in one body, each preceded by its length (u32); so does the answer: WELCOME, then ACK
 * or ERR, and SNAP where one is due. HELLO leads every request, for any collector may answer it; without a token it
 * comes alone, so that a request that is made again cannot store events under two sessions. Only a page that goes before
 * it was welcomed sends HELLO and batches at once, and once. There is no CREDIT: one request at a time is the window.
 *
 * ASSETS may come at any time after HELLO, and is answered by WANT (`asset-types.ts`). A collector that does not know
 * it refuses it as a bad frame; so a recorder asks by a POST of its own, and a refusal costs it the assets alone.
 *
 * Version history: 1 — first. Optional since, and not missed where it is not understood: `draw` of HELLO, `sampleRate`
 * of the settings; a WELCOME whose settings changed comes at once; ASSETS and WANT.
 */

import type { AssetPayload, AssetRefPayload } from './asset-types.ts';
import type {
  ErrorPayload,
  FormPayload,
  NetworkPayload,
  RecorderHealth,
  RejectionPayload,
  VitalPayload,
} from './payloads.ts';

export * from './asset-types.ts';
export * from './payloads.ts';

export const PROTOCOL_VERSION = 1;
/** Path of the socket, and of POST. The write key stands in HELLO, never in the address. */
export const RR1_PATH = '/v1/rr1';

export const FrameType = {
  hello: 0x01,
  batch: 0x02,
  ping: 0x03,
  bye: 0x04,
  assets: 0x05,
  welcome: 0x81,
  ack: 0x82,
  credit: 0x83,
  snap: 0x84,
  err: 0x85,
  want: 0x86,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export const FrameFlag = {
  /** The payload is gzipped. */
  gzip: 1,
  /** The batch holds a full snapshot. */
  fullSnapshot: 2,
  /** The payload goes on in the next frame. */
  more: 4,
  /** The last batch of this recorder instance. */
  final: 8,
} as const;

export const HEADER_BYTES = 16;
/** Keeps a frame well under the stream's 512 KB message bound, and other sessions' frames from waiting behind it. */
export const PAYLOAD_BYTES_MAX = 256 * 1024;
export const FRAME_BYTES_MAX = HEADER_BYTES + PAYLOAD_BYTES_MAX;
/** What one batch may weigh over all its frames, compressed; and once inflated. */
export const BATCH_BYTES_MAX = 8 * 1024 * 1024;
/** Of a batch; one of its greatest length has 33 by a socket, and some 140 by POST. */
export const BATCH_FRAMES_MAX = 1024;
export const BATCH_INFLATED_BYTES_MAX = 32 * 1024 * 1024;
/** What may be sent and not yet acked. */
export const UNACKED_FRAMES_MAX = 8;
export const UNACKED_BYTES_MAX = 1024 * 1024;
/** A keepalive request's body may weigh 64 KiB in all, headers not counted: we stay under it. */
export const POST_BYTES_MAX = 60 * 1000;
/** Any other request's body; the collector takes 1 MiB. */
export const STANDING_POST_BYTES_MAX = 512 * 1024;
/** A session ends after this long without an event, and in any case after SESSION_MAX_MS. */
export const SESSION_IDLE_MS = 30 * 60_000;
export const SESSION_MAX_MS = 24 * 3600_000;

export interface FrameHeader {
  type: FrameType;
  flags: number;
  frame: number;
  firstSeq: number;
  clientMs: number;
}
export interface Frame extends FrameHeader {
  /** A view into the message, not a copy. */
  payload: Uint8Array;
}

export interface Hello {
  version: number;
  /** Write key, `wk_…`. */
  key: string;
  /** Recorder instance (page load): 8 to 32 of [A-Za-z0-9_-], random. */
  rid: string;
  /** Epoch milliseconds by the visitor's clock when HELLO was made. */
  nowMs: number;
  /** From an earlier WELCOME of the same tab; absent for a new session. */
  token?: string;
  /** Highest frame of this rid that was acked before, perhaps by another collector. Absent: none. */
  ackedFrame?: number;
  /** The page's address without query values. */
  url: string;
  recorder: string;
  /** Drawn once a session, [0, 1): it is recorded where this is below the sample rate. */
  draw?: number;
}
export interface Welcome {
  /** UUIDv7 whose time is the session's start by the collector's clock. */
  session: string;
  /** Replaces the one held. A WELCOME may come again at any time with a fresher one. */
  token: string;
  /** Highest frame of this rid that is durable; 0 when none is known. */
  lastFrame: number;
  serverMs: number;
  settings: RecorderSettings;
}
export interface RecorderSettings {
  /** false: stop and record nothing (the kill switch). */
  record: boolean;
  /** Share of new sessions that the project wants, 0 to 1. Absent: all. */
  sampleRate?: number;
}
export interface Credit {
  frames: number;
  bytes: number;
}
export interface WireError {
  code: WireErrorCode;
  message: string;
  /** Absent: do not try again. */
  retryAfterMs?: number;
}

/** Every way in which the collector turns a recorder away: WebSocket close code, HTTP status, whether to come back. */
export const WIRE_ERRORS = {
  bad_frame: {
    close: 4400,
    status: 400,
    sentence: 'a frame could not be read: too short, of unknown type, or with bad JSON',
  },
  unsupported_version: {
    close: 4406,
    status: 400,
    sentence: 'the recorder speaks a protocol version that this collector does not',
  },
  hello_required: {
    close: 4408,
    status: 400,
    sentence: 'the first frame was not HELLO, or HELLO did not come within 5 s',
  },
  unknown_key: { close: 4401, status: 401, sentence: 'the write key belongs to no project' },
  origin_refused: {
    close: 4403,
    status: 403,
    sentence: "the page's origin is not among those the write key allows",
  },
  bad_token: {
    close: 4419,
    status: 401,
    sentence: 'the session token is forged, of another project, or expired; start a new session',
  },
  frame_too_large: {
    close: 1009,
    status: 413,
    sentence: 'a frame is over 262,160 bytes, or a batch over 8 MiB',
  },
  frame_gap: {
    close: 4409,
    status: 409,
    sentence: 'a frame number was skipped; send again from the last acked one',
  },
  credit_exceeded: { close: 4429, status: 429, sentence: 'more was sent without an ack than CREDIT allows' },
  idle: { close: 4410, status: 408, sentence: 'nothing was heard for 90 s' },
  stream_unavailable: {
    close: 1013,
    status: 503,
    sentence: 'the stream is full or down; keep the batches and come back',
  },
  draining: {
    close: 1012,
    status: 503,
    sentence: 'the collector is going down; come back at once, another will answer',
  },
} as const;
export type WireErrorCode = keyof typeof WIRE_ERRORS;

export class ProtocolError extends Error {
  declare readonly code: WireErrorCode;
  constructor(code: WireErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

const EMPTY = new Uint8Array(0);

export function encodeFrame(
  header: Partial<FrameHeader> & { type: FrameType },
  payload: Uint8Array = EMPTY,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, header.type);
  view.setUint8(1, header.flags ?? 0);
  view.setUint32(4, header.frame ?? 0);
  view.setUint32(8, header.firstSeq ?? 0);
  view.setUint32(12, header.clientMs ?? 0);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** @throws ProtocolError `bad_frame` */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.length < HEADER_BYTES)
    throw new ProtocolError('bad_frame', `frame of ${bytes.length} bytes is shorter than its header`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    type: view.getUint8(0) as FrameType,
    flags: view.getUint8(1),
    frame: view.getUint32(4),
    firstSeq: view.getUint32(8),
    clientMs: view.getUint32(12),
    payload: bytes.subarray(HEADER_BYTES),
  };
}

export function encodeJsonFrame(
  type: FrameType,
  value: unknown,
  header: Partial<FrameHeader> = {},
): Uint8Array<ArrayBuffer> {
  return encodeFrame({ ...header, type }, new TextEncoder().encode(JSON.stringify(value)));
}

/** The shape is the caller's to check. @throws ProtocolError `bad_frame` */
export function decodeJsonPayload(frame: Frame): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(frame.payload));
  } catch {
    throw new ProtocolError('bad_frame', `payload of frame type ${frame.type} is not JSON`);
  }
}

/** Frames one after another, each preceded by its length: the body of a POST and of its answer. */
export function encodeFrames(frames: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(frames.reduce((sum, frame) => sum + 4 + frame.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const frame of frames) {
    view.setUint32(at, frame.length);
    bytes.set(frame, at + 4);
    at += 4 + frame.length;
  }
  return bytes;
}

/** @throws ProtocolError `bad_frame` */
export function decodeFrames(bytes: Uint8Array): Frame[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = at + 4 <= bytes.length ? view.getUint32(at) : Infinity;
    if (at + 4 + length > bytes.length) throw new ProtocolError('bad_frame', 'body ends inside a frame');
    frames.push(decodeFrame(bytes.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return frames;
}

/**
 * Events. A batch's payload is a JSON array of rrweb events, whose `type` is one of these.
 * What the recorder adds for SQL's sake are rrweb custom events: `{ type: 5, data: { tag, payload }, timestamp }`.
 */
export const EventType = {
  domContentLoaded: 0,
  load: 1,
  fullSnapshot: 2,
  incrementalSnapshot: 3,
  meta: 4,
  custom: 5,
  plugin: 6,
} as const;

/** rrweb's `source` of an incremental snapshot. */
export const IncrementalSource = {
  mutation: 0,
  mouseMove: 1,
  mouseInteraction: 2,
  scroll: 3,
  viewportResize: 4,
  input: 5,
  touchMove: 6,
  mediaInteraction: 7,
  styleSheetRule: 8,
  canvasMutation: 9,
  font: 10,
  log: 11,
  drag: 12,
  styleDeclaration: 13,
  selection: 14,
  adoptedStyleSheet: 15,
  customElement: 16,
} as const;

/** Payload of each custom event that the recorder emits, by tag. Texts obey the masks. */
export interface CustomPayloads {
  /** Once per page load, before anything else. */
  environment: {
    userAgent: string;
    language: string;
    screen: [number, number];
    referrer: string;
    recorder: string;
    /** A random first-party id, by the option `visitorId`. */
    visitor?: string | undefined;
  };
  /** The first page of a load, and every change of address by the History API, a hash or the back button. URLs without query values. */
  navigation: { kind: 'load' | 'push' | 'replace' | 'pop' | 'hash'; url: string; title: string };
  /** A press and release on one target, also where the control is disabled and the browser fires no `click`. */
  click: ClickPayload;
  /** Clicks that follow each other on one target: see SIGNAL_DEFINITIONS. `count`: how many in a row so far. */
  rage: ClickPayload & { count: number };
  /** Nothing came of the click: see SIGNAL_DEFINITIONS. Told `ms` after it. */
  dead: ClickPayload & { ms: number };
  visibility: { visible: boolean };
  error: ErrorPayload;
  unhandledrejection: RejectionPayload;
  'web-vital': VitalPayload;
  network: NetworkPayload;
  form: FormPayload;
  console: { level: string; text: string };
  recorder_health: RecorderHealth;
  /** What the site itself reports, but for what is personal by its form (e-mail, card …) or by its key. */
  track: { name: string; props: Record<string, unknown> };
  /** Of the page's `nodes` at most `nodesMax` are in the recording: it is too large, or went before all was told. */
  truncated: { nodes: number; nodesMax: number };
  /** The site's own id of the visitor. */
  identify: { visitor: string };
  /** What the recorder had to drop since the gap before: the numbers of these events are missing. `bytes` as encoded. */
  gap: { events: number; bytes: number; reason: 'buffer_full' | 'batch_too_large' };
  asset: AssetPayload;
  asset_ref: AssetRefPayload;
  /** How a canvas looked: `image` is a data URL, of at most CANVAS_BYTES_MAX once decoded, `scale` its size by that of the canvas. */
  canvas: { id: number; image: string; scale: number };
}
export interface ClickPayload {
  /** rrweb's node id of the target. */
  id: number;
  /** CSS path of at most 5 steps, shortest that is unique; after ` >>> ` it goes on inside a shadow root or frame. */
  selector: string;
  tag: string;
  role: string;
  /** Accessible text, at most 80 characters; of a control that takes text never its value. */
  text: string;
  disabled: boolean;
  /** CSS pixels in the viewport of the page, also for clicks in its frames. */
  x: number;
  y: number;
}
export const CANVAS_BYTES_MAX = 100_000;
export type CustomTag = keyof CustomPayloads;

/** Every masked value is this text, whatever its length was. */
export const MASK = '·····';
