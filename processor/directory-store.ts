import {
  link,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  rmdir,
  stat,
  unlink,
  type FileHandle,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { randomUUID } from 'node:crypto';
import { StoreError, type Store, type StoreObject } from './store.ts';

/** Where what is being written stands until it is whole. No key can begin so. */
const TEMPORARY = '.tmp';
/** What an object may be called: words of unreserved characters between slashes, none of them `.` or `..`. */
const KEY = /^(?!.*(?:^|\/)\.)[A-Za-z0-9._=,@+~-]+(?:\/[A-Za-z0-9._=,@+~-]+)*$/;
const KEY_BYTES_MAX = 1024;

/**
 * A directory as store: keys are paths below it. A put writes a temporary file, syncs it, and gives it its name
 * (`link` with `ifAbsent`, which fails when the name is taken; else `rename`), then syncs the directory.
 * @throws StoreError `store_unavailable`
 */
export async function openDirectoryStore(directory: string): Promise<Store> {
  const root = resolve(directory);
  const temporary = join(root, TEMPORARY);
  const pathOf = (key: string): string => {
    if (!KEY.test(key) || key.length > KEY_BYTES_MAX)
      throw new StoreError('bad_key', `${JSON.stringify(key)} is no key`);
    return join(root, key);
  };

  await guard(root, async () => {
    await mkdir(temporary, { recursive: true });
    await clearTemporary(temporary);
  });
  return {
    location: `file://${root}`,
    put: (key, bytes, { ifAbsent = false } = {}) =>
      guard(key, async () => {
        const path = pathOf(key);
        const written = join(temporary, randomUUID());
        await writeSynced(written, bytes);
        try {
          await inDirectory(root, dirname(path), () =>
            ifAbsent ? create(written, path, key) : rename(written, path),
          );
        } finally {
          await unlink(written).catch(ignoreMissing);
        }
        await syncDirectory(dirname(path));
      }),
    get: (key, range) =>
      guard(key, async () => {
        const file = await openObject(pathOf(key), key);
        try {
          return await readRange(file, key, range);
        } finally {
          await file.close();
        }
      }),
    async *list(prefix) {
      const slash = prefix.lastIndexOf('/') + 1;
      if (slash) pathOf(prefix.slice(0, slash - 1));
      yield* walk(root, prefix.slice(0, slash), prefix);
    },
    remove: (keys) =>
      guard(root, async () => {
        const directories = new Set<string>();
        for (const path of keys.map(pathOf)) {
          await unlink(path).catch(ignoreMissing);
          directories.add(dirname(path));
        }
        for (const path of directories) await removeEmpty(root, path);
        // Here too, for a process may live for months after the crash of one before.
        await clearTemporary(temporary);
      }),
    removeOlder: async () => {},
    expireByAge: async () => ({ installed: false, reason: 'a directory deletes nothing by itself' }),
    expiryRules: async () => [],
    close: async () => {},
  };
}

/** Clears what a crash left half written; what is younger may be another process's. */
async function clearTemporary(temporary: string): Promise<void> {
  for (const name of await readdir(temporary)) {
    const path = join(temporary, name);
    const found = await stat(path).catch(ignoreMissing);
    if (found && Date.now() - found.mtimeMs > TEMPORARY_MS_MAX) await unlink(path).catch(ignoreMissing);
  }
}
const TEMPORARY_MS_MAX = 3_600_000;

async function create(written: string, path: string, key: string): Promise<void> {
  try {
    await link(written, path);
  } catch (error) {
    if (codeOf(error) === 'EEXIST')
      throw new StoreError('already_exists', `${key} is there already`, { cause: error });
    throw error;
  }
}

async function openObject(path: string, key: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? ''))
      throw new StoreError('not_found', `${key} is not there`, { cause: error });
    throw error;
  }
}

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.writeFile(bytes);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** Makes the directory that `act` needs, again when an emptied one is removed under it. */
async function inDirectory(root: string, directory: string, act: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      // The system's answer to this, too, may be that what it just found or made is gone.
      const first = await mkdir(directory, { recursive: true });
      await act();
      if (first) await syncUpTo(root, dirname(first), directory);
      return;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || attempt === 10) throw error;
    }
  }
}

/** Makes new directories between `top` and `directory` durable. */
async function syncUpTo(root: string, top: string, directory: string): Promise<void> {
  for (let path = dirname(directory); path.length >= root.length; path = dirname(path)) {
    await syncDirectory(path);
    if (path === top) return;
  }
}

async function syncDirectory(path: string): Promise<void> {
  try {
    const directory = await open(path, 'r');
    await directory.sync().finally(() => directory.close());
  } catch (error) {
    // It may have been emptied and removed since; what it held is then gone on purpose.
    ignoreMissing(error);
  }
}

async function readRange(
  file: FileHandle,
  key: string,
  range?: { start: number; end: number },
): Promise<Uint8Array> {
  const found = await file.stat();
  if (found.isDirectory()) throw new StoreError('not_found', `${key} is not there`);
  const { size } = found;
  const { start, end } = range ?? { start: 0, end: size };
  if (start < 0 || end > size || start > end)
    throw new StoreError('bad_range', `${key} has ${size} bytes, not ${start} to ${end}`);
  const bytes = new Uint8Array(end - start);
  for (let at = 0; at < bytes.length;) {
    const { bytesRead } = await file.read(bytes, at, bytes.length - at, start + at);
    if (!bytesRead)
      throw new StoreError('store_unavailable', `${key} ended at byte ${start + at} while it was read`);
    at += bytesRead;
  }
  return bytes;
}

/**
 * Objects below `directory` (a key's part that is empty or ends in a slash) in the order of their keys. A folder sorts
 * as its name with the slash, as in the keys.
 */
async function* walk(root: string, directory: string, prefix: string): AsyncGenerator<StoreObject> {
  const entries = await guard(directory, () =>
    readdir(join(root, directory), { withFileTypes: true }).catch((error: unknown) => {
      ignoreMissing(error);
      return [];
    }),
  );
  const names = entries
    .filter((entry) => !entry.name.startsWith('.'))
    .map((entry) => directory + entry.name + (entry.isDirectory() ? '/' : ''))
    .filter((key) => key.startsWith(prefix) || prefix.startsWith(key))
    .sort((a, b) => (a < b ? -1 : 1));
  for (const key of names) {
    if (key.endsWith('/')) yield* walk(root, key, prefix);
    else if (key.startsWith(prefix)) {
      const found = await stat(join(root, key)).catch(ignoreMissing);
      if (found) yield { key, bytes: found.size, modifiedMs: Math.floor(found.mtimeMs) };
    }
  }
}

async function removeEmpty(root: string, directory: string): Promise<void> {
  for (let path = directory; path.length > root.length; path = dirname(path)) {
    try {
      await rmdir(path);
    } catch {
      return;
    }
  }
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code;
function ignoreMissing(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error;
}

async function guard<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof StoreError) throw error;
    throw new StoreError('store_unavailable', `${what}: ${(error as Error).message}`, { cause: error });
  }
}
