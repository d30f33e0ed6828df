import { encodeFrame, FrameFlag, FrameType } from '#protocol';
import { encodeRecord, subjectOf } from '#stream';
import { describe, expect, it } from 'vitest';
import { assemble, isRejected, openMessage, tooMuchToHold, type PendingFrame } from './assembler.ts';
import { createSender, pageLoad, sessionAt } from './samples.ts';

const session = sessionAt(Date.UTC(2026, 0, 1), 1);
const never = (): boolean => false;
const senderOf = (rid = 'rid'): ReturnType<typeof createSender> =>
  createSender({ project: 'shop', session, rid });

let seq = 1;
const open = (sent: ReturnType<ReturnType<typeof createSender>['batch']>): PendingFrame[] =>
  sent
    .map((one) => openMessage({ ...one, seq: seq++, appendedMs: 0 }, 0))
    .flatMap((one) => (isRejected(one) ? [] : [one]));
const numbers = (frames: readonly PendingFrame[]): number[] => frames.map(({ frame }) => frame.frame);

it.each([
  [2 ** 30, undefined],
  [2 ** 30 + 1, 'frame without numbers'],
  [0, 'frame without numbers'],
])('a batch may begin with event %d: %s', (firstSeq, message) => {
  const envelope = { v: 1 as const, rid: 'rid-12345', retentionDays: 30, offsetMs: 0, receivedMs: 0 };
  const frame = encodeFrame({ type: FrameType.batch, frame: 1, firstSeq }, new Uint8Array(2));
  const bytes = encodeRecord(envelope, frame);
  const opened = openMessage({ seq: 1, subject: subjectOf('shop', session, true), bytes, appendedMs: 0 }, 0);
  expect(isRejected(opened) ? opened.message : undefined).toBe(message);
});

describe('frames become batches', () => {
  it('in any order, each with all its frames in theirs', () => {
    const sender = senderOf();
    const frames = [
      ...open(sender.batch(pageLoad(9, 0), { frameBytes: 200 })),
      ...open(sender.batch(pageLoad(3, 0))),
      ...open(sender.batch(pageLoad(9, 0), { gzip: false, frameBytes: 900 })),
      ...open(senderOf('other').batch(pageLoad(3, 0))),
    ];
    const { batches, waiting } = assemble(frames.toReversed(), never, never);
    expect(waiting).toEqual([]);
    expect(batches.map((batch) => batch.rid)).toEqual(['other', 'rid', 'rid', 'rid']);
    expect(batches.slice(1).flatMap((batch) => numbers(batch.frames))).toEqual(
      Array.from({ length: frames.length - 1 }, (_, i) => i + 1),
    );
    expect(batches[1]!.frames.length).toBeGreaterThan(1);
  });

  it('that lack their last, a middle or their first one wait', () => {
    for (const gzip of [true, false])
      for (const lost of [0, 1, 2]) {
        const sender = senderOf();
        open(sender.batch(pageLoad(3, 0)));
        const all = open(sender.batch(pageLoad(9, 0), { gzip, frameBytes: gzip ? 60 : 300 })).slice(0, 3);
        const last = { ...all[2]!, frame: { ...all[2]!.frame, flags: gzip ? 1 : 0 } };
        const frames = [all[0]!, all[1]!, last].filter((_, i) => i !== lost);
        const { batches, waiting } = assemble(frames, never, never);
        expect(batches, `${gzip} ${lost}`).toEqual([]);
        expect(waiting).toHaveLength(2);
      }
  });

  it('are told from what came before where the payload does not tell', () => {
    const sender = senderOf();
    const before = open(sender.batch(pageLoad(3, 0), { gzip: false }));
    const frames = open(sender.batch(pageLoad(3, 0), { gzip: false }));
    expect(assemble(frames, never, never).batches).toEqual([]);
    expect(assemble(frames, (_s, _r, frame) => frame === 1, never).batches).toHaveLength(1);
    expect(assemble([...before, ...frames], never, never).batches).toHaveLength(2);
  });

  it('are taken as they are when they have waited long enough', () => {
    const sender = senderOf();
    const [head, ...rest] = open(sender.batch(pageLoad(9, 0), { frameBytes: 150 }));
    const { batches, waiting } = assemble(rest, never, () => true);
    expect(waiting).toEqual([]);
    expect(batches).toMatchObject([{ stale: true }]);
    expect(assemble([head!, ...rest], never, () => true).batches).toMatchObject([{ stale: false }]);
  });

  it('of the recorders that hold the most are given up when too much waits', () => {
    const [one] = open(senderOf().batch([{}], { gzip: false }));
    const of = (rid: string, count: number, bytes: number): PendingFrame[] =>
      Array.from({ length: count }, (_, i) => ({
        ...one!,
        envelope: { ...one!.envelope, rid },
        frame: { ...one!.frame, frame: i + 1, flags: FrameFlag.more, payload: new Uint8Array(bytes) },
      }));
    const frames = [...of('small', 2, 1000), ...of('large', 3, 9000), ...of('many', 9, 1000)];
    const givenUp = (bytesMax: number): string[] => [
      ...new Set([...tooMuchToHold(frames, bytesMax)].map(({ envelope }) => envelope.rid)),
    ];
    expect(givenUp(60_000)).toEqual([]);
    expect(givenUp(50_000)).toEqual(['large']);
    expect(givenUp(10_000)).toEqual(['large', 'many']);
    const given = tooMuchToHold(frames, 50_000);
    const { batches, waiting } = assemble(frames, never, (frame) => given.has(frame));
    expect(batches.map(({ rid, stale }) => [rid, stale])).toEqual([['large', true]]);
    expect(waiting).toHaveLength(11);
  });

  it('are refused when there are too many of them, and wait in any number', () => {
    const [one] = open(senderOf().batch([{}], { gzip: false }));
    const many = (count: number, last: number): PendingFrame[] =>
      Array.from({ length: count }, (_, i) => {
        const flags = i === count - 1 ? last : FrameFlag.more;
        return { ...one!, seq: i, frame: { ...one!.frame, frame: i + 1, flags } };
      });
    expect(assemble(many(1024, 0), never, never).batches).toHaveLength(1);
    expect(assemble(many(1025, 0), never, never).rejected).toMatchObject([{ reason: 'too_large', seq: 0 }]);
    // More than a call can take as arguments.
    expect(assemble(many(200_000, FrameFlag.more), never, never).waiting).toHaveLength(200_000);
    expect(assemble(many(200_000, 0), never, never).rejected).toHaveLength(1);
  });

  it('are refused when together they are over the bound', () => {
    const frames = open(
      senderOf().batch([{}], { payload: new Uint8Array(8 * 1024 * 1024 + 1), gzip: false }),
    );
    expect(frames.length).toBeGreaterThan(30);
    const { rejected, batches } = assemble(frames, never, never);
    expect(batches).toEqual([]);
    expect(rejected).toMatchObject([{ reason: 'too_large', session, rid: 'rid', firstSeq: 1 }]);
    expect(rejected[0]!.bytes).toHaveLength(8 * 1024 * 1024 + 1);
  });
});
