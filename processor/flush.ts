import { setImmediate as giveWay } from 'node:timers/promises';
import { FrameFlag } from '#protocol';
import { rejectBatch, type Batch, type Rejected } from './assembler.ts';
import { putAssets, putAssetsAgain, takeAssets, type AssetRefusal, type Brought } from './assets.ts';
import { BatchError, decodeBatch, type RecordedEvent } from './decode-batch.ts';
import type { Erasures } from './erasures.ts';
import { encodeEventsFile, encodeReplayFile, type EncodedFile } from './lake-file.ts';
import { encodeJson } from './lake-reader.ts';
import {
  paths,
  type ClassName,
  type Commit,
  type CommitSession,
  type EventRow,
  type LakeFile,
  type ReplayRow,
} from './layout.ts';
import { putOnce } from './put-once.ts';
import { addRange, inRanges } from './ranges.ts';
import { toRows } from './rows.ts';
import type { SeenRids } from './seen.ts';
import type { Store } from './store.ts';

/** What a shard has in hand: all of its stream from the last commit up to `lastSeq`. */
export interface FlushInput {
  shard: number;
  fromSeq: number;
  prevSeq?: number | undefined;
  lastSeq: number;
  resumeSeq: number;
  batches: Batch[];
  rejected: Rejected[];
}
export interface FlushParts {
  store: Store;
  erasures: Erasures;
  seen: SeenRids;
  now: () => number;
  /** Part of the names of the data files, new at each call, so that two owners never write one object. */
  nonce: () => string;
}
export interface Flushed {
  commit: Commit;
  rejected: Rejected[];
  brought: Brought[];
  /** Why assets were not kept. */
  refused: AssetRefusal[];
}

/** Raw bytes of rows held at once; at this a pair of files is written and the next begun. */
const RAW_BYTES_MAX = 16 * 1024 * 1024;
/** What an event's two rows weigh beside the payload, and what a file's writer holds of a row group, roughly. */
const ROWS_BYTES = 1024;
const GROUP_BYTES = 16 * 1024;
/** Of payloads, compressed: after these, some milliseconds of work, whatever else the process does has its turn. */
const TURN_BYTES_MAX = 64 * 1024;

/**
 * Puts the data files, what is quarantined, and then the commit. Undefined when the commit's name was taken: another
 * owner was here, and what was in hand is to be dropped. A crash or error at any point leaves at most files that no
 * commit names. @throws StoreError
 */
export async function flush(input: FlushInput, parts: FlushParts): Promise<Flushed | undefined> {
  const { store, erasures } = parts;
  await erasures.refresh(1000);
  for (;;) {
    const built = await build(input, parts);
    await erasures.refresh();
    const late = built.commit.sessions.some((one) => one.rows > 0 && erasures.has(one.project, one.session));
    if (!late) {
      await quarantineAll(built.rejected, input.shard, parts);
      const key = paths.commit(input.shard, input.fromSeq);
      await putAssets(store, built.brought);
      if (await putOnce(store, key, encodeJson(built.commit))) {
        await putAssetsAgain(store, built.brought, erasures);
        return built;
      }
    }
    await store.remove(built.commit.files.map((file) => file.key));
    if (!late) return undefined;
  }
}

async function build(input: FlushInput, parts: FlushParts): Promise<Flushed> {
  const { store, erasures, seen } = parts;
  const sessions = new Map<string, CommitSession>();
  const rejected = [...input.rejected];
  const brought: Brought[] = [];
  const refused: AssetRefusal[] = [];
  const files: LakeFile[] = [];
  const nonce = parts.nonce();
  let written = 0;
  const lineOf = (batch: Batch): CommitSession => {
    const key = `${batch.session}/${batch.rid}`;
    const line = sessions.get(key) ?? {
      project: batch.project,
      session: batch.session,
      rid: batch.rid,
      class: batch.class,
      frames: [],
      seqs: [],
      startMs: batch.receivedMs,
      endMs: batch.receivedMs,
      rows: 0,
    };
    sessions.set(key, line);
    return line;
  };
  const put = async ({ file, bytes }: EncodedFile): Promise<void> => {
    await store.put(file.key, bytes);
    files.push(file);
  };

  for (const [cls, batches] of byClass(input.batches)) {
    let held = emptyRows();
    let turnBytes = 0;
    const write = async (): Promise<void> => {
      if (!held.events.length) return;
      // A nonce may write several pairs of files of one class.
      const name = written++ ? `${nonce}${written}` : nonce;
      await put(
        await encodeEventsFile(
          paths.l0File(input.shard, input.fromSeq, name, cls, 'events'),
          cls,
          held.events,
        ),
      );
      if (held.replay.length)
        await put(
          await encodeReplayFile(
            paths.l0File(input.shard, input.fromSeq, name, cls, 'replay'),
            cls,
            held.replay,
          ),
        );
      held = emptyRows();
    };
    for (const batch of batches) {
      const line = lineOf(batch);
      for (const { frame } of batch.frames) addRange(line.frames, frame.frame, frame.frame);
      if (erasures.has(batch.project, batch.session)) continue;
      turnBytes += sizeOf(batch);
      if (turnBytes > TURN_BYTES_MAX) {
        await giveWay();
        turnBytes = 0;
      }
      try {
        const rows = await readBatch(batch, line.url ?? seen.url(batch.session, batch.rid));
        if (rows.assets.size)
          brought.push({ project: batch.project, session: batch.session, class: cls, assets: rows.assets });
        for (const reason of rows.refused) refused.push(reason);
        line.url = rows.url;
        const stored = seen.seqs(batch.session, batch.rid);
        const isNew = ({ seq }: { seq: number }): boolean =>
          !inRanges(stored, seq) && !inRanges(line.seqs, seq);
        const replay = rows.replay.filter(isNew);
        const events = rows.events.filter(isNew);
        if (events.length && !line.rows) held.bytes += GROUP_BYTES;
        for (const row of events) {
          note(line, row);
          held.events.push(row);
          held.bytes += ROWS_BYTES;
        }
        for (const row of replay) {
          held.replay.push(row);
          held.bytes += row.payload.length;
        }
      } catch (error) {
        if (!(error instanceof BatchError)) throw error;
        rejected.push(rejectBatch(batch.frames, batch.stale ? 'incomplete' : error.code, error.message));
      }
      if (held.bytes >= RAW_BYTES_MAX) await write();
    }
    await write();
  }
  const { shard, fromSeq, prevSeq, lastSeq, resumeSeq } = input;
  const commit: Commit = {
    v: 1,
    shard,
    fromSeq,
    ...(prevSeq !== undefined && { prevSeq }),
    lastSeq,
    resumeSeq,
    committedMs: parts.now(),
    files,
    sessions: [...sessions.values()],
  };
  return { commit, rejected, brought, refused };
}

const sizeOf = ({ frames }: Batch): number =>
  frames.reduce((sum, { frame }) => sum + frame.payload.length, 0);
const emptyRows = (): { events: EventRow[]; replay: ReplayRow[]; bytes: number } => ({
  events: [],
  replay: [],
  bytes: 0,
});

/** By class, then in the order of files, so that a session's rows stay together. */
function byClass(batches: readonly Batch[]): Map<ClassName, Batch[]> {
  const sorted = batches.toSorted(
    (a, b) =>
      (a.session < b.session ? -1 : a.session > b.session ? 1 : 0) ||
      (a.rid < b.rid ? -1 : a.rid > b.rid ? 1 : 0) ||
      a.frames[0]!.frame.frame - b.frames[0]!.frame.frame,
  );
  const classes = new Map<ClassName, Batch[]>();
  for (const batch of sorted) {
    const held = classes.get(batch.class);
    if (held) held.push(batch);
    else classes.set(batch.class, [batch]);
  }
  return classes;
}

async function readBatch(
  batch: Batch,
  url: string | undefined,
): Promise<ReturnType<typeof toRows> & ReturnType<typeof takeAssets>> {
  const first = batch.frames[0]!.frame;
  const payload =
    batch.frames.length === 1 ? first.payload : Buffer.concat(batch.frames.map(({ frame }) => frame.payload));
  const events: RecordedEvent[] = await decodeBatch(payload, (first.flags & FrameFlag.gzip) !== 0);
  const { project, session, rid, offsetMs, receivedMs } = batch;
  try {
    const taken = takeAssets(events);
    const origin = { project, session, rid, firstSeq: first.firstSeq, offsetMs, receivedMs, url };
    return { ...toRows(events, origin), ...taken };
  } catch (error) {
    // Nested deeper than it can be written again; or whatever else nobody thought of, which must not hold up the others.
    throw new BatchError('bad_event', (error as Error).message);
  }
}

/** Counts a row in what its commit says of its recorder instance. */
export function note(line: CommitSession, row: EventRow): void {
  const ms = Number(row.ts / 1000n);
  line.startMs = line.rows ? Math.min(line.startMs, ms) : ms;
  line.endMs = line.rows ? Math.max(line.endMs, ms) : ms;
  addRange(line.seqs, row.seq, row.seq);
  line.rows++;
}

/** What was put under `paths.quarantine(…, 'json')`, beside the payload as it came. */
export interface QuarantineNote extends Omit<Rejected, 'bytes'> {
  v: 1;
  shard: number;
  bytes: number;
}

/** None of an erased session, also when its erasure looked into the quarantine while this put. */
async function quarantineAll(
  rejected: readonly Rejected[],
  shard: number,
  { store, erasures }: FlushParts,
): Promise<void> {
  const isErased = ({ project = '', session = '' }: Rejected): boolean => erasures.has(project, session);
  const put = rejected.filter((one) => !isErased(one));
  if (!put.length) return;
  for (const one of put) await quarantine(store, shard, one);
  await erasures.refresh();
  const late = put.filter(isErased).map(({ seq }) => paths.quarantine(shard, seq, 'json'));
  await removeNoted(store, late);
}

/** No bytes ever lie there without their note, which tells an erasure whose they are. @param notes keys */
export async function removeNoted(store: Store, notes: readonly string[]): Promise<void> {
  await store.remove(notes.map((key) => key.replace(/json$/, 'bin')));
  await store.remove([...notes]);
}

async function quarantine(store: Store, shard: number, { bytes, ...rest }: Rejected): Promise<void> {
  const note: QuarantineNote = { v: 1, shard, ...rest, bytes: bytes.length };
  await store.put(paths.quarantine(shard, rest.seq, 'json'), encodeJson(note));
  await store.put(paths.quarantine(shard, rest.seq, 'bin'), bytes);
}
