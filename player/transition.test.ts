import { expect, test } from 'vitest';
import { PlayerError } from './client.ts';
import { initialState, transition, type PlayerEvent, type PlayerState } from './transition.ts';

const after = (...events: PlayerEvent[]): PlayerState => events.reduce(transition, initialState());
const OPENED: PlayerEvent = { type: 'opened', durationMs: 10_000, positionMs: 0 };
const SHOWN: PlayerEvent = { type: 'shown', positionMs: 0 };

test('a session opens paused at its position, and at its end when asked for a moment beyond it', () => {
  expect(after(OPENED, SHOWN)).toMatchObject({ phase: 'paused', positionMs: 0, durationMs: 10_000 });
  expect(after({ ...OPENED, positionMs: 99_999 })).toMatchObject({ phase: 'waiting', positionMs: 10_000 });
  expect(after({ ...OPENED, positionMs: -5 })).toMatchObject({ positionMs: 0 });
});

test('play before anything is loaded is remembered', () => {
  expect(after({ type: 'play' })).toMatchObject({ phase: 'loading', wantsPlay: true });
  expect(after({ type: 'play' }, OPENED, SHOWN).phase).toBe('playing');
});

test('a seek while playing goes on playing, a seek while paused stays paused', () => {
  const playing = after(OPENED, SHOWN, { type: 'play' });
  const sought = transition(playing, { type: 'seek', positionMs: 4000 });
  expect(sought).toMatchObject({ phase: 'waiting', positionMs: 4000, wantsPlay: true });
  expect(transition(sought, { type: 'shown', positionMs: 4000 }).phase).toBe('playing');
  expect(transition(transition(sought, { type: 'pause' }), { type: 'shown', positionMs: 4000 }).phase).toBe(
    'paused',
  );
});

test('missing segments make it wait, and it plays on once they are there', () => {
  const starved = after(
    OPENED,
    SHOWN,
    { type: 'play' },
    { type: 'tick', positionMs: 3000 },
    { type: 'starved' },
  );
  expect(starved).toMatchObject({ phase: 'waiting', positionMs: 3000 });
  expect(transition(starved, { type: 'shown', positionMs: 3000 }).phase).toBe('playing');
});

test('the end is where play begins again from the start', () => {
  const ended = after(OPENED, SHOWN, { type: 'play' }, { type: 'end' });
  expect(ended).toMatchObject({ phase: 'ended', positionMs: 10_000, wantsPlay: false });
  expect(transition(ended, { type: 'play' })).toMatchObject({
    phase: 'waiting',
    positionMs: 0,
    wantsPlay: true,
  });
});

test('a tick counts only while playing, and never leads past the end', () => {
  const paused = after(OPENED, SHOWN);
  expect(transition(paused, { type: 'tick', positionMs: 500 })).toBe(paused);
  expect(after(OPENED, SHOWN, { type: 'play' }, { type: 'tick', positionMs: 12_000 }).positionMs).toBe(
    10_000,
  );
});

test('after a failure nothing but a new start helps', () => {
  const error = new PlayerError('unreachable', 'no answer');
  const failed = after(OPENED, SHOWN, { type: 'play' }, { type: 'fail', error });
  expect(failed).toMatchObject({ phase: 'failed', error, wantsPlay: false });
  expect(transition(failed, { type: 'play' })).toBe(failed);
  expect(transition(failed, { type: 'seek', positionMs: 1 })).toBe(failed);
});

test('what changes nothing gives back the same state', () => {
  const paused = after(OPENED, SHOWN);
  for (const event of [
    { type: 'pause' },
    { type: 'end' },
    { type: 'starved' },
    { type: 'speed', speed: 1 },
    { type: 'skipIdle', skipIdle: true },
    { type: 'shown', positionMs: 5 },
  ] satisfies PlayerEvent[])
    expect(transition(paused, event), event.type).toBe(paused);
});
