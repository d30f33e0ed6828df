import { createHash } from 'node:crypto';
import { classDays, cutoffMs, paths, SESSION_ID, sessionDate, type LakeFile } from '#layout';
import {
  createAssetReader,
  isStoreError,
  playedRows,
  readReplayGroups,
  readReplayRows,
  type LakeView,
  type ReplayGroup,
  type Store,
} from '#store';
import { ApiError, type Segment, type SessionManifest } from './api.ts';
import type { Lake } from './lake.ts';
import { turns } from './lake-cache.ts';
import { cutRows, decodeAddress, groupsOf, planSegments, type GroupInFile } from './plan.ts';
import { unknownSession, type Sessions } from './sessions.ts';
import { encodeArrow } from './x-arrow.ts';

/** A session as the player gets it: a manifest of segments, then the segments, straight from the `replay` files. */
export interface Playback {
  /** @throws ApiError `unknown_session` */
  manifest(project: string, session: string): Promise<SessionManifest>;
  /** @throws ApiError `unknown_session`, `unknown_segment` */
  segment(project: string, session: string, n: number): Promise<FoundSegment>;
  /** An asset of the session's class and day. @throws ApiError `unknown_session`, `unknown_asset` */
  asset(project: string, session: string, name: string): Promise<Uint8Array>;
  /** Whether anything of the session can be seen. */
  exists(project: string, session: string): Promise<boolean>;
  /** Compressed bytes of what can be played of the sessions. */
  bytesOf(project: string, sessions: ReadonlySet<string>): Promise<number>;
}
export interface FoundSegment {
  /** The same for the same rows. */
  etag: string;
  /** False when part of it has expired, so that a moment later there will be less. */
  cacheable: boolean;
  /** Arrow IPC stream of SEGMENT_COLUMNS. */
  read(): Promise<Uint8Array>;
}

interface Found {
  groups: GroupInFile[];
  cutoffOf(file: LakeFile): number;
}

/** Footers in memory: some 300 bytes a row group. */
const FOOTERS_MAX = 500;
const READS_AT_ONCE = 8;

export function createPlayback(parts: {
  store: Store;
  lake: Lake;
  sessions: Sessions;
  now: () => number;
}): Playback {
  const { store, lake, sessions, now } = parts;
  const footers = new Map<string, Promise<ReplayGroup[]>>();
  const turn = turns(READS_AT_ONCE);
  const assets = createAssetReader(store);

  const footer = (file: LakeFile): Promise<ReplayGroup[]> => {
    const groups = footers.get(file.key) ?? turn(() => readReplayGroups(store, file));
    footers.delete(file.key);
    footers.set(file.key, groups);
    groups.catch(() => footers.delete(file.key));
    for (const oldest of footers.keys()) {
      if (footers.size <= FOOTERS_MAX) break;
      footers.delete(oldest);
    }
    return groups;
  };
  const groupsIn = async (view: LakeView, session: string): Promise<GroupInFile[]> => {
    const files = view.files.filter(
      (file) => file.table === 'replay' && file.firstSession <= session && session <= file.lastSession,
    );
    const found = await Promise.all(
      files.map(async (file) =>
        (await footer(file))
          .filter((group) => group.session === session && group.project === view.project)
          .map((group) => ({ file, group })),
      ),
    );
    return found.flat();
  };
  const find = async (session: string, view: LakeView): Promise<Found> => {
    const groups = view.erased.has(session) ? [] : await groupsIn(view, session);
    const nowMs = now();
    const cutoffOf = (file: LakeFile): number => cutoffMs(classDays(file.class), nowMs);
    if (!groups.some(({ file, group }) => group.maxMs >= cutoffOf(file))) throw unknownSession(session);
    return { groups, cutoffOf };
  };
  const reading = async <T>(
    project: string,
    session: string,
    read: (found: Found) => Promise<T>,
  ): Promise<T> => {
    if (!SESSION_ID.test(session)) throw unknownSession(session);
    return lake.read(project, async (view) => read(await find(session, view)));
  };

  return {
    async manifest(project, session) {
      const { groups, cutoffOf } = await reading(project, session, (found) => Promise.resolve(found));
      const segments = planSegments(groups, cutoffOf).map(
        ({ n, startMs, endMs, rows, bytes, snapshot }): Segment => ({
          n,
          startMs,
          endMs,
          rows,
          bytes,
          snapshot,
        }),
      );
      const [summary, assets] = await Promise.all([
        sessions.summary(project, session),
        sessions.assets(project, session),
      ]);
      return {
        id: session,
        startMs: Math.min(...segments.map(({ startMs }) => startMs)),
        endMs: Math.max(...segments.map(({ endMs }) => endMs)),
        segments,
        summary,
        ...(assets.length && { assets }),
      };
    },
    async segment(project, session, n) {
      const address = decodeAddress(n);
      const locate = ({ groups, cutoffOf }: Found) => {
        const at = address && groupsOf(address, groups, cutoffOf);
        if (!at?.groups.length) throw new ApiError('unknown_segment', `the session has no segment ${n}`);
        return { ...at, firstSeq: address!.firstSeq };
      };
      const located = await reading(project, session, async (found) => locate(found));
      return {
        etag: etagOf(`${session} ${n}`, located.groups),
        cacheable: !located.cut,
        read: () =>
          reading(project, session, async (found) => {
            const { groups, firstSeq, lastSeq } = locate(found);
            const read = async ({ file, group }: GroupInFile) => {
              const rows = await readReplayRows(store, file, group);
              return { rows: await assets.joinAll(rows, file), cutoffMs: found.cutoffOf(file) };
            };
            const parts = await Promise.all(groups.map((item) => turn(() => read(item))));
            return encodeSegment(playedRows(cutRows(parts, firstSeq, lastSeq)));
          }),
      };
    },
    async asset(project, session, name) {
      const { groups } = await reading(project, session, (found) => Promise.resolve(found));
      try {
        return await store.get(paths.asset(groups[0]!.file.class, project, sessionDate(session), name));
      } catch (error) {
        if (!isStoreError(error, 'not_found')) throw error;
        throw new ApiError('unknown_asset', `no asset ${name} is kept for the day of session ${session}`);
      }
    },
    bytesOf(project, sessions) {
      const ids = [...sessions];
      return lake.read(project, async ({ files }) => {
        const replay = files.filter(
          ({ table, firstSession, lastSession }) =>
            table === 'replay' && ids.some((id) => firstSession <= id && id <= lastSession),
        );
        let bytes = 0;
        for (const file of replay)
          for (const { session, start, end, ...group } of await footer(file))
            if (group.project === project && sessions.has(session)) bytes += end - start;
        return bytes;
      });
    },
    async exists(project, session) {
      try {
        await reading(project, session, (found) => Promise.resolve(found));
        return true;
      } catch (error) {
        if (error instanceof ApiError && error.code === 'unknown_session') return false;
        throw error;
      }
    },
  };
}

function etagOf(name: string, groups: readonly GroupInFile[]): string {
  const held = groups.map(({ group }) => [group.firstRid, group.firstSeq, group.lastSeq, group.rows]);
  return `"${createHash('sha256')
    .update(JSON.stringify([name, held]))
    .digest('base64url')
    .slice(0, 27)}"`;
}

function encodeSegment(rows: ReturnType<typeof cutRows>): Uint8Array {
  return encodeArrow(
    [
      { name: 'ts', type: 'float64', cells: rows.map(({ ts }) => Number(ts) / 1000) },
      { name: 'type', type: 'int32', cells: rows.map(({ type }) => type) },
      { name: 'kind', type: 'utf8', cells: rows.map(({ kind }) => kind) },
      { name: 'payload', type: 'utf8', cells: rows.map(({ payload }) => payload) },
    ],
    rows.length,
  );
}
