import { SHARDS } from '#stream';

/**
 * What a processor tells the others: of its shards, the stream's numbers below which all of a shard's messages are in the
 * lake. These are facts that stay true whoever owns the shard, and so old ones are safe to trim by.
 *
 * Version history: 1 — first.
 */
interface MemberNote {
  v: 1;
  clear: [shard: number, seq: number][];
}

export const encodeNote = (clear: ReadonlyMap<number, number>): string =>
  JSON.stringify({ v: 1, clear: [...clear] } satisfies MemberNote);

/** What several tell, of each shard the highest. A note that this version cannot read tells nothing. */
export function decodeNotes(notes: Iterable<string>): Map<number, number> {
  const clear = new Map<number, number>();
  for (const note of notes)
    for (const [shard, seq] of readNote(note))
      if (shard < SHARDS) clear.set(shard, Math.max(clear.get(shard) ?? 1, seq));
  return clear;
}

function readNote(note: string): MemberNote['clear'] {
  try {
    const { v, clear } = JSON.parse(note) as MemberNote;
    return v === 1 ? clear : [];
  } catch {
    return [];
  }
}
