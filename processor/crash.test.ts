import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStream, type Stream } from '#stream';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createRandom } from './samples.ts';
import { runScenario, type ScenarioOutcome } from './test-crash-scenario.ts';
import { shuffle, type Fault, type FaultKind } from './test-crash-world.ts';

// Waits are of the simulated clock too.
vi.mock('node:timers/promises', async (original) => ({
  ...(await original<typeof import('node:timers/promises')>()),
  setTimeout: (ms: number, value: unknown, { signal }: { signal?: AbortSignal } = {}) =>
    new Promise((resolve, reject) => {
      setTimeout(() => resolve(value), ms);
      signal?.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
    }),
}));

/** The short run is the same each time, so that what it says is of the change at hand; `make crash` looks for more. */
const seed = Number(process.env.SEED ?? (process.env.POINTS ? Math.floor(Math.random() * 1e9) : 1));
/** How many faults are tried in each setting, each in a scenario of its own; 0: every one that there is in one scenario. */
const points = Number(process.env.POINTS || 8);
/** In each setting no further one is begun after so long. */
const secondsMax = Number(process.env.SECONDS_MAX) || (process.env.POINTS ? Infinity : 7);
/** `before 41`: that one alone. */
const [kind, effect] = (process.env.FAULT ?? '').split(' ');
const given = effect ? ({ kind, effect: Number(effect) } as Fault) : undefined;

const FAILURES: FaultKind[] = ['before', 'after', 'refused', 'unanswered'];
const SETTINGS = [
  { name: 'one owner', owners: 1, kinds: FAILURES },
  { name: 'two owners of each shard', owners: 2, kinds: [...FAILURES, 'sleep'] },
  { name: 'two owners who share the shards', owners: 2, shared: true, kinds: [...FAILURES, 'sleep'] },
  { name: 'two owners, and lists that are late', owners: 2, kinds: FAILURES, unlistedMsMax: 30_000 },
] as const;

describe('wherever a process dies, fails or falls asleep', () => {
  const sum = { points: 0, lost: 0, duplicated: 0, back: 0, leaked: 0, unerased: 0 };
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());
  afterAll(() => {
    for (const [what, count] of Object.entries(sum)) process.stdout.write(`figure crash_${what} ${count}\n`);
  });

  it.each(SETTINGS)(
    'nothing is lost, twice or back, with $name',
    { timeout: 0 },
    async ({ name, ...setting }) => {
      const run = (at: number, fault?: Fault): Promise<ScenarioOutcome> =>
        withLog((openLog) => runScenario({ ...setting, seed: at, fault, openStream: openLog }));
      const whole = await run(seed);
      expect(faultsOf(whole), `SEED=${seed}, without a fault`).toEqual([]);
      const every = Array.from({ length: whole.effects }, (_, i) =>
        setting.kinds.map((one): Fault => ({ kind: one, effect: i + 1 })),
      ).flat();
      const sample = shuffle(every, createRandom(seed)).slice(0, points);
      const all = points
        ? sample.map((fault, i) => ({ fault, at: seed + i }))
        : every.map((fault) => ({ fault, at: seed }));
      const wrong: string[] = [];
      const began = performance.now();
      let struck = 0;
      for (const { fault, at } of given ? [{ fault: given, at: seed }] : all) {
        if (performance.now() - began > secondsMax * 1000) break;
        const outcome = await run(at, fault);
        if (outcome.struck) struck++;
        sum.lost += outcome.found.lost.length;
        sum.duplicated += outcome.found.duplicated.length;
        sum.back += outcome.found.wrong.length;
        sum.leaked += outcome.leaks.length;
        sum.unerased += outcome.remains.length;
        const said = faultsOf(outcome);
        const title = `SEED=${at} FAULT='${fault.kind} ${fault.effect}': ${outcome.struck}`;
        if (said.length) wrong.push([title, ...said.slice(0, 8)].join('\n  '));
      }
      sum.points += struck;
      process.stdout.write(`crash, ${name}: SEED=${seed}, ${struck} of ${every.length} faults\n`);
      expect(wrong, `SEED=${seed}`).toEqual([]);
    },
  );
});

const faultsOf = ({ found, leaks, remains, errors }: ScenarioOutcome): string[] => [
  ...Object.entries(found).flatMap(([what, keys]: [string, string[]]) =>
    keys.map((key) => `${what}: ${key}`),
  ),
  ...leaks.map((key) => `left: ${key}`),
  ...remains.map((what) => `not erased: ${what}`),
  ...errors.map((error) => `error: ${(error as Error).stack ?? String(error)}`),
];

async function withLog<T>(act: (open: (now: () => number) => Promise<Stream>) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'crash-'));
  try {
    return await act((now) => openStream(dir, { ...{ now }, bytesMax: 64 * 1024 * 1024, firstSeq: 1 }));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
