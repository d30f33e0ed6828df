/**
 * Which number a node has in the recording, and where the replay has it. One entry a node, weakly held: a node that is
 * gone is forgotten by itself, and on a large page the tables are most of what a recorder costs the garbage collector.
 */
export interface NodeEntry {
  /** IGNORED: left out of the recording, where it stands now. */
  id: number;
  /** The id of the parent in the replay; of a shadow root's child its host's, negative; of the document 0; or NOWHERE. */
  place: number;
  /** Of the snapshot since which `place` holds. */
  epoch: number;
  isInShadow: boolean;
}
export const NOWHERE = -(2 ** 30);
export const IGNORED = -2;

let entries = new WeakMap<Node, NodeEntry>();
let epoch = 0;
let lastId = 0;

/** rrweb's number of the node; -1: it is not part of the recording. */
export const idOf = (node: unknown): number => entries.get(node as Node)?.id ?? -1;

export function placeOf(node: Node): number {
  const entry = entries.get(node);
  return entry && entry.epoch === epoch ? entry.place : NOWHERE;
}

export function forgetPlace(node: Node): void {
  const entry = entries.get(node);
  if (entry) entry.place = NOWHERE;
}

/** The replay has it there from now on. Without an id before, or one that it was left out under, it gets one unless it is left out. */
export function tellPlace(node: Node, place: number, isInShadow: boolean, isIgnored: boolean): number {
  let entry = entries.get(node);
  // A replay that removes a shadow host still knows what was inside by its id, and would put that there again.
  if (!entry || entry.isInShadow) entries.set(node, (entry = { id: IGNORED, place, epoch, isInShadow }));
  entry.place = place;
  entry.epoch = epoch;
  entry.isInShadow = isInShadow;
  if (entry.id < 0 && !isIgnored) entry.id = ++lastId;
  return entry.id;
}

/** A full snapshot begins: nothing is told. Nodes keep their numbers. */
export const forgetPlaces = (): void => void epoch++;
export function forgetAll(): void {
  entries = new WeakMap();
}
