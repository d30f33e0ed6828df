import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig, type Config } from '#service';
import { openStream, shardOf } from '#stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { aheadMs, examine } from './doctor.ts';
import { judge, type Facts, type LakeFacts, type StoreFacts, type StreamFacts } from './doctor-judge.ts';
import { createDaysLake } from './fixture-days.ts';
import { encodeJson, newestRoot } from './lake-reader.ts';
import { paths, utcDate, type Erasure } from './layout.ts';
import { append, createSender, pageLoad, sessionAt, withMethods } from './samples.ts';
import { openStore } from './store.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const now = Date.parse('2026-03-10T10:00:00Z');
const config = readConfig({ STORE: 's3://bucket', STREAM: 'nats://host:4222' });

const STORE: Extract<StoreFacts, { location: string }> = {
  ...{ location: 's3://bucket', isConditional: true, isListed: true, clockAheadMs: 0 },
  ...{ hasRules: true, rulesMissing: [] },
};
const STREAM: Extract<StreamFacts, { bytes: number }> = {
  ...{ bytes: 1000, messages: 3, lagMessages: 0, oldestUnflushedMs: Infinity },
};
const LAKE: LakeFacts = {
  ...{
    lost: [],
    damaged: [],
    pending: 0,
    oldestPendingMs: Infinity,
    compactedMs: now - MINUTE_MS,
    sweptMs: now - MINUTE_MS,
  },
  ...{ overdue: [], erasures: 0, oldestErasureMs: Infinity, quarantined: 0, newestQuarantinedMs: -Infinity },
};
const line = (dueMs: number) => ({
  ...{ project: 'shop', retentionDays: 30, date: '2026-01-01', rows: 1, bytes: 9, files: 1, dueMs },
  ...{ overdueRows: 0, overdueBytes: 0 },
});
const judged = (facts: Partial<Facts>, settings: Partial<Config> = {}): string[] =>
  judge({ ...config, ...settings }, { nowMs: now, store: STORE, stream: STREAM, lake: LAKE, ...facts })
    .filter(({ state }) => state !== 'ok')
    .map(({ name, state }) => `${state} ${name}`);
const lake = (facts: Partial<LakeFacts>): Partial<Facts> => ({ lake: { ...LAKE, ...facts } });
const store = (facts: Partial<typeof STORE>): Partial<Facts> => ({ store: { ...STORE, ...facts } });
const stream = (facts: Partial<typeof STREAM>): Partial<Facts> => ({ stream: { ...STREAM, ...facts } });
const waits = (ms: number) => ({ pending: 1, oldestPendingMs: now - ms });

describe('what is judged', () => {
  it.each<[string, Partial<Facts>, string[]]>([
    ['all is well', {}, []],
    ['a store that cannot be reached', { store: { failed: 'refused' }, lake: undefined }, ['wrong store']],
    ['lists that are behind', store({ isListed: false }), ['wrong store']],
    ['puts that are not conditional', store({ isConditional: false }), ['wrong conditional puts']],
    ['a clock that is a little off', store({ clockAheadMs: -2001 }), ['warn clock']],
    ['a clock that is off', store({ clockAheadMs: 60_001 }), ['wrong clock']],
    ['a class without a rule', store({ rulesMissing: ['r45'] }), ['warn lifecycle rules']],
    ['a directory, which has no rules', store({ rulesMissing: ['r45'], hasRules: false }), []],
    ['a stream that cannot be reached', { stream: { failed: 'no answer' } }, ['wrong stream']],
    ['a stream that a server has', { stream: { heldBy: 'x is in use by process 1' } }, []],
    ['a stream that is filling', stream({ bytes: 0.81 * config.STREAM_BYTES_MAX }), ['warn stream']],
    ['a stream that is full', stream({ bytes: 0.96 * config.STREAM_BYTES_MAX }), ['wrong stream']],
    ['a message that came now', stream({ oldestUnflushedMs: now - 20_000 }), []],
    ['a message that waits', stream({ oldestUnflushedMs: now - 2 * MINUTE_MS }), ['warn unflushed']],
    ['a message that is stuck', stream({ oldestUnflushedMs: now - HOUR_MS }), ['wrong unflushed']],
    ['a lake that cannot be read', { lake: { failed: 'bad JSON' } }, ['wrong lake']],
    ['a manifest that is gone', lake({ lost: ['shop'] }), ['wrong manifests']],
    ['what a sweep could not read', lake({ damaged: ['v1/x is not JSON'] }), ['wrong damage']],
    ['commits that came now', lake(waits(MINUTE_MS)), []],
    ['commits that wait', lake(waits(10 * MINUTE_MS)), ['warn compaction']],
    ['commits that are stuck', lake(waits(2 * HOUR_MS)), ['wrong compaction']],
    ['no sweep for hours', lake({ sweptMs: now - 3 * HOUR_MS }), ['warn sweep']],
    ['no sweep for days', lake({ sweptMs: now - 2 * DAY_MS }), ['wrong sweep']],
    ['no project yet', lake({ sweptMs: Infinity, compactedMs: -Infinity }), []],
    ['a day that has just ended', lake({ overdue: [line(now - HOUR_MS)] }), []],
    ['a day that is overdue', lake({ overdue: [line(now - 3 * HOUR_MS)] }), ['warn retention']],
    ['a day that is overdue for long', lake({ overdue: [line(now - 3 * DAY_MS)] }), ['wrong retention']],
    ['an erasure that waits', lake({ erasures: 1, oldestErasureMs: now - HOUR_MS }), ['warn erasures']],
    ['an erasure of long ago', lake({ erasures: 1, oldestErasureMs: now - 2 * DAY_MS }), ['wrong erasures']],
    ['new quarantine', lake({ quarantined: 2, newestQuarantinedMs: now - HOUR_MS }), ['warn quarantine']],
    ['old quarantine', lake({ quarantined: 2, newestQuarantinedMs: now - 2 * DAY_MS }), []],
  ])('%s', (_, facts, found) => expect(judged(facts)).toEqual(found));

  it.each<[string, Partial<Config>]>([
    ['a shared stream and a directory', { STORE: './data/lake' }],
    ['one role on a stream of one process', { STREAM: './data/stream', ROLE: 'query' }],
    ['a grace that is too short for readers', { GRACE_MS: 5000 }],
    ['sweeps that are rare', { SWEEP_INTERVAL_MS: 2 * HOUR_MS }],
    ['a write key for every page', { FIRST_ORIGINS: ['*'] }],
  ])('settings: %s', (_, settings) => expect(judged({}, settings)).toContain('warn settings'));

  it('says what to do for all that is not ok, and nothing else', () => {
    for (const facts of [{}, lake({ lost: ['shop'] }), store({ isConditional: false, clockAheadMs: 9999 })])
      for (const { state, why, todo } of judge(config, {
        nowMs: now,
        store: STORE,
        stream: STREAM,
        lake: LAKE,
        ...facts,
      })) {
        expect(why).not.toBe('');
        expect(todo !== '').toBe(state !== 'ok');
      }
  });
});

it.each([
  [1500, 0],
  [2000, 0],
  // Whole seconds: 500 may be the second that went on to 1499.
  [500, 0],
  [2300, 300],
  [0, -500],
])('a clock that said %i between 1500 and 2000 is ahead by %i', (atMs, ahead) =>
  expect(aheadMs(atMs, [1500, 2000])).toBe(ahead),
);

describe('what is looked at', () => {
  let dir: string;
  let here: Config;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'doctor-'));
    here = readConfig({ DATA_DIR: dir });
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));
  const look = async (atMs = Date.now(), open?: typeof openStore): Promise<string[]> =>
    (await examine(here, { now: () => atMs, nonce: 'nonce', ...(open ? { open } : {}) }))
      .filter(({ state }) => state !== 'ok')
      .map(({ name, state }) => `${state} ${name}`);

  it('an empty directory is well, and left as it was', async () => {
    expect(await look()).toEqual([]);
    const opened = await openStore(here.STORE);
    for await (const { key } of opened.list('')) expect(key).toBe('nothing');
    await opened.close();
  });

  it('messages, commits, erasures and quarantine that wait, as time goes by, and a root that is gone', async () => {
    const t0 = Date.now();
    const start = Date.parse(utcDate(t0)) - DAY_MS;
    const opened = await openStore(here.STORE);
    const days = await createDaysLake(opened);
    const held = await openStream(here.STREAM, { bytesMax: here.STREAM_BYTES_MAX });
    // Of a shard that the days have no commits of.
    const session = [77, 78, 79, 80, 81].map((n) => sessionAt(t0, n)).find((one) => shardOf(one) !== 0)!;
    await append(held, createSender({ project: 'shop', session, rid: 'a' }).batch(pageLoad(5, t0)));
    await days.record({ startMs: start, count: 3 });
    await days.maintain().sweep(t0);
    // The first one reports before it compacts.
    await days.maintain().sweep(t0);
    expect(await look(t0)).toEqual([]);
    await held.close();

    const tombstone: Erasure = { v: 1, project: 'bank', session: sessionAt(start, 5), requestedMs: t0 };
    await opened.put(paths.erasure('bank', tombstone.session), encodeJson(tombstone));
    await days.record({ startMs: t0, count: 3 });
    await opened.put(paths.quarantine(0, 1, 'json'), encodeJson({}));
    expect(await look(t0)).toEqual(['warn quarantine']);
    const clockless = (found: string[]): string[] => found.filter((one) => one !== 'wrong clock');
    expect(clockless(await look(t0 + 30 * MINUTE_MS))).toEqual([
      'wrong unflushed',
      'warn compaction',
      'warn erasures',
      'warn quarantine',
    ]);
    expect(clockless(await look(t0 + 40 * DAY_MS))).toEqual([
      ...['wrong unflushed', 'wrong compaction', 'wrong sweep', 'wrong retention', 'wrong erasures'],
    ]);
    const root = (await newestRoot(opened, 'shop'))!;
    await opened.remove([paths.manifest('shop', root.version)]);
    expect(await look(t0)).toContain('wrong manifests');
    await days.close();
  });

  it('a store that cannot be reached, one that takes a key twice, and one whose clock is off', async () => {
    const real = await openStore(here.STORE);
    const twice = withMethods(real, { put: (key, bytes) => real.put(key, bytes), close: async () => {} });
    expect(await look(undefined, async () => twice)).toEqual(['wrong conditional puts']);
    expect(await look(Date.now() + HOUR_MS, async () => real)).toEqual(['wrong clock']);
    here = { ...here, STORE: 's3://bucket?endpoint=http://127.0.0.1:9' };
    process.env.AWS_ACCESS_KEY_ID ??= 'x';
    process.env.AWS_SECRET_ACCESS_KEY ??= 'x';
    expect(await look()).toEqual(['wrong store']);
  }, 60_000);

  it('a stream that cannot be reached', async () => {
    here = { ...here, STREAM: 'nats://127.0.0.1:9' };
    expect(await look()).toEqual(['warn settings', 'wrong stream']);
  }, 60_000);
});
