import { encodeFrame, FrameFlag } from '#protocol';
import { encodeRecord, subjectOf } from '#stream';
import { createSender, pageLoad, sessionAt, type Sent } from '../samples.ts';
import type { Backlog } from './backlog.ts';
import { batchesOf, type CorpusSession } from './read-corpus.ts';

/** Sessions of the corpus, again and again under new ids. @param rawBytes of their JSON */
export function* manySessions(
  sessions: readonly CorpusSession[],
  project: string,
  rawBytes: number,
): Backlog {
  let events = 0;
  let raw = 0;
  for (let n = 0; raw < rawBytes; n++) {
    const one = sessions[n % sessions.length]!;
    raw += one.rawBytes;
    events += one.events;
    yield batchesOf(one, n, project).flatMap(({ frames }) =>
      frames.map(({ session, envelope, frame: { payload, ...header } }) => ({
        subject: subjectOf(project, session, (header.flags & FrameFlag.fullSnapshot) !== 0),
        bytes: encodeRecord(envelope, encodeFrame(header, payload)),
        id: `${session}.${header.frame}`,
      })),
    );
  }
  return events;
}

/** Sessions of the corpus one after the other as one page load of one session. @param rawBytes of their JSON */
export function* oneSession(sessions: readonly CorpusSession[], project: string, rawBytes: number): Backlog {
  return yield* joined(sessions, project, (_, raw) => raw < rawBytes);
}

/** The same, but each when the one before has ended. */
export function* longSession(sessions: readonly CorpusSession[], project: string, hours: number): Backlog {
  return yield* joined(sessions, project, (ms) => ms < hours * 3_600_000, true);
}

function* joined(
  sessions: readonly CorpusSession[],
  project: string,
  goesOn: (ms: number, raw: number) => boolean,
  isSpread = false,
): Backlog {
  const startMs = Date.now() - 9 * 3_600_000;
  const session = sessionAt(startMs, 1);
  const envelope = { v: 1 as const, rid: 'rid-1', retentionDays: 30, offsetMs: 0, receivedMs: startMs };
  let frame = 0;
  let events = 0;
  let [raw, ms] = [0, 0];
  for (let n = 0; goesOn(ms, raw); n++) {
    const one = sessions[n % sessions.length]!;
    raw += one.rawBytes;
    envelope.offsetMs = startMs + ms - one.startMs;
    envelope.receivedMs = startMs + ms + one.recordedMs;
    if (isSpread) ms += one.recordedMs;
    yield one.batches.flat().map(({ payload, ...header }): Sent => {
      const moved = { ...header, frame: ++frame, firstSeq: header.firstSeq + events };
      return {
        subject: subjectOf(project, session, (header.flags & FrameFlag.fullSnapshot) !== 0),
        bytes: encodeRecord(envelope, encodeFrame(moved, payload)),
        id: `${session}.${frame}`,
      };
    });
    events += one.events;
  }
  return events;
}

/** Page loads whose full snapshot alone is so long, with text that takes two bytes a character in memory, and changes after it. */
export function* largeSnapshots(project: string, loads: number, snapshotBytes: number): Backlog {
  const startMs = Date.now() - 3_600_000;
  const session = sessionAt(startMs, 1);
  const line = (id: number) => ({ type: 3, id, textContent: `${id} → ${Math.imul(id, 0x9e3779b1)} 本文` });
  const lines = Array.from({ length: snapshotBytes / 60 }, (_, i) => line(i + 3));
  const html = { type: 2, id: 2, tagName: 'html', attributes: {}, childNodes: lines };
  const node = { type: 0, id: 1, childNodes: [html] };
  let events = 0;
  for (let n = 0; n < loads; n++) {
    const load = pageLoad(200, startMs + n * 60_000, `load-${n}`);
    load[3]!.data = { node, initialOffset: { top: 0, left: n } };
    const sender = createSender({ project, session, rid: `rid-${n}` });
    for (let at = 0; at < load.length; at += 40) yield sender.batch(load.slice(at, at + 40));
    events += load.length;
  }
  return events;
}

/** Visits of a few events each, all in one batch. */
export function* tinySessions(project: string, count: number): Backlog {
  const startMs = Date.now() - 3_600_000;
  for (let n = 0; n < count; n += SESSIONS_AT_ONCE)
    yield Array.from({ length: Math.min(SESSIONS_AT_ONCE, count - n) }, (_, i) => {
      const session = sessionAt(startMs + n + i, n + i);
      return createSender({ project, session, rid: `rid-${n + i}` }).batch(pageLoad(EVENTS, startMs));
    }).flat();
  return count * EVENTS;
}
const SESSIONS_AT_ONCE = 1000;
const EVENTS = 6;
