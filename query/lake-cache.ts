import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { classDays, cutoffMs, paths, type LakeFile } from '#layout';
import { PROJECT_ID } from '#projects';
import { getFile, splitEvents, type LakeView, type Store } from '#store';
import type { ClassFiles } from './views.ts';

/**
 * Local copies of `events` files, for SQL: a directory a project, `<dir>/<project>/<random>.parquet`, with the
 * project's own rows only. A copy lives as long as the lake names its file and a statement uses it; a project that nobody
 * asks about loses its copies after a while, so that what was erased or expired does not stay here.
 */
export interface LakeCache {
  /** Copies of what of the view can be seen at `nowMs`, kept until `release`. @throws StoreError; `not_found`: look again */
  lease(view: LakeView, nowMs: number): Promise<Lease>;
  dirOf(project: string): string;
  bytes(): number;
  /** Drops the copies of projects unused for IDLE_MS. */
  dropIdle(nowMs: number): Promise<void>;
}
export interface Lease {
  classes: ClassFiles[];
  files: number;
  /** Idempotent. */
  release(): void;
}

export const IDLE_MS = 3600_000;
const DOWNLOADS_AT_ONCE = 8;
const COPY_NAME = /^[0-9a-f]{32}\.parquet(\.part)?$/;

interface Copy {
  path: string;
  bytes: number;
  users: number;
  /** Resolves to false when the file has no row of the project. */
  ready: Promise<boolean>;
}
interface ProjectCopies {
  copies: Map<string, Copy>;
  /** Keys of the newest view. */
  live: Set<string>;
  usedMs: number;
}

/** Removes what an earlier process left: it may have been erased since. */
export async function openLakeCache(options: {
  dir: string;
  bytesMax: number;
  store: Store;
}): Promise<LakeCache> {
  const { dir, bytesMax, store } = options;
  await mkdir(dir, { recursive: true });
  for (const project of await readdir(dir))
    if (PROJECT_ID.test(project)) await removeCopies(join(dir, project));
  const projects = new Map<string, ProjectCopies>();

  const dirOf = (project: string): string => join(dir, project);
  const bytes = (): number => {
    let sum = 0;
    for (const { copies } of projects.values()) for (const copy of copies.values()) sum += copy.bytes;
    return sum;
  };

  const download = async (project: string, file: LakeFile, copy: Copy): Promise<boolean> => {
    const whole = await getFile(store, file);
    const own = file.key.startsWith(paths.l0Prefix) ? await splitEvents(file, whole, project) : whole;
    if (!own) return false;
    await mkdir(dirOf(project), { recursive: true });
    await writeFile(`${copy.path}.part`, own);
    await rename(`${copy.path}.part`, copy.path);
    copy.bytes = own.length;
    return true;
  };
  const use = (project: string, held: ProjectCopies, file: LakeFile, turn: Turn): Copy => {
    let copy = held.copies.get(file.key);
    if (!copy) {
      // Never the name of a copy before, which may be about to be removed.
      const name = `${randomBytes(16).toString('hex')}.parquet`;
      const made: Copy = {
        path: join(dirOf(project), name),
        bytes: 0,
        users: 0,
        ready: Promise.resolve(false),
      };
      made.ready = turn(() => download(project, file, made));
      made.ready.catch(() => held.copies.get(file.key) === made && held.copies.delete(file.key));
      held.copies.set(file.key, (copy = made));
    }
    copy.users++;
    return copy;
  };
  const drop = (held: ProjectCopies, unwanted: (key: string) => boolean): Promise<unknown> => {
    const gone: string[] = [];
    for (const [key, copy] of held.copies)
      if (copy.users === 0 && unwanted(key)) {
        held.copies.delete(key);
        if (copy.bytes) gone.push(copy.path);
      }
    return Promise.all(gone.map((path) => rm(path, { force: true })));
  };
  const makeRoom = async (): Promise<void> => {
    const oldestFirst = [...projects.values()].sort((a, b) => a.usedMs - b.usedMs);
    for (const held of oldestFirst) {
      if (bytes() <= bytesMax) return;
      await drop(held, () => true);
    }
  };

  return {
    dirOf,
    bytes,
    async lease(view, nowMs) {
      const { project } = view;
      const held = projects.get(project) ?? { copies: new Map(), live: new Set(), usedMs: nowMs };
      projects.set(project, held);
      held.usedMs = nowMs;
      const wanted = view.files.filter(
        (file) => file.table === 'events' && file.maxMs >= cutoffMs(classDays(file.class), nowMs),
      );
      held.live = new Set(wanted.map(({ key }) => key));
      const turn = turns(DOWNLOADS_AT_ONCE);
      const used = wanted.map((file) => ({ file, copy: use(project, held, file, turn) }));
      let released = false;
      const release = (): void => {
        if (released) return;
        released = true;
        for (const { copy } of used) copy.users--;
        void drop(held, (key) => !held.live.has(key))
          .then(makeRoom)
          .catch(() => {
            // A copy that cannot be removed now is removed at the next start.
          });
      };
      try {
        const ready = await Promise.all(used.map(({ copy }) => copy.ready));
        const byDays = new Map<number, string[]>();
        used.forEach(({ file, copy }, i) => {
          const days = classDays(file.class);
          if (ready[i]) byDays.set(days, [...(byDays.get(days) ?? []), copy.path]);
        });
        const classes = [...byDays].map(([days, own]) => ({
          days,
          paths: own,
          cutoffMs: cutoffMs(days, nowMs),
        }));
        return { classes, files: ready.filter(Boolean).length, release };
      } catch (error) {
        await Promise.allSettled(used.map(({ copy }) => copy.ready));
        release();
        throw error;
      }
    },
    async dropIdle(nowMs) {
      for (const [project, held] of projects) {
        if (nowMs - held.usedMs < IDLE_MS) continue;
        await drop(held, () => true);
        if (!held.copies.size) projects.delete(project);
      }
    },
  };
}

async function removeCopies(dir: string): Promise<void> {
  for (const name of await readdir(dir)) if (COPY_NAME.test(name)) await rm(join(dir, name), { force: true });
}

type Turn = <T>(work: () => Promise<T>) => Promise<T>;
/** Lets at most `atOnce` works run at a time; the others wait in line. */
export function turns(atOnce: number): Turn {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
