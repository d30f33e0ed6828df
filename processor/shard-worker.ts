import { setTimeout as delay } from 'node:timers/promises';
import { shardFilter, StreamError, type Stream, type StreamMessage } from '#stream';
import type { Log } from '#service';
import {
  assemble,
  INCOMPLETE_MS_MAX,
  isRejected,
  openMessage,
  tooMuchToHold,
  type PendingFrame,
  type Rejected,
} from './assembler.ts';
import { loadChain, type Chain } from './chain.ts';
import { flush, type Flushed, type FlushParts } from './flush.ts';
import { StoreError, type Store } from './store.ts';

export interface ShardWorkerParts extends Omit<FlushParts, 'seen'> {
  stream: Stream;
  log: Log;
  flushIntervalMs: number;
  flushBytesMax: number;
  /** Runs flushes a few at a time, for each holds a file in memory. */
  limit: <T>(work: () => Promise<T>) => Promise<T>;
  onFlushed: (flushed: Flushed) => void;
  onConflict: () => void;
  /** Undefined when it works again. */
  onTrouble: (error: Error | undefined) => void;
}

export interface ShardWorker {
  readonly shard: number;
  /** All of the shard's messages below this are in the lake, as far as this worker knows. */
  resumeSeq(): number;
  /** When the oldest message in hand came, by our clock. */
  oldestMs(): number | undefined;
  /** Works until drained or stopped. Rejects on errors that waiting does not cure. */
  run(): Promise<void>;
  /** Reads no more and flushes what is in hand. */
  drain(): void;
  stop(): void;
}

const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 10_000;
/** A commit's name is kept for an hour after it was taken in; an owner that slept for long looks at its chain again. */
const CHAIN_MS_MAX = 30 * 60_000;
/** What a message in hand weighs beside its bytes, roughly. */
const MESSAGE_BYTES = 1024;
/** Of frames that wait for others, in a shard: of the longest batch twice as much. */
const WAITING_BYTES_MAX = 16 * 1024 * 1024;
/** How often frames that wait for others are looked at when nothing else comes. */
const WAITING_CHECK_MS = 5_000;

/** Reads one shard of the stream into the lake: read → put files → commit → advance. */
export function createShardWorker(shard: number, parts: ShardWorkerParts): ShardWorker {
  const { log, now } = parts;
  const stopping = new AbortController();
  const draining = new AbortController();
  let chain: Chain | undefined;
  let chainMs = 0;
  let hand = emptyHand();
  /** Messages below this were read before this chain was loaded: what was bad among them is in quarantine. */
  let rereadBelow = 0;

  async function run(): Promise<void> {
    for (let backoffMs = BACKOFF_MS_MIN; !draining.signal.aborted;) {
      try {
        chain = await findChain();
        chainMs = now();
        rereadBelow = chain.fromSeq;
        hand = emptyHand();
        parts.onTrouble(undefined);
        backoffMs = BACKOFF_MS_MIN;
        await follow(chain);
      } catch (error) {
        if (stopping.signal.aborted) return;
        if (!(error instanceof StoreError || error instanceof StreamError)) throw error;
        parts.onTrouble(error);
        log.warn(
          { err: error, shard, backoffMs },
          'a shard cannot be processed; look at the stream and the store',
        );
        await delay(backoffMs, undefined, { signal: draining.signal }).catch(() => {});
        backoffMs = Math.min(backoffMs * 2, BACKOFF_MS_MAX);
      }
    }
  }

  /** Where the chain ends; but the numbers of a stream that was lost and begun anew tell nothing about the new one. */
  async function findChain(): Promise<Chain> {
    const found = await loadChain(parts.store, shard, now());
    const { lastSeq } = await parts.stream.state();
    if (found.resumeSeq <= lastSeq + 1) return found;
    log.warn(
      { shard, lastSeq, resumeSeq: found.resumeSeq },
      'the stream ends before what the lake has of it, so it is read from its start; look at what became of the old one',
    );
    return { ...found, resumeSeq: 1 };
  }

  /** Reads from where the chain ends until drained, or until another owner is met. */
  async function follow(at: Chain): Promise<void> {
    const reading = new AbortController();
    const messages = parts.stream
      .read(at.resumeSeq, shardFilter(shard), {
        live: true,
        signal: AbortSignal.any([reading.signal, stopping.signal, draining.signal]),
      })
      [Symbol.asyncIterator]();
    try {
      let next = messages.next();
      next.catch(() => {});
      for (;;) {
        const came = await Promise.race([due(), next]);
        if (came === 'due') {
          if (!(await flushHand(at))) return;
          continue;
        }
        if (came.done) break;
        take(at, came.value);
        if (hand.bytes >= parts.flushBytesMax && !(await flushHand(at))) return;
        next = messages.next();
        next.catch(() => {});
      }
      if (!stopping.signal.aborted) await flushHand(at);
    } finally {
      reading.abort();
      clearTimeout(hand.timer);
      await messages.return?.(undefined)?.catch(() => {});
    }
  }

  /** Resolves when what is in hand is to be flushed. */
  function due(): Promise<'due'> {
    return (hand.due ??= new Promise((resolve) => {
      if (hand.startMs === undefined) return;
      const afterMs = hand.news ? parts.flushIntervalMs : WAITING_CHECK_MS;
      hand.timer = setTimeout(() => resolve('due'), afterMs);
    }));
  }

  function take(at: Chain, message: StreamMessage): void {
    if (!hand.news) {
      clearTimeout(hand.timer);
      hand.due = undefined;
      hand.news = true;
    }
    hand.startMs ??= now();
    hand.lastSeq = message.seq;
    hand.bytes += MESSAGE_BYTES + message.bytes.length;
    const opened = openMessage(message, now());
    if (isRejected(opened)) {
      if (message.seq >= rereadBelow) hand.rejected.push(opened);
      return;
    }
    const { session, envelope, frame } = opened;
    const key = `${session}/${envelope.rid}/${frame.frame}`;
    hand.newestMs = Math.max(hand.newestMs, envelope.receivedMs);
    if (at.seen.hasFrame(session, envelope.rid, frame.frame) || hand.frames.has(key)) return;
    hand.frames.set(key, opened);
  }

  /** False when another owner committed first: the chain is to be loaded again. */
  async function flushHand(at: Chain): Promise<boolean> {
    if (now() - chainMs > CHAIN_MS_MAX && !(await stillOurs(at))) return false;
    const idle = !hand.news && (await nothingBehind());
    const nowMs = now();
    const isStale = ({ envelope, bufferedMs }: PendingFrame): boolean =>
      hand.newestMs - envelope.receivedMs > INCOMPLETE_MS_MAX ||
      (idle && nowMs - bufferedMs > INCOMPLETE_MS_MAX);
    const frames = [...hand.frames.values()];
    let assembled = assemble(frames, at.seen.hasFrame, isStale);
    const given = tooMuchToHold(assembled.waiting, WAITING_BYTES_MAX);
    if (given.size)
      assembled = assemble(frames, at.seen.hasFrame, (frame) => given.has(frame) || isStale(frame));
    const { batches, rejected, waiting } = assembled;
    const work = batches.length + rejected.length + hand.rejected.length;
    if (!work && (waiting.length || hand.lastSeq < at.fromSeq)) {
      keepWaiting(waiting);
      return true;
    }
    // When frames are given up without a new message, the commit takes a number that is not read yet: hence resumeSeq.
    const lastSeq = Math.max(hand.lastSeq, at.fromSeq);
    const input = {
      shard,
      fromSeq: at.fromSeq,
      prevSeq: at.prevSeq,
      lastSeq,
      resumeSeq: waiting.reduce((least, { seq }) => Math.min(least, seq), hand.lastSeq + 1),
      batches,
      rejected: [...hand.rejected, ...rejected],
    };
    const flushed = await parts.limit(() => flush(input, { ...parts, seen: at.seen }));
    if (!flushed) {
      parts.onConflict();
      log.info({ shard, fromSeq: at.fromSeq }, 'another processor committed first');
      return false;
    }
    at.seen.add(flushed.commit.sessions);
    at.seen.prune(nowMs);
    at.prevSeq = at.fromSeq;
    at.fromSeq = lastSeq + 1;
    at.resumeSeq = input.resumeSeq;
    chainMs = now();
    hand.rejected = [];
    keepWaiting(waiting);
    parts.onFlushed(flushed);
    return true;
  }

  /** Whether the stream holds none of the shard's messages beyond those read. */
  async function nothingBehind(): Promise<boolean> {
    for await (const _ of parts.stream.read(hand.lastSeq + 1, shardFilter(shard))) return false;
    return true;
  }

  function keepWaiting(waiting: PendingFrame[]): void {
    const { lastSeq, newestMs, rejected } = hand;
    clearTimeout(hand.timer);
    hand = { ...emptyHand(), lastSeq, newestMs, rejected };
    for (const one of waiting) {
      hand.frames.set(`${one.session}/${one.envelope.rid}/${one.frame.frame}`, one);
      hand.startMs = Math.min(hand.startMs ?? Infinity, one.bufferedMs);
    }
  }

  async function stillOurs(at: Chain): Promise<boolean> {
    const found = await loadChain(parts.store, shard, now());
    chainMs = now();
    return found.fromSeq === at.fromSeq;
  }

  return {
    shard,
    resumeSeq: () => chain?.resumeSeq ?? 1,
    oldestMs: () => hand.startMs,
    run,
    drain: () => draining.abort(),
    stop: () => {
      stopping.abort();
      draining.abort();
    },
  };
}

interface Hand {
  frames: Map<string, PendingFrame>;
  rejected: Rejected[];
  /** Come since the last look: frames that waited before would else have every message looked at at once. */
  bytes: number;
  lastSeq: number;
  /** Newest `receivedMs`. */
  newestMs: number;
  startMs: number | undefined;
  /** Something came since the last look. */
  news: boolean;
  due: Promise<'due'> | undefined;
  timer: NodeJS.Timeout | undefined;
}
const emptyHand = (): Hand => ({
  frames: new Map(),
  rejected: [],
  bytes: 0,
  lastSeq: 0,
  newestMs: -Infinity,
  startMs: undefined,
  news: false,
  due: undefined,
  timer: undefined,
});
