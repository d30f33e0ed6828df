import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '#service';
import { openStream, SHARDS, shardFilter, type Stream } from '#stream';
import { loadChain } from './chain.ts';
import { classesIn, expiryRules } from './classes.ts';
import { judge, type Check, type LakeFacts, type StoreFacts, type StreamFacts } from './doctor-judge.ts';
import { createCommitCache, getJsonIfThere, newestRoot } from './lake-reader.ts';
import { listAll, projectOf } from './lake-scan.ts';
import {
  className,
  paths,
  pendingCommits,
  type KnownCommit,
  type DamageReport,
  type Erasure,
  type RetentionReport,
} from './layout.ts';
import { createLossWatch } from './lost-root.ts';
import { isStoreError, openStore, StoreError, type Store } from './store.ts';

/**
 * Looks at what a running lake depends on, and judges it. What cannot be reached is a finding, not an error. Writes one
 * small object, which it removes again, to see what the store does with conditional puts and what its clock says.
 */
export async function examine(
  config: Config,
  { now, nonce, open = openStore }: { now: () => number; nonce: string; open?: typeof openStore },
): Promise<Check[]> {
  const [store, storeFacts] = await reachStore(config, open, now, nonce);
  try {
    const lake = store && (await lookAtLake(store, now()).catch(reason));
    const stream = await lookAtStream(config, store, now());
    return judge(config, { nowMs: now(), store: storeFacts, stream, lake });
  } finally {
    await store?.close();
  }
}

const reason = (error: unknown): { failed: string } => ({ failed: (error as Error).message });

async function reachStore(
  config: Config,
  open: typeof openStore,
  now: () => number,
  nonce: string,
): Promise<[Store | undefined, StoreFacts]> {
  let store: Store | undefined;
  try {
    store = await open(config.STORE);
    return [store, await probe(store, now, nonce)];
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    await store?.close();
    return [undefined, { failed: `${error.code}: ${error.message}` }];
  }
}

async function probe(store: Store, now: () => number, nonce: string): Promise<StoreFacts> {
  const key = `${paths.probePrefix}${nonce}`;
  const bytes = new TextEncoder().encode(nonce);
  const putBetween: [number, number] = [now(), 0];
  await store.put(key, bytes, { ifAbsent: true });
  putBetween[1] = now();
  try {
    const second = await store.put(key, bytes, { ifAbsent: true }).then(
      () => 'taken twice',
      (error: unknown) => (isStoreError(error, 'already_exists') ? 'refused' : String(error)),
    );
    const [object] = await listAll(store, key);
    const has = await store.expiryRules();
    const wanted = expiryRules(await classesReported(store));
    return {
      location: store.location,
      isConditional: second === 'refused',
      isListed: object !== undefined,
      clockAheadMs: object ? aheadMs(object.modifiedMs, putBetween) : 0,
      rulesMissing: wanted
        .filter((rule) => !has.some(({ prefix, days }) => prefix === rule.prefix && days === rule.days))
        .map(({ id }) => id),
      hasRules: !store.location.startsWith('file:'),
    };
  } finally {
    await store.remove([key]);
  }
}

/** How far a clock is ahead that said `atMs` at an instant within the bounds. Stores tell whole seconds. */
export function aheadMs(atMs: number, [fromMs, toMs]: readonly [number, number]): number {
  if (atMs > toMs) return atMs - toMs;
  return atMs + 1000 < fromMs ? atMs + 1000 - fromMs : 0;
}

const reportsOf = async (store: Store): Promise<RetentionReport[]> => {
  const reports: RetentionReport[] = [];
  for (const { key } of await listAll(store, paths.retentionReportsPrefix)) {
    const report = await getJsonIfThere<RetentionReport>(store, key);
    if (report) reports.push(report);
  }
  return reports;
};
async function classesReported(store: Store): Promise<ReturnType<typeof classesIn>> {
  const lines = (await reportsOf(store)).flatMap((report) => report.lines);
  return classesIn(
    lines.map(({ retentionDays, date }) => ({
      key: paths.file(className(retentionDays), 'events', '-', date, '-'),
    })),
  );
}

async function lookAtLake(store: Store, nowMs: number): Promise<LakeFacts> {
  const commits = await createCommitCache(store).list();
  const reports = await reportsOf(store);
  const projects = new Set(reports.map(({ project }) => project));
  for (const commit of commits) for (const { project } of commit.sessions) projects.add(project);
  for (const { key } of await listAll(store, paths.manifestPrefix)) projects.add(projectOf(key)!);
  const isLost = createLossWatch(store);
  const lost: string[] = [];
  const pending = new Set<KnownCommit>();
  let compactedMs = -Infinity;
  for (const project of projects) {
    const root = await newestRoot(store, project);
    if (await isLost(project, root?.version ?? 0)) lost.push(project);
    for (const commit of pendingCommits(project, root, commits)) pending.add(commit);
    compactedMs = Math.max(compactedMs, root?.createdMs ?? -Infinity);
  }
  const erasures: Erasure[] = [];
  for (const { key } of await listAll(store, paths.erasuresPrefix)) {
    const erasure = await getJsonIfThere<Erasure>(store, key);
    if (erasure && !erasure.done) erasures.push(erasure);
  }
  const quarantine = await listAll(store, paths.quarantinePrefix);
  const damage = await getJsonIfThere<DamageReport>(store, paths.damageReport);
  return {
    lost,
    damaged: damage?.objects.map(({ why }) => why) ?? [],
    pending: pending.size,
    oldestPendingMs: [...pending].reduce(
      (oldest, { committedMs }) => Math.min(oldest, committedMs),
      Infinity,
    ),
    compactedMs,
    sweptMs: Math.min(...reports.map(({ atMs }) => atMs)),
    overdue: reports.flatMap(({ project, lines }) => lines.map((line) => ({ project, ...line }))),
    erasures: erasures.length,
    oldestErasureMs: erasures.reduce((oldest, { requestedMs }) => Math.min(oldest, requestedMs), Infinity),
    quarantined: quarantine.filter(({ key }) => !key.endsWith('.bin')).length,
    newestQuarantinedMs: quarantine.reduce(
      (newest, { modifiedMs }) => Math.max(newest, modifiedMs),
      -Infinity,
    ),
  };
}

const REACH_MS_MAX = 15_000;

async function lookAtStream(config: Config, store: Store | undefined, nowMs: number): Promise<StreamFacts> {
  const late = new AbortController();
  const opening = openStream(config.STREAM, { bytesMax: config.STREAM_BYTES_MAX });
  try {
    const stream = await Promise.race([
      opening,
      delay(REACH_MS_MAX, undefined, { signal: late.signal }).then(() => {
        throw new Error(`no answer within ${REACH_MS_MAX} ms`);
      }),
    ]);
    try {
      return await lagOf(stream, store, nowMs);
    } finally {
      await stream.close();
    }
  } catch (error) {
    // Whatever the way to the stream stumbles over is why it is not reached.
    opening.then((stream) => stream.close()).catch(() => {});
    const { message } = error as Error;
    return / in use /.test(message) ? { heldBy: message } : { failed: message };
  } finally {
    late.abort();
  }
}

/** Of each shard the first message that is not in the lake: how old it is, and how far from the end. */
async function lagOf(stream: Stream, store: Store | undefined, nowMs: number): Promise<StreamFacts> {
  const { bytes, messages, lastSeq } = await stream.state();
  const facts: StreamFacts = { bytes, messages, lagMessages: 0, oldestUnflushedMs: Infinity };
  if (!store) return facts;
  for (let shard = 0; shard < SHARDS; shard++) {
    const { resumeSeq } = await loadChain(store, shard, nowMs);
    for await (const { seq, appendedMs } of stream.read(resumeSeq, shardFilter(shard))) {
      facts.lagMessages = Math.max(facts.lagMessages, lastSeq + 1 - seq);
      facts.oldestUnflushedMs = Math.min(facts.oldestUnflushedMs, appendedMs);
      break;
    }
  }
  return facts;
}
