import type { RecordedTable, Table } from './columns.ts';

/**
 * The lake: which files there are, what stands in them, and which of them count. Pure; every path is made here.
 *
 *   v1/config/<version>.json                                        projects and keys; the newest counts
 *   v1/l0/shard=07/<from>.json                                      commit: the stream up to `lastSeq` is in these files
 *   v1/l0/shard=07/<from>-<nonce>.r30.{events,replay}.parquet       minutes old, many projects
 *   v1/seen/shard=07/<from>.json                                    frames of commits that were removed, the one at `from` the last
 *   v1/r30/{events,replay,sessions}/project=<id>/date=YYYY-MM-DD/<id>.parquet  compacted, one project, one day
 *   v1/r30/assets/project=<id>/date=<day>/<sha256>.<ending>         what pages showed, once for its class and day
 *   v1/manifest/project=<id>/<version>.json                         root: the days, and what L0 it has taken in
 *   v1/manifest/project=<id>/day/<date>-<nonce>.json                the files of one day
 *   v1/iceberg/project=<id>/<table>/metadata/v<N>.metadata.json     the manifests' files once more, for other programs' readers
 *   v1/iceberg/project=<id>/<table>/metadata/<N>-<nonce>-<n>.avro   manifests and manifest lists that came with version N
 *   v1/iceberg/project=<id>/<table>/metadata/version-hint.text      the newest N
 *   v1/erasures/project=<id>/<session>.json                         tombstone, then receipt
 *   v1/holds/project=<id>/<session>.json                            a session whose retention is its own, and what made it so
 *   v1/reports/retention/project=<id>.json                          what is stored of each class and day, and until when
 *   v1/reports/damage.json                                          what the last sweep could not read
 *   v1/probe/<nonce>                                                for a moment, to see what the store does
 *   v1/visitor-erasures/project=<id>/<id>.json                      of whom sessions are erased that come to be known later
 *   v1/receipt-keys/<n>.json                                        key pairs that sign receipts; the newest signs
 *   v1/quarantine/shard=07/<seq>.{json,bin}                         a batch that could not be read, and why
 *   v1/quarantine/files/<key>                                       a file that could not be read, put aside by a repair
 *
 * What can be seen is: the files of the newest root manifest, and those of every commit whose `fromSeq` is above the
 * shard's number in that manifest's `l0`; less rows past their class, less erased sessions.
 * `date` is the UTC day on which the session started (its id says it), so that midnight cuts no session.
 * `sessions` is made of the `events` of its class and day, with them and anew at any time; L0 has none.
 *
 * Version history: 1 — first; `sessions` came later, and whoever does not know the table reads the others as before.
 */

export const LAYOUT_VERSION = 1;
const ROOT = `v${LAYOUT_VERSION}`;

/** Retention class in a path: `r30`. */
export type ClassName = `r${number}`;
export const className = (days: number): ClassName => `r${days}`;
export const classDays = (name: ClassName): number => Number(name.slice(1));

const DAY_MS = 86_400_000;
const digits = (n: number, width: number): string => String(n).padStart(width, '0');
const shardPart = (shard: number): string => `shard=${digits(shard, 2)}`;

export const paths = {
  configPrefix: `${ROOT}/config/`,
  config: (version: number): string => `${ROOT}/config/${digits(version, 8)}.json`,
  l0Prefix: `${ROOT}/l0/`,
  l0ShardPrefix: (shard: number): string => `${ROOT}/l0/${shardPart(shard)}/`,
  commit: (shard: number, fromSeq: number): string =>
    `${ROOT}/l0/${shardPart(shard)}/${digits(fromSeq, 16)}.json`,
  l0File: (shard: number, fromSeq: number, nonce: string, cls: ClassName, table: RecordedTable): string =>
    `${ROOT}/l0/${shardPart(shard)}/${digits(fromSeq, 16)}-${nonce}.${cls}.${table}.parquet`,
  seenPrefix: `${ROOT}/seen/`,
  seenShardPrefix: (shard: number): string => `${ROOT}/seen/${shardPart(shard)}/`,
  seen: (shard: number, fromSeq: number): string =>
    `${ROOT}/seen/${shardPart(shard)}/${digits(fromSeq, 16)}.json`,
  /** Of all classes, and of little else: `placeOf` tells which. */
  classesPrefix: `${ROOT}/r`,
  classPrefix: (cls: ClassName): string => `${ROOT}/${cls}/`,
  dayPrefix: (cls: ClassName, table: Table, project: string, date: string): string =>
    `${ROOT}/${cls}/${table}/project=${project}/date=${date}/`,
  file: (cls: ClassName, table: Table, project: string, date: string, id: string): string =>
    `${ROOT}/${cls}/${table}/project=${project}/date=${date}/${id}.parquet`,
  /** Beside the rows that tell of it, so that it goes when they go, whatever deletes them. */
  asset: (cls: ClassName, project: string, date: string, name: string): string =>
    `${ROOT}/${cls}/assets/project=${project}/date=${date}/${name}`,
  assetsPrefix: (cls: ClassName, project: string, date: string): string =>
    `${ROOT}/${cls}/assets/project=${project}/date=${date}/`,
  manifestPrefix: `${ROOT}/manifest/`,
  projectManifestPrefix: (project: string): string => `${ROOT}/manifest/project=${project}/`,
  manifest: (project: string, version: number): string =>
    `${ROOT}/manifest/project=${project}/${digits(version, 12)}.json`,
  dayManifest: (project: string, date: string, nonce: string): string =>
    `${ROOT}/manifest/project=${project}/day/${date}-${nonce}.json`,
  icebergPrefix: `${ROOT}/iceberg/`,
  icebergTable: (project: string, table: Table): string => `${ROOT}/iceberg/project=${project}/${table}`,
  icebergMetadata: (project: string, table: Table, version: number): string =>
    `${ROOT}/iceberg/project=${project}/${table}/metadata/v${version}.metadata.json`,
  icebergAvro: (project: string, table: Table, version: number, nonce: string, n: number): string =>
    `${ROOT}/iceberg/project=${project}/${table}/metadata/${digits(version, 8)}-${nonce}-${n}.avro`,
  icebergHint: (project: string, table: Table): string =>
    `${ROOT}/iceberg/project=${project}/${table}/metadata/version-hint.text`,
  erasuresPrefix: `${ROOT}/erasures/`,
  projectErasuresPrefix: (project: string): string => `${ROOT}/erasures/project=${project}/`,
  erasure: (project: string, session: string): string =>
    `${ROOT}/erasures/project=${project}/${session}.json`,
  holdsPrefix: `${ROOT}/holds/`,
  projectHoldsPrefix: (project: string): string => `${ROOT}/holds/project=${project}/`,
  hold: (project: string, session: string): string => `${ROOT}/holds/project=${project}/${session}.json`,
  probePrefix: `${ROOT}/probe/`,
  /** What the last sweep found damaged. */
  damageReport: `${ROOT}/reports/damage.json`,
  retentionReportsPrefix: `${ROOT}/reports/retention/`,
  retentionReport: (project: string): string => `${ROOT}/reports/retention/project=${project}.json`,
  visitorErasuresPrefix: `${ROOT}/visitor-erasures/`,
  visitorErasure: (project: string, id: string): string =>
    `${ROOT}/visitor-erasures/project=${project}/${id}.json`,
  receiptKeysPrefix: `${ROOT}/receipt-keys/`,
  receiptKey: (n: number): string => `${ROOT}/receipt-keys/${digits(n, 8)}.json`,
  quarantinePrefix: `${ROOT}/quarantine/`,
  quarantineShardPrefix: (shard: number): string => `${ROOT}/quarantine/${shardPart(shard)}/`,
  quarantinedFilesPrefix: `${ROOT}/quarantine/files/`,
  quarantinedFile: (key: string): string => `${ROOT}/quarantine/files/${key}`,
  quarantine: (shard: number, seq: number, ext: 'json' | 'bin'): string =>
    `${ROOT}/quarantine/${shardPart(shard)}/${digits(seq, 16)}.${ext}`,
} as const;

/** Epoch milliseconds at which a session started: the first 48 bits of its UUIDv7. NaN when it is not one. */
export function sessionStartMs(session: string): number {
  if (!SESSION_ID.test(session)) return NaN;
  return parseInt(session.slice(0, 8) + session.slice(9, 13), 16);
}
export const SESSION_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
export const utcDate = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
export const sessionDate = (session: string): string => utcDate(sessionStartMs(session));

/** Rows of a class with `ts` before this are invisible. */
export const cutoffMs = (retentionDays: number, nowMs: number): number => nowMs - retentionDays * DAY_MS;
/**
 * Whether nothing that started on `date` can be visible any more: the last session of that day may have gone on for
 * SESSION_MAX (a day) into the next.
 */
export const dayIsPast = (date: string, retentionDays: number, nowMs: number): boolean =>
  Date.parse(`${date}T00:00:00Z`) + 2 * DAY_MS <= cutoffMs(retentionDays, nowMs);
/** Class and day that stand in the path of a data file or asset. */
export function placeOf(key: string): { class: ClassName; date: string; isAsset: boolean } | undefined {
  const found = /^v\d+\/(r\d+)\/(\w+)\/.*\/date=(\d{4}-\d{2}-\d{2})\//.exec(key);
  return found
    ? { class: found[1] as ClassName, date: found[3]!, isAsset: found[2] === 'assets' }
    : undefined;
}
/** Of a commit, of its files and of what is left of it. */
export const shardIn = (key: string): number => Number(/\/shard=(\d+)\//.exec(key)?.[1]);
/** Days after which a store's own lifecycle rule may delete an object of the class, counted from its creation. */
export const lifecycleDays = (retentionDays: number): number => retentionDays + 2;

/** A `replay` row group never crosses a session, begins anew at a full snapshot, and is one segment of the player's. */
export const REPLAY_GROUP_ROWS_MAX = 1024;
export const REPLAY_GROUP_BYTES_MAX = 8 * 1024 * 1024;
/** A row group is compressed at one go, and everything else in the process waits for it. */
export const EVENTS_GROUP_ROWS_MAX = 30_720;
/** A `sessions` file is one row group, written anew when one of its sessions goes on. */
export const SESSIONS_FILE_ROWS_MAX = 8192;
/** Key in a `replay` file's footer metadata: indices of row groups that begin with a full snapshot or checkpoint, as JSON. */
export const SNAPSHOT_GROUPS_KEY = 'mutoscope.snapshot_groups';
/** Key in the footer metadata of a sealed `replay` file: names of the assets to which its payloads refer, as JSON. */
export const ASSETS_KEY = 'mutoscope.assets';
/** Key beside it: of each row group the places in that list of the assets that its own payloads refer to, as JSON. */
export const GROUP_ASSETS_KEY = 'mutoscope.group_assets';
export const LAYOUT_VERSION_KEY = 'mutoscope.layout';

export interface LakeFile {
  key: string;
  table: Table;
  class: ClassName;
  bytes: number;
  rows: number;
  /** Row groups of a `replay` file. Absent in what was written before it was counted. */
  groups?: number;
  /** Bounds of session_id, inclusive. */
  firstSession: string;
  lastSession: string;
  /** Bounds of ts, of `sessions` of started_at, inclusive, epoch milliseconds. */
  minMs: number;
  maxMs: number;
  /** A `replay` file with checkpoints, whose payloads refer to assets (see `split-assets.ts`). */
  sealed?: true;
  /** Of its bytes, hex. Absent in what was written before there was one. */
  sha256?: string;
}

/** Created once, under the stream position at which it begins: of a redo or two owners exactly one commit wins. */
export interface Commit {
  v: 1;
  shard: number;
  /** lastSeq of the shard's previous commit + 1. */
  fromSeq: number;
  /** `fromSeq` of that one; absent in a shard's first. */
  prevSeq?: number;
  lastSeq: number;
  /** Where to read on after a takeover: below lastSeq + 1 when a batch's frames had not all come. What `sessions` names is skipped. */
  resumeSeq: number;
  committedMs: number;
  files: LakeFile[];
  sessions: CommitSession[];
}
export interface CommitSession {
  project: string;
  session: string;
  rid: string;
  class: ClassName;
  /** Frames of this rid that this commit has dealt with, also by quarantine or erasure: closed ranges. */
  frames: [number, number][];
  /** Events of this rid that this commit holds: closed ranges of seq. */
  seqs: [number, number][];
  /** Address at the last event, for those that follow. */
  url?: string;
  startMs: number;
  endMs: number;
  rows: number;
}
/** What of a commit is kept by who keeps many: of a session, whose rows are in it. */
export interface KnownCommit extends Omit<Commit, 'sessions'> {
  sessions: Pick<CommitSession, 'project' | 'session' | 'class' | 'rows'>[];
}

/** What commits had dealt with before they were removed, so that a batch that comes once more is still known. */
export interface Seen {
  v: 1;
  shard: number;
  sessions: CommitSession[];
}

export interface RootManifest {
  v: 1;
  project: string;
  version: number;
  createdMs: number;
  /** By shard: commits with `fromSeq` up to this are taken in. */
  l0: Record<string, number>;
  /** Key of each day's manifest, by date. */
  days: Record<string, string>;
}
export interface DayManifest {
  v: 1;
  project: string;
  date: string;
  files: LakeFile[];
  /** What was merged to make this version of the day. */
  merges?: Merge[];
}
/** The file `into` has the rows of `of`, of which some may have come in the same version and never been seen. */
export interface Merge {
  into: string;
  of: LakeFile[];
}

/** Instant from which on nothing of the day can be seen: see `dayIsPast`. */
export const dayEndMs = (date: string, retentionDays: number): number =>
  Date.parse(`${date}T00:00:00Z`) + (2 + retentionDays) * DAY_MS;

/** Objects that the last sweep could not read, and so left what needs them undone. */
export interface DamageReport {
  v: 1;
  atMs: number;
  objects: { key: string | undefined; why: string }[];
}
export interface RetentionReport {
  v: 1;
  project: string;
  atMs: number;
  lines: RetentionLine[];
}
/** One class and day. Rows are those of `events`; bytes and files are all that is stored, also replaced files and assets. */
export interface RetentionLine {
  retentionDays: number;
  date: string;
  rows: number;
  bytes: number;
  files: number;
  /** When all of it has expired. */
  dueMs: number;
  /** Still stored past that. */
  overdueRows: number;
  overdueBytes: number;
}

export { assetType } from '#protocol';
export {
  ACTIVE_GAP_MS_MAX,
  COLUMNS,
  EVENTS_COLUMNS,
  RECORDED_TABLES,
  REPLAY_COLUMNS,
  SESSIONS_COLUMNS,
  TABLES,
  UTM_PARAMETERS,
  type Column,
  type ColumnType,
  type EventRow,
  type RecordedTable,
  type ReplayRow,
  type SessionRow,
  type Table,
} from './columns.ts';
export { BROWSERS, DEVICES, SYSTEMS, type AgentRule } from './user-agent.ts';
export type {
  ErasedObject,
  Erasure,
  ErasureDone,
  Kept,
  ObjectState,
  Scanned,
  Signature,
  Underway,
  VisitorErasure,
} from './erasure.ts';
export { HOLD_DAYS, holdDays, isHeld, type Hold, type HoldAct } from './hold.ts';
export { commitFiles, pendingCommits, takenIn, visibleFiles } from './visible.ts';
