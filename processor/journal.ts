import { createHash } from 'node:crypto';
import { encodeJson } from './lake-reader.ts';
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
  /** Writes the tombstones of which something was noted since. @throws StoreError */
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
        await store.put(
          paths.erasure(erasure.project, erasure.session),
          encodeJson({ ...erasure, underway } satisfies Erasure),
        );
        held.changed = false;
      }
    },
    underway: (session) => entry(session).underway,
  };
}

export const rowsOf = ({ seqs }: Underway): number =>
  Object.values(seqs)
    .flat()
    .reduce((sum, [from, to]) => sum + to - from + 1, 0);

export const stateOf = (bytes: Uint8Array): ObjectState => ({
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
});
