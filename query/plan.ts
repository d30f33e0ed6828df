import { REPLAY_GROUP_BYTES_MAX, REPLAY_GROUP_ROWS_MAX, type LakeFile, type ReplayRow } from '#layout';
import type { ReplayGroup } from '#store';
import type { Segment } from './api.ts';

/**
 * From the row groups of a session, which lie in whatever files there are now, to the segments that the player asks
 * for. Files change while somebody watches (a flush adds some, compaction replaces many by one), so a segment is not
 * numbered by its place: its `n` says which events it holds.
 *
 *   n = ordinal of the recorder instance (10 bits) · first seq (27 bits) · last seq − first seq (16 bits)
 *
 * Whatever row groups there are when it is asked for, the answer is the rows of that instance with those numbers.
 */
export interface GroupInFile {
  file: LakeFile;
  group: ReplayGroup;
}
export interface PlannedSegment extends Segment {
  rid: string;
  firstSeq: number;
  lastSeq: number;
}
export interface Address {
  ordinal: number;
  firstSeq: number;
  lastSeq: number;
}

const SEQ_MAX = 2 ** 27 - 1;
const SPAN_MAX = 2 ** 16 - 1;
const ORDINAL_MAX = 2 ** 10 - 1;

export const encodeAddress = ({ ordinal, firstSeq, lastSeq }: Address): number =>
  (ordinal * (SEQ_MAX + 1) + firstSeq) * (SPAN_MAX + 1) + (lastSeq - firstSeq);
/** Undefined for what is no address. */
export function decodeAddress(n: number): Address | undefined {
  if (!Number.isSafeInteger(n) || n < 0) return undefined;
  const span = n % (SPAN_MAX + 1);
  const firstSeq = Math.floor(n / (SPAN_MAX + 1)) % (SEQ_MAX + 1);
  const ordinal = Math.floor(n / (SPAN_MAX + 1) / (SEQ_MAX + 1));
  return { ordinal, firstSeq, lastSeq: firstSeq + span };
}

/** Recorder instances in the order in which they began. */
export function ridOrder(groups: readonly GroupInFile[]): string[] {
  const began = new Map<string, number>();
  for (const { group } of groups)
    began.set(group.firstRid, Math.min(began.get(group.firstRid) ?? Infinity, group.minMs));
  return [...began].sort(([a, aMs], [b, bMs]) => aMs - bMs || (a < b ? -1 : 1)).map(([rid]) => rid);
}

/**
 * Playing order: by time, and within one recorder instance by seq. Row groups that end before the cutoff are left out,
 * and so is one that another covers.
 */
export function orderGroups(
  groups: readonly GroupInFile[],
  cutoffOf: (file: LakeFile) => number,
): GroupInFile[] {
  const byKey = groups
    .filter(({ file, group }) => group.maxMs >= cutoffOf(file))
    .sort(
      ({ group: a }, { group: b }) =>
        compare(a.firstRid, b.firstRid) || a.firstSeq - b.firstSeq || b.lastSeq - a.lastSeq,
    );
  const kept: { item: GroupInFile; timeMs: number }[] = [];
  for (const item of byKey) {
    const before = kept.at(-1);
    const sameRid = before?.item.group.firstRid === item.group.firstRid;
    if (before && sameRid && item.group.lastSeq <= before.item.group.lastSeq) continue;
    const timeMs = before && sameRid ? Math.max(before.timeMs, item.group.minMs) : item.group.minMs;
    kept.push({ item, timeMs });
  }
  // The sort is stable: within a rid the order of seq stays where times are equal.
  return kept.sort((a, b) => a.timeMs - b.timeMs).map(({ item }) => item);
}

/** Joins neighbours up to a row group's bounds, and begins anew at each snapshot, as the row groups of one file do. */
export function planSegments(
  groups: readonly GroupInFile[],
  cutoffOf: (file: LakeFile) => number,
): PlannedSegment[] {
  const rids = ridOrder(groups);
  const segments: PlannedSegment[] = [];
  for (const { file, group } of orderGroups(groups, cutoffOf)) {
    const last = segments.at(-1);
    const joins =
      last &&
      last.rid === group.firstRid &&
      group.firstSeq > last.lastSeq &&
      !group.snapshot &&
      last.rows + group.rows <= REPLAY_GROUP_ROWS_MAX &&
      last.bytes + group.bytes <= JOINED_BYTES_MAX &&
      group.lastSeq - last.firstSeq <= SPAN_MAX;
    const cutMs = cutoffOf(file);
    if (joins) {
      last.endMs = Math.max(last.endMs, group.maxMs);
      last.rows += group.rows;
      last.bytes += group.bytes;
      last.lastSeq = group.lastSeq;
    } else
      segments.push({
        n: 0,
        startMs: Math.max(group.minMs, cutMs),
        endMs: group.maxMs,
        rows: group.rows,
        bytes: group.bytes,
        // A snapshot whose beginning has expired is none.
        snapshot: group.snapshot && group.minMs >= cutMs,
        rid: group.firstRid,
        firstSeq: group.firstSeq,
        lastSeq: group.lastSeq,
      });
  }
  for (const segment of segments)
    segment.n = encodeAddress({
      ordinal: Math.min(rids.indexOf(segment.rid), ORDINAL_MAX),
      firstSeq: segment.firstSeq,
      lastSeq: Math.min(segment.lastSeq, segment.firstSeq + SPAN_MAX),
    });
  return segments;
}
/** Compressed; some ten times that as JSON. */
const JOINED_BYTES_MAX = REPLAY_GROUP_BYTES_MAX / 16;

/** Row groups in which rows of that address may be. Of an instance cut at SPAN_MAX the rest of the group belongs to it. */
export function groupsOf(
  address: Address,
  groups: readonly GroupInFile[],
  cutoffOf: (file: LakeFile) => number,
): { groups: GroupInFile[]; lastSeq: number; cut: boolean } {
  const rid = ridOrder(groups)[address.ordinal];
  const overlapping = orderGroups(groups, cutoffOf).filter(
    ({ group }) =>
      group.firstRid === rid && group.firstSeq <= address.lastSeq && group.lastSeq >= address.firstSeq,
  );
  const saturated = address.lastSeq - address.firstSeq === SPAN_MAX;
  return {
    groups: overlapping,
    lastSeq: saturated ? (overlapping.at(-1)?.group.lastSeq ?? address.lastSeq) : address.lastSeq,
    cut: overlapping.some(({ file, group }) => group.minMs < cutoffOf(file)),
  };
}

/** Rows in order, each once, of those seqs and not past the cutoff. */
export function cutRows(
  parts: readonly { rows: readonly ReplayRow[]; cutoffMs: number }[],
  firstSeq: number,
  lastSeq: number,
): ReplayRow[] {
  const seen = new Set<string>();
  const kept: ReplayRow[] = [];
  for (const { rows, cutoffMs } of parts)
    for (const row of rows) {
      if (row.seq < firstSeq || row.seq > lastSeq || row.ts < BigInt(Math.ceil(cutoffMs)) * 1000n) continue;
      const key = `${row.seq}.${row.kind}`;
      if (seen.has(key)) continue;
      seen.add(key);
      kept.push(row);
    }
  return kept;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
