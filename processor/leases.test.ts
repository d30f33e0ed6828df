import { createLog } from '#service';
import { createLoneMember, SHARDS, StreamError, type Members } from '#stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLeases } from './leases.ts';
import { shareOf, type Share } from './share.ts';

// Fake timers do not reach it.
vi.mock('node:timers/promises', () => ({
  setTimeout: (ms: number, value: unknown, { signal }: { signal: AbortSignal }) =>
    new Promise((resolve, reject) => {
      setTimeout(() => resolve(value), ms);
      signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
      if (signal.aborted) reject(new Error('aborted'));
    }),
}));

const TTL_MS = 15_000;
const ALL: Share = { shards: [...Array(SHARDS).keys()], sweeps: true };

let nowMs: number;
let shares: Share[];
let troubles: (string | undefined)[];
let ended: AbortController;
let ran: Promise<void>;
beforeEach(() => {
  nowMs = 0;
  shares = [];
  troubles = [];
  ended = new AbortController();
});
afterEach(async () => {
  ended.abort();
  await ran;
});

function run(members: Members): void {
  ran = createLeases({
    members,
    now: () => nowMs,
    log: createLog('silent'),
    note: () => 'note',
    onShare: (share) => shares.push(share),
    onTrouble: (error) => troubles.push(error?.message),
  }).run(ended.signal);
}

/** What a server would tell: `others` are who lives beside this one, or nobody is heard of while it is down. */
function createWord(...others: string[]) {
  let hear = (): void => {};
  const said: string[] = [];
  let notes = new Map<string, string>();
  const word = {
    id: 'this one',
    ttlMs: TTL_MS,
    down: false,
    said,
    tell(now: string[]) {
      word.tellAll(['this one', ...now]);
    },
    tellAll(ids: string[]) {
      notes = new Map(ids.map((id) => [id, '']));
      hear();
    },
    announce: async (note: string) => {
      if (word.down) throw new StreamError('stream_unavailable', 'nobody answers');
      said.push(note);
      if (!notes.size) word.tell(others);
    },
    list: () => notes,
    onNews: (one: () => void) => void (hear = one),
    leave: async () => void said.push('left'),
  };
  return word satisfies Members;
}
const shareAmong = (...others: string[]): Share => shareOf('this one', ['this one', ...others]);
/** As often as a member announces itself, the clock moving with it. */
const renewals = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) {
    nowMs += TTL_MS / 3;
    await vi.advanceTimersByTimeAsync(TTL_MS / 3);
  }
};

describe('a processor', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('of the embedded stream works on everything, at once and whatever is down', async () => {
    run(createLoneMember(TTL_MS));
    await renewals(10);
    expect(shares).toEqual([ALL]);
  });

  it('works on its share, and on another as soon as it hears of one who comes or goes', async () => {
    const word = createWord('b');
    run(word);
    await renewals(1);
    word.tell(['b', 'c']);
    word.tell(['c', 'b']);
    word.tell(['c']);
    expect(shares).toEqual([shareAmong('b'), shareAmong('b', 'c'), shareAmong('c')]);
    expect(troubles.filter(Boolean)).toEqual([]);
  });

  it('keeps its share while nobody can be heard of, and takes the rest when the others must think it dead', async () => {
    const word = createWord('b', 'c');
    run(word);
    await renewals(1);
    word.down = true;
    await renewals(2);
    expect(shares).toEqual([shareAmong('b', 'c')]);
    expect(troubles.at(-1)).toBe('nobody answers');
    await renewals(2);
    expect(shares).toEqual([shareAmong('b', 'c'), ALL]);
    expect(troubles.at(-1)).toBeUndefined();
    word.down = false;
    await renewals(1);
    expect(shares).toEqual([shareAmong('b', 'c'), ALL, shareAmong('b', 'c')]);
  });

  it('that slept so long that the others think it dead goes on with its share until it is heard again', async () => {
    const word = createWord('b');
    run(word);
    await renewals(1);
    word.tellAll(['b', 'c']);
    expect(shares).toEqual([shareAmong('b')]);
    word.tell(['b', 'c']);
    expect(shares).toEqual([shareAmong('b'), shareAmong('b', 'c')]);
  });

  it('that never heard of anybody works on everything after a while', async () => {
    const word = createWord('b');
    word.down = true;
    run(word);
    await renewals(2);
    expect(shares).toEqual([]);
    await renewals(2);
    expect(shares).toEqual([ALL]);
  });

  it('leaves at its end, and is heard of no more', async () => {
    const word = createWord();
    run(word);
    await renewals(2);
    ended.abort();
    await ran;
    word.tell(['b']);
    await renewals(2);
    expect(word.said).toEqual(['note', 'note', 'note', 'left']);
    expect(shares).toEqual([ALL]);
  });
});
