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

export function createSeen(): SeenRids {
  const rids = new Map<string, CommitSession>();
  const find = (session: string, rid: string): CommitSession | undefined => rids.get(`${session}/${rid}`);
  return {
    hasFrame: (session, rid, frame) => inRanges(find(session, rid)?.frames ?? [], frame),
    seqs: (session, rid) => find(session, rid)?.seqs ?? [],
    url: (session, rid) => find(session, rid)?.url,
    add(sessions) {
      for (const one of sessions) {
        const key = `${one.session}/${one.rid}`;
        const held = rids.get(key);
        if (!held) {
          rids.set(key, structuredClone(one));
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
      for (const [key, { session }] of rids)
        if (sessionStartMs(session) + COMES_AGAIN_MS < nowMs) rids.delete(key);
    },
    all: () => [...rids.values()],
  };
}
