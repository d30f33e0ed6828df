/**
 * Which number a node has in the recording, and where the replay has it. One entry a node, in a private field of
 * the node itself, which no page can see: the entry goes with its node, and costs half of one in a WeakMap, whose
 * growth stops the page for milliseconds at a time.
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
export const NOWHERE = -1e9;
export const IGNORED = -2;

/** A constructor may return any object, which then gets the fields of what extends it. */
class Holder {
  constructor(node: object) {
    return node;
  }
}
const createTable = () =>
  class Table extends Holder {
    #entry: NodeEntry;
    constructor(node: Node, entry: NodeEntry) {
      super(node);
      this.#entry = entry;
    }
    static get(node: object | null | undefined): NodeEntry | undefined {
      return node && #entry in node ? (node as Table).#entry : undefined;
    }
  };
let Table = createTable();
let epoch = 0;
let lastId = 0;

/** rrweb's number of the node; -1: it is not part of the recording. */
export const idOf = (node: object | null | undefined): number => Table.get(node)?.id ?? -1;

export function placeOf(node: Node): number {
  const entry = Table.get(node);
  return entry && entry.epoch === epoch ? entry.place : NOWHERE;
}

export function forgetPlace(node: Node): void {
  const entry = Table.get(node);
  if (entry) entry.place = NOWHERE;
}

/** The replay has it there from now on. Without an id before, or one that it was left out under, it gets one unless it is left out. */
export function tellPlace(node: Node, place: number, isInShadow: boolean, isIgnored: boolean): number {
  let entry = Table.get(node);
  if (!entry)
    try {
      new Table(node, (entry = { id: IGNORED, place, epoch, isInShadow }));
    } catch {
      // A browser may take no field into a node that the page has frozen.
      return IGNORED;
    }
  // A replay that removes a shadow host still knows what was inside by its id, and would put that there again.
  if (entry.isInShadow) entry.id = IGNORED;
  entry.place = place;
  entry.epoch = epoch;
  entry.isInShadow = isInShadow;
  if (entry.id < 0 && !isIgnored) entry.id = ++lastId;
  return entry.id;
}

/** A full snapshot begins: nothing is told. Nodes keep their numbers. */
export const forgetPlaces = (): void => void epoch++;
export function forgetAll(): void {
  Table = createTable();
}
