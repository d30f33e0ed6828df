import { gzipSync } from 'node:zlib';
import { shardOf, type Stream } from '#stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { paths } from './layout.ts';
import { keyOf, openHarness, until, type Harness } from './processor.harness.ts';
import { append, createSender, pageLoad, sessionAt, withMethods } from './samples.ts';
import { openLakeReader, readReplayGroups, readReplayRows } from './store.ts';

const MB = 1024 * 1024;

let lake: Harness;
beforeEach(async () => void (lake = await openHarness()));
afterEach(() => lake.close());

const startMs = Date.now() - 60_000;
const session = sessionAt(startMs, 1);

describe('what is appended to the stream', () => {
  it('is in the lake after one flush interval, as rows of both tables', async () => {
    lake.start();
    const sender = createSender({ project: 'shop', session, rid: 'rid-1', offsetMs: 5000 });
    await append(lake.stream, sender.batch(pageLoad(20, startMs)));
    const rows = await until(async () => {
      const found = await lake.rows('shop');
      expect(found).toHaveLength(20);
      return found;
    });
    expect(rows.map(({ seq }) => seq)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(rows[0]).toMatchObject({ type: 'environment', rid: 'rid-1', ts: BigInt(startMs + 5000) * 1000n });
    expect(rows[10]).toMatchObject({ type: 'click', selector: '#go', disabled: true, x: 10 });
    const view = await openLakeReader(lake.store, Date.now).view('shop');
    const file = view.files.find(({ table }) => table === 'replay')!;
    const groups = await readReplayGroups(lake.store, file);
    expect(groups.map(({ snapshot, firstSeq, rows: n }) => ({ snapshot, firstSeq, n }))).toEqual([
      { snapshot: false, firstSeq: 1, n: 2 },
      { snapshot: true, firstSeq: 3, n: 18 },
    ]);
    const replay = await readReplayRows(lake.store, file, groups[1]!);
    expect(JSON.parse(replay[1]!.payload)).toEqual(pageLoad(20, startMs)[3]!.data);
  });

  it('is flushed at once when the service drains', async () => {
    let onTaken = (): void => {};
    const taken = new Promise<void>((resolve) => (onTaken = resolve));
    const { service, ran } = lake.start({
      stream: telling(() => onTaken()),
      env: { FLUSH_INTERVAL_MS: '600000' },
    });
    const sender = createSender({ project: 'shop', session, rid: 'rid-1' });
    await append(lake.stream, sender.batch(pageLoad(6, startMs)));
    await taken;
    expect(await lake.rows('shop')).toHaveLength(0);
    await service.drain();
    expect(await lake.rows('shop')).toHaveLength(6);
    await ran;
    expect(service.problems()).toEqual(['draining']);
  });

  it('is flushed early once much of it is in hand', async () => {
    lake.start({ env: { FLUSH_INTERVAL_MS: '600000', FLUSH_BYTES_MAX: String(MB) } });
    const sender = createSender({ project: 'shop', session, rid: 'rid-1' });
    const noise = Buffer.from(JSON.stringify(pageLoad(3, startMs)).padEnd(200_000));
    for (let i = 0; i < 6; i++)
      await append(lake.stream, sender.batch(pageLoad(3, startMs), { payload: noise, gzip: false }));
    await until(async () => expect((await lake.rows('shop')).length).toBeGreaterThanOrEqual(15));
  });

  it('is read from several frames, in whatever order they come, and however often', async () => {
    lake.start();
    const sender = createSender({ project: 'shop', session, rid: 'rid-1' });
    const first = sender.batch(pageLoad(30, startMs), { frameBytes: 150 });
    const second = sender.batch(pageLoad(5, startMs), { gzip: false, frameBytes: 200 });
    expect(first.length).toBeGreaterThan(2);
    expect(second.length).toBeGreaterThan(2);
    await append(lake.stream, [...second, ...first].reverse());
    await append(
      lake.stream,
      first.map((sent) => ({ ...sent, id: `${sent.id} again` })),
    );
    const rows = await until(async () => {
      const found = await lake.rows('shop');
      expect(found).toHaveLength(35);
      return found;
    });
    expect(new Set(rows.map(keyOf)).size).toBe(35);
    expect(await lake.quarantine()).toEqual([]);
  });

  it('is not read twice when it comes again after it was committed, also by the next processor', async () => {
    const { service } = lake.start();
    const sender = createSender({ project: 'shop', session, rid: 'rid-1' });
    const sent = sender.batch(pageLoad(8, startMs));
    await append(lake.stream, sent);
    await until(async () => expect(await lake.rows('shop')).toHaveLength(8));
    await append(
      lake.stream,
      sent.map((one) => ({ ...one, id: 'again' })),
    );
    await until(async () => expect((await lake.commits()).at(-1)?.lastSeq).toBe(2));
    await service.stop();
    lake.start();
    await append(
      lake.stream,
      sent.map((one) => ({ ...one, id: 'and again' })),
    );
    await append(lake.stream, sender.batch(pageLoad(2, startMs)));
    await until(async () => expect((await lake.rows('shop')).length).toBeGreaterThan(8));
    const seqs = (await lake.rows('shop')).map(({ seq }) => seq).sort((a, b) => a - b);
    expect(seqs).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('is not read twice when other frames bring the same events', async () => {
    lake.start();
    await append(
      lake.stream,
      createSender({ project: 'shop', session, rid: 'rid-1' }).batch(pageLoad(8, startMs)),
    );
    await until(async () => expect(await lake.rows('shop')).toHaveLength(8));
    const again = createSender({ project: 'shop', session, rid: 'rid-1' });
    again.batch([]);
    await append(lake.stream, again.batch(pageLoad(11, startMs)));
    await until(async () => expect((await lake.rows('shop')).length).toBeGreaterThan(8));
    const seqs = (await lake.rows('shop')).map(({ seq }) => seq).sort((a, b) => a - b);
    expect(seqs).toEqual(Array.from({ length: 11 }, (_, i) => i + 1));
  });

  it('is not committed when its session is erased while the files are written', async () => {
    const tombstone = { v: 1, project: 'shop', session, requestedMs: startMs };
    const erasing = withMethods(lake.store, {
      put: async (key, ...rest) => {
        await lake.store.put(key, ...rest);
        if (key.endsWith('.parquet'))
          await lake.store.put(paths.erasure('shop', session), Buffer.from(JSON.stringify(tombstone)));
      },
    });
    lake.start({ store: erasing });
    await append(
      lake.stream,
      createSender({ project: 'shop', session, rid: 'rid-1' }).batch(pageLoad(8, startMs)),
    );
    await until(async () =>
      expect(await lake.commits()).toMatchObject([{ files: [], sessions: [{ rows: 0 }] }]),
    );
    for await (const { key } of lake.store.list('')) expect(key).not.toMatch(/parquet$/);
  });

  it('waits in the stream while frames of a batch are missing, through a restart', async () => {
    const { service } = lake.start();
    const sender = createSender({ project: 'shop', session, rid: 'rid-1' });
    const [head, ...tail] = sender.batch(pageLoad(30, startMs), { frameBytes: 300 });
    const whole = sender.batch(pageLoad(4, startMs));
    await append(lake.stream, [head!, ...whole]);
    await until(async () => expect(await lake.rows('shop')).toHaveLength(4));
    expect((await lake.commits()).at(-1)).toMatchObject({ lastSeq: 2, resumeSeq: 1 });
    await service.stop();
    lake.start();
    await append(lake.stream, tail);
    await until(async () => expect(await lake.rows('shop')).toHaveLength(34));
  });

  it('keeps the address of a page for the events that follow in other batches', async () => {
    lake.start();
    const sender = createSender({ project: 'shop', session, rid: 'rid-1' });
    await append(lake.stream, sender.batch(pageLoad(4, startMs)));
    await until(async () => expect(await lake.rows('shop')).toHaveLength(4));
    await append(
      lake.stream,
      sender.batch([{ type: 3, data: { source: 3, id: 1, x: 0, y: 40 }, timestamp: startMs }]),
    );
    await until(async () => {
      const scroll = (await lake.rows('shop')).find(({ type }) => type === 'scroll');
      expect(scroll).toMatchObject({ url: 'https://shop.example/page', y: 40 });
    });
  });
});

describe('a batch that cannot be read', () => {
  it.each([
    ['bad_gzip', Buffer.from('this is no gzip'), true],
    ['bad_json', Buffer.from('[{"type":'), false],
    ['bad_json', Buffer.from('{"type":4}'), false],
    ['bad_event', Buffer.from('[{"type":4,"timestamp":"now"}]'), false],
    [
      'bad_event',
      Buffer.from(`[{"type":3,"timestamp":1,"data":${'['.repeat(50_000)}${']'.repeat(50_000)}}]`),
      false,
    ],
    ['too_large', gzipSync(Buffer.alloc(33 * MB, ' ')), true],
  ])('lies in quarantine with the reason %s, and the session goes on', async (reason, payload, gzip) => {
    const { context } = lake.start();
    const sender = createSender({ project: 'shop', session, rid: 'rid-1' });
    await append(lake.stream, sender.batch(pageLoad(4, startMs)));
    await append(lake.stream, sender.batch([{}], { payload, gzip }));
    await append(lake.stream, sender.batch(pageLoad(5, startMs)));
    await until(async () => expect(await lake.rows('shop')).toHaveLength(9));
    expect(await lake.quarantine()).toEqual([
      expect.objectContaining({ reason, session, rid: 'rid-1', frames: [2], firstSeq: 5, seq: 2 }),
    ]);
    expect(Buffer.from(await lake.store.get(paths.quarantine(shardOf(session), 2, 'bin')))).toEqual(payload);
    // It counts what it knows to be committed, which others may see before.
    await until(async () =>
      expect(await context.metrics.text()).toContain(`mutoscope_quarantined_total{reason="${reason}"} 1`),
    );
  });

  it('is a record without envelope, or of a session that is no UUIDv7', async () => {
    lake.start();
    const subject = `rec.shop.${String(shardOf(session)).padStart(2, '0')}.${session}.i`;
    await lake.stream.append(subject, Buffer.from('?'), 'a');
    await append(
      lake.stream,
      createSender({ project: 'shop', session: 'nobody', rid: 'rid-1' }).batch(pageLoad(4, startMs)),
    );
    await until(async () => expect(await lake.quarantine()).toHaveLength(2));
    expect((await lake.quarantine()).map(({ reason }) => reason)).toEqual(['bad_record', 'bad_record']);
  });

  it('is one whose frames did not all come within a minute, by the times at which later ones came', async () => {
    lake.start();
    const receivedMs = Date.now() - 120_000;
    const early = createSender({ project: 'shop', session, rid: 'rid-1', receivedMs });
    await append(lake.stream, early.batch(pageLoad(30, startMs), { frameBytes: 300 }).slice(0, -1));
    const late = createSender({ project: 'shop', session, rid: 'rid-2', receivedMs: receivedMs + 61_000 });
    await append(lake.stream, late.batch(pageLoad(4, startMs)));
    await until(async () =>
      expect(await lake.quarantine()).toEqual([
        expect.objectContaining({ reason: 'incomplete', rid: 'rid-1' }),
      ]),
    );
    // The commit comes after what is put in quarantine.
    await until(async () => expect(await lake.rows('shop')).toHaveLength(4));
    expect((await lake.commits()).at(-1)!.resumeSeq).toBe((await lake.commits()).at(-1)!.lastSeq + 1);
  });
});

/** The stream, and a word each time a reader has taken a message and asks for the next. */
const telling = (onTaken: () => void): Stream =>
  withMethods(lake.stream, {
    async *read(...args) {
      for await (const message of lake.stream.read(...args)) {
        yield message;
        onTaken();
      }
    },
  });

it('asks the store for a rule for each class that comes to be used, once', async () => {
  const asked: string[][] = [];
  const store = withMethods(lake.store, {
    expireByAge: async (rules) => {
      asked.push(rules.map(({ id }) => id));
      return { installed: true };
    },
  });
  lake.start({ store, env: { COMPACT_INTERVAL_MS: '1000', SWEEP_INTERVAL_MS: '1000', GRACE_MS: '0' } });
  const sender = createSender({ project: 'shop', session, rid: 'rid-1', retentionDays: 45 });
  await append(lake.stream, sender.batch(pageLoad(6, startMs)));
  await until(async () => expect(asked.at(-1)).toContain('mutoscope-r45'));
  expect(asked).toHaveLength(2);
  expect(asked[0]).not.toContain('mutoscope-r45');
});
