import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { decodeJsonPayload, FrameType, type Credit } from '#protocol';
import {
  batchFrame,
  helloFrame,
  TestRecorder,
  start,
  admitted,
  stored,
  credit,
  until,
  post,
} from './test-recorder.ts';

describe('a stream that is full', () => {
  test('stops the reading with CREDIT 0 and loses nothing when it takes batches again', async () => {
    const bench = await start({ bytesMax: 400_000, limits: { backOffMinMs: 5, backOffMaxMs: 20 } });
    const { recorder } = await admitted(bench);
    const { recorder: bystander } = await admitted(bench);
    const payload = randomBytes(60_000);
    let sent = 0;
    for (; !recorder.frames.some(({ type }) => type === FrameType.credit); sent++) {
      recorder.send(batchFrame(sent + 1, payload));
      await until(() => recorder.frames.length > 0);
      if (recorder.frames[0]!.type === FrameType.ack) expect(await recorder.ack()).toBe(sent + 1);
    }
    expect(await credit(recorder)).toEqual({ frames: 0, bytes: 0 });
    expect(await credit(bystander)).toEqual({ frames: 0, bytes: 0 });
    // Not read any more, so not answered either.
    bystander.send(batchFrame(1));
    expect(bench.collector.problems()).toHaveLength(1);
    expect(await bench.metrics()).toContain('mutoscope_collector_stream_closed 1');
    expect(await stored(bench.stream)).toHaveLength(sent - 1);
    await bench.stream.trim((await bench.stream.state()).lastSeq);
    const full: Credit = { frames: 8, bytes: 1024 * 1024 };
    const heard: number[] = [];
    for (let credits = 0, acks = 0; credits < 1 || acks < 1;) {
      await until(() => recorder.frames.length > 0);
      const frame = recorder.frames.shift()!;
      heard.push(frame.type);
      if (frame.type === FrameType.credit) {
        expect(decodeJsonPayload(frame)).toEqual(full);
        credits++;
      } else {
        expect(frame).toMatchObject({ type: FrameType.ack, frame: sent });
        acks++;
      }
    }
    expect(heard).toHaveLength(2);
    expect(await credit(bystander)).toEqual(full);
    expect(await bystander.ack()).toBe(1);
    expect(bench.collector.problems()).toEqual([]);
  });

  test('has one try for all, not one of each recorder', async () => {
    const bench = await start({ limits: { backOffMinMs: 20, backOffMaxMs: 20 } });
    const all = await Promise.all(Array.from({ length: 20 }, () => admitted(bench)));
    bench.faults.failWith = 'stream_full';
    for (const { recorder } of all) recorder.send(batchFrame(1));
    await Promise.all(all.map(({ recorder }) => credit(recorder)));
    await until(() => bench.faults.appends >= 25);
    bench.faults.failWith = undefined;
    await Promise.all(
      all.map(({ recorder }) => until(() => recorder.frames.some(({ type }) => type === FrameType.ack))),
    );
    // Each at most once before the gate closed, each once after it opened, and the tries between.
    expect(bench.faults.appends).toBeLessThan(20 + 20 + 10);
    expect(await stored(bench.stream)).toHaveLength(20);
  });
});

describe('drain', () => {
  test('refuses what is new, waits for what is under way, acks it, and closes', async () => {
    const bench = await start();
    const { recorder, rid } = await admitted(bench);
    bench.faults.holds = true;
    recorder.send(batchFrame(1));
    await bench.faults.untilHeld(1);
    let drained = false;
    const draining = bench.collector.drain().then(() => (drained = true));
    expect((await fetch(`${bench.url}/readyz`)).status).toBe(503);
    await expect(new TestRecorder(bench.url).open()).rejects.toThrow('503');
    const { status, frames } = await post(bench, [helloFrame(), batchFrame(1)]);
    expect(status).toBe(503);
    expect(decodeJsonPayload(frames[0]!)).toMatchObject({ code: 'draining' });
    expect(await credit(recorder)).toEqual({ frames: 0, bytes: 0 });
    expect((await recorder.error()).code).toBe('draining');
    expect(drained).toBe(false);
    bench.faults.release(`${rid}.1`);
    expect(await recorder.ack()).toBe(1);
    expect((await recorder.closed).code).toBe(1012);
    await draining;
    expect(await stored(bench.stream)).toHaveLength(1);
  });

  test('waits for a POST that is under way', async () => {
    const bench = await start();
    bench.faults.holds = true;
    const answer = post(bench, [helloFrame(), batchFrame(1)]);
    await bench.faults.untilHeld(1);
    let drained = false;
    const draining = bench.collector.drain().then(() => (drained = true));
    expect((await fetch(`${bench.url}/readyz`)).status).toBe(503);
    expect(drained).toBe(false);
    bench.faults.releaseAll();
    expect((await answer).status).toBe(200);
    await draining;
  });

  test('ends in time when the stream takes nothing', async () => {
    const bench = await start({ limits: { drainMs: 50, backOffMinMs: 5 } });
    const { recorder } = await admitted(bench);
    bench.faults.failWith = 'stream_unavailable';
    recorder.send(batchFrame(1));
    await credit(recorder);
    await bench.collector.drain();
    expect((await recorder.closed).code).toBe(1013);
  });

  test('stop is idempotent and ends run', async () => {
    const bench = await start();
    const { recorder } = await admitted(bench);
    const run = bench.collector.run();
    await bench.collector.stop();
    await bench.collector.stop();
    await run;
    expect((await recorder.closed).code).toBe(1012);
  });
});
