import { gunzipSync } from 'node:zlib';
import { decodeFrame } from '#protocol';
import { decodeRecord, parseSubject } from '#stream';
import { createIcebergGarbage } from './iceberg-garbage.ts';
import { createCommitCache, getJson, getJsonIfThere, rootKeys } from './lake-reader.ts';
import { tableOf } from './lake-scan.ts';
import {
  paths,
  pendingCommits,
  TABLES,
  type DayManifest,
  type Erasure,
  type RootManifest,
} from './layout.ts';
import type { Store } from './store.ts';
import { keysUnder, markOf } from './test-crash-model.ts';
import type { World } from './test-crash-world.ts';
import { decodeFile } from './x-hyparquet.ts';

/** What is still there, once all is swept, though nothing names it. */
export async function leaksIn({ store }: World, projects: readonly string[]): Promise<string[]> {
  const commits = await createCommitCache(store).list();
  const named = new Set<string>();
  const left: string[] = [];
  for (const project of projects) {
    const roots = await rootKeys(store, project);
    if (roots.length > 1) left.push(...roots.slice(0, -1));
    const root = roots.length ? await getJson<RootManifest>(store, roots.at(-1)!) : undefined;
    for (const key of Object.values(root?.days ?? {})) {
      named.add(key);
      const day = await getJsonIfThere<DayManifest>(store, key);
      for (const file of day?.files ?? []) named.add(file.key);
    }
    for (const commit of pendingCommits(project, root, commits))
      for (const file of commit.files) named.add(file.key);
    for (const table of TABLES) left.push(...(await createIcebergGarbage(store).superseded(project, table)));
  }
  for (const key of await keysUnder(store, '')) {
    const isData =
      key.endsWith('.parquet') || (key.startsWith(paths.manifestPrefix) && key.includes('/day/'));
    if (isData && !named.has(key)) left.push(key);
  }
  return left;
}

/** Where text of the sessions still stands: objects, also inside compressed ones, and messages of the stream. */
export async function bytesOf(
  { store, stream }: World,
  sessions: ReadonlySet<string>,
  keys?: Iterable<string>,
): Promise<string[]> {
  const found: string[] = [];
  for (const key of keys ?? (await keysUnder(store, ''))) {
    const text = await readable(store, key);
    for (const session of sessions) {
      // A row of `sessions` may have nothing of what was said.
      const mark = key.includes('/sessions/') ? session : markOf(session);
      if (text.includes(mark)) found.push(`${mark} in ${key}`);
    }
  }
  if (keys) return found;
  for await (const { seq, subject, bytes } of stream.read(1, 'rec.>')) {
    const { session } = parseSubject(subject);
    const { payload } = decodeFrame(decodeRecord(bytes).frame);
    if (sessions.has(session)) found.push(`${payload.length} bytes of ${session} in message ${seq}`);
  }
  return found;
}

async function readable(store: Store, key: string): Promise<string> {
  const bytes = Buffer.from(await store.get(key));
  if (key.endsWith('.bin') && bytes[0] === 0x1f) return gunzipSync(bytes).toString();
  if (!key.endsWith('.parquet')) return bytes.toString('latin1');
  const rows = await decodeFile(tableOf(key), bytes);
  return JSON.stringify(rows, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}

/** Named files that hold a session whose receipt says that it is gone. */
export async function falseReceipts(world: World, projects: readonly string[]): Promise<string[]> {
  const { store } = world;
  const done = new Set<string>();
  for (const key of await keysUnder(store, paths.erasuresPrefix)) {
    const erasure = await getJson<Erasure>(store, key);
    if (erasure.done) done.add(erasure.session);
  }
  if (!done.size) return [];
  const commits = await createCommitCache(store).list();
  const named = new Set(commits.flatMap((commit) => commit.files.map(({ key }) => key)));
  for (const project of projects) {
    const root = (await rootKeys(store, project)).at(-1);
    for (const key of Object.values(root ? (await getJson<RootManifest>(store, root)).days : {}))
      for (const file of (await getJson<DayManifest>(store, key)).files) named.add(file.key);
  }
  return bytesOf(
    world,
    done,
    [...named].filter((key) => world.store.objects.has(key)),
  );
}
