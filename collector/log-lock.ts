import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { StreamError } from './stream.ts';

/** Who holds a directory: the pid, and when that process started, since pids come again (in containers always as 1). */
interface Holder {
  pid: number;
  started: string;
}

const heldHere = new Set<string>();

/**
 * Takes the directory for this process alone, over from a holder that is dead.
 * Returns what lets go of it. @throws StreamError `stream_unavailable` that names the holder.
 */
export async function lockDirectory(dir: string): Promise<() => Promise<void>> {
  const path = resolve(dir);
  const file = join(path, 'lock');
  if (heldHere.has(path)) throw inUse(path, process.pid);
  heldHere.add(path);
  try {
    await take(file, path);
  } catch (error) {
    heldHere.delete(path);
    throw error;
  }
  return async () => {
    await rm(file, { force: true });
    heldHere.delete(path);
  };
}

async function take(file: string, path: string): Promise<void> {
  const me: Holder = { pid: process.pid, started: startedAt(process.pid) };
  for (let attempt = 0; attempt < 10; attempt++) {
    if (await createWhole(file, JSON.stringify(me))) return;
    const holder = await readHolder(file);
    if (holder && isAlive(holder, me)) throw inUse(path, holder.pid);
    // Moved aside rather than removed: of two that take over, one moves the dead lock and the other finds none, or
    // finds that it moved a live one and puts it back.
    const aside = `${file}.${randomUUID()}`;
    const moved = await rename(file, aside).then(
      () => true,
      () => false,
    );
    if (!moved) continue;
    const taken = await readHolder(aside);
    if (taken && isAlive(taken, me)) {
      await rename(aside, file);
      throw inUse(path, taken.pid);
    }
    await rm(aside, { force: true });
  }
  throw new StreamError('stream_unavailable', `lock of ${path} could not be taken`);
}

/** A link appears with its content, so that nobody sees an empty lock. Returns false where there is one already. */
async function createWhole(file: string, content: string): Promise<boolean> {
  const draft = `${file}.${randomUUID()}`;
  await writeFile(draft, content);
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft);
  }
}

const inUse = (path: string, pid: number): StreamError =>
  new StreamError('stream_unavailable', `directory ${path} is in use by process ${pid}`);

async function readHolder(file: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Holder;
  } catch {
    return undefined;
  }
}

/** A lock of our own pid that this process does not hold is left from a former life. */
function isAlive(holder: Holder, me: Holder): boolean {
  if (holder.pid === me.pid) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return holder.started === '' || startedAt(holder.pid) === holder.started;
}

/** Linux: clock ticks from boot to the start of the process. Empty elsewhere, so that there the pid alone decides. */
function startedAt(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
