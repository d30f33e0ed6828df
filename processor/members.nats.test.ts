import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { SHARDS } from '#stream';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { keyOf, openHarness, until, type Harness } from './processor.harness.ts';
import { append, createSender, pageLoad, sessionAt } from './samples.ts';
import { TAIL_MESSAGES, TAIL_MS_MIN } from './trim.ts';

const natsUrl = inject('natsUrl');
/** So long that who takes over before has heard of a leave, not of a death. */
const LONG_TTL_MS = 600_000;
const SHORT_TTL_MS = 3_000;
const PROJECT = 'shop';

describe.skipIf(!natsUrl)('of three processors on JetStream', () => {
  let lake: Harness;
  let streamAt: string;
  let crew: Member[];
  let sent: string[];
  beforeEach(async () => {
    streamAt = `${natsUrl}/MEMBERS_${randomUUID().replaceAll('-', '')}`;
    lake = await openHarness(streamAt);
    crew = [];
    sent = [];
  });
  afterEach(async () => {
    await Promise.all(crew.map((member) => member.end('SIGKILL')));
    await lake.close();
  });
  const join3 = async (ttlMs: number, aheadMs = 0): Promise<[Member, Member, Member]> => {
    const three: [Member, Member, Member] = [1, 2, 3].map(() => start(ttlMs, aheadMs)) as never;
    await shared(...three);
    return three;
  };
  function start(ttlMs: number, aheadMs = 0): Member {
    const member = startMember([streamAt, join(lake.dir, 'lake'), String(ttlMs), String(aheadMs)]);
    crew.push(member);
    return member;
  }

  /** Sessions of all shards, that the lake does not have yet. */
  async function record(): Promise<void> {
    const startMs = Date.now();
    for (let i = 0; i < 40; i++) {
      const n = sent.length;
      const session = sessionAt(startMs, n);
      const sender = createSender({ project: PROJECT, session, rid: `rid-${n}` });
      await append(lake.stream, sender.batch(pageLoad(5, startMs)));
      for (let seq = 1; seq <= 5; seq++) sent.push(`${session} rid-${n} ${seq}`);
    }
  }
  const stored = (): Promise<void> =>
    until(async () => expect((await lake.rows(PROJECT)).map(keyOf).sort()).toEqual(sent.toSorted()));
  /** Until these have each shard once, evenly. */
  const shared = (...members: Member[]): Promise<void> =>
    until(async () => {
      const counts = members.map((member) => member.share().shards.length);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      const shards = members.flatMap((member) => member.share().shards);
      expect(shards.sort((a, b) => a - b)).toEqual([...Array(SHARDS).keys()]);
      expect(members.filter((member) => member.share().sweeps)).toHaveLength(1);
    });
  /** Drains all who are left. Three that each work on everything lose most of what they do. */
  async function fewConflicts(): Promise<void> {
    for (const member of crew) await member.end('SIGTERM');
    const sum = (name: 'flushes' | 'commit_conflicts'): number =>
      crew.reduce((all, member) => all + (member.counts()[name] ?? 0), 0);
    process.stdout.write(
      `figure commit_conflicts ${sum('commit_conflicts')} beside ${sum('flushes')} commits\n`,
    );
    expect(sum('commit_conflicts')).toBeLessThan(sum('flushes') / 4);
  }

  it(
    'one is killed: the others take its shards over, and each event is stored once',
    { timeout: 90_000 },
    async () => {
      const [one, other, third] = await join3(SHORT_TTL_MS);
      await record();
      await stored();
      await record();
      await one.end('SIGKILL');
      const killedMs = performance.now();
      await record();
      await shared(other, third);
      process.stdout.write(
        `figure shards_owned_again_ms ${Math.round(performance.now() - killedMs)} of ${SHORT_TTL_MS} and a renewal\n`,
      );
      await record();
      await stored();
      await fewConflicts();
    },
  );

  it(
    'one leaves: the others go on at once from where it was, and share with who comes',
    { timeout: 90_000 },
    async () => {
      const [one, other, third] = await join3(LONG_TTL_MS);
      await record();
      expect(await one.end('SIGTERM')).toBe(0);
      await shared(other, third);
      await record();
      await stored();
      const late = start(LONG_TTL_MS);
      await shared(other, third, late);
      await record();
      await stored();
      await fewConflicts();
      expect(late.counts().flushes).toBeGreaterThan(0);
    },
  );

  it('the one who sweeps trims the stream by what the others tell', { timeout: 90_000 }, async () => {
    const more = 50;
    while (sent.length < 5 * (TAIL_MESSAGES + more)) await record();
    // So that the tail is older than a minute.
    await join3(SHORT_TTL_MS, 2 * TAIL_MS_MIN);
    await stored();
    const { lastSeq } = await lake.stream.state();
    await trimmed(lastSeq - TAIL_MESSAGES + 1);
    expect((await lake.stream.state()).lastSeq).toBe(lastSeq);
    await record();
    await stored();
  });

  /** They look every ten seconds, and then have to tell each other. */
  async function trimmed(firstSeq: number): Promise<void> {
    const check = async (): Promise<void> => expect((await lake.stream.state()).firstSeq).toBe(firstSeq);
    await until(check).catch(() => until(check));
  }
});

interface Member {
  share(): { shards: number[]; sweeps: boolean };
  counts(): { flushes?: number; commit_conflicts?: number };
  /** Resolves with the exit code. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
}

function startMember(args: string[]): Member {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'member.victim.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'close').then(([code]) => code as number | null);
  let share = { shards: [] as number[], sweeps: false };
  let counts = {};
  let rest = '';
  child.stdout.on('data', (data: Buffer) => {
    const lines = (rest + data.toString()).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      const { msg, ...fields } = JSON.parse(line) as { msg: string } & typeof share;
      if (msg === 'the share of the work changed') share = fields;
      if (msg === 'counts') counts = fields;
    }
  });
  return {
    share: () => share,
    counts: () => counts,
    end(signal) {
      child.kill(signal);
      return exited;
    },
  };
}
