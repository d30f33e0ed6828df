import {
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type ConsumerMessages,
  type JetStreamManager,
  type StreamConfig,
} from '@nats-io/jetstream';
import { connect, createInbox, headers, nanos, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { parseNatsLocation, subjectPrefix, type NatsPlace } from './nats-location.ts';
import { PublishWindow, type PublishReply } from './publish-window.ts';
import {
  DUPLICATE_WINDOW_MS,
  firstSeqAt,
  MESSAGE_BYTES_MAX,
  StreamError,
  type Stream,
  type StreamMessage,
  type StreamOptions,
  type StreamState,
} from './stream.ts';
import { checkSubject, compileFilter } from './subject-filter.ts';

/**
 * The stream on NATS JetStream: one stream named REC on subjects `rec.>`, or another name, whose subjects then begin
 * with it so that several streams can share a server. Discards what is new when full, for the other policy silently
 * removes what was acked.
 */
/** Message id, subject and reply address travel beside the payload and count towards the server's bound. */
const HEADERS_BYTES_MAX = 4096;
/** Beyond 128 messages under way the rate no longer grows; the bytes keep one collector from flooding the server. */
const WINDOW_MESSAGES_MAX = 256;
const WINDOW_BYTES_MAX = 8 * 1024 * 1024;
const REPLY_TIMEOUT_MS = 2_000;
const GIVE_UP_MS = 10_000;
const RECONNECT_WAIT_MS = 250;
const REVIVE_PAUSE_MS = 5_000;
/** What a reader has fetched ahead. */
const READ_BYTES_MAX = 4 * 1024 * 1024;
/** A live reader that misses two of these looks whether its stream was replaced. */
const HEARTBEAT_MS = 5_000;
/** A reader of what is there asks this often whether the message it waits for was removed. */
const READ_IDLE_MS = 1_000;
const ERASE_PARALLEL = 32;

/** Codes of the server's errors. */
const FULL_CODES = [10077, 10047, 10023, 10028, 10002];
const TOO_LARGE_CODE = 10054;
const NAME_IN_USE_CODE = 10058;
const NOT_FOUND_CODE = 10059;
const GONE_CODES = [10037, 10043, 10057];

/** @throws StreamError `stream_unavailable` */
export async function openNatsStream(location: string, options: StreamOptions): Promise<Stream> {
  const place = parseNatsLocation(location);
  const connection = await dial(place);
  try {
    const manager = await jetstreamManager(connection);
    await ensureStream(manager, place, options);
    return new NatsStream(connection, manager, place, options);
  } catch (error) {
    await connection.close();
    throw unavailable(`stream ${place.name} could not be made ready at ${place.hosts.join(',')}`, error);
  }
}

/** Deletes the whole stream from the server: for what made one of its own, as tests do. */
export async function removeNatsStream(location: string): Promise<void> {
  const place = parseNatsLocation(location);
  const connection = await dial(place);
  try {
    await (await jetstreamManager(connection)).streams.delete(place.name);
  } finally {
    await connection.close();
  }
}

/** Goes on trying for ever once it was connected. @throws StreamError `stream_unavailable` */
export async function dial({ hosts, tls, user, pass, token }: NatsPlace): Promise<NatsConnection> {
  try {
    return await connect({
      servers: hosts,
      ...(tls && { tls: {} }),
      ...{ user, pass, token },
      name: 'mutoscope',
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_WAIT_MS,
      noAsyncTraces: true,
    });
  } catch (error) {
    throw unavailable(`no NATS server answers at ${hosts.join(',')}`, error);
  }
}

/** @returns whether it was not there */
async function ensureStream(
  manager: JetStreamManager,
  place: NatsPlace,
  options: StreamOptions,
): Promise<boolean> {
  const config: Partial<StreamConfig> & { name: string } = {
    name: place.name,
    subjects: [`${subjectPrefix(place.name)}rec.>`],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.New,
    max_bytes: options.bytesMax,
    max_msg_size: MESSAGE_BYTES_MAX + HEADERS_BYTES_MAX,
    duplicate_window: nanos(DUPLICATE_WINDOW_MS),
    num_replicas: place.replicas,
  };
  // An `add` of what exists counts its bytes twice against the server's bound, so it is asked for first.
  const exists = await manager.streams.info(place.name).then(
    () => true,
    (error: unknown) => {
      if (!isCode(error, NOT_FOUND_CODE)) throw error;
      return false;
    },
  );
  try {
    if (exists) await manager.streams.update(place.name, config);
    else await manager.streams.add({ ...config, first_seq: options.firstSeq ?? firstSeqAt(Date.now()) });
    return !exists;
  } catch (error) {
    // Another role made it meanwhile.
    if (exists || !isCode(error, NAME_IN_USE_CODE)) throw error;
    await manager.streams.update(place.name, config);
    return false;
  }
}

const isCode = (error: unknown, ...codes: number[]): boolean =>
  error instanceof JetStreamApiError && codes.includes(error.code);
const unavailable = (message: string, cause: unknown): StreamError =>
  cause instanceof StreamError
    ? cause
    : new StreamError('stream_unavailable', `${message}: ${(cause as Error).message}`, { cause });

class NatsStream implements Stream {
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #name: string;
  readonly #prefix: string;
  readonly #window: PublishWindow;
  readonly #warn: NonNullable<StreamOptions['warn']>;
  readonly #ensure: () => Promise<boolean>;
  #reviving: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor(
    connection: NatsConnection,
    manager: JetStreamManager,
    place: NatsPlace,
    options: StreamOptions,
  ) {
    this.#connection = connection;
    this.#manager = manager;
    this.#name = place.name;
    this.#prefix = subjectPrefix(place.name);
    this.#warn = options.warn ?? (() => {});
    const { firstSeq: _first, ...again } = options;
    this.#ensure = () => ensureStream(manager, place, again);
    const inbox = createInbox();
    this.#window = new PublishWindow({
      send: (token, subject, bytes, id) => {
        const head = headers();
        head.set('Nats-Msg-Id', id);
        connection.publish(this.#prefix + subject, bytes, { reply: `${inbox}.${token}`, headers: head });
      },
      messagesMax: WINDOW_MESSAGES_MAX,
      bytesMax: WINDOW_BYTES_MAX,
      replyTimeoutMs: REPLY_TIMEOUT_MS,
      giveUpMs: GIVE_UP_MS,
    });
    connection.subscribe(`${inbox}.*`, {
      callback: (_error, message) => {
        if (!message.data.length) void this.#revive();
        this.#window.reply(
          Number(message.subject.slice(message.subject.lastIndexOf('.') + 1)),
          readReply(message),
        );
      },
    });
    void this.#watch();
  }

  async #watch(): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type === 'disconnect') {
        this.#window.setConnected(false);
        if (!this.#closed)
          this.#warn({ server: status.server }, 'the connection to the stream was lost; trying again');
      } else if (status.type === 'reconnect') this.#window.setConnected(true);
      else if (status.type === 'error') this.#warn({ err: status.error }, 'the stream reported an error');
    }
  }

  /**
   * A stream that is gone, with its server's disk or by someone's hand, is begun anew by who misses it: else nothing would be
   * taken until every process was started again. What it held that was not in the lake is lost.
   */
  #revive(): Promise<void> {
    this.#reviving ??= this.#ensure()
      .then((isNew) => {
        if (isNew)
          this.#warn(
            { stream: this.#name },
            'the stream was gone and is begun anew; look at what became of it',
          );
      })
      .catch((error: unknown) => this.#warn({ err: error }, 'a stream that is gone could not be begun anew'))
      .finally(() => setTimeout(() => (this.#reviving = undefined), REVIVE_PAUSE_MS).unref());
    return this.#reviving;
  }

  async append(subject: string, bytes: Uint8Array, id: string): Promise<{ seq: number; duplicate: boolean }> {
    this.#assertOpen();
    checkSubject(subject);
    if (bytes.length > MESSAGE_BYTES_MAX)
      throw new StreamError(
        'message_too_large',
        `message of ${bytes.length} bytes is over ${MESSAGE_BYTES_MAX}`,
      );
    return this.#window.append(subject, bytes, id);
  }

  async *read(
    fromSeq: number,
    filter: string,
    { live = false, signal }: { live?: boolean; signal?: AbortSignal } = {},
  ): AsyncGenerator<StreamMessage> {
    compileFilter(filter);
    const endSeq = live ? Infinity : ((await this.last(filter))?.seq ?? 0);
    for (let next = Math.max(fromSeq, 1); next <= endSeq && !signal?.aborted && !this.#closed;) {
      try {
        for await (const message of this.#consume(next, filter, { live, signal })) {
          next = message.seq + 1;
          if (message.seq <= endSeq) yield message;
          if (message.seq >= endSeq) return;
        }
        if (!live) return;
      } catch (error) {
        // A live reader outlasts the server's absence; another is told.
        if (this.#closed || signal?.aborted) return;
        if (!live) throw unavailable(`stream ${this.#name} could not be read`, error);
        this.#warn({ err: error, fromSeq: next }, 'reading the stream failed; trying again');
        if (isCode(error, NOT_FOUND_CODE)) await this.#revive();
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_WAIT_MS));
      }
    }
  }

  /** By an ordered consumer, which the client makes anew, from where it was, whenever the server loses it. */
  async *#consume(
    fromSeq: number,
    filter: string,
    { live, signal, headersOnly = false }: { live: boolean; signal?: AbortSignal; headersOnly?: boolean },
  ): AsyncGenerator<StreamMessage> {
    const consumer = await jetstream(this.#connection).consumers.get(this.#name, {
      filter_subjects: this.#prefix + filter,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: fromSeq,
      headers_only: headersOnly,
    });
    const messages: ConsumerMessages = await consumer.consume({
      max_bytes: READ_BYTES_MAX,
      idle_heartbeat: HEARTBEAT_MS,
    });
    const stop = (): void => messages.stop();
    signal?.addEventListener('abort', stop);
    if (signal?.aborted) stop();
    let next = fromSeq;
    const stopWhenGone = async (): Promise<void> => {
      const last = await this.last(filter).catch(() => undefined);
      if (!last || last.seq < next) stop();
    };
    const idle = live ? undefined : setInterval(() => void stopWhenGone(), READ_IDLE_MS);
    try {
      for await (const message of messages) {
        if (signal?.aborted) return;
        next = message.seq + 1;
        idle?.refresh();
        yield this.#toMessage(message.seq, message.subject, message.data, message.time);
      }
    } finally {
      clearInterval(idle);
      signal?.removeEventListener('abort', stop);
      await messages.close();
      await consumer.delete().catch(() => false);
    }
  }

  #toMessage(seq: number, subject: string, bytes: Uint8Array, time: Date): StreamMessage {
    return { seq, subject: subject.slice(this.#prefix.length), bytes, appendedMs: time.getTime() };
  }

  async last(filter: string): Promise<StreamMessage | undefined> {
    compileFilter(filter);
    const found = await this.#ask(() =>
      this.#manager.streams.getMessage(this.#name, { last_by_subj: this.#prefix + filter }),
    );
    return found ? this.#toMessage(found.seq, found.subject, found.data, found.time) : undefined;
  }

  async trim(beforeSeq: number): Promise<void> {
    const { lastSeq } = await this.state();
    // A number beyond the end would make the server skip the numbers between.
    const seq = Math.min(beforeSeq, lastSeq + 1);
    if (seq > 1) await this.#ask(() => this.#manager.streams.purge(this.#name, { seq }));
  }

  /** One by one, for only so does the server overwrite the bytes; a purge may leave them in its files. */
  async erase(filter: string): Promise<number> {
    compileFilter(filter);
    let erased = 0;
    const last = await this.last(filter);
    if (!last) return 0;
    const doomed: number[] = [];
    for await (const { seq } of this.#consume(1, filter, { live: false, headersOnly: true })) {
      doomed.push(seq);
      if (seq >= last.seq) break;
    }
    const work = async (): Promise<void> => {
      for (let seq = doomed.pop(); seq !== undefined; seq = doomed.pop()) {
        const one = seq;
        if (await this.#ask(() => this.#manager.streams.deleteMessage(this.#name, one, true))) erased++;
      }
    };
    await Promise.all(Array.from({ length: ERASE_PARALLEL }, work));
    const rest = await this.#ask(() =>
      this.#manager.streams.purge(this.#name, { filter: this.#prefix + filter }),
    );
    return erased + (rest?.purged ?? 0);
  }

  async state(): Promise<StreamState> {
    const info = await this.#ask(() => this.#manager.streams.info(this.#name));
    if (!info) throw new StreamError('stream_unavailable', `stream ${this.#name} is gone`);
    const { messages, bytes, first_seq, last_seq } = info.state;
    return { firstSeq: messages ? first_seq : last_seq + 1, lastSeq: last_seq, messages, bytes };
  }

  /** The answer, or undefined where the message asked for is not there. @throws StreamError `stream_unavailable` */
  async #ask<T>(request: () => Promise<T>): Promise<T | undefined> {
    this.#assertOpen();
    try {
      return await request();
    } catch (error) {
      if (isCode(error, ...GONE_CODES)) return undefined;
      if (isCode(error, NOT_FOUND_CODE)) await this.#revive();
      throw unavailable(`stream ${this.#name} does not answer`, error);
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new StreamError('stream_unavailable', `stream ${this.#name} is closed`);
  }

  close(): Promise<void> {
    this.#closed ??= this.#window.settled().then(() => this.#connection.close());
    return this.#closed;
  }
}

function readReply(message: Msg): PublishReply {
  if (!message.data.length) return { kind: 'retry', reason: 'no stream takes the subject' };
  const { seq, duplicate, error } = message.json<{
    seq?: number;
    duplicate?: boolean;
    error?: { err_code: number; description: string };
  }>();
  if (!error && seq !== undefined) return { kind: 'stored', seq, duplicate: duplicate ?? false };
  const { err_code: code = 0, description = 'answer without a number' } = error ?? {};
  if (FULL_CODES.includes(code))
    return { kind: 'refused', error: new StreamError('stream_full', description) };
  if (code === TOO_LARGE_CODE)
    return { kind: 'refused', error: new StreamError('message_too_large', description) };
  return { kind: 'retry', reason: description };
}
