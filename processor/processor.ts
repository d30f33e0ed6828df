import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Service, ServiceContext } from '#service';
import { StreamError, type Members, type Stream } from '#stream';
import { expiryRules } from './classes.ts';
import { createErasures } from './erasures.ts';
import type { Flushed } from './flush.ts';
import type { ClassName } from './layout.ts';
import { createLeases } from './leases.ts';
import { createMaintenance } from './maintenance.ts';
import { decodeNotes, encodeNote } from './member-note.ts';
import { createShardCrew } from './shard-crew.ts';
import { createShardWorker } from './shard-worker.ts';
import type { Share } from './share.ts';
import { StoreError, type Store } from './store.ts';
import { createTrimmer } from './trim.ts';

/** Each flush holds a file's rows in memory. */
const FLUSHES_AT_ONCE = 2;
const TRIM_INTERVAL_MS = 10_000;

/**
 * Reads the stream into the lake, and keeps the lake compact, within its retention classes, and free of what was erased:
 * this process's share of it, where several are members.
 */
export function createProcessor(
  context: ServiceContext,
  parts: { stream: Stream; store: Store; members: Members },
): Service {
  const { config, metrics, now } = context;
  const { stream, store, members } = parts;
  const log = context.log.child({ service: 'processor' });
  const ended = new AbortController();
  /** By what is in trouble: why. */
  const troubles = new Map<string, string>();
  /** Rules for deletion by age that were asked for. */
  const ruled = new Set<string>();
  let share: Share = { shards: [], sweeps: false };
  let draining = false;
  const trouble =
    (what: string) =>
    (error: Error | undefined): void => {
      if (error) troubles.set(what, `${what}: ${error.message}`);
      else troubles.delete(what);
    };

  const count = {
    flushes: metrics.counter('flushes_total', 'commits made'),
    conflicts: metrics.counter('commit_conflicts_total', 'commits that another processor made first'),
    rows: metrics.counter('rows_total', 'rows written by flushes', ['table']),
    bytes: metrics.counter('flushed_bytes_total', 'bytes of data files written by flushes'),
    assets: metrics.counter('assets_total', 'assets that recorders brought'),
    refused: metrics.counter('assets_refused_total', 'assets that were not what they said', ['reason']),
    quarantined: metrics.counter('quarantined_total', 'batches that could not be read', ['reason']),
  };
  const gauge = {
    shards: metrics.gauge('shards_owned', 'shards that this process works on'),
    lag: metrics.gauge('stream_lag_messages', "how far its slowest shard is behind the stream's end"),
    oldest: metrics.gauge('oldest_unflushed_ms', 'age of the oldest message in hand'),
    damaged: metrics.gauge(
      'lake_damaged_objects',
      'objects that compactions and sweeps could not read; mutoscope fsck tells what to do',
    ),
    overdue: metrics.gauge('retention_overdue_bytes', 'bytes of days past their class that are still stored'),
    erasures: metrics.gauge('erasures_pending', 'erasures whose bytes are not all gone'),
  };

  const nonce = (): string => randomUUID().replaceAll('-', '').slice(0, 16);
  const erasures = createErasures(store, now);
  const limit = createLimit(FLUSHES_AT_ONCE);
  const trimmer = createTrimmer(stream);
  const crew = createShardCrew((shard) =>
    createShardWorker(shard, {
      stream,
      store,
      erasures,
      log,
      now,
      nonce,
      limit,
      flushIntervalMs: config.FLUSH_INTERVAL_MS,
      flushBytesMax: config.FLUSH_BYTES_MAX,
      onFlushed,
      onConflict: () => count.conflicts.inc(),
      onTrouble: trouble(`shard ${shard}`),
    }),
  );
  const maintenance = createMaintenance({
    store,
    stream,
    erasures,
    nonce,
    log,
    now,
    compactIntervalMs: config.COMPACT_INTERVAL_MS,
    sweepIntervalMs: config.SWEEP_INTERVAL_MS,
    graceMs: config.GRACE_MS,
    onSwept: ({ overdueBytes, erasuresPending, classes }) => {
      void installExpiry(classes);
      if (share.sweeps) tellSwept(overdueBytes, erasuresPending);
    },
    onDamage: (objects) => gauge.damaged.set(share.sweeps ? objects : 0),
    onTrouble: (error) => trouble('maintenance')(share.sweeps ? error : undefined),
  });
  const leases = createLeases({
    members,
    now,
    log,
    note: () => encodeNote(trimmer.clear()),
    onShare: take,
    onTrouble: trouble('members'),
  });

  function take(next: Share): void {
    const lost = share.shards.filter((shard) => !next.shards.includes(shard));
    const gained = next.shards.filter((shard) => !share.shards.includes(shard));
    if (lost.length || gained.length || next.sweeps !== share.sweeps)
      log.info({ ...next, gained, lost }, 'the share of the work changed');
    share = next;
    gauge.shards.set(next.shards.length);
    crew.hold(next.shards);
    for (const shard of lost) troubles.delete(`shard ${shard}`);
    if (next.sweeps) return;
    // The sweeper tells of it, and what was so here grows old.
    troubles.delete('maintenance');
    tellSwept(0, 0);
    gauge.damaged.set(0);
  }

  function tellSwept(overdueBytes: number, erasuresPending: number): void {
    gauge.overdue.set(overdueBytes);
    gauge.erasures.set(erasuresPending);
  }

  function onFlushed({ commit, rejected, brought, refused }: Flushed): void {
    count.flushes.inc();
    for (const { assets } of brought) count.assets.inc(assets.size);
    for (const reason of refused) count.refused.inc({ reason });
    for (const file of commit.files) {
      count.rows.inc({ table: file.table }, file.rows);
      count.bytes.inc(file.bytes);
    }
    for (const { reason, message, seq } of rejected) {
      count.quarantined.inc({ reason });
      log.warn(
        { reason, message, seq, shard: commit.shard },
        'a batch is in quarantine; look at v1/quarantine',
      );
    }
    log.debug({ shard: commit.shard, lastSeq: commit.lastSeq, files: commit.files.length }, 'committed');
  }

  async function lookAround(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await delay(TRIM_INTERVAL_MS, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      const oldestMs = crew.oldestMs();
      gauge.oldest.set(oldestMs === undefined ? 0 : now() - oldestMs);
      try {
        const { lag } = await trimmer.look(crew.held(), crew.resumeSeq);
        gauge.lag.set(lag);
        if (share.sweeps) await trimmer.trim(decodeNotes(members.list().values()), now());
        troubles.delete('stream');
      } catch (error) {
        if (!(error instanceof StreamError)) throw error;
        trouble('stream')(error);
        log.warn({ err: error }, 'the stream could not be trimmed; look at the stream');
      }
    }
  }

  let rest: Promise<unknown> | undefined;
  return {
    name: 'processor',
    async run() {
      await installExpiry();
      if (ended.signal.aborted) return;
      rest = Promise.all([
        leases.run(ended.signal),
        maintenance.run(ended.signal, () => share.sweeps),
        lookAround(ended.signal),
      ]);
      await Promise.all([crew.ended, rest]);
    },
    async drain() {
      draining = true;
      // The others hear of it when all is flushed, and go on from there.
      await crew.drain();
      ended.abort();
      await rest;
    },
    async stop() {
      draining = true;
      ended.abort();
      await crew.stop();
      await Promise.allSettled([rest]);
      await members.leave();
    },
    problems: () => [...(draining ? ['draining'] : []), ...troubles.values()],
  };

  /** Once for each class that comes to be used. */
  async function installExpiry(classes?: ClassName[]): Promise<void> {
    const rules = expiryRules(classes);
    if (rules.every(({ id }) => ruled.has(id))) return;
    try {
      const { installed, reason } = await store.expireByAge(rules);
      for (const { id } of rules) ruled.add(id);
      if (!installed) log.info({ reason }, 'the store deletes nothing by age; the sweeper alone does');
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      log.warn({ err: error }, 'rules for deletion by age were not installed; look at the store');
    }
  }
}

/** At most `width` at once; the others wait their turn. */
function createLimit(width: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running >= width) await new Promise<void>((resolve) => waiting.push(resolve));
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
