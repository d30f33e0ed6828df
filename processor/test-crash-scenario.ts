import { shardOf, SHARDS as SHARDS_ALL, type Stream } from '#stream';
import { vi } from 'vitest';
import { encodeJson } from './lake-reader.ts';
import { paths, type Erasure } from './layout.ts';
import { append, pageLoad, sessionAt, type Sent } from './samples.ts';
import {
  assetEvent,
  createModel,
  createModelSender,
  createWatcher,
  isNone,
  markOf,
  type Differences,
  type ModelSender,
} from './test-crash-model.ts';
import { FLUSH_INTERVAL_MS, GRACE_MS, startProcess, type CrashProcess } from './test-crash-process.ts';
import { bytesOf, falseReceipts, leaksIn } from './test-crash-remains.ts';
import { createWorld, type Fault, type World } from './test-crash-world.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const PROJECTS = ['shop', 'bank'];
const SHARDS = [3, 7];
const IDLE = [...Array(SHARDS_ALL).keys()].filter((shard) => !SHARDS.includes(shard));
/** By which whatever can be made visible is, also where lists are late and a process was told of a failure. */
const FLUSHES_MAX = 12;
const SWEEPS_MAX = 5;

export interface ScenarioOptions {
  seed: number;
  owners: 1 | 2;
  /** Each shard is one's of the two, now this one's and then the other's; else both's. */
  shared?: boolean;
  fault?: Fault | undefined;
  unlistedMsMax?: number;
  openStream: (now: () => number) => Promise<Stream>;
}
export interface ScenarioOutcome {
  effects: number;
  struck: string | undefined;
  found: Differences;
  leaks: string[];
  /** Of erased sessions. */
  remains: string[];
  errors: unknown[];
}

/**
 * Five weeks of a lake: sessions of several projects and classes come, are sent again, late, in pieces and damaged;
 * they are flushed, compacted, erased (one of them goes on sending), merged, expired, and what is left is collected. After every
 * step what can be seen is compared with the model.
 */
export async function runScenario(options: ScenarioOptions): Promise<ScenarioOutcome> {
  const { seed, owners, shared = false, unlistedMsMax = 0 } = options;
  const startMs = Date.UTC(2026, 0, 10, 12);
  const world = await createWorld({ ...options, startMs, shuffled: owners > 1 || unlistedMsMax > 0 });
  const model = createModel();
  const watcher = createWatcher(model, world.store, PROJECTS, () => world.nowMs);
  const outcome: ScenarioOutcome = {
    effects: 0,
    struck: undefined,
    found: { lost: [], duplicated: [], wrong: [] },
    leaks: [],
    remains: [],
    errors: [],
  };
  const crew = createCrew(world, owners, shared);
  const add = (what: Differences, where: string): void => {
    for (const kind of ['lost', 'duplicated', 'wrong'] as const)
      outcome.found[kind].push(...what[kind].map((one) => `${one} (${where})`));
  };

  async function step(where: string, act: () => void | Promise<void>): Promise<void> {
    // First whoever reads has read, so that its timers are set; of two owners one may have read less.
    await world.settle(owners > 1 && world.random() < 0.5 ? 4 : Infinity);
    await act();
    await world.settle();
    add(await watcher.look({ whole: false }), where);
    await crew.tend();
    // A receipt knows of what lists told; of the rest what looks again an hour later.
    if (unlistedMsMax) return;
    outcome.remains.push(...(await falseReceipts(world, PROJECTS)).map((one) => `${one} (${where})`));
  }
  function pass(ms: number): void {
    world.nowMs += ms;
    vi.advanceTimersByTime(ms);
  }
  /** Until all that came is visible. */
  async function flushed(where: string): Promise<void> {
    let missing: Differences | undefined;
    for (let round = 0; round < FLUSHES_MAX; round++) {
      await step(where, () => {
        crew.meddle();
        pass(FLUSH_INTERVAL_MS);
      });
      missing = await watcher.look({ whole: true });
      if (isNone(missing)) return;
    }
    add(missing!, `${where}, whole`);
  }
  const swept = (where: string): Promise<void> => step(where, () => crew.act('sweep'));
  const send = async (sent: readonly Sent[]): Promise<void> => {
    for (const { subject, bytes, id } of sent) await world.append(subject, bytes, id);
  };
  async function erase(project: string, session: string): Promise<void> {
    model.erase(session);
    const tombstone: Erasure = { v: 1, project, session, requestedMs: world.nowMs };
    await world.store.put(paths.erasure(project, session), encodeJson(tombstone), { ifAbsent: true });
  }

  /** Until no process is in the midst of anything and what nothing names is gone. */
  async function collected(where: string): Promise<void> {
    await crew.ready();
    for (let i = 0; i < (unlistedMsMax ? 5 : 3); i++) {
      pass(GRACE_MS + 2 * HOUR_MS);
      await flushed(where);
      for (let again = 0; again < SWEEPS_MAX && !(await crew.sweepAlone()); again++) pass(MINUTE_MS);
    }
    await flushed(where);
    outcome.remains.push(...(await bytesOf(world, model.erased)).map((one) => `${one} (${where})`));
  }

  let n = 1;
  /** A session that begins now, in that shard. */
  function sessionIn(shard: number): string {
    for (;;) {
      const session = sessionAt(world.nowMs, n++);
      if (shardOf(session) === shard) return session;
    }
  }
  const recorder = (sender: Partial<ModelSender> & { project: string }, shard: number) =>
    createModelSender(model, { session: sessionIn(shard), rid: `rid-${n}`, days: 30, ...sender });
  type Recorder = ReturnType<typeof recorder>;
  const page = ({ sender }: Recorder, count: number) =>
    pageLoad(count, world.nowMs - 2000, markOf(sender.session));
  async function record(one: Recorder, count = 3 + Math.floor(world.random() * 4)): Promise<void> {
    const { sent, ack } = one.batch(page(one, count), world.nowMs);
    await send(sent);
    ack();
    if (owners > 1) await world.settle(Math.floor(world.random() * 3));
  }
  const again = ({ sent }: Recorder): Promise<void> =>
    send(sent.map((one) => ({ ...one, id: `${one.id} again ${world.nowMs}` })));

  const [shop, year, bank] = [
    recorder({ project: 'shop' }, 3),
    recorder({ project: 'shop', days: 90 }, 3),
    recorder({ project: 'bank' }, 3),
  ];
  const [stubborn, other, quiet] = [
    recorder({ project: 'shop' }, 7),
    recorder({ project: 'bank', days: 90 }, 7),
    recorder({ project: 'shop' }, 3),
  ];
  try {
    await crew.start();
    for (const one of [shop, year, bank, stubborn]) await record(one);
    const assets = [
      assetEvent('shared by both', world.nowMs),
      assetEvent(markOf(quiet.sender.session), world.nowMs),
    ];
    for (const [one, events] of [
      [quiet, assets],
      [shop, assets.slice(0, 1)],
    ] as const) {
      const { sent, ack } = one.batch(structuredClone([...page(one, 4), ...events]), world.nowMs);
      await send(sent);
      ack();
    }
    const pieces = other.batch(page(other, 5), world.nowMs, { frameBytes: 120 });
    await send(pieces.sent.slice(0, -1));
    await step('first flush', () => pass(FLUSH_INTERVAL_MS));
    await send(pieces.sent.slice(-1));
    pieces.ack();
    await again(shop);
    for (const one of [year, quiet]) {
      const { sent, ack } = one.batch([], world.nowMs, { bad: true });
      await send(sent);
      ack();
    }
    await record(stubborn);
    await flushed('second flush');
    await step('compact', () => crew.act('compact'));

    await record(shop);
    await record(quiet);
    await record(bank);
    await flushed('third flush');
    await record(stubborn);
    await erase('shop', quiet.sender.session);
    await erase('shop', stubborn.sender.session);
    await step('erase', () => {
      crew.act('sweep');
      pass(FLUSH_INTERVAL_MS);
    });
    await record(stubborn);
    await flushed('fourth flush');
    await swept('erase again');

    pass(20 * MINUTE_MS);
    for (const one of [shop, year, stubborn]) await record(one);
    await step('flush and sweep', () => {
      crew.act('sweep');
      pass(FLUSH_INTERVAL_MS);
    });
    await step('trim', () => crew.act('trim'));
    await flushed('fifth flush');

    const [hasty, witness] = [recorder({ project: 'shop' }, 3), recorder({ project: 'bank' }, 3)];
    const secret = assetEvent(markOf(hasty.sender.session), world.nowMs);
    for (const how of [{}, { bad: true }]) {
      const { sent, ack } = hasty.batch(how.bad ? [] : [...page(hasty, 4), secret], world.nowMs, how);
      await send(sent);
      ack();
    }
    await record(witness);
    let isErased = false;
    const eraseHasty = async (): Promise<void> => {
      if (!isErased) await erase('shop', hasty.sender.session);
      isErased = true;
    };
    const atEffect = world.effects + 1 + Math.floor(world.random() * 16);
    world.at(atEffect, eraseHasty);
    if (world.random() < 0.6)
      world.strike({ kind: 'before', effect: atEffect + Math.floor(world.random() * 4) });
    await step('erase in the midst', () => {
      crew.meddle();
      pass(FLUSH_INTERVAL_MS);
    });
    await eraseHasty();
    await swept('erase what was in the midst');
    await flushed('flush after it');

    for (const shard of SHARDS) await record(recorder({ project: 'shop' }, shard));
    // Flushes are late, and what waits for them grows older than the tail.
    for (let again = 0; again < 3; again++)
      await step('trim what is flushed', () => {
        world.nowMs += 2 * HOUR_MS;
        crew.act('trim');
      });
    await flushed('flush of what waited');

    pass(3 * HOUR_MS);
    await again(shop);
    await record(other);
    await flushed('sixth flush');
    await swept('collect');
    await step('trim', () => crew.act('trim'));
    pass(2 * HOUR_MS);
    await swept('collect again');

    // Not always, for some who sleep wake up days later.
    if (owners === 1 || world.random() < 0.5) await collected('a day after');
    pass(2 * DAY_MS);
    const [next, last] = [recorder({ project: 'shop' }, 3), recorder({ project: 'bank', days: 90 }, 7)];
    for (const one of [next, last]) await record(one);
    await flushed('flush of the third day');
    await swept('merge');
    await erase('shop', year.sender.session);
    await swept('erase out of a closed day');
    pass(33 * DAY_MS);
    await record(recorder({ project: 'bank' }, 3));
    await flushed('flush of the last day');
    await swept('expire');

    await collected('end');
    outcome.leaks = await leaksIn(world, PROJECTS);
  } finally {
    outcome.errors = crew.errors();
    crew.stop();
    vi.clearAllTimers();
    await world.stream.close();
  }
  return { ...outcome, effects: world.effects, struck: world.struck };
}

/** The processes: who died is replaced, who sleeps wakes up, at moments that the seed says. */
function createCrew(world: World, owners: 1 | 2, shared: boolean) {
  const started: CrashProcess[] = [];
  const notes = new Map<string, string>();
  let slots: { process: CrashProcess; steps: number }[] = [];
  const begin = (): CrashProcess => {
    const process = startProcess(world, `p${started.length}x`, IDLE, notes);
    if (!shared) process.hold(SHARDS);
    started.push(process);
    return process;
  };
  const someSteps = (): number => (owners === 1 ? 0 : Math.floor(world.random() * 6));
  const awake = (): CrashProcess[] =>
    slots.map(({ process }) => process).filter(({ place }) => place.state === 'awake');
  /** Among those who are awake, often anew; who sleeps does not hear of it. */
  function shareOut(): void {
    const able = awake();
    if (!shared || !able.length) return;
    const owner = new Map(SHARDS.map((shard) => [shard, able[Math.floor(world.random() * able.length)]]));
    for (const one of able) one.hold(SHARDS.filter((shard) => owner.get(shard) === one));
  }
  return {
    async start() {
      slots = Array.from({ length: owners }, () => ({ process: begin(), steps: 0 }));
      shareOut();
      await world.settle();
    },
    act(what: 'compact' | 'sweep' | 'trim') {
      const able = awake();
      if (owners === 1 || world.random() < 0.4) for (const one of able) one.begin(what);
      else able[Math.floor(world.random() * able.length)]?.begin(what);
    },
    /** What an interval brings, now and then, in the midst of all else. */
    meddle() {
      const able = awake();
      const what = (['compact', 'sweep', 'trim'] as const)[Math.floor(world.random() * 3)]!;
      if (world.random() < 0.3) able[Math.floor(world.random() * able.length)]?.begin(what);
    },
    async tend() {
      for (const slot of slots) {
        const { state } = slot.process.place;
        if (state === 'awake') slot.steps = someSteps();
        else if (slot.steps > 0) slot.steps--;
        else if (state === 'asleep') slot.process.place.wake();
        else slot.process = begin();
      }
      shareOut();
      await world.settle();
    },
    async ready() {
      for (const slot of slots) slot.steps = 0;
      await this.tend();
    },
    async sweepAlone() {
      await this.ready();
      const [one] = awake();
      one!.begin('sweep');
      await world.settle();
      return one!.done;
    },
    errors: () => started.flatMap(({ errors }) => errors),
    stop() {
      for (const { stop } of started) stop();
    },
  };
}
