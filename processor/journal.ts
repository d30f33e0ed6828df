import { createHash } from 'node:crypto';
import { encodeJson, getJsonIfThere } from './lake-reader.ts';
import { paths, type ErasedObject, type Erasure, type ObjectState, type Underway } from './layout.ts';
import { addRange } from './ranges.ts';
import type { Store } from './store.ts';

/** What goes of each session: written into its tombstone before it goes, so that a receipt is whole also after a crash. */
export interface Journal {
  has(session: string): boolean;
  sessions: readonly string[];
  note(session: string, object: ErasedObject): void;
  noteRow(session: string, rid: string, seq: number): void;
  noteMessages(session: string, count: number): void;
  /** A file that readers saw is replaced. */
  noteRewritten(session: string, key: string): void;
  /** Writes the tombstones of which something was noted since, with what other sweeps noted. @throws StoreError */
  save(): Promise<void>;
  underway(session: string): Underway;
}

export function createJournal(store: Store, erasures: readonly Erasure[], nowMs: number): Journal {
  const bySession = new Map(
    erasures.map((erasure) => [
      erasure.session,
      {
        erasure,
        underway: erasure.underway ?? {
          ...{ startedMs: nowMs, messages: 0, seqs: {}, objects: [], filesRewritten: [] },
        },
        changed: false,
      },
    ]),
  );
  const entry = (session: string) => bySession.get(session)!;
  return {
    has: (session) => bySession.has(session),
    sessions: [...bySession.keys()],
    note(session, object) {
      const held = entry(session);
      const { objects } = held.underway;
      const at = objects.findIndex(({ key }) => key === object.key);
      // What was there before the first attempt counts, and what was written last in its place.
      if (at < 0) objects.push(object);
      else objects[at] = { ...objects[at]!, ...object, before: objects[at]!.before };
      held.changed = true;
    },
    noteRow(session, rid, seq) {
      const held = entry(session);
      addRange((held.underway.seqs[rid] ??= []), seq, seq);
      held.changed = true;
    },
    noteMessages(session, count) {
      if (!count) return;
      const held = entry(session);
      held.underway.messages += count;
      held.changed = true;
    },
    noteRewritten(session, key) {
      const { filesRewritten } = entry(session).underway;
      if (!filesRewritten.includes(key)) filesRewritten.push(key);
    },
    async save() {
      for (const held of bySession.values()) {
        if (!held.changed) continue;
        const { erasure, underway } = held;
        const key = paths.erasure(erasure.project, erasure.session);
        const stored = await getJsonIfThere<Erasure>(store, key);
        held.changed = false;
        // Another sweep may be at it, or have ended it.
        if (stored?.done) continue;
        if (stored?.underway) addUnderway(underway, stored.underway);
        await store.put(key, encodeJson({ ...erasure, underway } satisfies Erasure));
      }
    },
    underway: (session) => entry(session).underway,
  };
}

/** What another noted, too. */
function addUnderway(underway: Underway, other: Underway): void {
  for (const [rid, ranges] of Object.entries(other.seqs))
    for (const [from, to] of ranges) addRange((underway.seqs[rid] ??= []), from, to);
  for (const object of other.objects)
    if (!underway.objects.some(({ key }) => key === object.key)) underway.objects.push(object);
  for (const key of other.filesRewritten)
    if (!underway.filesRewritten.includes(key)) underway.filesRewritten.push(key);
  underway.messages = Math.max(underway.messages, other.messages);
}

export const rowsOf = ({ seqs }: Underway): number =>
  Object.values(seqs)
    .flat()
    .reduce((sum, [from, to]) => sum + to - from + 1, 0);

export const stateOf = (bytes: Uint8Array): ObjectState => ({
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
});
