import { StreamError } from './stream.ts';

/** What the server said to one message. `retry`: not now, and why. */
export type PublishReply =
  | { kind: 'stored'; seq: number; duplicate: boolean }
  | { kind: 'refused'; error: StreamError }
  | { kind: 'retry'; reason: string };

export interface PublishWindowOptions {
  /** Sends once, with the token that the reply will bear. */
  send: (token: number, subject: string, bytes: Uint8Array, id: string) => void;
  messagesMax: number;
  bytesMax: number;
  /** A reply that takes longer is taken for lost, and the message is sent again under the same id. */
  replyTimeoutMs: number;
  /** After this long in all a message is given up with `stream_unavailable`. */
  giveUpMs: number;
}

interface Entry {
  token: number;
  subject: string;
  bytes: Uint8Array;
  id: string;
  deadlineMs: number;
  sentMs: number;
  reason: string;
  resolve: (answer: { seq: number; duplicate: boolean }) => void;
  reject: (error: StreamError) => void;
}

const TICK_MS = 100;

/**
 * Publishes over one shared inbox: at most so many messages and bytes wait for their reply, the others in line. One
 * timer serves them all, for a timer and a subscription a message cost several times what the message itself does.
 */
export class PublishWindow {
  readonly #options: PublishWindowOptions;
  readonly #line: Entry[] = [];
  readonly #sent = new Map<number, Entry>();
  #sentBytes = 0;
  #nextToken = 1;
  #connected = true;
  #ticker: NodeJS.Timeout | undefined;
  #onIdle: (() => void) | undefined;

  constructor(options: PublishWindowOptions) {
    this.#options = options;
  }

  append(subject: string, bytes: Uint8Array, id: string): Promise<{ seq: number; duplicate: boolean }> {
    return new Promise((resolve, reject) => {
      const token = this.#nextToken++;
      const deadlineMs = performance.now() + this.#options.giveUpMs;
      this.#line.push({
        ...{ token, subject, bytes, id, deadlineMs, sentMs: 0, resolve, reject },
        reason: 'the server did not answer',
      });
      this.#ticker ??= setInterval(() => this.#tick(), TICK_MS);
      this.#sendLine();
    });
  }

  /** While the connection is lost nothing is sent; what was under way is sent again when it is back. */
  setConnected(connected: boolean): void {
    this.#connected = connected;
    if (!connected) for (const entry of [...this.#sent.values()].reverse()) this.#putBack(entry);
    this.#sendLine();
  }

  /** Replies to messages that are settled already come late and mean nothing. */
  reply(token: number, reply: PublishReply): void {
    const entry = this.#sent.get(token) ?? this.#line.find((waiting) => waiting.token === token);
    if (!entry) return;
    if (reply.kind === 'retry') {
      // It stays among the sent until its reply is overdue, which is the pause before it is sent again.
      entry.reason = reply.reason;
      return;
    }
    this.#take(entry);
    if (reply.kind === 'stored') entry.resolve({ seq: reply.seq, duplicate: reply.duplicate });
    else entry.reject(reply.error);
    this.#sendLine();
  }

  /** Resolves when nothing is under way: at the latest after `giveUpMs`. */
  async settled(): Promise<void> {
    if (this.#line.length || this.#sent.size) await new Promise<void>((resolve) => (this.#onIdle = resolve));
  }

  #sendLine(): void {
    const { messagesMax, bytesMax, send } = this.#options;
    while (this.#connected && this.#line.length) {
      const entry = this.#line[0]!;
      const full = this.#sent.size >= messagesMax || this.#sentBytes + entry.bytes.length > bytesMax;
      if (full && this.#sent.size) return;
      this.#line.shift();
      entry.sentMs = performance.now();
      this.#sent.set(entry.token, entry);
      this.#sentBytes += entry.bytes.length;
      send(entry.token, entry.subject, entry.bytes, entry.id);
    }
  }

  #tick(): void {
    const nowMs = performance.now();
    for (const entry of [...this.#sent.values(), ...this.#line]) {
      if (nowMs < entry.deadlineMs) continue;
      this.#take(entry);
      entry.reject(new StreamError('stream_unavailable', `message was not stored in time: ${entry.reason}`));
    }
    for (const entry of [...this.#sent.values()].reverse())
      if (nowMs - entry.sentMs >= this.#options.replyTimeoutMs) this.#putBack(entry);
    this.#sendLine();
    if (this.#line.length || this.#sent.size) return;
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    this.#onIdle?.();
  }

  #putBack(entry: Entry): void {
    this.#take(entry);
    this.#line.unshift(entry);
  }

  #take(entry: Entry): void {
    if (this.#sent.delete(entry.token)) this.#sentBytes -= entry.bytes.length;
    else this.#line.splice(this.#line.indexOf(entry), 1);
  }
}
