import { afterEach, expect, test } from 'vitest';
import {
  decodeFrames,
  decodeJsonPayload,
  encodeFrames,
  encodeJsonFrame,
  FrameType,
  PAGE_ASSETS_MAX,
  type AssetsAnswer,
  type AssetsQuestion,
  type Frame,
  type Welcome,
} from '#protocol';
import { AWAITED_MS, KNOWN_MS } from './known-assets.ts';
import {
  batchFrame,
  helloFrame,
  KEY,
  newRid,
  ORIGIN,
  OTHER_KEY,
  startCollector,
  TestRecorder,
  type Bench,
} from './test-recorder.ts';

const benches: Bench[] = [];
/** `random` decides whether what is known is asked for all the same. */
const start = async (random = () => 0.5): Promise<Bench> => {
  const bench = await startCollector({ random });
  benches.push(bench);
  return bench;
};
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.stop();
});

const name = (digit: string, ending = 'png'): string => `${digit.repeat(64)}.${ending}`;
const assets = (question: AssetsQuestion): Uint8Array => encodeJsonFrame(FrameType.assets, question);
const wantOf = (frame: Frame | undefined): string[] => (decodeJsonPayload(frame!) as AssetsAnswer).want;

async function post(bench: Bench, frames: Uint8Array[], origin = ORIGIN): Promise<Frame[]> {
  const response = await fetch(`${bench.url}/v1/rr1`, {
    method: 'POST',
    headers: { 'content-type': 'text/plain', origin },
    body: encodeFrames(frames),
  });
  return decodeFrames(new Uint8Array(await response.arrayBuffer()));
}
/** Asks by POST as a new session. @returns what is wanted */
async function ask(bench: Bench, names: string[], key = KEY): Promise<string[]> {
  const answer = await post(bench, [helloFrame({ rid: newRid(), key }), assets({ ask: names })]);
  return wantOf(answer.find(({ type }) => type === FrameType.want));
}
const bring = (bench: Bench, names: string[]): Promise<Frame[]> =>
  post(bench, [helloFrame({ rid: newRid() }), batchFrame(1), assets({ ask: [], stored: names })]);

test('what one recorder is asked for no other is asked for, until its time is over', async () => {
  const bench = await start();
  expect(await ask(bench, [name('a'), name('b')])).toEqual([name('a'), name('b')]);
  expect(await ask(bench, [name('a'), name('c')])).toEqual([name('c')]);
  bench.clock.nowMs += AWAITED_MS;
  expect(await ask(bench, [name('a')])).toEqual([name('a')]);
});

test('what was brought is known for an hour, to its project and day alone', async () => {
  const bench = await start();
  const kinds = (await bring(bench, [name('a')])).map(({ type }) => type);
  expect(kinds).toEqual([FrameType.welcome, FrameType.ack, FrameType.want]);
  expect(await ask(bench, [name('a')], OTHER_KEY)).toEqual([name('a')]);
  bench.clock.nowMs += KNOWN_MS - 1;
  expect(await ask(bench, [name('a')])).toEqual([]);
  bench.clock.nowMs += 1;
  expect(await ask(bench, [name('a')])).toEqual([name('a')]);

  bench.clock.nowMs = Date.UTC(2026, 0, 15, 23, 59);
  await bring(bench, [name('d')]);
  expect(await ask(bench, [name('d')])).toEqual([]);
  bench.clock.nowMs += 2 * 60_000;
  expect(await ask(bench, [name('d')])).toEqual([name('d')]);
});

test('nothing is known by word alone, nor when the stream did not take it', async () => {
  const bench = await start();
  await post(bench, [helloFrame({ rid: newRid() }), assets({ ask: [], stored: [name('a')] })]);
  expect(await ask(bench, [name('a')])).toEqual([name('a')]);
  bench.faults.failWith = 'bad_record';
  expect((await bring(bench, [name('b')])).map(({ type }) => type)).toEqual([
    FrameType.welcome,
    FrameType.err,
  ]);
  expect(await ask(bench, [name('b')])).toEqual([name('b')]);
});

test('now and then what is known is asked for all the same', async () => {
  const bench = await start(() => 0);
  await bring(bench, [name('a')]);
  expect(await ask(bench, [name('a')])).toEqual([name('a')]);
});

test('a socket answers, too', async () => {
  const bench = await start();
  const recorder = await new TestRecorder(bench.url).open();
  const { session } = (await recorder.hello({ rid: newRid() })) satisfies Welcome;
  expect(session).toBeTruthy();
  recorder.send(assets({ ask: [name('a', 'css')], stored: [name('b')] }));
  expect(wantOf(await recorder.next(FrameType.want))).toEqual([name('a', 'css')]);
  expect(await ask(bench, [name('b')])).toEqual([name('b')]);
});

test.each<[string, unknown]>([
  ['a name with another ending', { ask: [name('a', 'html')] }],
  ['no hash', { ask: ['photo.png'] }],
  ['too many', { ask: Array.from({ length: PAGE_ASSETS_MAX + 1 }, () => name('a')) }],
  ['no list', { ask: name('a') }],
])('%s is a bad frame', async (_, question) => {
  const bench = await start();
  const frames = [helloFrame({ rid: newRid() }), encodeJsonFrame(FrameType.assets, question)];
  const last = (await post(bench, frames)).at(-1)!;
  expect(decodeJsonPayload(last)).toMatchObject({ code: 'bad_frame' });
});
