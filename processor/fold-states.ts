import { IncrementalSource } from '#protocol';
import { textOf, type Attributes, type FoldNode } from './fold-node.ts';

type Fields = Record<string, unknown>;

/** Last value of a field, as rrweb's Input told it. `order` tells which of two came later. */
export interface FieldState {
  order: number;
  text: unknown;
  isChecked: unknown;
}
export interface ScrollState {
  order: number;
  x: unknown;
  y: unknown;
}
/** An audio or video as rrweb's MediaManager knows it. */
export interface MediaState {
  isPlaying: boolean;
  /** Seconds, at `atMs`. */
  currentTime: number;
  atMs: number;
  playbackRate: number;
  volume: number;
  muted: boolean;
  loop: boolean;
  /** By an event, and not by attributes alone. */
  isTold: boolean;
  /** rrweb manages it: it was told, or stood in a full snapshot. */
  isManaged: boolean;
}
/** rrweb's MediaInteractions. */
const PLAY = 0;
const PAUSE = 1;

const numberOr = (value: unknown, other: number): number => (typeof value === 'number' ? value : other);
const booleanOr = (value: unknown, other: boolean): boolean => (typeof value === 'boolean' ? value : other);

export const isMedia = (node: FoldNode): boolean => node.tag === 'video' || node.tag === 'audio';

/** When it is built. */
export function mediaFromAttributes(attributes: Attributes, atMs: number, isManaged: boolean): MediaState {
  const state = attributes.rr_mediaState;
  return {
    isPlaying: state ? state === 'played' : isSet(attributes.autoplay),
    currentTime: numberOr(attributes.rr_mediaCurrentTime, 0),
    atMs,
    playbackRate: numberOr(attributes.rr_mediaPlaybackRate, 1),
    volume: numberOr(attributes.rr_mediaVolume, 1),
    // Of what it does not manage rrweb takes true for no boolean.
    muted: isManaged && booleanOr(attributes.rr_mediaMuted, isSet(attributes.muted)),
    loop: isManaged
      ? booleanOr(attributes.rr_mediaLoop, isSet(attributes.loop))
      : attributes.rr_mediaLoop !== false && isSet(attributes.loop),
    isTold: false,
    isManaged,
  };
}
const isSet = (attribute: unknown): boolean =>
  attribute !== undefined && attribute !== null && attribute !== false;

/** After rrweb's MediaInteraction: what it leaves out stays as it was. */
export function mediaAfter(
  node: FoldNode,
  known: MediaState | undefined,
  data: Fields,
  atMs: number,
): MediaState {
  const before = known?.isManaged ? known : undefined;
  const { type, currentTime, playbackRate, volume, muted, loop } = data;
  return {
    isPlaying: type === PLAY || (type !== PAUSE && (before?.isPlaying || isSet(node.attributes.autoplay))),
    currentTime: numberOr(currentTime, before?.currentTime ?? 0),
    atMs,
    playbackRate: numberOr(playbackRate, before?.playbackRate ?? 1),
    volume: numberOr(volume, before?.volume ?? 1),
    // As rrweb has it: without the attribute it takes it for set.
    muted: booleanOr(muted, before?.muted ?? !isSet(node.attributes.muted)),
    loop: booleanOr(loop, before?.loop ?? !isSet(node.attributes.loop)),
    isTold: true,
    isManaged: true,
  };
}

const timeAt = ({ isPlaying, currentTime, atMs, playbackRate }: MediaState, nowMs: number): number =>
  isPlaying ? currentTime + (Math.max(0, nowMs - atMs) / 1000) * playbackRate : currentTime;

/** The event that brings it back, at `nowMs`. */
export function mediaEvent(id: number, state: MediaState, nowMs: number): Fields {
  const { isPlaying, playbackRate, volume, muted, loop } = state;
  return {
    source: IncrementalSource.mediaInteraction,
    id,
    type: isPlaying ? PLAY : PAUSE,
    currentTime: timeAt(state, nowMs),
    playbackRate,
    volume,
    muted,
    loop,
  };
}
/** What was playing when it was built has gone on. */
export function mediaAttributes(attributes: Attributes, state: MediaState, nowMs: number): Attributes {
  if (attributes.rr_mediaState !== 'played') return attributes;
  return { ...attributes, rr_mediaCurrentTime: timeAt(state, nowMs) };
}

/** A field whose value is its attribute: setting the one sets the other. */
export const keepsValue = ({ tag, attributes }: FoldNode): boolean =>
  tag === 'input' && /^(checkbox|radio|hidden|submit|image|reset|button)$/i.test(textOf(attributes.type));

/** What was last drawn into a canvas, as far back as the last time that it was wiped. */
export const DRAWN_MAX = 100;
export function drawnAfter(drawn: unknown[], data: Fields): unknown[] {
  const commands = Array.isArray(data.commands) ? (data.commands as unknown[]) : [data];
  const first = commands[0] as { property?: unknown } | null;
  const kept = first?.property === 'clearRect' ? [] : drawn;
  kept.push(data);
  return kept.length > DRAWN_MAX ? kept.slice(-DRAWN_MAX) : kept;
}
