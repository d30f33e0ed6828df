import { createHash } from 'node:crypto';
import { dayIsClosed } from './compaction.ts';
import {
  addressOf,
  dateOf,
  encodeManifest,
  encodeManifestList,
  type Entry,
  type Manifest,
} from './iceberg-manifest.ts';
import { tableShape } from './iceberg-schema.ts';
import { paths, type LakeFile, type Merge, type Table } from './layout.ts';

/**
 * What a table's next metadata is, from what was published last and the project's manifests since. Each version of the
 * manifest becomes one or two snapshots: `append` of what came, then `replace` for merges, whose rows are the same; when
 * rows went, by an erasure or with their class, one `overwrite` or `delete`, and no older snapshot is kept.
 *
 * Files of a day that may still change are in a manifest of that day, older ones in one of their month, so that a
 * publication writes few entries anew, and a reader opens few manifests.
 */
export interface Snapshot {
  'snapshot-id': number;
  'parent-snapshot-id'?: number;
  'sequence-number': number;
  'timestamp-ms': number;
  'manifest-list': string;
  'schema-id': number;
  summary: Record<string, string> & { operation: Operation };
}
export type Operation = 'append' | 'replace' | 'overwrite' | 'delete';
export interface Metadata {
  'format-version': 2;
  'table-uuid': string;
  location: string;
  'last-sequence-number': number;
  'last-updated-ms': number;
  properties: Record<string, string>;
  'current-snapshot-id': number;
  refs: Record<string, { 'snapshot-id': number; type: 'branch' }>;
  snapshots: Snapshot[];
  'snapshot-log': { 'snapshot-id': number; 'timestamp-ms': number }[];
}

/** A table as it was published last. `metadata` is missing before the first time, and to begin anew. */
export interface Published {
  version: number;
  metadata?: Metadata;
  /** Of the current snapshot. */
  manifests: readonly Manifest[];
}
/** A table's files by one version of the project's manifest, and the merges that made it. */
export interface TableState {
  version: number;
  files: readonly LakeFile[];
  merges: readonly Merge[];
}
export interface Publication extends Published {
  metadata: Metadata;
  /** To be put before the metadata. */
  avro: { key: string; bytes: Uint8Array }[];
}
export interface TablePlace {
  project: string;
  table: Table;
  /** The store's. */
  location: string;
}

/** Each stands in the metadata that every reader fetches first. */
export const SNAPSHOTS_MAX = 100;
const VERSION_PROPERTY = 'mutoscope.manifest-version';

/** The version of the project's manifest that was published; 0 when none was. */
export const publishedVersion = ({ metadata }: Published): number =>
  Number(metadata?.properties[VERSION_PROPERTY] ?? 0);

/**
 * Undefined when there is nothing to publish. `states` are ascending; of those before the last some may be missing.
 * With `forget` only the last snapshot is kept.
 */
export function planPublication(
  place: TablePlace,
  published: Published,
  states: readonly TableState[],
  options: { nowMs: number; graceMs: number; nonce: string; forget?: boolean },
): Publication | undefined {
  const { project, table, location } = place;
  const before = published.metadata;
  const version = published.version + 1;
  const timestampMs = Math.max(options.nowMs, before?.['last-updated-ms'] ?? 0);
  const uuid = uuidOf(addressOf(location, paths.icebergTable(project, table)));
  let parts = 0;
  const nextKey = (): string => paths.icebergAvro(project, table, version, options.nonce, ++parts);

  let manifests = published.manifests;
  let sequence = before?.['last-sequence-number'] ?? 0;
  let current = before?.['current-snapshot-id'];
  let snapshots = [...(before?.snapshots ?? [])];
  const written = new Map<number, string[]>();
  const encoded = new Map<string, Uint8Array>();
  for (const state of states)
    for (const step of stepsTo(state, manifests)) {
      sequence++;
      const id = snapshotId(`${uuid} ${options.nonce} ${sequence}`);
      const encode = (entries: Entry[]): Manifest => {
        const bytes = encodeManifest(table, location, entries);
        const key = nextKey();
        encoded.set(key, bytes);
        return { key, bytes: bytes.length, snapshot: id, sequence, entries };
      };
      manifests = applyStep(manifests, step, { id, sequence }, timestampMs, encode);
      const list = encodeManifestList(location, { id, parent: current, sequence }, manifests);
      const listKey = nextKey();
      encoded.set(listKey, list);
      written.set(id, [...manifests.map(({ key }) => key), listKey]);
      if (step.operation === 'overwrite' || step.operation === 'delete') snapshots = [];
      snapshots.push({
        'snapshot-id': id,
        ...(current === undefined ? {} : { 'parent-snapshot-id': current }),
        'sequence-number': sequence,
        'timestamp-ms': timestampMs,
        'manifest-list': addressOf(location, listKey),
        'schema-id': 0,
        summary: summaryOf(step, manifests, state.version),
      });
      current = id;
    }
  if (current === undefined) return undefined;
  const kept = options.forget
    ? snapshots.slice(-1)
    : keptSnapshots(snapshots, options.nowMs, options.graceMs);
  if (!written.size && kept.length === before?.snapshots.length) return undefined;
  const manifestVersion = Math.max(publishedVersion(published), states.at(-1)?.version ?? 0);
  return {
    version,
    manifests,
    avro: [...new Set(kept.flatMap((snapshot) => written.get(snapshot['snapshot-id']) ?? []))]
      .filter((key) => encoded.has(key))
      .map((key) => ({ key, bytes: encoded.get(key)! })),
    metadata: {
      'format-version': 2,
      'table-uuid': uuid,
      location: addressOf(location, paths.icebergTable(project, table)),
      'last-sequence-number': sequence,
      'last-updated-ms': timestampMs,
      ...tableShape(table),
      // Another program's housekeeping must not remove what the lake's own looks after.
      properties: { [VERSION_PROPERTY]: String(manifestVersion), 'gc.enabled': 'false' },
      'current-snapshot-id': current,
      refs: { main: { 'snapshot-id': current, type: 'branch' } },
      snapshots: kept,
      'snapshot-log': kept.map((snapshot) => ({
        'snapshot-id': snapshot['snapshot-id'],
        'timestamp-ms': snapshot['timestamp-ms'],
      })),
    },
  };
}

/** The newest, and what was the newest less than `graceMs` ago: the files of older ones may be gone. */
export function keptSnapshots(snapshots: readonly Snapshot[], nowMs: number, graceMs: number): Snapshot[] {
  return snapshots
    .filter((_, i) => {
      const next = snapshots[i + 1];
      return !next || next['timestamp-ms'] > nowMs - graceMs;
    })
    .slice(-SNAPSHOTS_MAX);
}

interface Step {
  operation: Operation;
  added: readonly LakeFile[];
  removed: ReadonlySet<string>;
}

/** What leads from the manifests' files to the state's. */
export function stepsTo(state: TableState, manifests: readonly Manifest[]): Step[] {
  const before = new Map(liveEntries(manifests).map(({ file }) => [file.key, file]));
  const after = new Map(state.files.map((file) => [file.key, file]));
  const removed = new Set([...before.keys()].filter((key) => !after.has(key)));
  const added = [...after.values()].filter(({ key }) => !before.has(key));
  if (!removed.size) return added.length ? [{ operation: 'append', added, removed }] : [];

  // Merges tell which of the files that came hold old rows, and which rows are new that came merged with old ones.
  const merges = state.merges.filter(({ into }) => added.some(({ key }) => key === into));
  const merged = new Set(merges.map(({ into }) => into));
  const sources = new Map(merges.flatMap(({ of }) => of).map((file) => [file.key, file]));
  const keepsRows = merges.every(({ into, of }) => after.get(into)!.rows === rowsOf(of));
  if (!keepsRows || [...removed].some((key) => !sources.has(key)))
    return [{ operation: added.length ? 'overwrite' : 'delete', added, removed }];
  const fresh = [...sources.values()].filter(({ key }) => !before.has(key));
  const appended = [...fresh, ...added.filter(({ key }) => !merged.has(key))];
  const replace: Step = {
    operation: 'replace',
    added: added.filter(({ key }) => merged.has(key)),
    removed: new Set(sources.keys()),
  };
  return appended.length
    ? [{ operation: 'append', added: appended, removed: new Set() }, replace]
    : [replace];
}
const rowsOf = (files: readonly LakeFile[]): number => files.reduce((sum, { rows }) => sum + rows, 0);

export const liveEntries = (manifests: readonly Manifest[]): Entry[] =>
  manifests.flatMap(({ entries }) => entries.filter(({ status }) => status !== 'deleted'));

/** A manifest whose files are the same stays as it is. */
function applyStep(
  manifests: readonly Manifest[],
  { added, removed }: Step,
  { id, sequence }: { id: number; sequence: number },
  nowMs: number,
  encode: (entries: Entry[]) => Manifest,
): Manifest[] {
  const groups = new Map<string, { entries: Entry[]; from: Set<Manifest | undefined> }>();
  const put = (entry: Entry, from?: Manifest): void => {
    const date = dateOf(entry.file);
    const name = dayIsClosed(date, nowMs) ? date.slice(0, 7) : date;
    const group = groups.get(name) ?? { entries: [], from: new Set() };
    groups.set(name, group);
    group.entries.push(entry);
    group.from.add(from);
  };
  for (const manifest of manifests)
    for (const entry of liveEntries([manifest]))
      if (!removed.has(entry.file.key)) put({ ...entry, status: 'existing' }, manifest);
      else put({ ...entry, status: 'deleted', snapshot: id, file: withoutBounds(entry.file) });
  for (const file of added) put({ status: 'added', snapshot: id, sequence, file });
  return [...groups.values()].map(({ entries, from }) => {
    const [only] = from;
    const same = from.size === 1 && only && liveEntries([only]).length === entries.length;
    return same ? only : encode(entries);
  });
}
const withoutBounds = (file: LakeFile): LakeFile => ({
  ...file,
  firstSession: '',
  lastSession: '',
  minMs: 0,
  maxMs: 0,
});

function summaryOf(
  { operation, added }: Step,
  manifests: readonly Manifest[],
  version: number,
): Snapshot['summary'] {
  const live = liveEntries(manifests).map(({ file }) => file);
  const newest = Math.max(...manifests.map(({ sequence }) => sequence));
  const gone = manifests
    .filter((manifest) => manifest.sequence === newest)
    .flatMap(({ entries }) => entries.filter(({ status }) => status === 'deleted'))
    .map(({ file }) => file);
  const bytesOf = (files: readonly LakeFile[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0);
  const numbers = {
    [VERSION_PROPERTY]: version,
    'added-data-files': added.length,
    'added-records': rowsOf(added),
    'added-files-size': bytesOf(added),
    'deleted-data-files': gone.length,
    'deleted-records': rowsOf(gone),
    'removed-files-size': bytesOf(gone),
    'changed-partition-count': added.length + gone.length ? 1 : 0,
    'total-data-files': live.length,
    'total-records': rowsOf(live),
    'total-files-size': bytesOf(live),
    'total-delete-files': 0,
    'total-position-deletes': 0,
    'total-equality-deletes': 0,
  };
  return {
    operation,
    ...Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, String(value)])),
  };
}

/** Of a name, so that racing publishers of the first version agree. */
function uuidOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
/** Iceberg's are of 63 bits; JSON as JavaScript reads it has 53. */
const snapshotId = (name: string): number =>
  parseInt(createHash('sha256').update(name).digest('hex').slice(0, 13), 16) + 1;
