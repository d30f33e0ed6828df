import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { StreamError, type Stream, type StreamMessage } from '#stream';
import { createRandom, withMethods } from './samples.ts';
import { StoreError, type Store, type StoreObject } from './store.ts';
import { openMemoryStore, type MemoryStore } from './test-memory-store.ts';

/**
 * One store and one stream, a clock, and any number of processes that see them through a gate. Each call of a process
 * waits there until all that runs has come to a gate too; then the seed says whose call is made next. So a run is the
 * same each time, however its processes interleave.
 *
 * What changes something is an effect, and effects are counted, a removal by its keys. At the effect that the plan names
 * its process dies before or after it, is told of a failure, or falls asleep. The calls of the dead are never answered.
 */
export interface World {
  store: MemoryStore;
  stream: Stream;
  nowMs: number;
  /** So many effects there were. */
  readonly effects: number;
  /** What the plan's effect was, once it has come. */
  readonly struck: string | undefined;
  begin(name: string): ProcessPlace;
  /** Appends as a collector does, and lets readers hear of it. */
  append(subject: string, bytes: Uint8Array, id: string): Promise<void>;
  /** Lets all processes run until each waits for the clock or the stream, or for so many calls. */
  settle(callsMax?: number): Promise<void>;
  random: () => number;
  /** Right before that effect, in the name of someone else. */
  at(effect: number, act: () => Promise<void>): void;
  /** Beside what is planned. */
  strike(fault: Fault): void;
}

export type FaultKind = 'before' | 'after' | 'refused' | 'unanswered' | 'sleep';
export interface Fault {
  kind: FaultKind;
  /** From 1. */
  effect: number;
}

/** What one process has of the world. */
export interface ProcessPlace {
  readonly name: string;
  readonly store: Store;
  readonly stream: Stream;
  readonly state: 'awake' | 'asleep' | 'dead';
  wake(): void;
  /** Runs work that `settle` waits for. Its error is kept, for a process that is asleep rejects later. */
  job<T>(work: () => Promise<T>): Promise<T>;
  /** Runs what goes on for ever and only then has work when it calls. */
  background(work: () => Promise<void>): void;
}

interface Job {
  place: Place;
  /** Waits for nothing but its calls. */
  counted: boolean;
  waiting: number;
  running: number;
}
interface Place {
  name: string;
  state: 'awake' | 'asleep' | 'dead';
  jobs: Set<Job>;
}
interface Waiting {
  job: Job;
  go: () => void;
}

const never = (): Promise<never> => new Promise(() => {});

export interface WorldOptions {
  seed: number;
  startMs: number;
  openStream: (now: () => number) => Promise<Stream>;
  fault?: Fault | undefined;
  /** Calls are made in an order that the seed says, not in the order in which they came. */
  shuffled: boolean;
  /** For so long at most a list does not tell of a new object. */
  unlistedMsMax?: number;
}

export async function createWorld(options: WorldOptions): Promise<World> {
  const { fault, shuffled, unlistedMsMax = 0 } = options;
  const random = createRandom(options.seed);
  const places = new Set<Place>();
  const gate: Waiting[] = [];
  const current = new AsyncLocalStorage<Job>();
  const listedMs = new Map<string, number>();
  let newsRead = new Set<() => void>();
  const acts = new Map<number, () => Promise<void>>();
  const faults = new Map(fault ? [[fault.effect, fault.kind]] : []);
  let effects = 0;
  let struck: string | undefined;
  const world: World = {
    nowMs: options.startMs,
    store: openMemoryStore(() => world.nowMs),
    stream: await options.openStream(() => world.nowMs),
    get effects() {
      return effects;
    },
    get struck() {
      return struck;
    },
    random,
    at: (effect, act) => void acts.set(effect, act),
    strike: (more) => void faults.set(more.effect, more.kind),
    begin,
    async append(subject, bytes, id) {
      const { duplicate } = await world.stream.append(subject, bytes, id);
      if (duplicate) throw new Error(`${id} was appended before`);
      const readers = newsRead;
      newsRead = new Set();
      for (const wake of readers) wake();
    },
    settle,
  };

  async function settle(callsMax = Infinity): Promise<void> {
    for (let calls = 0; calls < callsMax; calls++) {
      await turn();
      const awake = [...places].filter(({ state }) => state === 'awake');
      const isBusy = (job: Job): boolean => job.running > 0 || (job.counted && !job.waiting);
      if (awake.some(({ jobs }) => [...jobs].some(isBusy))) {
        calls--;
        continue;
      }
      const ready = gate.flatMap(({ job }, i) => (job.place.state === 'awake' ? [i] : []));
      if (!ready.length) return;
      const at = ready[shuffled ? Math.floor(random() * ready.length) : 0]!;
      gate.splice(at, 1)[0]!.go();
    }
  }

  function enter(job: Job): Promise<void> {
    if (job.place.state === 'dead') return never();
    job.waiting++;
    return new Promise((resolve) =>
      gate.push({
        job,
        go: () => {
          job.waiting--;
          job.running++;
          resolve();
        },
      }),
    );
  }

  function die(place: Place): Promise<never> {
    place.state = 'dead';
    places.delete(place);
    for (let i = gate.length - 1; i >= 0; i--) if (gate[i]!.job.place === place) gate.splice(i, 1);
    return never();
  }

  /** The call's turn has come: makes it, unless the plan has something else in mind. */
  async function effect<T>(job: Job, what: string, failure: () => Error, act: () => Promise<T>): Promise<T> {
    const kind = faults.get(++effects);
    await acts.get(effects)?.();
    if (effects === fault?.effect) struck = `${kind} ${what} of ${job.place.name}`;
    if (kind === 'before') return die(job.place);
    if (kind === 'refused') throw failure();
    if (kind === 'sleep') {
      job.place.state = 'asleep';
      job.running--;
      await enter(job);
    }
    const answer = await act();
    if (kind === 'after') return die(job.place);
    if (kind === 'unanswered') throw failure();
    return answer;
  }

  function begin(name: string): ProcessPlace {
    const place: Place = { name, state: 'awake', jobs: new Set() };
    places.add(place);
    const idle: Job = { place, counted: false, waiting: 0, running: 0 };
    place.jobs.add(idle);
    const jobNow = (): Job => current.getStore() ?? idle;
    const call = async <T>(act: (job: Job) => Promise<T>): Promise<T> => {
      const job = jobNow();
      await enter(job);
      try {
        return await act(job);
      } finally {
        job.running--;
      }
    };
    const storeDown = (): Error => new StoreError('store_unavailable', 'made up by a test');
    const streamDown = (): Error => new StreamError('stream_unavailable', 'made up by a test');

    const store = withMethods<Store>(world.store, {
      get: (key, range) => call(() => world.store.get(key, range)),
      put: (key, bytes, how) =>
        call((job) =>
          effect(job, `put ${key}`, storeDown, async () => {
            const isNew = !world.store.objects.has(key);
            await world.store.put(key, bytes, how);
            if (isNew) listedMs.set(key, world.nowMs + random() * unlistedMsMax);
          }),
        ),
      remove: (keys) =>
        call(async (job) => {
          for (const key of shuffled ? shuffle(keys, random) : keys)
            await effect(job, `remove ${key}`, storeDown, () => world.store.remove([key]));
        }),
      list: (prefix) =>
        withCalls(
          jobNow(),
          () => collect(world.store.list(prefix)),
          ({ key }: StoreObject) => {
            return !unlistedMsMax || (listedMs.get(key) ?? 0) <= world.nowMs;
          },
        ),
    });
    const stream = withMethods<Stream>(world.stream, {
      state: () => call(() => world.stream.state()),
      trim: (beforeSeq) =>
        call((job) => effect(job, `trim ${beforeSeq}`, streamDown, () => world.stream.trim(beforeSeq))),
      erase: (filter) =>
        call((job) => effect(job, `erase ${filter}`, streamDown, () => world.stream.erase(filter))),
      read: (fromSeq, filter, { live = false, signal } = {}) => {
        let next = fromSeq;
        const read = async (): Promise<StreamMessage[]> => {
          const messages = await collect(world.stream.read(next, filter));
          next = Math.max(next, (messages.at(-1)?.seq ?? 0) + 1);
          return messages;
        };
        return withCalls(jobNow(), read, undefined, live ? () => news(signal) : undefined);
      },
    });

    /** What a call brings, item by item; with `more`, again and again until that says no. */
    async function* withCalls<T>(
      job: Job,
      bring: () => Promise<T[]>,
      isShown: (item: T) => boolean = () => true,
      more?: () => Promise<boolean>,
    ): AsyncGenerator<T> {
      do {
        await enter(job);
        let items: T[];
        try {
          items = await bring();
        } finally {
          job.running--;
        }
        yield* items.filter(isShown);
      } while (more && (await more()));
    }

    async function job<T>(work: () => Promise<T>): Promise<T> {
      const mine: Job = { place, counted: true, waiting: 0, running: 0 };
      place.jobs.add(mine);
      try {
        return await current.run(mine, work);
      } finally {
        place.jobs.delete(mine);
      }
    }
    return {
      name,
      store,
      stream,
      get state() {
        return place.state;
      },
      wake() {
        if (place.state === 'asleep') place.state = 'awake';
      },
      job,
      background: (work) => void current.run(idle, work),
    };
  }

  /** False when the signal aborted. */
  function news(signal: AbortSignal | undefined): Promise<boolean> {
    if (signal?.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      newsRead.add(() => resolve(true));
      signal?.addEventListener('abort', () => resolve(false), { once: true });
    });
  }
  return world;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export function shuffle<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, order: random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
}
