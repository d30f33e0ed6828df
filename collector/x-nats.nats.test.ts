import { randomUUID } from 'node:crypto';
import { describe, expect, inject, test, vi } from 'vitest';
import { describeStream } from './stream.contract.ts';
import { openStream } from './stream.ts';
import { openLine } from './test-line.ts';
import { openNatsStream, removeNatsStream } from './x-nats.ts';

const natsUrl = inject('natsUrl');
const location = (): string => `${natsUrl}/REC_${randomUUID().slice(0, 8)}`;

describe.skipIf(!natsUrl)('JetStream is a stream', () => {
  describeStream(async () => {
    const at = location();
    return { open: (options) => openNatsStream(at, options), remove: () => removeNatsStream(at) };
  });

  test('outlasts a lost connection: what is appended meanwhile is stored once, a live reader goes on', async () => {
    const at = location();
    const line = await openLine(natsUrl!);
    const warnings: string[] = [];
    const stream = await openStream(at.replace(/\/\/[^/]+/, `//${line.address}`), {
      bytesMax: 1024 * 1024,
      warn: (_fields, message) => warnings.push(message),
    });
    const abort = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { bytes } of stream.read(1, 'rec.>', { live: true, signal: abort.signal })) {
        seen.push(Buffer.from(bytes).toString());
        if (seen.length === 4) abort.abort();
      }
    })();
    await stream.append('rec.p.00.s.f', Buffer.from('before'), 'before');
    line.cut();
    const appends = ['one', 'two'].map((text) => stream.append('rec.p.00.s.i', Buffer.from(text), text));
    await vi.waitFor(() => expect(warnings).toContain('the connection to the stream was lost; trying again'));
    await line.mend();
    await Promise.all(appends);
    await stream.append('rec.p.00.s.i', Buffer.from('after'), 'after');
    expect((await stream.state()).messages).toBe(4);
    await reading;
    expect(seen.toSorted()).toEqual(['after', 'before', 'one', 'two']);
    await stream.close();
    line.cut();
    await removeNatsStream(at);
  });

  test('begins a stream anew that is gone, for who appends and for who reads, and only says so', async () => {
    const at = location();
    const warnings: string[] = [];
    const warn = (_fields: unknown, message: string): void => void warnings.push(message);
    const [one, two] = await Promise.all([0, 1].map(() => openStream(at, { bytesMax: 1024 * 1024, warn })));
    const abort = new AbortController();
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { seq } of two!.read(1, 'rec.>', { live: true, signal: abort.signal }))
        if (seen.push(seq) === 4) abort.abort();
    })();
    for (let round = 0; round < 2; round++) {
      const stored = await one!.append('rec.p.00.s.f', Buffer.from('a'), `a${round}`);
      await vi.waitFor(() => expect(seen).toContain(stored.seq), 20_000);
      await one!.append('rec.p.00.s.i', Buffer.from('b'), `b${round}`);
      await vi.waitFor(() => expect(seen).toHaveLength(2 * round + 2), 20_000);
      if (!round) await removeNatsStream(at);
    }
    await reading;
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect((await one!.state()).messages).toBe(2);
    expect(warnings).toContain('the stream was gone and is begun anew; look at what became of it');
    await Promise.all([one!.close(), two!.close()]);
    await removeNatsStream(at);
  });

  test('takes over a stream that has other limits', async () => {
    const at = location();
    const small = await openStream(at, { bytesMax: 100_000, firstSeq: 1 });
    const body = new Uint8Array(80_000);
    await small.append('rec.p.00.s.f', body, 'a');
    await expect(small.append('rec.p.00.s.f', body, 'b')).rejects.toMatchObject({ code: 'stream_full' });
    const large = await openStream(at, { bytesMax: 1_000_000 });
    expect((await small.append('rec.p.00.s.f', body, 'b')).seq).toBe(2);
    await Promise.all([small.close(), large.close()]);
    await removeNatsStream(at);
  });

  test('two streams on one server do not see each other', async () => {
    const places = [location(), location()];
    const [one, two] = await Promise.all(places.map((at) => openStream(at, { bytesMax: 1024 * 1024 })));
    await one!.append('rec.p.00.s.f', Buffer.from('a'), 'id');
    expect((await two!.state()).messages).toBe(0);
    expect((await two!.append('rec.p.00.s.f', Buffer.from('b'), 'id')).duplicate).toBe(false);
    expect(Buffer.from((await one!.last('rec.>'))!.bytes).toString()).toBe('a');
    await Promise.all([one!.close(), two!.close()]);
    await Promise.all(places.map(removeNatsStream));
  });
});

test('where no server answers the opening fails with its address', async () => {
  const opening = openNatsStream('nats://127.0.0.1:1', { bytesMax: 1024 });
  await expect(opening).rejects.toMatchObject({ code: 'stream_unavailable' });
  await expect(openNatsStream('nats://127.0.0.1:1', { bytesMax: 1024 })).rejects.toThrow('127.0.0.1:1');
});
