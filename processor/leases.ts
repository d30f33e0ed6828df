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
  /** Undefined when it works again. */
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
  let heardMs = now();
  let wasAlone = false;
  let known = '';

  /** What was known last stays in force while nothing is heard; after a ttl the others take this one for dead, and so does it them. */
  function look(): void {
    const isAlone = now() - heardMs >= members.ttlMs;
    if (isAlone && !wasAlone)
      log.warn('no other processor can be heard of, so all shards are worked on; look at the stream');
    wasAlone = isAlone;
    const ids = isAlone ? [members.id] : [...members.list().keys()].sort();
    // Before the first announcement, or after a long sleep: who else lives is not known yet.
    if (!ids.includes(members.id) || ids.join() === known) return;
    known = ids.join();
    parts.onShare(shareOf(members.id, ids));
  }

  async function announce(): Promise<void> {
    try {
      await members.announce(parts.note());
      heardMs = now();
      parts.onTrouble(undefined);
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      parts.onTrouble(error);
      log.warn({ err: error }, 'other processors cannot be heard of; look at the stream');
    }
  }

  return {
    async run(signal) {
      heardMs = now();
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
