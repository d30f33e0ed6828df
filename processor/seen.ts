import { SESSION_MAX_MS } from '#protocol';
import { sessionStartMs, type CommitSession } from './layout.ts';
import { addRange, inRanges, type Ranges } from './ranges.ts';

/** What a shard's commits have dealt with, by recorder instance: tells which frames and events came before. */
export interface SeenRids {
  hasFrame(session: string, rid: string, frame: number): boolean;
  /** Events that are stored. */
  seqs(session: string, rid: string): Readonly<Ranges>;
  /** Address at the last event stored. */
  url(session: string, rid: string): string | undefined;
  add(sessions: readonly CommitSession[]): void;
  /** Forgets sessions too old for anything of theirs to come again. */
  prune(nowMs: number): void;
  all(): CommitSession[];
}

/** A batch may come again for as long as its session lives, and a little longer for clocks that differ. */
export const COMES_AGAIN_MS = SESSION_MAX_MS + 3_600_000;

/** Of those used last. A shard's sessions of a day may be many more. */
const OPEN_MAX = 1000;

export function createSeen(): SeenRids {
  /** By session and rid, those used last at the end. */
  const open = new Map<string, CommitSession>();
  /** The others as JSON, which takes a third of the memory. */
  const packed = new Map<string, string>();
  const hold = (key: string, one: CommitSession): CommitSession => {
    open.delete(key);
    open.set(key, one);
    if (open.size > OPEN_MAX) {
      const [oldest, last] = open.entries().next().value!;
      open.delete(oldest);
      packed.set(oldest, pack(last));
    }
    return one;
  };
  const find = (session: string, rid: string): CommitSession | undefined => {
    const key = `${session}/${rid}`;
    const held = open.get(key);
    if (held) return hold(key, held);
    const json = packed.get(key);
    if (json === undefined) return undefined;
    packed.delete(key);
    return hold(key, unpack(key, json));
  };
  return {
    hasFrame: (session, rid, frame) => inRanges(find(session, rid)?.frames ?? [], frame),
    seqs: (session, rid) => find(session, rid)?.seqs ?? [],
    url: (session, rid) => find(session, rid)?.url,
    add(sessions) {
      for (const one of sessions) {
        const held = find(one.session, one.rid);
        if (!held) {
          hold(`${one.session}/${one.rid}`, structuredClone(one));
          continue;
        }
        for (const [from, to] of one.frames) addRange(held.frames, from, to);
        for (const [from, to] of one.seqs) addRange(held.seqs, from, to);
        if (one.url !== undefined && one.endMs >= held.endMs) held.url = one.url;
        held.startMs = Math.min(held.startMs, one.startMs);
        held.endMs = Math.max(held.endMs, one.endMs);
        held.rows += one.rows;
      }
    },
    prune(nowMs) {
      for (const rids of [open, packed])
        for (const key of rids.keys())
          if (sessionStartMs(sessionOf(key)) + COMES_AGAIN_MS < nowMs) rids.delete(key);
    },
    all: () => [...Array.from(packed, ([key, json]) => unpack(key, json)), ...open.values()],
  };
}

const sessionOf = (key: string): string => key.slice(0, key.indexOf('/'));
const pack = ({ session: _, rid: __, ...rest }: CommitSession): string => JSON.stringify(rest);
const unpack = (key: string, json: string): CommitSession => {
  const session = sessionOf(key);
  return {
    session,
    rid: key.slice(session.length + 1),
    ...(JSON.parse(json) as Omit<CommitSession, 'session' | 'rid'>),
  };
};
