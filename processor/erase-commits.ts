import { shardOf } from '#stream';
import type { EraseParts } from './erase.ts';
import { sessionsHeld } from './erase-day.ts';
import type { QuarantineNote } from './flush.ts';
import { stateOf, type Journal } from './journal.ts';
import { decodeJson, encodeJson, getIfThere, getJson } from './lake-reader.ts';
import { paths, takenIn, type Commit, type Seen } from './layout.ts';
import type { Store } from './store.ts';

/** Objects of which each can go now, and those that cannot yet. */
export interface Found {
  keys: string[];
  left: string[];
}

const shardsOf = (journal: Journal): number[] => [...new Set(journal.sessions.map(shardOf))];

/** Data files of commits that held the sessions: left when a project has not taken its rows out of one of them. */
export async function committedObjects(parts: EraseParts, project: string, journal: Journal): Promise<Found> {
  const found: Found = { keys: [], left: [] };
  for (const commit of await parts.commits.list()) {
    const lines = commit.sessions.filter(({ rows }) => rows > 0);
    const own = lines.filter((line) => line.project === project && journal.has(line.session));
    if (!own.length) continue;
    const keys = commit.files.map(({ key }) => key);
    let isFree = true;
    for (const other of new Set(lines.map((line) => line.project)))
      isFree &&= takenIn((await parts.state(other)).root, commit);
    found[isFree ? 'keys' : 'left'].push(...keys);
    for (const key of keys) await noteFile(parts.store, key, journal);
  }
  return found;
}

async function noteFile(store: Store, key: string, journal: Journal): Promise<Set<string>> {
  const bytes = await getIfThere(store, key);
  if (!bytes) return new Set();
  const sessions = await sessionsHeld(key, bytes, journal);
  for (const session of sessions) journal.note(session, { key, before: stateOf(bytes) });
  return sessions;
}

/**
 * The shards' data files whose commit never came, as after a crash. Those at or below the newest commit's position never can
 * be named any more; one above it that holds a session is left, for its commit may be coming.
 */
export async function uncommittedObjects({ store, commits }: EraseParts, journal: Journal): Promise<Found> {
  const found: Found = { keys: [], left: [] };
  for (const shard of shardsOf(journal)) {
    const keys: string[] = [];
    for await (const { key } of store.list(paths.l0ShardPrefix(shard)))
      if (key.endsWith('.parquet')) keys.push(key);
    // Read after the files: what is named by then is none of these.
    const ofShard = (await commits.list()).filter((commit) => commit.shard === shard);
    const named = new Set(ofShard.flatMap((commit) => commit.files.map(({ key }) => key)));
    const newest = paths.commit(shard, ofShard.at(-1)?.fromSeq ?? 0).replace(/\.json$/, '');
    for (const key of keys.filter((one) => !named.has(one))) {
      const isDead = key.slice(0, newest.length) <= newest;
      const sessions = await noteFile(store, key, journal);
      if (isDead) found.keys.push(key);
      else if (sessions.size) found.left.push(key);
    }
  }
  return found;
}

/** Notes of what came of the sessions and could not be read: each with its bytes. */
export async function quarantinedNotes(store: Store, project: string, journal: Journal): Promise<string[]> {
  const keys: string[] = [];
  for (const shard of shardsOf(journal))
    for await (const { key } of store.list(paths.quarantineShardPrefix(shard))) {
      if (!key.endsWith('.json')) continue;
      const note = await getJson<QuarantineNote>(store, key);
      if (note.project !== project || !note.session || !journal.has(note.session)) continue;
      for (const one of [key, key.replace(/json$/, 'bin')]) {
        const bytes = await getIfThere(store, one);
        if (bytes) journal.note(note.session, { key: one, before: stateOf(bytes) });
      }
      keys.push(key);
    }
  return keys;
}

/** What a repair put aside could not be read; it goes when one of the sessions may be in it. */
export async function putAsideKeys(
  store: Store,
  project: string,
  date: string,
  journal: Journal,
): Promise<string[]> {
  const places = [`/project=${project}/date=${date}/`, ...shardsOf(journal).map(paths.l0ShardPrefix)];
  const keys: string[] = [];
  for await (const { key } of store.list(paths.quarantinedFilesPrefix)) {
    if (!places.some((place) => key.includes(place))) continue;
    const bytes = await getIfThere(store, key);
    if (bytes) for (const session of journal.sessions) journal.note(session, { key, before: stateOf(bytes) });
    keys.push(key);
  }
  return keys;
}

/**
 * Takes the sessions' last addresses out of what remembers their frames, and out of commits the names of the files that
 * went, for sessions are their bounds.
 */
export async function scrub(store: Store, journal: Journal, gone: ReadonlySet<string>): Promise<void> {
  for (const shard of shardsOf(journal))
    for (const prefix of [paths.l0ShardPrefix(shard), paths.seenShardPrefix(shard)])
      for await (const { key } of store.list(prefix)) {
        if (!key.endsWith('.json')) continue;
        const before = await getIfThere(store, key);
        if (!before) continue;
        const held = decodeJson<Commit | Seen>(key, before);
        const known = held.sessions.filter((one) => journal.has(one.session));
        const named = 'files' in held ? held.files.filter((file) => gone.has(file.key)) : [];
        if (!known.some(({ url }) => url !== undefined) && !named.length) continue;
        for (const one of known) delete one.url;
        if ('files' in held) held.files = held.files.filter((file) => !gone.has(file.key));
        const after = encodeJson(held);
        for (const session of new Set(known.map((one) => one.session)))
          journal.note(session, { key, before: stateOf(before), after: { key, ...stateOf(after) } });
        await journal.save();
        await store.put(key, after);
      }
}
