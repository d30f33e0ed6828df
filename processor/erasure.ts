/**
 * An erasure, as its object in the store tells of it: first the tombstone, which every reader obeys; while the bytes go,
 * what is about to go; then the receipt, which stays. Pure.
 *
 * Version history: 1 — first; receipts without `objects`, `scan` and `signature` are of before they were kept.
 */
export interface Erasure {
  v: 1;
  project: string;
  session: string;
  requestedMs: number;
  /** What goes, written before it goes, so that the receipt is whole also after a crash. */
  underway?: Underway;
  /** Why it is not done: what could still not be removed, or where the last scan found the session. It is tried again. */
  left?: { atMs: number; keys: string[] };
  /** Absent until the bytes are gone. */
  done?: ErasureDone;
  /** Over all of the above. */
  signature?: Signature;
}

export interface Underway {
  startedMs: number;
  /** Messages removed from the stream. */
  messages: number;
  /** Events by recorder instance, as closed ranges of `seq`: each counts once, in however many objects it stands. */
  seqs: Record<string, [number, number][]>;
  objects: ErasedObject[];
  filesRewritten: string[];
}

export interface ErasureDone {
  atMs: number;
  /** Rows of `events`. */
  rows: number;
  messages: number;
  /** Files of the lake that readers saw and that held the session. */
  filesRewritten: string[];
  startedMs?: number;
  objects?: ErasedObject[];
  kept?: Kept[];
  scan?: Scanned;
}

/** An object that held the session. */
export interface ErasedObject {
  key: string;
  before: ObjectState;
  /** What was written in its place, without the session. Absent: nothing. */
  after?: ObjectState & { key: string };
}
export interface ObjectState {
  bytes: number;
  /** Of the whole object, hex. */
  sha256: string;
}

/** What still has the session's id, and nothing else of it. */
export interface Kept {
  where: string;
  reason: string;
  /** When it is gone at the latest. Absent: it stays. */
  untilMs?: number;
}

/** What was searched for the session's id after all had gone, and that it was not there but in what is kept. */
export interface Scanned {
  atMs: number;
  /** Beginnings of the keys of all objects that can hold rows of the session: of its project, day and shard. */
  prefixes: string[];
  objects: number;
  bytes: number;
  /** Of the project, in the stream, up to the number that was the last when the removal began. */
  messages: number;
  /** Objects with compressed parts too large to be searched. */
  unsearched: string[];
}

export interface Signature {
  algorithm: 'Ed25519';
  /** Of the public key: the first 32 digits of the SHA-256 of its SPKI form. */
  keyId: string;
  /** Hex, of the UTF-8 JSON of the document without `signature`. */
  value: string;
}

/**
 * That all sessions of a visitor which began before the request are to be erased. It is looked at again until no more of
 * them can come to be known; then the visitor's id goes from it and it is signed.
 */
export interface VisitorErasure {
  v: 1;
  project: string;
  visitor?: string;
  requestedMs: number;
  untilMs: number;
  done?: { atMs: number };
  signature?: Signature;
}
