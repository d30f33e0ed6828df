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

/** What several tell, of each shard the highest. A note of a later version tells nothing. */
export function decodeNotes(notes: Iterable<string>): Map<number, number> {
  const clear = new Map<number, number>();
  for (const note of notes) {
    const { v, clear: told } = JSON.parse(note) as MemberNote;
    if (v !== 1) continue;
    for (const [shard, seq] of told)
      if (shard < SHARDS) clear.set(shard, Math.max(clear.get(shard) ?? 1, seq));
  }
  return clear;
}
