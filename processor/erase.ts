import { sessionFilter, type Stream } from '#stream';
import { removeUnreferenced } from './assets.ts';
import type { CompactParts } from './compact.ts';
import {
  committedObjects,
  putAsideKeys,
  quarantinedNotes,
  scrub,
  uncommittedObjects,
} from './erase-commits.ts';
import { filesHolding, manifestsNaming, writeWithout } from './erase-day.ts';
import { removeNoted } from './flush.ts';
import { stateOf, type Journal } from './journal.ts';
import { publish } from './manifest.ts';

export interface EraseParts extends CompactParts {
  stream: Stream;
  /** Leads other programs' readers away from what is about to go. */
  forget: (project: string, nowMs: number) => Promise<void>;
}
/** Sessions of one project that began on one day. */
export interface DayErasure {
  project: string;
  date: string;
  journal: Journal;
}
export interface Erased {
  /** The stream's last number when the removal began: what has come since is dropped by every flush. */
  fenceSeq: number;
  /** What could not be removed, for something came in between or may come yet: it is to be done again. None: all is gone. */
  left: string[];
}

/**
 * Removes all bytes of the sessions: from the stream, from the project's files (which are written again without them), from
 * commits' files and quarantine, from manifests and metadata that name them. What goes is noted before it goes. To be called
 * after a compaction that knew of the erasures, so that no other row is left in the commits' files. Whatever step it ends
 * at, done again it finds what is left. @throws StoreError, StreamError
 */
export async function erase(
  parts: EraseParts,
  { project, date, journal }: DayErasure,
  nowMs: number,
): Promise<Erased> {
  const { store, stream } = parts;
  const { lastSeq: fenceSeq } = await stream.state();
  for (const session of journal.sessions)
    journal.noteMessages(session, await stream.erase(sessionFilter(project, session)));

  const state = await parts.state(project);
  const holding = await filesHolding(parts, project, date, journal);
  const written = await writeWithout(parts, state, date, holding, journal);
  const committed = await committedObjects(parts, project, journal);
  const uncommitted = await uncommittedObjects(parts, journal);
  const quarantined = await quarantinedNotes(store, project, journal);
  const putAside = await putAsideKeys(store, project, date, journal);
  await journal.save();
  // A version even when no live file held them: a compaction that began before and may have read what goes now, then fails.
  if (holding.length && !(await publish(store, state, { days: written.days }, nowMs, parts.nonce()))) {
    await store.remove(written.files.map(({ key }) => key));
    return { fenceSeq, left: holding.map(({ key }) => key) };
  }
  await parts.forget(project, nowMs);
  await store.remove(holding.map(({ key }) => key));
  await store.remove(committed.keys);
  await store.remove(uncommitted.keys);
  await removeNoted(store, quarantined);
  await store.remove(putAside);

  const noteAsset = (key: string, bytes: Uint8Array): Promise<void> => {
    for (const session of journal.sessions) journal.note(session, { key, before: stateOf(bytes) });
    return journal.save();
  };
  const assetsLeft = await removeUnreferenced(parts, project, date, journal, noteAsset, nowMs);
  const manifests = await manifestsNaming(store, project, date, journal);
  await scrub(store, journal, new Set(committed.keys));
  await journal.save();
  await store.remove(manifests);
  const anew = journal.sessions.flatMap((session) =>
    journal.underway(session).objects.filter(({ key, after }) => after?.key === key),
  );
  await store.removeOlder([...new Set(anew.map(({ key }) => key))]);
  return { fenceSeq, left: [...committed.left, ...uncommitted.left, ...assetsLeft] };
}
