import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { RecordingContext } from './context.ts';
import { optionsSet, reportHealth } from './health.ts';
import { withDefaults } from './options.ts';
import type { RecorderHealth } from './protocol.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());
const options = withDefaults({ url: 'https://c.example', key: 'wk_x', rageClicks: 4, vitals: true });

test('only options that differ from the defaults are told, and neither key nor address', () => {
  expect(optionsSet(options)).toEqual({ rageClicks: 4 });
});

test('health is told at once, then once a minute when more than counters changed', () => {
  const health = { state: 'recording', eventsRecorded: 1, bytesSent: 1, failures: 0 } as RecorderHealth;
  const told: RecorderHealth[] = [];
  const parts: RecordingContext['parts'] = [() => health];
  const stop = reportHealth({
    options,
    parts,
    custom: (_tag, payload) => void told.push(payload as RecorderHealth),
    guard: (f) => f,
    healthNow: () => Object.assign({}, ...parts.map((part) => part())) as RecorderHealth,
  } as RecordingContext);
  expect(told).toEqual([{ ...health, options: { rageClicks: 4 } }]);
  Object.assign(health, { eventsRecorded: 99, bytesSent: 99_999, state: 'offline' });
  vi.advanceTimersByTime(600_000);
  expect(told.length).toBe(1);
  health.failures = 1;
  vi.advanceTimersByTime(59_999);
  expect(told.length).toBe(1);
  vi.advanceTimersByTime(1);
  expect(told.at(-1)).toMatchObject({ failures: 1, eventsRecorded: 99 });
  stop();
  health.failures = 2;
  vi.advanceTimersByTime(600_000);
  expect(told.length).toBe(2);
});
