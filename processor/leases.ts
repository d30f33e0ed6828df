import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '#service';
import { StreamError, type Members } from '#stream';
import { shareOf, type Share } from './share.ts';

export interface LeaseParts {
  members: Members;
  now: () => number;
  log: Log;
  /** What the others are told with each announcement. */
  note: () => string;
  /** Called with the first share and with each that differs from the one before. */
  onShare: (share: Share) => void;
  /** Undefined when the work can be done again. */
  onTrouble: (error: Error | undefined) => void;
}

/**
 * Which share of the work is this process's. There is no lock, for of two owners of a shard one commit wins: each member
 * computes its share from who lives, as far as it knows.
 */
export interface Leases {
  /** Announces this member again and again until the signal aborts, then leaves. */
  run(signal: AbortSignal): Promise<void>;
}

export function createLeases(parts: LeaseParts): Leases {
  const { members, now, log } = parts;
  let announcedMs = 0;
  let isHeard = true;
  let isAlone = false;
  let known = '';

  /** What was known last stays in force while nothing is heard, until this one is alone. */
  function look(): void {
    const ids = isAlone ? [members.id] : [...members.list().keys()].sort();
    // Before the first announcement, or after a long sleep: who else lives is not known yet.
    if (!ids.includes(members.id) || ids.join() === known) return;
    known = ids.join();
    parts.onShare(shareOf(members.id, ids));
  }

  async function announce(): Promise<void> {
    try {
      await members.announce(parts.note());
      announcedMs = now();
      isHeard = true;
      isAlone = false;
      parts.onTrouble(undefined);
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      // By then the others take this one for dead, and it takes them so. Alone it can do all of the work.
      isAlone = now() - announcedMs >= members.ttlMs;
      parts.onTrouble(isAlone ? undefined : error);
      if (isHeard)
        log.warn(
          { err: error },
          'other processors cannot be heard of, and soon all shards are worked on; look at the stream and at what the account may do there',
        );
      isHeard = false;
    }
  }

  return {
    async run(signal) {
      announcedMs = now();
      members.onNews(() => void (signal.aborted || look()));
      while (!signal.aborted) {
        await announce();
        if (!signal.aborted) look();
        await delay(members.ttlMs / 3, undefined, { signal }).catch(() => {});
      }
      await members.leave();
    },
  };
}
