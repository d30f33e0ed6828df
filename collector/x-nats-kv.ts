import { randomUUID } from 'node:crypto';
import { Kvm, type KV } from '@nats-io/kv';
import { living, type Announcement } from './living.ts';
import { parseNatsLocation } from './nats-location.ts';
import { StreamError, type Members } from './stream.ts';
import { dial } from './x-nats.ts';

/**
 * Members of a stream on JetStream: each keeps one key of the bucket `<stream>_members`, whose keys live for `ttlMs`, and
 * hears of the others by a watch. The server does not tell of keys that expire; but who lives announces himself again and
 * again, and who falls behind the newest of these by `ttlMs` is gone. A key is `<place>.<random>`.
 */
const BUCKET_BYTES_MAX = 1024 * 1024;
/** For the server's answer, and again for the watch to bring what was put. */
const ANSWER_MS_MAX = 2_000;

export function openNatsMembers(location: string, place: string, ttlMs: number): Members {
  return new NatsMembers(location, place.replace(/[^\w-]/g, '_'), ttlMs);
}

class NatsMembers implements Members {
  readonly id: string;
  readonly ttlMs: number;
  readonly #location: string;
  readonly #place: string;
  readonly #hearers = new Set<() => void>();
  #connection: ReturnType<typeof dial> | undefined;
  #watch: Watch | undefined;
  /** The last watch that was seen at work: of a new one nothing is told before it knows everybody. */
  #trusted: Watch | undefined;
  #left: Promise<void> | undefined;

  constructor(location: string, place: string, ttlMs: number) {
    this.id = `${place}.${randomUUID()}`;
    this.#location = location;
    this.#place = place;
    this.ttlMs = ttlMs;
  }

  async announce(note: string): Promise<void> {
    try {
      this.#watch ??= await this.#open();
      await this.#watch.bringsBack(this.id, note);
      if (!this.#trusted && (await this.#bury(this.#watch))) await this.#watch.bringsBack(this.id, note);
      this.#trusted = this.#watch;
    } catch (error) {
      // What is wrong with it is not known, so the next time begins anew.
      this.#watch?.stop();
      this.#watch = undefined;
      if (error instanceof StreamError) throw error;
      throw new StreamError('stream_unavailable', `no other can be heard of: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  /** Who lives all the same announces himself again. @returns whether there was any */
  async #bury({ keys, heard }: Watch): Promise<boolean> {
    const before = [...heard.keys()].filter((key) => key !== this.id && key.startsWith(`${this.#place}.`));
    for (const key of before) await keys.delete(key);
    return before.length > 0;
  }

  async #open(): Promise<Watch> {
    if (this.#left) throw new Error('this one has left');
    const place = parseNatsLocation(this.#location);
    this.#connection ??= dial(place);
    this.#connection.catch(() => (this.#connection = undefined));
    const keys = await new Kvm(await this.#connection).create(`${place.name}_members`, {
      ttl: this.ttlMs,
      replicas: place.replicas,
      max_bytes: BUCKET_BYTES_MAX,
    });
    const watch = new Watch(keys, await keys.watch(), this.ttlMs);
    watch.hearers.add(() => {
      if (watch === this.#trusted) for (const hear of this.#hearers) hear();
    });
    return watch;
  }

  list(): ReadonlyMap<string, string> {
    return new Map([...(this.#trusted?.heard ?? [])].map(([id, { note }]) => [id, note]));
  }

  onNews(hear: () => void): void {
    this.#hearers.add(hear);
  }

  leave(): Promise<void> {
    this.#left ??= (async () => {
      this.#watch?.stop();
      // Who cannot be told finds out by itself.
      await this.#watch?.keys.delete(this.id).catch(() => {});
      const connection = await this.#connection?.catch(() => undefined);
      await connection?.close();
    })();
    return this.#left;
  }
}

class Watch {
  readonly keys: KV;
  readonly hearers = new Set<() => void>();
  heard: ReadonlyMap<string, Announcement> = new Map();
  readonly #entries: Awaited<ReturnType<KV['watch']>>;
  /** Of the newest entry. */
  #revision = 0;

  constructor(keys: KV, entries: Awaited<ReturnType<KV['watch']>>, ttlMs: number) {
    this.keys = keys;
    this.#entries = entries;
    void this.#follow(ttlMs);
  }

  async #follow(ttlMs: number): Promise<void> {
    for await (const entry of this.#entries) {
      const heard = new Map(this.heard);
      if (entry.operation === 'PUT')
        heard.set(entry.key, { note: entry.string(), announcedMs: entry.created.getTime() });
      else heard.delete(entry.key);
      this.heard = living(heard, ttlMs);
      this.#revision = entry.revision;
      for (const hear of this.hearers) hear();
    }
  }

  /** Puts, and waits until the watch has come so far: so it is known to be at work. */
  async bringsBack(key: string, note: string): Promise<void> {
    const before = this.#revision;
    const revision = await this.keys.put(key, note, { timeout: ANSWER_MS_MAX });
    if (revision <= before) throw new Error('the bucket was made anew');
    if (this.#revision >= revision) return;
    let hear!: () => void;
    let timer!: NodeJS.Timeout;
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error('the watch brings nothing')), ANSWER_MS_MAX);
      this.hearers.add((hear = () => void (this.#revision >= revision && resolve())));
    }).finally(() => {
      clearTimeout(timer);
      this.hearers.delete(hear);
    });
  }

  stop(): void {
    this.#entries.stop();
  }
}
