import { shardOf, type Stream } from '#stream';
import { getIfThere } from './lake-reader.ts';
import { paths, TABLES, type ClassName, type Commit, type Scanned, type Seen } from './layout.ts';
import { readable } from './readable.ts';
import type { Store } from './store.ts';
import { blocksOf } from './x-avsc.ts';

export interface ScanQuery {
  project: string;
  /** On which the sessions began. */
  date: string;
  sessions: readonly string[];
  /** In which files of the day may be. */
  classes: readonly ClassName[];
  /** Of the stream, what is beyond this came after the removal began. */
  fenceSeq: number;
}
export interface ScanResult {
  scanned: Omit<Scanned, 'atMs'>;
  /** By session: keys of objects, or numbers of messages as `stream#7`, that have its id and should not. */
  found: Map<string, string[]>;
  /** By session: objects that keep its id alone, so that a batch that is sent again is known. */
  remembering: Map<string, string[]>;
  /** All keys that were listed. */
  keys: Set<string>;
}

/**
 * Searches every object that can hold something of the sessions for their ids, and the project's messages in the stream:
 * in the bytes as they are, and in all compressed parts. Each object is read once, one at a time, for all sessions together.
 * @throws StoreError, StreamError
 */
export async function scanForErased(
  { store, stream }: { store: Store; stream: Stream },
  query: ScanQuery,
): Promise<ScanResult> {
  const { project, sessions, fenceSeq } = query;
  const wanted = new Set(sessions);
  const result: ScanResult = {
    scanned: {
      prefixes: prefixesOf(query),
      objects: 0,
      bytes: 0,
      messages: 0,
      unsearched: [],
    },
    found: new Map(),
    remembering: new Map(),
    keys: new Set(),
  };
  const { scanned } = result;
  const note = (map: Map<string, string[]>, id: string, where: string): void => {
    const held = map.get(id);
    if (!held) map.set(id, [where]);
    else if (held.length < PLACES_MAX) held.push(where);
  };
  for (const prefix of scanned.prefixes)
    for await (const { key } of store.list(prefix)) {
      result.keys.add(key);
      const bytes = await getIfThere(store, key);
      if (!bytes) continue;
      scanned.objects++;
      scanned.bytes += bytes.length;
      for (const id of idsIn(bytes, {
        isAvro: key.endsWith('.avro'),
        tooLarge: () => scanned.unsearched.push(key),
      }))
        if (wanted.has(id)) note(remembersOnly(key, bytes, id) ? result.remembering : result.found, id, key);
    }
  for await (const { seq, subject, bytes } of stream.read(1, `rec.${project}.>`)) {
    if (seq > fenceSeq) break;
    scanned.messages++;
    const ids = idsIn(bytes, { tooLarge: () => scanned.unsearched.push(`stream#${seq}`) });
    for (const [id] of subject.matchAll(ID)) ids.add(id);
    for (const id of ids) if (wanted.has(id)) note(result.found, id, `stream#${seq}`);
  }
  scanned.unsearched = [...new Set(scanned.unsearched)];
  return result;
}
/** To tell an operator where to look. */
const PLACES_MAX = 20;

function prefixesOf({ project, date, sessions, classes }: ScanQuery): string[] {
  const shards = [...new Set(sessions.map(shardOf))].sort((a, b) => a - b);
  return [
    ...shards.flatMap((shard) => [
      paths.l0ShardPrefix(shard),
      paths.seenShardPrefix(shard),
      paths.quarantineShardPrefix(shard),
    ]),
    ...classes.flatMap((cls) => [
      ...TABLES.map((table) => paths.dayPrefix(cls, table, project, date)),
      paths.assetsPrefix(cls, project, date),
    ]),
    paths.projectManifestPrefix(project),
    ...TABLES.map((table) => `${paths.icebergTable(project, table)}/`),
  ];
}

const ID = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g;

/** Every session id that stands somewhere in the bytes, also in compressed parts of them. @param isAvro a file of ours */
export function idsIn(
  bytes: Uint8Array,
  { isAvro = false, tooLarge }: { isAvro?: boolean; tooLarge?: () => void } = {},
): Set<string> {
  const ids = new Set<string>();
  const search = (part: Buffer): void => {
    for (let at = 0; at < part.length; at += PIECE_BYTES)
      // Pieces overlap by the length of an id.
      for (const [id] of part
        .toString('latin1', at, Math.min(at + PIECE_BYTES + ID_BYTES - 1, part.length))
        .matchAll(ID))
        ids.add(id);
  };
  for (const part of readable(bytes, tooLarge)) search(part);
  if (isAvro) for (const block of blocksOf(bytes)) for (const part of readable(block, tooLarge)) search(part);
  return ids;
}
const PIECE_BYTES = 1024 * 1024;
const ID_BYTES = 36;

/** Whether the id stands only where a commit or what is left of it names whose frames it has dealt with. */
function remembersOnly(key: string, bytes: Uint8Array, id: string): boolean {
  if (!key.endsWith('.json') || !(key.startsWith(paths.l0Prefix) || key.startsWith(paths.seenPrefix)))
    return false;
  let held: Commit | Seen;
  try {
    held = JSON.parse(new TextDecoder().decode(bytes)) as Commit | Seen;
  } catch {
    // What else stands in it nobody can tell.
    return false;
  }
  const lines = held.sessions.filter(({ session }) => session === id);
  const rest = { ...held, sessions: held.sessions.filter(({ session }) => session !== id) };
  const others = lines.map(({ session: _session, ...line }) => line);
  return lines.every(({ url }) => url === undefined) && !JSON.stringify([rest, others]).includes(id);
}
