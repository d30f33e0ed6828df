import { createHash } from 'node:crypto';
import { ASSET_BYTES_MAX, assetName, assetType, EventType } from '#protocol';
import { classesOfDay } from './classes.ts';
import type { CompactParts } from './compact.ts';
import type { RecordedEvent } from './decode-batch.ts';
import type { Erasures } from './erasures.ts';
import { paths, pendingCommits, sessionDate, type ClassName } from './layout.ts';
import { publish } from './manifest.ts';
import { namesIn } from './moved-assets.ts';
import { isStoreError, type Store } from './store.ts';

/** Why an asset was not kept. */
export type AssetRefusal = 'bad_name' | 'too_large' | 'bad_hash';

/** Assets that a session brought. They live as long as the rows of its class and day. */
export interface Brought {
  project: string;
  session: string;
  class: ClassName;
  /** By name. */
  assets: ReadonlyMap<string, Uint8Array>;
}

/**
 * Takes the bytes out of `asset` events, in place: what stays tells name, address and size, or why it was not kept.
 * @returns the assets by name, each with the content that its name says
 */
export function takeAssets(events: readonly RecordedEvent[]): {
  assets: Map<string, Uint8Array>;
  refused: AssetRefusal[];
} {
  const assets = new Map<string, Uint8Array>();
  const refused: AssetRefusal[] = [];
  for (const event of events) {
    const payload = assetPayload(event);
    if (!payload) continue;
    const { name, url, base64 } = payload;
    const bytes = Buffer.from(typeof base64 === 'string' ? base64 : '', 'base64');
    const refusal = check(name, bytes);
    if (refusal) refused.push(refusal);
    else assets.set(name as string, bytes);
    event.data = {
      tag: 'asset',
      payload: { name, url, bytes: bytes.length, ...(refusal && { refused: refusal }) },
    };
  }
  return { assets, refused };
}

function assetPayload({ type, data }: RecordedEvent): Record<string, unknown> | undefined {
  if (type !== EventType.custom) return undefined;
  const { tag, payload } = (data ?? {}) as { tag?: unknown; payload?: unknown };
  return tag === 'asset' && typeof payload === 'object' && payload !== null
    ? (payload as Record<string, unknown>)
    : undefined;
}

function check(name: unknown, bytes: Uint8Array): AssetRefusal | undefined {
  const type = typeof name === 'string' ? assetType(name) : undefined;
  if (!type) return 'bad_name';
  if (bytes.length > ASSET_BYTES_MAX) return 'too_large';
  return assetName(createHash('sha256').update(bytes).digest('hex'), type) === name ? undefined : 'bad_hash';
}

const byKey = (brought: readonly Brought[]): Map<string, Uint8Array> =>
  new Map(
    brought.flatMap(({ project, session, class: cls, assets }) =>
      Array.from(assets, ([name, bytes]) => [paths.asset(cls, project, sessionDate(session), name), bytes]),
    ),
  );

/** @throws StoreError */
export async function putAssets(store: Store, brought: readonly Brought[]): Promise<void> {
  for (const [key, bytes] of byKey(brought)) await putAsset(store, key, bytes);
}

/** What is there already is the same. @throws StoreError */
export async function putAsset(store: Store, key: string, bytes: Uint8Array): Promise<void> {
  try {
    await store.put(key, bytes, { ifAbsent: true });
  } catch (error) {
    if (!isStoreError(error, 'already_exists')) throw error;
  }
}

/** After the commit that tells of them: see `removeUnreferenced`. None of a session that was erased meanwhile. @throws StoreError */
export async function putAssetsAgain(
  store: Store,
  brought: readonly Brought[],
  erasures: Erasures,
): Promise<void> {
  if (!brought.length) return;
  await erasures.refresh();
  const isErased = ({ project, session }: Brought): boolean => erasures.has(project, session);
  const kept = brought.filter((one) => !isErased(one));
  const keys = byKey(kept);
  await putAssets(store, kept);
  await store.remove([...byKey(brought.filter(isErased)).keys()].filter((key) => !keys.has(key)));
}

/**
 * Removes the assets of the day that no session tells of but the given ones, after their own rows have gone. `note` hears of
 * each before any goes.
 *
 * A flush puts its assets, then its commit, then its assets once more. So whoever commits while this removes is either
 * seen by the second look here, which brings back what was removed, or puts it again after. A compaction puts its assets
 * before its manifest, and the version made here after the removal is refused to one that began before.
 * @returns those that came back since no version could be made: to be done again
 */
export async function removeUnreferenced(
  parts: Pick<CompactParts, 'store' | 'commits' | 'state' | 'nonce'>,
  project: string,
  date: string,
  sessions: Pick<ReadonlySet<string>, 'has'>,
  note: (key: string, bytes: Uint8Array) => Promise<void>,
  nowMs: number,
): Promise<string[]> {
  const { store } = parts;
  const keys: string[] = [];
  for (const cls of await classesOfDay(parts, project, date))
    for await (const { key } of store.list(paths.assetsPrefix(cls, project, date))) keys.push(key);
  if (!keys.length) return [];
  const told = await referenced(parts, project, date, sessions);
  const removed = new Map<string, Uint8Array>();
  for (const key of keys.filter((one) => !told.has(one))) {
    const bytes = await store.get(key);
    await note(key, bytes);
    removed.set(key, bytes);
    await store.remove([key]);
  }
  if (!removed.size) return [];
  let isMade = false;
  // When it cannot be told, all come back, and the erasure is done again.
  const since = await (async () => {
    for (let attempt = 0; attempt < VERSIONS_MAX && !isMade; attempt++)
      isMade = await publish(store, await parts.state(project), { days: new Map() }, nowMs, parts.nonce());
    return isMade ? referenced(parts, project, date, sessions) : { has: () => true };
  })().catch((error: unknown) => ({ error, has: () => true }));
  for (const [key, bytes] of removed) if (since.has(key)) await store.put(key, bytes);
  if ('error' in since) throw since.error;
  return isMade ? [] : [...removed.keys()];
}

/** Against compactions that are faster. */
const VERSIONS_MAX = 3;

/** Keys of the assets of which rows of the day tell, but for those of the sessions, which are in no sealed file any more. */
async function referenced(
  { store, commits, state }: Pick<CompactParts, 'store' | 'commits' | 'state'>,
  project: string,
  date: string,
  sessions: Pick<ReadonlySet<string>, 'has'>,
): Promise<Set<string>> {
  const live = await commits.list();
  const { root, days } = await state(project);
  const files = [
    ...(days.get(date)?.files ?? []),
    ...pendingCommits(project, root, live).flatMap((commit) => commit.files),
  ];
  const keys = new Set<string>();
  const isOther = (row: { project: string; session_id: string }): boolean =>
    row.project === project && !sessions.has(row.session_id) && sessionDate(row.session_id) === date;
  for (const file of files)
    for (const name of await namesIn(store, file, isOther))
      keys.add(paths.asset(file.class, project, date, name));
  return keys;
}
