import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  MESSAGE_BYTES_MAX,
  RECORD_BYTES_MAX,
  sessionFilter,
  shardFilter,
  shardOf,
  StreamError,
  subjectOf,
  type Stream,
  type StreamMessage,
  type StreamOptions,
} from './stream.ts';

/** Somewhere a stream can be opened, closed and opened again. */
export interface StreamPlace {
  open(options: StreamOptions): Promise<Stream>;
  remove(): Promise<void>;
}

const MB = 1024 * 1024;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (message: StreamMessage): string => new TextDecoder().decode(message.bytes);
const collect = async (messages: AsyncIterable<StreamMessage>): Promise<StreamMessage[]> => {
  const all: StreamMessage[] = [];
  for await (const message of messages) all.push(message);
  return all;
};
const texts = async (messages: AsyncIterable<StreamMessage>): Promise<string[]> =>
  (await collect(messages)).map(text);

/** What every adapter of the stream's port must do. */
export function describeStream(start: () => Promise<StreamPlace>): void {
  let place: StreamPlace;
  let stream: Stream;
  const reopen = async (bytesMax = 64 * MB): Promise<void> => {
    await stream.close();
    stream = await place.open({ bytesMax, firstSeq: 1 });
  };
  const append = async (subject: string, ...values: string[]): Promise<number[]> => {
    const seqs: number[] = [];
    for (const value of values)
      seqs.push((await stream.append(subject, bytes(value), `${subject}/${value}`)).seq);
    return seqs;
  };

  beforeEach(async () => {
    place = await start();
    stream = await place.open({ bytesMax: 64 * MB, firstSeq: 1 });
  });
  afterEach(async () => {
    await stream.close();
    await place.remove();
  });

  describe('append and read', () => {
    test('an empty stream has no messages and begins at 1', async () => {
      expect(await stream.state()).toMatchObject({ firstSeq: 1, lastSeq: 0, messages: 0 });
      expect(await texts(stream.read(1, 'rec.>'))).toEqual([]);
      expect(await stream.last('rec.>')).toBeUndefined();
    });

    test('a stream in the place of one that was lost begins beyond it', async () => {
      const seqs: number[] = [];
      for (let n = 0; n < 3; n++) {
        await stream.close();
        await place.remove();
        stream = await place.open({ bytesMax: 64 * MB });
        const { firstSeq, lastSeq } = await stream.state();
        expect(firstSeq).toBe(lastSeq + 1);
        seqs.push(...(await append('rec.p.00.s.f', 'a', 'b')));
        expect(seqs.at(-2)).toBe(firstSeq);
        expect(await texts(stream.read(seqs[0]!, 'rec.>'))).toEqual(['a', 'b']);
        await stream.trim(seqs[1]!);
        expect((await stream.state()).messages).toBe(n ? 2 : 1);
      }
      expect(seqs.every((seq, i) => i === 0 || seq > seqs[i - 1]!)).toBe(true);
      expect(seqs.every(Number.isSafeInteger)).toBe(true);
    });

    test('messages come back in order with what was appended', async () => {
      const before = Date.now();
      expect(await append('rec.p.00.s.f', 'a', 'b', 'c')).toEqual([1, 2, 3]);
      const messages = await collect(stream.read(1, 'rec.>'));
      expect(messages.map((m) => [m.seq, m.subject, text(m)])).toEqual([
        [1, 'rec.p.00.s.f', 'a'],
        [2, 'rec.p.00.s.f', 'b'],
        [3, 'rec.p.00.s.f', 'c'],
      ]);
      // Another machine's clock may give the time, hence the minute.
      for (const { appendedMs } of messages) expect(Math.abs(appendedMs - before)).toBeLessThan(60_000);
      expect(await stream.state()).toMatchObject({ firstSeq: 1, lastSeq: 3, messages: 3 });
    });

    test('any bytes survive, also none, also as many as a record may have', async () => {
      const large = new Uint8Array(RECORD_BYTES_MAX).map((_, i) => (i * 7919) % 251);
      await stream.append('rec.p.00.s.i', new Uint8Array(0), 'none');
      await stream.append('rec.p.00.s.i', large, 'large');
      const [none, back] = await collect(stream.read(1, 'rec.>'));
      expect(none!.bytes.length).toBe(0);
      expect(Buffer.compare(back!.bytes, large)).toBe(0);
    });

    test('reading can begin anywhere, also past the end', async () => {
      await append('rec.p.00.s.f', 'a', 'b', 'c');
      expect(await texts(stream.read(2, 'rec.>'))).toEqual(['b', 'c']);
      expect(await texts(stream.read(9, 'rec.>'))).toEqual([]);
    });

    test('appends at once all become durable, each once', async () => {
      const answers = await Promise.all(
        Array.from({ length: 300 }, (_, i) => stream.append(`rec.p.00.s${i % 7}.i`, bytes(`${i}`), `id${i}`)),
      );
      expect(new Set(answers.map(({ seq }) => seq)).size).toBe(300);
      const back = await collect(stream.read(1, 'rec.>'));
      expect(new Map(back.map((m) => [m.seq, text(m)]))).toEqual(
        new Map(answers.map(({ seq }, i) => [seq, `${i}`])),
      );
    });

    test('many messages are read whole, past what one read of an adapter fetches', async () => {
      const body = 'x'.repeat(20_000);
      await Promise.all(
        Array.from({ length: 250 }, (_, i) => stream.append('rec.p.00.s.i', bytes(`${i}${body}`), `id${i}`)),
      );
      const seqs = (await collect(stream.read(1, 'rec.>'))).map(({ seq }) => seq);
      expect(seqs).toEqual(Array.from({ length: 250 }, (_, i) => i + 1));
    });

    test('a message over the bound is refused and the stream goes on', async () => {
      const append = stream.append('rec.p.00.s.i', new Uint8Array(MESSAGE_BYTES_MAX + 1), 'x');
      await expect(append).rejects.toMatchObject({ name: 'StreamError', code: 'message_too_large' });
      expect(await stream.append('rec.p.00.s.i', bytes('y'), 'y')).toEqual({ seq: 1, duplicate: false });
    });

    test.each(['', 'rec..a', 'rec.*', 'rec.>', 'rec.a b', '.rec'])(
      'subject %j is refused',
      async (subject) => {
        await expect(stream.append(subject, bytes('x'), 'x')).rejects.toMatchObject({ code: 'bad_subject' });
      },
    );
  });

  describe('filters', () => {
    const session = '0190a6e0-1111-7000-8000-000000000001';
    const other = '0190a6e0-1111-7000-8000-000000000002';

    test('a session, a shard and everything can be picked out', async () => {
      await append(subjectOf('p', session, true), 'a');
      await append(subjectOf('p', other, true), 'b');
      await append(subjectOf('p', session, false), 'c');
      await append(subjectOf('q', session, false), 'd');
      expect(await texts(stream.read(1, sessionFilter('p', session)))).toEqual(['a', 'c']);
      expect(await texts(stream.read(1, shardFilter(shardOf(session))))).toEqual(
        shardOf(session) === shardOf(other) ? ['a', 'b', 'c', 'd'] : ['a', 'c', 'd'],
      );
      expect(await texts(stream.read(1, 'rec.>'))).toEqual(['a', 'b', 'c', 'd']);
      expect(await texts(stream.read(1, subjectOf('p', session, false)))).toEqual(['c']);
    });

    test('a star is one word, an arrow one or more', async () => {
      await append('rec.p.00.s.f', 'a');
      await append('rec.p.01.s.f', 'b');
      await append('rec.p.00.s', 'c');
      expect(await texts(stream.read(1, 'rec.*.00.>'))).toEqual(['a', 'c']);
      expect(await texts(stream.read(1, 'rec.*.*.s.f'))).toEqual(['a', 'b']);
      expect(await texts(stream.read(1, 'rec.p.00.s.>'))).toEqual(['a']);
    });

    test('last is the newest that the filter matches', async () => {
      await append('rec.p.00.s.f', 'a');
      await append('rec.p.00.s.i', 'b');
      await append('rec.p.00.t.i', 'c');
      expect(text((await stream.last('rec.p.00.s.>'))!)).toBe('b');
      expect(await stream.last('rec.p.00.s.f')).toMatchObject({ seq: 1, subject: 'rec.p.00.s.f' });
      expect(await stream.last('rec.p.00.u.>')).toBeUndefined();
    });
  });

  describe('duplicates', () => {
    test('the same id is stored once and answered with the first number', async () => {
      expect(await stream.append('rec.p.00.s.f', bytes('a'), 'rid.1')).toEqual({ seq: 1, duplicate: false });
      expect(await stream.append('rec.p.00.s.f', bytes('a'), 'rid.1')).toEqual({ seq: 1, duplicate: true });
      expect(await stream.append('rec.p.00.s.f', bytes('b'), 'rid.2')).toMatchObject({ duplicate: false });
      expect(await texts(stream.read(1, 'rec.>'))).toEqual(['a', 'b']);
    });

    test('also when both are under way at once', async () => {
      const answers = await Promise.all([
        stream.append('rec.p.00.s.f', bytes('a'), 'rid.1'),
        stream.append('rec.p.00.s.f', bytes('a'), 'rid.1'),
      ]);
      expect(answers.map(({ seq }) => seq)).toEqual([1, 1]);
      expect(answers.filter(({ duplicate }) => duplicate)).toHaveLength(1);
      expect(await texts(stream.read(1, 'rec.>'))).toEqual(['a']);
    });

    test('also after the stream was opened again', async () => {
      await stream.append('rec.p.00.s.f', bytes('a'), 'rid.1');
      await reopen();
      expect(await stream.append('rec.p.00.s.f', bytes('a'), 'rid.1')).toEqual({ seq: 1, duplicate: true });
    });
  });

  describe('live', () => {
    test('what is there comes first, then what is appended, until the signal aborts', async () => {
      const abort = new AbortController();
      await append('rec.p.00.s.f', 'a');
      const seen: string[] = [];
      for await (const message of stream.read(1, 'rec.p.>', { live: true, signal: abort.signal })) {
        seen.push(text(message));
        if (seen.length === 1) await append('rec.q.00.s.f', 'not for this reader');
        if (seen.length === 1) await append('rec.p.00.s.f', 'b', 'c');
        if (seen.length === 3) abort.abort();
      }
      expect(seen).toEqual(['a', 'b', 'c']);
    });

    test('a reader that waits is ended by the signal without an error', async () => {
      const abort = new AbortController();
      const iterator = stream.read(1, 'rec.>', { live: true, signal: abort.signal })[Symbol.asyncIterator]();
      const next = iterator.next();
      await append('rec.p.00.s.f', 'a');
      expect((await next).done).toBe(false);
      const waiting = iterator.next();
      abort.abort();
      expect((await waiting).done).toBe(true);
    });

    test('a signal that was aborted before gives nothing', async () => {
      await append('rec.p.00.s.f', 'a');
      expect(await texts(stream.read(1, 'rec.>', { live: true, signal: AbortSignal.abort() }))).toEqual([]);
    });

    test('readers at their own pace all see everything', async () => {
      const abort = new AbortController();
      const count = 60;
      const read = async (pauseEvery: number): Promise<string[]> => {
        const seen: string[] = [];
        for await (const message of stream.read(1, 'rec.>', { live: true, signal: abort.signal })) {
          seen.push(text(message));
          if (seen.length % pauseEvery === 0) await new Promise((resolve) => setImmediate(resolve));
          if (seen.length === count) break;
        }
        return seen;
      };
      const readers = [1, 5, 100].map(read);
      const values = Array.from({ length: count }, (_, i) => `${i}`);
      await append('rec.p.00.s.i', ...values);
      for (const seen of await Promise.all(readers)) expect(seen).toEqual(values);
      abort.abort();
    });
  });

  describe('trim', () => {
    test('what is below the number is gone, the rest stays', async () => {
      await append('rec.p.00.s.f', 'a', 'b', 'c');
      await stream.trim(3);
      expect(await texts(stream.read(1, 'rec.>'))).toEqual(['c']);
      expect(await stream.state()).toMatchObject({ firstSeq: 3, lastSeq: 3, messages: 1 });
      await stream.trim(2);
      expect(await texts(stream.read(1, 'rec.>'))).toEqual(['c']);
      await reopen();
      expect(await texts(stream.read(1, 'rec.>'))).toEqual(['c']);
    });

    test('numbers are not given again when all is trimmed and the stream is opened again', async () => {
      await append('rec.p.00.s.f', 'a', 'b', 'c');
      await stream.trim(1000);
      expect(await stream.state()).toMatchObject({ firstSeq: 4, lastSeq: 3, messages: 0 });
      expect(await stream.last('rec.>')).toBeUndefined();
      await reopen();
      expect(await stream.state()).toMatchObject({ firstSeq: 4, lastSeq: 3, messages: 0 });
      expect(await append('rec.p.00.s.f', 'd')).toEqual([4]);
      expect(await texts(stream.read(1, 'rec.>'))).toEqual(['d']);
    });
  });

  describe('erase', () => {
    test('what the filter matches is gone, and says how many', async () => {
      await append('rec.p.00.s.f', 'a');
      await append('rec.p.00.t.f', 'b');
      await append('rec.p.00.s.i', 'c');
      await append('rec.p.00.t.i', 'd');
      expect(await stream.erase('rec.p.00.s.>')).toBe(2);
      expect(await stream.erase('rec.p.00.s.>')).toBe(0);
      expect((await collect(stream.read(1, 'rec.>'))).map((m) => [m.seq, text(m)])).toEqual([
        [2, 'b'],
        [4, 'd'],
      ]);
      expect(await stream.last('rec.p.00.s.>')).toBeUndefined();
      expect(await stream.state()).toMatchObject({ firstSeq: 2, lastSeq: 4, messages: 2 });
      expect(await append('rec.p.00.t.i', 'e')).toEqual([5]);
    });

    test('numbers are not given again when the newest is erased and the stream is opened again', async () => {
      await append('rec.p.00.s.f', 'a', 'b');
      expect(await stream.erase('rec.p.>')).toBe(2);
      await reopen();
      expect(await stream.state()).toMatchObject({ firstSeq: 3, lastSeq: 2, messages: 0 });
      expect(await append('rec.p.00.s.f', 'c')).toEqual([3]);
    });

    test('a live reader goes on behind it', async () => {
      const abort = new AbortController();
      await append('rec.p.00.s.f', 'a');
      const seen: string[] = [];
      for await (const message of stream.read(1, 'rec.>', { live: true, signal: abort.signal })) {
        seen.push(text(message));
        if (seen.length === 1) {
          await stream.erase('rec.p.>');
          await append('rec.q.00.s.f', 'b');
        } else abort.abort();
      }
      expect(seen).toEqual(['a', 'b']);
    });
  });

  describe('a full stream', () => {
    test('refuses what is new, keeps what it has, and takes more after a trim', async () => {
      await reopen(MB);
      const body = new Uint8Array(50_000).fill(7);
      const kept: number[] = [];
      let failure: unknown;
      for (let i = 0; i < 100 && !failure; i++)
        await stream.append('rec.p.00.s.i', body, `id${i}`).then(
          ({ seq }) => kept.push(seq),
          (error: unknown) => (failure = error),
        );
      expect(failure).toBeInstanceOf(StreamError);
      expect((failure as StreamError).code).toBe('stream_full');
      expect(kept.length).toBeGreaterThan(15);
      expect((await collect(stream.read(1, 'rec.>'))).map(({ seq }) => seq)).toEqual(kept);
      await stream.trim(kept.at(-1)!);
      expect((await stream.append('rec.p.00.s.i', body, `id${kept.length}`)).duplicate).toBe(false);
      expect((await stream.state()).messages).toBe(2);
    });
  });

  test('a closed stream says so, and closing twice is no error', async () => {
    await stream.close();
    await stream.close();
    await expect(stream.append('rec.p.00.s.f', bytes('a'), 'a')).rejects.toMatchObject({
      code: 'stream_unavailable',
    });
  });

  test('what was appended is there after the stream was opened again', async () => {
    await append('rec.p.00.s.f', 'a', 'b');
    await reopen();
    expect(await texts(stream.read(1, 'rec.>'))).toEqual(['a', 'b']);
    expect(await append('rec.p.00.s.f', 'c')).toEqual([3]);
  });
}
