import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openStream } from '#stream';
import { openDirectoryStore } from '../directory-store.ts';
import { getJsonIfThere, newestRoot } from '../lake-reader.ts';
import { paths, takenIn, type Commit } from '../layout.ts';
import type { Sent } from '../samples.ts';
import type { Store } from '../store.ts';

/** How the image runs, from its Dockerfile. */
const image = readFileSync(join(import.meta.dirname, '../../deploy/Dockerfile'), 'utf8');
const [, ...imageArgs] = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(image)![1]!) as string[];
const imageMalloc = Object.fromEntries(
  Array.from(image.matchAll(/\b(MALLOC_\w+)=(\d+)/g), ([, name, value]) => [name, value]),
);

/** What recorders sent, a few messages at a time; it returns how many events that was. */
export type Backlog = Generator<Sent[], number>;

export interface WorkedOff {
  /** Most memory that the process had, by the kernel's count. */
  rssMb: number;
  seconds: number;
  messages: number;
  rows: number;
}

/**
 * Fills a stream with the backlog and lets a processor of its own, run as in the image and with default settings, work
 * it off: into the lake, through one compaction and one sweep. Quarantine counts as a failure. Rejects after
 * `secondsMax`.
 */
export async function workOff(
  dir: string,
  project: string,
  backlog: Backlog,
  secondsMax: number,
): Promise<WorkedOff> {
  const streamDir = join(dir, 'stream');
  const stream = await openStream(streamDir, { bytesMax: 8e9 });
  let messages = 0;
  let next = backlog.next();
  for (; !next.done; next = backlog.next()) {
    messages += next.value.length;
    await Promise.all(next.value.map(({ subject, bytes, id }) => stream.append(subject, bytes, id)));
  }
  const rows = next.value;
  await stream.close();
  const child = spawn(process.execPath, imageArgs, {
    cwd: join(import.meta.dirname, '../..'),
    env: {
      PATH: process.env.PATH,
      ROLE: 'processor',
      DATA_DIR: join(dir, 'data'),
      STREAM: streamDir,
      STREAM_BYTES_MAX: '8000000000',
      STORE: join(dir, 'lake'),
      LISTEN: '127.0.0.1:0',
      LOG_LEVEL: 'warn',
      FIRST_WRITE_KEY: 'wk_bench_key_of_the_lake',
      FIRST_API_KEY: 'ak_bench_key_of_the_lake',
      ...imageMalloc,
    },
    stdio: 'inherit',
  });
  const exited = once(child, 'exit');
  const store = await openDirectoryStore(join(dir, 'lake'));
  const startMs = performance.now();
  const seconds = (): number => (performance.now() - startMs) / 1000;
  const commits = new Map<string, Commit>();
  let rssMb = 0;
  try {
    for (let done = false; !done;) {
      await delay(500);
      if (child.exitCode !== null) throw new Error(`the processor ended with ${child.exitCode}`);
      if (seconds() > secondsMax) throw new Error(`the backlog was not worked off in ${secondsMax} s`);
      rssMb = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1000;
      done = (await rowsIn(store, commits)) >= rows && (await isKept(store, project, [...commits.values()]));
    }
  } finally {
    child.kill('SIGTERM');
    await exited;
  }
  for await (const { key } of store.list(paths.quarantinePrefix)) throw new Error(`${key} is in quarantine`);
  await rm(dir, { recursive: true });
  return { rssMb, seconds: seconds(), messages, rows };
}

/** Rows that are committed. @param commits those read before */
async function rowsIn(store: Store, commits: Map<string, Commit>): Promise<number> {
  for await (const { key } of store.list(paths.l0Prefix))
    if (key.endsWith('.json') && !commits.has(key)) {
      const commit = await getJsonIfThere<Commit>(store, key);
      if (commit) commits.set(key, commit);
    }
  let rows = 0;
  for (const { sessions } of commits.values()) for (const one of sessions) rows += one.rows;
  return rows;
}

/** Whether they are compacted, and a sweep has gone through all that is stored. */
async function isKept(store: Store, project: string, commits: readonly Commit[]): Promise<boolean> {
  const root = await newestRoot(store, project);
  if (!root || !commits.every((commit) => takenIn(root, commit))) return false;
  return (await getJsonIfThere(store, paths.retentionReport(project))) !== undefined;
}
