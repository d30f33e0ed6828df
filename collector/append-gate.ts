import { StreamError, type Stream, type StreamErrorCode } from './stream.ts';

export interface AppendGateOptions {
  inFlightBytesMax: number;
  backOffMinMs: number;
  backOffMaxMs: number;
  /** In [0, 1); spreads the tries of several collectors. */
  random: () => number;
  /** The stream stopped taking messages, or takes them again. */
  onChange: (closed: boolean) => void;
  onFailure: (code: StreamErrorCode) => void;
}

interface Held {
  subject: string;
  bytes: Uint8Array;
  id: string;
  deadlineMs: number;
  resolve: () => void;
  reject: (error: unknown) => void;
}

const isPassing = (error: unknown): error is StreamError =>
  error instanceof StreamError && (error.code === 'stream_full' || error.code === 'stream_unavailable');

/**
 * Appends for all recorders of a process, and holds what a stream that is full or down does not take. While it holds
 * anything it is closed: new messages line up, and one of them, with growing pauses, tries for all.
 */
export class AppendGate {
  readonly #stream: Stream;
  readonly #options: AppendGateOptions;
  readonly #held = new Set<Held>();
  #inFlightBytes = 0;
  #closed = false;
  #gaveUp = false;
  #wake: () => void = () => {};
  /** Since when, and with what, the stream has failed; undefined while it works. */
  failure: { sinceMs: number; error: StreamError } | undefined;

  constructor(stream: Stream, options: AppendGateOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Resolves once the message is durable.
   * @throws StreamError `stream_full` or `stream_unavailable` when it could not be made so within `holdMs`
   */
  async append(subject: string, bytes: Uint8Array, id: string, holdMs: number): Promise<void> {
    if (this.#inFlightBytes + bytes.length > this.#options.inFlightBytesMax)
      throw new StreamError('stream_unavailable', `${this.#inFlightBytes} bytes wait for the stream already`);
    this.#inFlightBytes += bytes.length;
    const deadlineMs = performance.now() + holdMs;
    try {
      if (!this.#closed && (await this.#try(subject, bytes, id))) return;
      await new Promise<void>((resolve, reject) => {
        this.#held.add({ subject, bytes, id, deadlineMs, resolve, reject });
        void this.#waitForStream();
      });
    } finally {
      this.#inFlightBytes -= bytes.length;
    }
  }

  /** True when it is durable, false when it may be later. */
  async #try(subject: string, bytes: Uint8Array, id: string): Promise<boolean> {
    try {
      await this.#stream.append(subject, bytes, id);
      this.failure = undefined;
      return true;
    } catch (error) {
      if (!isPassing(error)) throw error;
      this.failure = { sinceMs: this.failure?.sinceMs ?? performance.now(), error };
      this.#options.onFailure(error.code);
      return false;
    }
  }

  async #waitForStream(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.onChange(true);
    // Those whose time ran out hear of that first, and not that there is credit again; hence the turn in between.
    for (; this.#held.size; await new Promise((resolve) => setImmediate(resolve))) await this.#serveHeld();
    this.#closed = false;
    this.#options.onChange(false);
  }

  async #serveHeld(): Promise<void> {
    const { backOffMinMs, backOffMaxMs, random } = this.#options;
    for (let pauseMs = backOffMinMs; this.#held.size; pauseMs = Math.min(pauseMs * 2, backOffMaxMs)) {
      await this.#sleep(pauseMs * (0.5 + random() / 2));
      this.#expire();
      const [first] = this.#held;
      if (first && (await this.#settle(first))) {
        await Promise.all([...this.#held].map((held) => this.#settle(held)));
        pauseMs = backOffMinMs;
      }
    }
  }

  /** False when the stream still takes nothing. */
  async #settle(held: Held): Promise<boolean> {
    try {
      if (!(await this.#try(held.subject, held.bytes, held.id))) return false;
      held.resolve();
    } catch (error) {
      held.reject(error);
    }
    this.#held.delete(held);
    return true;
  }

  #expire(): void {
    const nowMs = performance.now();
    for (const held of this.#held) {
      if (nowMs < held.deadlineMs && !this.#gaveUp) continue;
      this.#held.delete(held);
      held.reject(this.failure?.error ?? new StreamError('stream_unavailable', 'the collector goes down'));
    }
  }

  /** Holds nothing any more: what the stream does not take at once fails. */
  giveUp(): void {
    this.#gaveUp = true;
    this.#wake();
  }

  #sleep(ms: number): Promise<void> {
    if (this.#gaveUp) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
