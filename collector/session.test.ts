import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { encodeFrame, FrameFlag, FrameType } from '#protocol';
import { decodeRecord, sessionFilter } from './stream.ts';
import {
  batchFrame,
  FULL_SNAPSHOT,
  helloFrame,
  KEY,
  newRid,
  TestRecorder,
  start,
  admitted,
  stored,
  until,
} from './test-recorder.ts';
import { decodeToken } from './tokens.ts';
import { sessionStartMs } from './x-uuidv7.ts';

describe('a session', () => {
  test('begins with WELCOME: an id that tells its start by our clock, a token, nothing stored', async () => {
    const bench = await start();
    const { welcome } = await admitted(bench);
    expect(sessionStartMs(welcome.session)).toBe(bench.clock.nowMs);
    expect(welcome).toMatchObject({
      lastFrame: 0,
      serverMs: bench.clock.nowMs,
      settings: { record: true },
    });
    expect(decodeToken('a secret of tests', welcome.token)).toEqual({
      v: 1,
      project: 'demo',
      session: welcome.session,
      retentionDays: 30,
      issuedMs: bench.clock.nowMs,
    });
    expect((await admitted(bench)).welcome.session).not.toBe(welcome.session);
  });

  test('batches are stored as they came, unopened, behind what only we know', async () => {
    const bench = await start();
    const recorder = await new TestRecorder(bench.url).open();
    const { session } = await recorder.hello({ rid: 'rid-12345', nowMs: bench.clock.nowMs - 5000.4 });
    const frames = [
      batchFrame(1, randomBytes(5000), FULL_SNAPSHOT | FrameFlag.gzip),
      batchFrame(2, 'not json'),
    ];
    recorder.send(...frames);
    await recorder.acked(2);
    const messages = await stored(bench.stream, sessionFilter('demo', session));
    expect(messages.map(({ subject }) => subject.slice(-2))).toEqual(['.f', '.i']);
    for (const [i, message] of messages.entries()) {
      const { envelope, frame } = decodeRecord(message.bytes);
      expect(envelope).toMatchObject({
        ...{ v: 1, rid: 'rid-12345', retentionDays: 30 },
        ...{ offsetMs: 5000, receivedMs: bench.clock.nowMs },
      });
      expect(Buffer.compare(frame, frames[i]!)).toBe(0);
    }
  });

  test('an ack comes only when the stream has made the batch durable', async () => {
    const bench = await start();
    const { recorder, rid } = await admitted(bench);
    bench.faults.holds = true;
    recorder.send(batchFrame(1));
    await bench.faults.untilHeld(1);
    expect(await recorder.ping()).toBe(0);
    bench.faults.release(`${rid}.1`);
    expect(await recorder.ack()).toBe(1);
    expect(await stored(bench.stream)).toHaveLength(1);
  });

  test('an ack is cumulative: it waits for the holes below it', async () => {
    const bench = await start();
    const { recorder, rid } = await admitted(bench);
    bench.faults.holds = true;
    recorder.send(batchFrame(1), batchFrame(2), batchFrame(3));
    await bench.faults.untilHeld(3);
    bench.faults.release(`${rid}.3`);
    bench.faults.release(`${rid}.2`);
    await until(async () => (await stored(bench.stream)).length === 2);
    expect(await recorder.ping()).toBe(0);
    bench.faults.release(`${rid}.1`);
    expect(await recorder.ack()).toBe(3);
  });

  test('goes on over a new socket, where a resend is acked and not stored again', async () => {
    const bench = await start();
    const first = await admitted(bench);
    first.recorder.send(batchFrame(1), batchFrame(2));
    await first.recorder.acked(2);
    first.recorder.ws.terminate();
    const again = await new TestRecorder(bench.url).open();
    const welcome = await again.hello({ rid: first.rid, token: first.welcome.token });
    expect(welcome).toMatchObject({ session: first.welcome.session, lastFrame: 2 });
    again.send(batchFrame(2));
    expect(await again.ack()).toBe(2);
    again.send(batchFrame(3));
    expect(await again.ack()).toBe(3);
    expect(await stored(bench.stream)).toHaveLength(3);
  });

  test('goes on at another collector, which learns from the stream what is stored', async () => {
    const bench = await start();
    const { recorder, rid, welcome } = await admitted(bench);
    recorder.send(batchFrame(1), batchFrame(2), batchFrame(3));
    await recorder.acked(3);
    const other = await start({ stream: bench.stream });
    const again = await new TestRecorder(other.url).open();
    expect(await again.hello({ rid, token: welcome.token })).toMatchObject({
      session: welcome.session,
      lastFrame: 3,
    });
    const nextLoad = await new TestRecorder(other.url).open();
    expect((await nextLoad.hello({ rid: newRid(), token: welcome.token })).lastFrame).toBe(0);
  });

  test('a hole that the last collector left is not taken for stored', async () => {
    const bench = await start();
    const { recorder, rid, welcome } = await admitted(bench);
    recorder.send(batchFrame(1));
    await recorder.acked(1);
    bench.faults.holds = true;
    recorder.send(batchFrame(2), batchFrame(3));
    await bench.faults.untilHeld(2);
    bench.faults.release(`${rid}.3`);
    await until(async () => (await stored(bench.stream)).length === 2);
    const other = await start({ stream: bench.stream });
    const again = await new TestRecorder(other.url).open();
    expect((await again.hello({ rid, token: welcome.token })).lastFrame).toBe(1);
    again.send(batchFrame(2), batchFrame(3));
    await again.acked(3);
    const frames = (await stored(bench.stream)).map(({ bytes }) => decodeRecord(bytes).frame[7]);
    expect(frames).toEqual([1, 3, 2]);
  });

  test('where the stream was trimmed, what the recorder says was acked counts', async () => {
    const bench = await start();
    const { recorder, rid, welcome } = await admitted(bench);
    recorder.send(batchFrame(1), batchFrame(2));
    await recorder.acked(2);
    await bench.stream.trim(100);
    const other = await start({ stream: bench.stream });
    const again = await new TestRecorder(other.url).open();
    expect((await again.hello({ rid, token: welcome.token, ackedFrame: 2 })).lastFrame).toBe(2);
    again.send(batchFrame(3));
    expect(await again.ack()).toBe(3);
  });

  test('keeps the retention class with which it began, and the next session has the new one', async () => {
    const bench = await start();
    const { welcome } = await admitted(bench);
    const changed = {
      ...{ v: 1 as const, secret: 'a secret of tests' },
      projects: [
        {
          ...{ id: 'demo', retentionDays: 45, apiKeys: [] },
          writeKeys: [{ key: KEY, origins: ['*'] }],
        },
      ],
    };
    const later = await start({ stream: bench.stream, projects: { current: () => changed } });
    const again = await new TestRecorder(later.url).open();
    await again.hello({ rid: newRid(), token: welcome.token });
    again.send(batchFrame(1));
    await again.acked(1);
    const [message] = await stored(bench.stream);
    expect(decodeRecord(message!.bytes).envelope.retentionDays).toBe(30);
    const { recorder: newcomer } = await admitted(later);
    newcomer.send(batchFrame(1));
    await newcomer.acked(1);
    const [, ofNewcomer] = await stored(bench.stream);
    expect(decodeRecord(ofNewcomer!.bytes).envelope.retentionDays).toBe(45);
  });

  test('gets a fresh token in good time, which is good when the first is not any more', async () => {
    const bench = await start();
    const { recorder, rid, welcome } = await admitted(bench);
    bench.clock.nowMs += 24 * 60_000;
    expect(await recorder.ping()).toBe(0);
    bench.clock.nowMs += 60_000;
    recorder.send(batchFrame(1));
    const renewed = await recorder.welcome();
    expect(renewed.session).toBe(welcome.session);
    expect(renewed.token).not.toBe(welcome.token);
    await recorder.acked(1);
    bench.clock.nowMs += 50 * 60_000;
    const again = await new TestRecorder(bench.url).open();
    expect((await again.hello({ rid, token: renewed.token })).lastFrame).toBe(1);
  });

  test('ends with BYE once all is acked', async () => {
    const bench = await start();
    const { recorder } = await admitted(bench);
    bench.faults.holds = true;
    recorder.send(batchFrame(1), encodeFrame({ type: FrameType.bye }));
    await bench.faults.untilHeld(1);
    bench.faults.releaseAll();
    expect(await recorder.ack()).toBe(1);
    expect(await recorder.closed).toEqual({ code: 1000, reason: 'bye' });
  });

  test('frames that come before WELCOME wait for it', async () => {
    const bench = await start();
    const { welcome, rid } = await admitted(bench);
    const other = await start({ stream: bench.stream });
    const eager = await new TestRecorder(other.url).open();
    eager.send(helloFrame({ rid, token: welcome.token }), batchFrame(1), batchFrame(2));
    expect((await eager.welcome()).lastFrame).toBe(0);
    await eager.acked(2);
  });
});
