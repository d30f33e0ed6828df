import { sessionFilter, shardOf, type Stream } from '#stream';
import { removeUnreferenced } from './assets.ts';
import { classesOfDay } from './classes.ts';
import { writeRows, type CompactParts } from './compact.ts';
import { removeNoted, type QuarantineNote } from './flush.ts';
import { encodeJson, getJson, getJsonIfThere } from './lake-reader.ts';
import {
  paths,
  sessionDate,
  takenIn,
  type Commit,
  type Erasure,
  type EventRow,
  type LakeFile,
  type ReplayRow,
  type Seen,
} from './layout.ts';
import { publish, type ProjectState } from './manifest.ts';
import { isStoreError, type Store } from './store.ts';
import { decodeFile } from './x-hyparquet.ts';

export interface EraseParts extends CompactParts {
  stream: Stream;
  /** Leads other programs' readers away from what is about to go. */
  forget: (project: string, nowMs: number) => Promise<void>;
}
export interface ErasedBytes {
  rows: number;
  messages: number;
  filesRewritten: string[];
}
export interface Erased extends ErasedBytes {
  /** Nothing is left. Otherwise something came in between or may come yet, and it is to be done again. */
  whole: boolean;
}

/**
 * Removes all bytes of one session: from the stream, from the project's files (which are written again without it), from
 * commits' files and quarantine. To be called after a compaction that knew of the erasure, so that no other row is left in the
 * commits' files. @throws StoreError, StreamError
 */
export async function erase(
  parts: EraseParts,
  { project, session }: Erasure,
  nowMs: number,
): Promise<Erased> {
  const messages = await parts.stream.erase(sessionFilter(project, session));
  const state = await parts.state(project);
  const rewritten = await rewriteDay(parts, state, session, nowMs);
  if (!rewritten) return { rows: 0, messages, filesRewritten: [], whole: false };
  const { holding, ...erased } = rewritten;
  await parts.forget(project, nowMs);
  await parts.store.remove(holding);
  const committedAreGone = await removeCommitted(parts, project, session);
  const uncommittedAreGone = await removeUncommitted(parts, session);
  const assetsAreGone = await removeUnreferenced(parts, project, session, nowMs);
  await scrub(parts.store, session);
  await removeQuarantined(parts.store, project, session);
  await removePutAside(parts.store, project, session);
  return { ...erased, messages, whole: committedAreGone && uncommittedAreGone && assetsAreGone };
}

/** Publishes the day's files without the session's rows. `holding` is what held them, also what no manifest names any more. */
async function rewriteDay(
  parts: EraseParts,
  state: ProjectState,
  session: string,
  nowMs: number,
): Promise<{ rows: number; filesRewritten: string[]; holding: string[] } | undefined> {
  const { store } = parts;
  const date = sessionDate(session);
  const live = new Map((state.days.get(date)?.files ?? []).map((file) => [file.key, file]));
  const holding = await filesHolding(parts, state.project, date, session);
  if (!holding.length) return { rows: 0, filesRewritten: [], holding: [] };
  const kept = [...live.values()].filter((file) => !holding.some(({ key }) => key === file.key));
  const written: LakeFile[] = [];
  let rows = 0;
  for (const { key } of holding) {
    const file = live.get(key);
    if (!file) continue;
    const { class: cls, table } = file;
    const all: (EventRow | ReplayRow)[] = await decodeFile(table, await store.get(key));
    const others = all.filter((row) => row.session_id !== session);
    if (table === 'events') rows += all.length - others.length;
    if (others.length)
      written.push(
        await writeRows(
          parts,
          { project: state.project, date, class: cls, table, rows: others },
          file.sealed === true,
        ),
      );
  }
  // A version even when no live file held it: a compaction that began before and may have read what goes now, then fails.
  const days = live.size ? new Map([[date, [...kept, ...written]]]) : new Map<string, LakeFile[]>();
  if (!(await publish(store, state, { days }, nowMs, parts.nonce()))) {
    await store.remove(written.map((file) => file.key));
    return undefined;
  }
  const keys = holding.map(({ key }) => key);
  return { rows, filesRewritten: keys.filter((key) => live.has(key)), holding: keys };
}

async function filesHolding(
  parts: EraseParts,
  project: string,
  date: string,
  session: string,
): Promise<{ key: string }[]> {
  const holding: { key: string }[] = [];
  const { store } = parts;
  for (const cls of await classesOfDay(parts, project, date))
    for (const table of ['events', 'replay'] as const)
      for await (const { key } of store.list(paths.dayPrefix(cls, table, project, date))) {
        const rows = await decodeFile<'events' | 'replay'>(table, await store.get(key), ['session_id']);
        if (rows.some((row) => row.session_id === session)) holding.push({ key });
      }
  return holding;
}

/** Removes the data files of commits that held the session. False when a project has not taken one of them in. */
async function removeCommitted(parts: EraseParts, project: string, session: string): Promise<boolean> {
  const commits = (await parts.commits.list()).filter((commit) =>
    commit.sessions.some((one) => one.session === session && one.project === project && one.rows > 0),
  );
  for (const commit of commits) {
    for (const other of new Set(commit.sessions.filter(({ rows }) => rows > 0).map((one) => one.project)))
      if (!takenIn((await parts.state(other)).root, commit)) return false;
    await parts.store.remove(commit.files.map((file) => file.key));
  }
  return true;
}

/**
 * Removes the shard's data files whose commit never came, as after a crash. Those at or below the newest commit's
 * position never can be named any more; false when one above it holds the session, for its commit may be coming.
 */
async function removeUncommitted({ store, commits }: EraseParts, session: string): Promise<boolean> {
  const shard = shardOf(session);
  const keys: string[] = [];
  for await (const { key } of store.list(paths.l0ShardPrefix(shard)))
    if (key.endsWith('.parquet')) keys.push(key);
  // Read after the files: what is named by then is none of these.
  const ofShard = (await commits.list()).filter((commit) => commit.shard === shard);
  const named = new Set(ofShard.flatMap((commit) => commit.files.map((file) => file.key)));
  const newest = paths.commit(shard, ofShard.at(-1)?.fromSeq ?? 0).replace(/\.json$/, '');
  const unnamed = keys.filter((key) => !named.has(key));
  const isDead = (key: string): boolean => key.slice(0, newest.length) <= newest;
  await store.remove(unnamed.filter(isDead));
  for (const key of unnamed.filter((one) => !isDead(one))) {
    const table = key.endsWith('.events.parquet') ? 'events' : 'replay';
    const bytes = await getIfThere(store, key);
    const rows = bytes ? await decodeFile<'events' | 'replay'>(table, bytes, ['session_id']) : [];
    if (rows.some((row) => row.session_id === session)) return false;
  }
  return true;
}

async function getIfThere(store: Store, key: string): Promise<Uint8Array | undefined> {
  try {
    return await store.get(key);
  } catch (error) {
    if (isStoreError(error, 'not_found')) return undefined;
    throw error;
  }
}

/** Takes the session's last address out of what remembers its frames. */
async function scrub(store: Store, session: string): Promise<void> {
  const shard = shardOf(session);
  for (const prefix of [paths.l0ShardPrefix(shard), paths.seenShardPrefix(shard)])
    for await (const { key } of store.list(prefix)) {
      if (!key.endsWith('.json')) continue;
      const held = await getJsonIfThere<Commit | Seen>(store, key);
      const known = held?.sessions.filter((one) => one.session === session && one.url !== undefined);
      if (!held || !known?.length) continue;
      for (const one of known) delete one.url;
      await store.put(key, encodeJson(held));
    }
}

async function removeQuarantined(store: Store, project: string, session: string): Promise<void> {
  const shard = shardOf(session);
  const keys: string[] = [];
  for await (const { key } of store.list(paths.quarantineShardPrefix(shard))) {
    if (!key.endsWith('.json')) continue;
    const note = await getJson<QuarantineNote>(store, key);
    if (note.project === project && note.session === session) keys.push(key);
  }
  await removeNoted(store, keys);
}

/** What a repair put aside could not be read; it goes when the session may be in it. */
async function removePutAside(store: Store, project: string, session: string): Promise<void> {
  const places = [`/project=${project}/date=${sessionDate(session)}/`, paths.l0ShardPrefix(shardOf(session))];
  const keys: string[] = [];
  for await (const { key } of store.list(paths.quarantinedFilesPrefix))
    if (places.some((place) => key.includes(place))) keys.push(key);
  await store.remove(keys);
}
