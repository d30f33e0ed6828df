import { describe, expect, test } from 'vitest';
import { BATCH_FRAMES_MAX, decodeFrame, encodeFrame, FrameFlag, FrameType, type Frame } from '#protocol';
import { FrameLedger } from './frame-ledger.ts';

const batch = (frame: number, size = 1): Frame =>
  decodeFrame(encodeFrame({ type: FrameType.batch, frame, firstSeq: frame }, new Uint8Array(size)));

/** Small and the same for the same seed. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('the ledger of frames', () => {
  test('acks what has no hole below it', () => {
    const ledger = new FrameLedger(0);
    for (const frame of [1, 2, 3, 4]) expect(ledger.receive(batch(frame))).toBe('append');
    expect(ledger.settle(2)).toBe(false);
    expect(ledger.settle(4)).toBe(false);
    expect(ledger.settle(1)).toBe(true);
    expect(ledger.durable).toBe(2);
    expect(ledger.unacked).toBe(2);
    expect(ledger.settle(3)).toBe(true);
    expect(ledger.durable).toBe(4);
    expect(ledger.unacked).toBe(0);
  });

  test('takes no batch of more frames than one can need', () => {
    const ledger = new FrameLedger(0);
    const receive = (frame: number, flags: number): void => {
      ledger.receive({ ...batch(frame), flags });
      ledger.settle(frame);
    };
    for (let frame = 1; frame < BATCH_FRAMES_MAX; frame++) receive(frame, FrameFlag.more);
    receive(BATCH_FRAMES_MAX, 0);
    for (let frame = 1; frame <= BATCH_FRAMES_MAX; frame++) receive(BATCH_FRAMES_MAX + frame, FrameFlag.more);
    expect(() => receive(2 * BATCH_FRAMES_MAX + 1, 0)).toThrow('batch of more than 1024 frames');
  });

  test('takes a resend for what it is', () => {
    const ledger = new FrameLedger(5);
    expect(ledger.receive(batch(3))).toBe('durable');
    expect(ledger.receive(batch(6))).toBe('append');
    expect(ledger.receive(batch(6))).toBe('underway');
    ledger.receive(batch(7));
    ledger.settle(7);
    expect(ledger.receive(batch(7))).toBe('durable');
    expect(ledger.durable).toBe(5);
    expect(() => ledger.receive(batch(9))).toThrow('frame 9 came where 8 was next');
  });

  test('counts credit by what is unacked, not by what was sent', () => {
    const ledger = new FrameLedger(0);
    for (let frame = 1; frame <= 100; frame++) {
      ledger.receive(batch(frame, 200_000));
      ledger.settle(frame);
    }
    for (let frame = 101; frame <= 106; frame++) ledger.receive(batch(frame, 200_000));
    expect(() => ledger.receive(batch(107, 200_000))).toThrow('7 frames of 1400112 bytes');
  });

  test.each([1, 2, 3, 4, 5])('whatever the order, it agrees with a plain list (seed %i)', (seed) => {
    const random = createRandom(seed);
    const ledger = new FrameLedger(0);
    const underway: number[] = [];
    const durable = new Set<number>();
    for (let step = 0, next = 1; step < 2000; step++) {
      if (underway.length + ledger.unacked < 14 && ledger.unacked < 8 && random(2)) {
        expect(ledger.receive(batch(next))).toBe('append');
        underway.push(next++);
      } else if (underway.length) {
        const [frame] = underway.splice(random(underway.length), 1);
        durable.add(frame!);
        ledger.settle(frame!);
      }
      let upTo = 0;
      while (durable.has(upTo + 1)) upTo++;
      expect(ledger.durable).toBe(upTo);
      expect(ledger.unacked).toBe(next - 1 - upTo);
    }
  });
});
