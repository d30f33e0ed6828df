import { SHARDS } from '#stream';

/** What one of several processors works on. */
export interface Share {
  /** Ascending. */
  shards: number[];
  /** It alone maintains the lake and trims the stream. */
  sweeps: boolean;
}

/**
 * The share of one of the members. Each computes its own, and they agree where they know of the same members.
 *
 * Rendezvous hashing: each (shard, member) has a score, and of these the highest is taken first, then the next, …, a shard
 * once and a member until it has its quota: so shares differ by one shard at most. When a member comes or goes, nearly
 * all others keep what they had, for the scores stay; without quotas one of eight would often have none of sixteen.
 */
export function shareOf(id: string, members: readonly string[]): Share {
  const few = Math.floor(SHARDS / members.length);
  /** So many may have one more. */
  let more = SHARDS % members.length;
  const held = new Map(members.map((member) => [member, [] as number[]]));
  const taken = new Set<number>();
  const bids = Array.from({ length: SHARDS }, (_, shard) => ranked(`shard ${shard}`, members, shard)).flat();
  for (const { shard, member } of bids.sort(byScore)) {
    const shards = held.get(member)!;
    if (taken.has(shard) || shards.length > few || (shards.length === few && !more)) continue;
    if (shards.length === few) more--;
    shards.push(shard);
    taken.add(shard);
  }
  const [sweeper] = ranked('sweeper', members, 0).sort(byScore);
  return { shards: held.get(id)!.sort((a, b) => a - b), sweeps: sweeper!.member === id };
}

interface Bid {
  shard: number;
  member: string;
  score: number;
}
const ranked = (slot: string, members: readonly string[], shard: number): Bid[] =>
  members.map((member) => ({ shard, member, score: hash(`${slot} ${member}`) }));
const byScore = (a: Bid, b: Bid): number =>
  b.score - a.score || (a.member < b.member ? -1 : 1) || a.shard - b.shard;

/** FNV-1a, then mixed as in MurmurHash3, for ids that differ in their last letter only. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
