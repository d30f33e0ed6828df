import { afterEach, expect, test } from 'vitest';
import {
  decodeFrames,
  decodeJsonPayload,
  encodeFrames,
  FrameType,
  type Frame,
  type Hello,
  type Welcome,
} from '#protocol';
import { checkProjects, type Project, type ProjectsDocument } from './projects.ts';
import { decodeRecord, type Stream } from './stream.ts';
import {
  batchFrame,
  helloFrame,
  newRid,
  ORIGIN,
  PROJECTS,
  startCollector,
  TestRecorder,
  type Bench,
} from './test-recorder.ts';

const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0).reverse()) await bench.stop();
});

/** A collector whose project can be changed while it runs. */
async function start(project: Partial<Project> = {}, stream?: Stream) {
  let doc: ProjectsDocument = PROJECTS;
  const change = (changed: Partial<Project>): void =>
    void (doc = { ...PROJECTS, projects: PROJECTS.projects.map((one) => ({ ...one, ...changed })) });
  change(project);
  const bench = await startCollector({
    projects: { current: () => doc },
    limits: { tickMs: 10 },
    ...(stream && { stream }),
  });
  benches.push(bench);
  return { ...bench, change };
}
async function post(bench: Bench, hello: Partial<Hello>, ...batches: Uint8Array[]) {
  const response = await fetch(`${bench.url}/v1/rr1`, {
    method: 'POST',
    headers: { origin: ORIGIN, 'content-type': 'text/plain' },
    body: encodeFrames([helloFrame(hello), ...batches]),
  });
  const frames = decodeFrames(new Uint8Array(await response.arrayBuffer()));
  return { status: response.status, types: frames.map(({ type }) => type), frames };
}
const welcomeOf = (frames: Frame[]): Welcome => decodeJsonPayload(frames[0]!) as Welcome;
async function storedFrames(stream: Stream): Promise<number[]> {
  const frames: number[] = [];
  for await (const { bytes } of stream.read(1, 'rec.>')) frames.push(decodeRecord(bytes).frame[7]!);
  return frames;
}

test("WELCOME tells the project's settings, by socket and by POST", async () => {
  const bench = await start({ sampleRate: 0.25 });
  const recorder = await new TestRecorder(bench.url).open();
  const rid = newRid();
  expect((await recorder.hello({ rid })).settings).toEqual({ record: true, sampleRate: 0.25 });
  expect(welcomeOf((await post(bench, { rid })).frames).settings).toEqual({ record: true, sampleRate: 0.25 });
});

test('settings that change are told at once, and what a paused project still gets is not stored', async () => {
  const bench = await start();
  const recorder = await new TestRecorder(bench.url).open();
  const { session } = await recorder.hello({ rid: newRid() });
  recorder.send(batchFrame(1));
  await recorder.acked(1);
  bench.change({ recordingPaused: true });
  const paused = await recorder.welcome();
  expect(paused).toMatchObject({ session, lastFrame: 1, settings: { record: false } });
  recorder.send(batchFrame(2));
  expect(await recorder.ping()).toBe(1);
  expect(await storedFrames(bench.stream)).toEqual([1]);
  bench.change({});
  expect((await recorder.welcome()).settings).toEqual({ record: true });
  recorder.send(batchFrame(2));
  expect(await recorder.ack()).toBe(2);
});

test('a POST to a paused project is answered by WELCOME alone, and nothing is stored', async () => {
  const bench = await start({ recordingPaused: true });
  const { status, types, frames } = await post(bench, { rid: newRid() }, batchFrame(1));
  expect([status, types]).toEqual([200, [FrameType.welcome]]);
  expect(welcomeOf(frames).settings).toEqual({ record: false });
  expect(await storedFrames(bench.stream)).toEqual([]);
});

test('a page that goes before it is welcomed is stored if its draw is below the sample rate', async () => {
  const bench = await start({ sampleRate: 0.25 });
  const stored = async (hello: Partial<Hello>): Promise<boolean> =>
    (await post(bench, { rid: newRid(), ...hello }, batchFrame(1))).types.includes(FrameType.ack);
  expect(await stored({ draw: 0.25 })).toBe(false);
  expect(await stored({ draw: 1 })).toBe(false);
  expect(await stored({ draw: 0.2 })).toBe(true);
  // One that draws nothing is of before there were sample rates.
  expect(await stored({})).toBe(true);
  // Who was welcomed has decided.
  const { token } = welcomeOf((await post(bench, { rid: newRid(), draw: 0.9 })).frames);
  expect(await stored({ token, draw: 0.9 })).toBe(true);
  expect(await storedFrames(bench.stream)).toHaveLength(3);
  for (const draw of [-0.1, 1.1, '0.5' as never]) {
    const { status, types } = await post(bench, { rid: newRid(), draw });
    expect([status, types]).toEqual([400, [FrameType.err]]);
  }
});

test('request by request at two collectors in turn, a lost answer included, each frame is stored once', async () => {
  const first = await start();
  const second = await start({}, first.stream);
  const rid = newRid();
  const { token } = welcomeOf((await post(first, { rid })).frames);
  let acked = 0;
  let next = 1;
  for (let turn = 0; turn < 12; turn++) {
    const bench = turn % 2 ? first : second;
    const frames = Array.from({ length: next + 2 - acked }, (_, i) => acked + 1 + i);
    const answer = await post(bench, { rid, token, ackedFrame: acked }, ...frames.map((n) => batchFrame(n)));
    expect(answer.types).toEqual([FrameType.welcome, FrameType.ack]);
    next = frames.at(-1)!;
    expect(answer.frames[1]!.frame).toBe(next);
    // Every third answer is lost: the recorder sends the same again, to the other one.
    if (turn % 3 !== 1) acked = next;
  }
  expect(await storedFrames(first.stream)).toEqual(Array.from({ length: next }, (_, i) => i + 1));
});

test('a document with settings that cannot be is refused with project and value', () => {
  const doc = (project: object): ProjectsDocument =>
    ({ ...PROJECTS, projects: [{ ...PROJECTS.projects[0], ...project }] }) as ProjectsDocument;
  expect(checkProjects(doc({ sampleRate: 0 })).projects).toHaveLength(1);
  expect(() => checkProjects(doc({ sampleRate: 1.5 }))).toThrow('sampleRate of project demo is 1.5, not');
  expect(() => checkProjects(doc({ sampleRate: '0.5' }))).toThrow('is "0.5", not');
  expect(() => checkProjects(doc({ recordingPaused: 'yes' }))).toThrow(
    'recordingPaused of project demo is "yes"',
  );
});
