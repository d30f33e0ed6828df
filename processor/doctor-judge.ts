import type { Config } from '#service';
import type { RetentionLine } from './layout.ts';

export interface Check {
  name: string;
  state: 'ok' | 'warn' | 'wrong';
  why: string;
  /** Empty where nothing is to be done. */
  todo: string;
}

export type StoreFacts =
  | { failed: string }
  | {
      location: string;
      isConditional: boolean;
      isListed: boolean;
      /** The store's clock before ours: negative behind. */
      clockAheadMs: number;
      /** A directory has none. */
      hasRules: boolean;
      rulesMissing: string[];
    };
export type StreamFacts =
  | { failed: string }
  /** The embedded log is another process's as long as that runs. */
  | { heldBy: string }
  | { bytes: number; messages: number; lagMessages: number; oldestUnflushedMs: number };
export interface LakeFacts {
  /** Projects whose newest root manifest is gone. */
  lost: string[];
  /** What the last sweep could not read, and why. */
  damaged: string[];
  /** Commits that some project has not taken in. */
  pending: number;
  oldestPendingMs: number;
  /** Newest version of any project; -Infinity before the first. */
  compactedMs: number;
  /** Oldest of the projects' retention reports; Infinity when there is none. */
  sweptMs: number;
  overdue: (RetentionLine & { project: string })[];
  erasures: number;
  oldestErasureMs: number;
  quarantined: number;
  newestQuarantinedMs: number;
}
export interface Facts {
  nowMs: number;
  store: StoreFacts;
  stream: StreamFacts;
  /** Undefined without a store. */
  lake: LakeFacts | { failed: string } | undefined;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const CLOCK_WARN_MS = 2_000;
/** Grace and sweeps go by these clocks together. */
const CLOCK_WRONG_MS = 60_000;

/** One line for each thing that was looked at. Pure. */
export function judge(config: Config, facts: Facts): Check[] {
  const { store, stream, lake, nowMs } = facts;
  return [
    ...judgeSettings(config),
    ...judgeStore(store),
    ...judgeStream(config, stream, nowMs),
    ...(lake === undefined
      ? []
      : 'failed' in lake
        ? [check('lake', 'wrong', lake.failed, 'run mutoscope fsck')]
        : judgeLake(config, lake, nowMs)),
  ];
}

const check = (name: string, state: Check['state'], why: string, todo = ''): Check => ({
  ...{ name, state, why },
  todo: state === 'ok' ? '' : todo,
});
/** The worst that holds. */
const grade = (wrong: boolean, warn: boolean): Check['state'] => (wrong ? 'wrong' : warn ? 'warn' : 'ok');

function judgeSettings(config: Config): Check[] {
  const isShared = /^(nats|tls):/.test(config.STREAM);
  const doubts = [
    isShared && !config.STORE.startsWith('s3://')
      ? 'STREAM is shared and STORE is a directory: every process must see the same one'
      : '',
    !isShared && config.ROLE !== 'all'
      ? `ROLE is ${config.ROLE} and STREAM is a directory of one process`
      : '',
    config.GRACE_MS < 10 * config.REFRESH_INTERVAL_MS
      ? `GRACE_MS=${config.GRACE_MS} is short beside REFRESH_INTERVAL_MS=${config.REFRESH_INTERVAL_MS}: readers may miss files`
      : '',
    config.SWEEP_INTERVAL_MS > HOUR_MS
      ? `SWEEP_INTERVAL_MS=${config.SWEEP_INTERVAL_MS} lets erasures wait`
      : '',
    config.FIRST_ORIGINS.includes('*') ? 'FIRST_ORIGINS lets any page record' : '',
  ].filter(Boolean);
  return [
    check(
      'settings',
      grade(false, doubts.length > 0),
      doubts.join('; ') || 'nothing stands out',
      'change them',
    ),
  ];
}

function judgeStore(store: StoreFacts): Check[] {
  if ('failed' in store)
    return [check('store', 'wrong', store.failed, 'look at STORE, its credentials, and whether it runs')];
  const { location, isConditional, isListed, clockAheadMs, hasRules, rulesMissing } = store;
  const off = Math.abs(clockAheadMs);
  return [
    check(
      'store',
      grade(!isListed, false),
      isListed ? `${location} is read and written` : `${location} does not list what was just put`,
      'use a store whose lists are up to date',
    ),
    check(
      'conditional puts',
      grade(!isConditional, false),
      isConditional ? 'of two puts of one key the second is refused' : 'a key was put twice',
      'use a store that knows If-None-Match: commits would be lost on this one',
    ),
    check(
      'clock',
      grade(off > CLOCK_WRONG_MS, off > CLOCK_WARN_MS),
      `the store's is ${off ? `${off} ms ${clockAheadMs > 0 ? 'ahead' : 'behind'}` : 'as ours'}`,
      'set the clocks by NTP: ages of objects are told by them',
    ),
    check(
      'lifecycle rules',
      grade(false, hasRules && rulesMissing.length > 0),
      !hasRules
        ? 'a directory deletes nothing by itself; the sweeps do'
        : rulesMissing.length
          ? `not installed: ${rulesMissing.join(', ')}`
          : 'each class in use has its own',
      'start a processor, and let its credentials set the lifecycle; until then the sweeps alone delete',
    ),
  ];
}

function judgeStream(config: Config, stream: StreamFacts, nowMs: number): Check[] {
  if ('failed' in stream)
    return [check('stream', 'wrong', stream.failed, 'look at STREAM and whether it runs')];
  if ('heldBy' in stream) return [check('stream', 'ok', `${stream.heldBy}; its /metrics tell the lag`)];
  const { bytes, messages, lagMessages, oldestUnflushedMs } = stream;
  const share = bytes / config.STREAM_BYTES_MAX;
  const waitMs = Math.max(0, nowMs - oldestUnflushedMs);
  const some = oldestUnflushedMs !== Infinity;
  return [
    check(
      'stream',
      grade(share > 0.95, share > 0.8),
      `${messages} messages, ${bytes} bytes, ${Math.round(share * 100)} % of STREAM_BYTES_MAX`,
      'see that a processor runs and keeps up; past the limit recorders keep their batches',
    ),
    check(
      'unflushed',
      grade(waitMs > 15 * MINUTE_MS && some, some && waitMs > 3 * config.FLUSH_INTERVAL_MS + MINUTE_MS),
      some
        ? `the oldest message that is not in the lake came ${age(waitMs)} ago, ${lagMessages} from the end`
        : 'all that came is in the lake',
      'see that a processor runs; its log names the shard that is stuck',
    ),
  ];
}

function judgeLake(config: Config, lake: LakeFacts, nowMs: number): Check[] {
  const sinceMs = (ms: number): number => (Number.isFinite(ms) ? nowMs - ms : 0);
  const pendingMs = sinceMs(lake.oldestPendingMs);
  const slackMs = 2 * Math.max(config.GRACE_MS, config.SWEEP_INTERVAL_MS) + HOUR_MS;
  const overdue = lake.overdue.filter(({ dueMs, bytes }) => bytes > 0 && dueMs + slackMs < nowMs);
  const overdueMs = overdue.reduce((most, { dueMs }) => Math.max(most, nowMs - dueMs), 0);
  const erasureMs = sinceMs(lake.oldestErasureMs);
  const sweptMs = sinceMs(lake.sweptMs);
  const quarantinedMs = sinceMs(lake.newestQuarantinedMs);
  return [
    check(
      'manifests',
      grade(lake.lost.length > 0, false),
      lake.lost.length
        ? `the newest is gone of ${lake.lost.join(', ')}`
        : 'none is lost that other traces tell of',
      'stop the processors and run mutoscope fsck --repair',
    ),
    check(
      'damage',
      grade(lake.damaged.length > 0, false),
      lake.damaged.length
        ? `${lake.damaged.length} objects are damaged or gone: ${lake.damaged.slice(0, 3).join('; ')}`
        : 'the last sweep could read what it needed',
      'run mutoscope fsck, and fsck --repair where it says so; the rest of the lake is maintained meanwhile',
    ),
    check(
      'compaction',
      grade(pendingMs > HOUR_MS, pendingMs > 5 * config.COMPACT_INTERVAL_MS + MINUTE_MS),
      `${lake.pending} commits wait${lake.pending ? `, the oldest for ${age(pendingMs)}` : ''}; ` +
        (lake.compactedMs > -Infinity
          ? `last version ${age(sinceMs(lake.compactedMs))} ago`
          : 'no version yet'),
      'see that a processor runs; its log says why it could not maintain the lake',
    ),
    check(
      'sweep',
      grade(sweptMs > DAY_MS, sweptMs > slackMs),
      lake.sweptMs === Infinity
        ? 'no project was swept yet'
        : `every project was swept in the last ${age(sweptMs)}`,
      'see that a processor runs; its log says why it could not maintain the lake',
    ),
    check(
      'retention',
      grade(overdueMs > 2 * DAY_MS, overdue.length > 0),
      overdue.length
        ? `${overdue.reduce((sum, { bytes }) => sum + bytes, 0)} bytes of ${overdue.length} days are past their class, for ${age(overdueMs)}`
        : 'nothing stored is past its class',
      'see that the sweeps run; nobody sees the rows, but they are still stored',
    ),
    check(
      'erasures',
      grade(erasureMs > DAY_MS, erasureMs > 2 * config.SWEEP_INTERVAL_MS + 5 * MINUTE_MS),
      lake.erasures ? `${lake.erasures} wait, the oldest for ${age(erasureMs)}` : 'none waits',
      'see that the sweeps run, and whether the session is held',
    ),
    check(
      'quarantine',
      grade(false, lake.quarantined > 0 && quarantinedMs < DAY_MS),
      lake.quarantined
        ? `${lake.quarantined} batches or files could not be read, the newest ${age(quarantinedMs)} ago`
        : 'empty',
      'the notes under v1/quarantine/ say why',
    ),
  ];
}

function age(ms: number): string {
  if (ms < 2 * MINUTE_MS) return `${Math.round(ms / 1000)} s`;
  if (ms < 2 * HOUR_MS) return `${Math.round(ms / MINUTE_MS)} min`;
  return ms < 2 * DAY_MS ? `${Math.round(ms / HOUR_MS)} h` : `${Math.round(ms / DAY_MS)} days`;
}
