import { describe, expect, it } from 'vitest';
import { encodeJson } from './lake-reader.ts';
import { paths, type Commit, type DayManifest, type LakeFile, type RootManifest } from './layout.ts';
import { openLakeReader, StoreError, type Store } from './store.ts';

/** A store in memory that counts what is asked of it, and lets a test act between requests. */
function createMemory(): {
  store: Store;
  objects: Map<string, Uint8Array>;
  asked: string[];
  before: { get?: (key: string) => void };
} {
  const objects = new Map<string, Uint8Array>();
  const asked: string[] = [];
  const before: { get?: (key: string) => void } = {};
  const store: Store = {
    location: 'file:///lake',
    put: async (key, bytes) => void objects.set(key, bytes),
    get: async (key) => {
      before.get?.(key);
      asked.push(`get ${key}`);
      const bytes = objects.get(key);
      if (!bytes) throw new StoreError('not_found', key);
      return bytes;
    },
    async *list(prefix) {
      asked.push(`list ${prefix}`);
      for (const key of [...objects.keys()].sort())
        if (key.startsWith(prefix)) yield { key, bytes: 0, modifiedMs: 0 };
    },
    removeOlder: async () => {},
    remove: async (keys) => void keys.forEach((key) => objects.delete(key)),
    expireByAge: async () => ({ installed: false }),
    expiryRules: async () => [],
    close: async () => {},
  };
  return { store, objects, asked, before };
}

const date = '2026-01-01';
const fileOf = (key: string): LakeFile => ({
  key,
  table: 'events',
  class: 'r30',
  bytes: 1,
  rows: 1,
  firstSession: 'a',
  lastSession: 'b',
  minMs: 0,
  maxMs: 1,
});
const commitOf = (fromSeq: number): Commit => ({
  v: 1,
  shard: 3,
  fromSeq,
  lastSeq: fromSeq,
  resumeSeq: fromSeq + 1,
  committedMs: 0,
  files: [fileOf(`l0-${fromSeq}`)],
  sessions: [
    {
      project: 'shop',
      session: 's',
      rid: 'r',
      class: 'r30',
      frames: [],
      seqs: [],
      startMs: 0,
      endMs: 0,
      rows: 1,
    },
  ],
});
const putCommit = ({ objects }: ReturnType<typeof createMemory>, fromSeq: number): void =>
  void objects.set(paths.commit(3, fromSeq), encodeJson(commitOf(fromSeq)));
function putManifest(
  { objects }: ReturnType<typeof createMemory>,
  version: number,
  l0: number,
  ...keys: string[]
): void {
  const day: DayManifest = { v: 1, project: 'shop', date, files: keys.map(fileOf) };
  const dayKey = paths.dayManifest('shop', date, `n${version}`);
  const root: RootManifest = {
    v: 1,
    project: 'shop',
    version,
    createdMs: 0,
    l0: { 3: l0 },
    days: { [date]: dayKey },
  };
  objects.set(dayKey, encodeJson(day));
  objects.set(paths.manifest('shop', version), encodeJson(root));
}
const keysOf = ({ files }: { files: LakeFile[] }): string[] => files.map(({ key }) => key);

describe('a view of the lake', () => {
  it('costs three lists when nothing changed, and then is the same array', async () => {
    const memory = createMemory();
    putManifest(memory, 1, 1, 'day');
    putCommit(memory, 1);
    putCommit(memory, 2);
    let nowMs = 5;
    const reader = openLakeReader(memory.store, () => nowMs++);
    const view = await reader.view('shop');
    expect(keysOf(view)).toEqual(['day', 'l0-2']);
    expect(view).toMatchObject({ project: 'shop', version: 1, asOfMs: 5 });
    memory.asked.length = 0;
    const again = await reader.view('shop');
    expect(again.files).toBe(view.files);
    expect(again.asOfMs).toBe(6);
    expect(memory.asked).toEqual([
      `list ${paths.l0Prefix}`,
      `list ${paths.projectManifestPrefix('shop')}`,
      `list ${paths.projectErasuresPrefix('shop')}`,
    ]);
    putCommit(memory, 3);
    expect(keysOf(await reader.view('shop'))).toEqual(['day', 'l0-2', 'l0-3']);
    expect(memory.asked.filter((asked) => asked.startsWith('get'))).toEqual([`get ${paths.commit(3, 3)}`]);
  });

  it('of a project without rows is empty', async () => {
    const memory = createMemory();
    putCommit(memory, 1);
    expect(await openLakeReader(memory.store, () => 0).view('bank')).toMatchObject({ version: 0, files: [] });
  });

  it('names erased sessions', async () => {
    const memory = createMemory();
    const reader = openLakeReader(memory.store, () => 0);
    expect((await reader.view('shop')).erased.size).toBe(0);
    memory.objects.set(paths.erasure('shop', 'session'), encodeJson({}));
    memory.objects.set(paths.erasure('bank', 'other'), encodeJson({}));
    expect([...(await reader.view('shop')).erased]).toEqual(['session']);
  });

  it('holds each row once while a commit is taken in and removed under it', async () => {
    const memory = createMemory();
    putManifest(memory, 1, 0);
    putCommit(memory, 1);
    memory.before.get = (key) => {
      if (!key.includes('/l0/')) return;
      delete memory.before.get;
      putManifest(memory, 2, 1, 'day');
      memory.objects.delete(key);
    };
    expect(keysOf(await openLakeReader(memory.store, () => 0).view('shop'))).toEqual(['day']);
  });

  it('is looked for again when a manifest is replaced under it', async () => {
    const memory = createMemory();
    putManifest(memory, 1, 0, 'old');
    memory.before.get = (key) => {
      if (!key.includes('/day/')) return;
      delete memory.before.get;
      putManifest(memory, 2, 0, 'new');
      memory.objects.delete(key);
    };
    expect(keysOf(await openLakeReader(memory.store, () => 0).view('shop'))).toEqual(['new']);
  });
});
