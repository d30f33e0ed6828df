import { sessionFilter } from '#stream';
import { classesOfDay } from './classes.ts';
import { isDamage, unlessDamaged } from './damage.ts';
import { erase, type DayErasure, type EraseParts } from './erase.ts';
import { scanForErased, type ScanResult } from './erasure-scan.ts';
import { readHold } from './holds.ts';
import { createJournal, rowsOf, type Journal } from './journal.ts';
import { encodeJson, getJsonIfThere } from './lake-reader.ts';
import { isHeld, paths, sessionDate, sessionStartMs, type Erasure, type Kept } from './layout.ts';
import type { Signer } from './receipt.ts';
import { COMES_AGAIN_MS } from './seen.ts';

export interface EraserParts extends EraseParts {
  signer: Signer;
}

/** Does what the tombstones ask for: removes, searches whether it is gone, and writes signed receipts. */
export interface Eraser {
  /** @returns how many are still to be done. @throws StoreError, StreamError */
  eraseAll(nowMs: number): Promise<number>;
}

export function createEraser(parts: EraserParts): Eraser {
  const { store, stream, log, signer, onDamage } = parts;
  /** Of those that are done, by key: since when, and when nothing of the session can come any more. */
  const done = new Map<string, { erasure: Erasure; doneMs: number; untilMs: number; looks: number }>();
  const setDone = (key: string, erasure: Erasure): void => {
    const { v, project, session, requestedMs } = erasure;
    const untilMs = sessionStartMs(session) + COMES_AGAIN_MS;
    const doneMs = erasure.done!.atMs;
    done.set(key, { erasure: { v, project, session, requestedMs }, doneMs, untilMs, looks: 0 });
  };

  async function readPending(): Promise<Erasure[]> {
    const pending: Erasure[] = [];
    for await (const { key } of store.list(paths.erasuresPrefix)) {
      if (done.has(key)) continue;
      await unlessDamaged(onDamage, async () => {
        const erasure = await getJsonIfThere<Erasure>(store, key);
        if (erasure?.done) setDone(key, erasure);
        else if (erasure) pending.push(erasure);
      });
    }
    return pending;
  }

  async function eraseSome(erasures: readonly Erasure[], nowMs: number): Promise<number> {
    const { project, session } = erasures[0]!;
    const date = sessionDate(session);
    const journal = createJournal(store, erasures, nowMs);
    const removed = await remove({ project, date, journal }, nowMs);
    let pending = 0;
    for (const erasure of erasures) {
      const key = paths.erasure(project, erasure.session);
      const stored = await getJsonIfThere<Erasure>(store, key);
      if (stored?.done) {
        // Another sweep was faster.
        setDone(key, stored);
        continue;
      }
      const { left, scan } = removed;
      const places = [...new Set([...left, ...(scan?.found.get(erasure.session) ?? [])])];
      if (places.length || !scan) {
        pending++;
        await tellLeft(erasure, journal, places, nowMs);
        continue;
      }
      const receipt = await signer.sign(receiptOf(erasure, journal, scan, nowMs));
      await store.put(key, encodeJson(receipt));
      await store.removeOlder([key]);
      setDone(key, receipt);
      log.info({ project, session: erasure.session, rows: receipt.done?.rows }, 'a session is erased');
    }
    return pending;
  }

  async function remove(of: DayErasure, nowMs: number): Promise<{ left: string[]; scan?: ScanResult }> {
    const { project, date, journal } = of;
    try {
      // Before its rows go, by which a class is known.
      const classes = await classesOfDay(parts, project, date);
      const { fenceSeq, left } = await erase(parts, of, nowMs);
      const query = { project, date, sessions: journal.sessions, classes, fenceSeq };
      return { left, scan: await scanForErased(parts, query) };
    } catch (error) {
      // Whether the session is in it, nobody can tell.
      if (!isDamage(error)) throw error;
      onDamage(error);
      return { left: [error.key ?? error.message] };
    }
  }

  async function tellLeft(erasure: Erasure, journal: Journal, keys: string[], nowMs: number): Promise<void> {
    const { project, session } = erasure;
    log.warn({ project, session, keys }, 'a session is not erased yet; look at what still has it');
    if (erasure.left?.keys.join() === keys.join()) return;
    const underway = journal.underway(session);
    const told: Erasure = { ...erasure, underway, left: { atMs: nowMs, keys } };
    await store.put(paths.erasure(project, session), encodeJson(told));
  }

  /** Removes what came after the receipt, which stays as it is. */
  async function lookAgain(erasure: Erasure, nowMs: number): Promise<boolean> {
    const { project, session } = erasure;
    const journal = { ...createJournal(store, [erasure], nowMs), save: () => Promise.resolve() };
    return !(await erase(parts, { project, date: sessionDate(session), journal }, nowMs)).left.length;
  }

  return {
    async eraseAll(nowMs) {
      const groups = new Map<string, Erasure[]>();
      let pending = 0;
      for (const erasure of await readPending()) {
        // Held after it was to be erased: what holds it says when it goes.
        const { project, session } = erasure;
        const isFree = await unlessDamaged(
          onDamage,
          async () => !isHeld(await readHold(store, project, session)),
        );
        if (!isFree) {
          pending++;
          continue;
        }
        const day = `${erasure.project} ${sessionDate(erasure.session)}`;
        groups.set(day, [...(groups.get(day) ?? []), erasure]);
      }
      for (const erasures of groups.values())
        for (let at = 0; at < erasures.length; at += SESSIONS_AT_ONCE)
          pending += await eraseSome(erasures.slice(at, at + SESSIONS_AT_ONCE), nowMs);
      // A recorder whose session is erased may go on sending for as long as a session lives.
      for (const one of done.values()) {
        const { project, session } = one.erasure;
        const sinceMs = nowMs - one.doneMs;
        const isDue = one.looks < LOOKS && sinceMs >= IN_HAND_MS_MAX && sinceMs < COMES_AGAIN_MS;
        if (isDue && (await unlessDamaged(onDamage, () => lookAgain(one.erasure, nowMs)))) one.looks++;
        if (nowMs < one.untilMs) await stream.erase(sessionFilter(project, session));
      }
      return pending;
    },
  };
}
/** Who was in the midst of a flush when its receipt was written has put what he had by then, or is dead. */
const IN_HAND_MS_MAX = 3_600_000;
/** At the first one a list may not tell yet of what another sweep had to bring back just then. */
const LOOKS = 2;
/** Sessions of a day whose files are written anew together. */
const SESSIONS_AT_ONCE = 1000;

function receiptOf(erasure: Erasure, journal: Journal, scan: ScanResult, nowMs: number): Erasure {
  const { v, project, session, requestedMs } = erasure;
  const underway = journal.underway(session);
  const { startedMs, messages, filesRewritten } = underway;
  const objects = underway.objects
    // An asset may have come back, for another session told of it meanwhile.
    .filter(({ key, after }) => after || !scan.keys.has(key))
    // And what an attempt that failed had written is not there.
    .map(({ after, ...object }) => (after && scan.keys.has(after.key) ? { ...object, after } : object));
  const kept = keptOf(erasure, scan, nowMs);
  return {
    ...{ v, project, session, requestedMs },
    done: {
      ...{ atMs: nowMs, rows: rowsOf(underway), messages, filesRewritten, startedMs, objects, kept },
      scan: { atMs: nowMs, ...scan.scanned },
    },
  };
}

function keptOf({ project, session }: Erasure, scan: ScanResult, nowMs: number): Kept[] {
  const startMs = sessionStartMs(session);
  const kept: Kept[] = [
    {
      where: paths.erasure(project, session),
      reason: 'this receipt, by which readers know not to show the session',
    },
    ...(scan.remembering.get(session) ?? []).map((where) => ({
      where,
      reason:
        'which of its batches had come, so that one that is sent again is known; the id and numbers, no content',
      untilMs: Math.max(nowMs, startMs + COMES_AGAIN_MS) + COMES_AGAIN_MS,
    })),
  ];
  if (nowMs < startMs + COMES_AGAIN_MS)
    kept.push({
      where: 'stream',
      reason: 'batches that are still sent: no flush takes one, and each sweep removes them',
      untilMs: startMs + COMES_AGAIN_MS,
    });
  return kept;
}
