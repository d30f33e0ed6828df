import type { RecordingContext } from './context.ts';
import { DEFAULTS, type RecorderOptions } from './options.ts';
import type { RecorderHealth } from './protocol.ts';

const HEALTH_INTERVAL_MS = 60_000;

/** Tells the health at once, and by the clock when it changed. With the farewell the core tells it. */
export function reportHealth({ custom, guard, parts, options, healthNow }: RecordingContext): () => void {
  parts.push(() => ({ options: optionsSet(options) }));
  let told = '';
  const report = guard(() => {
    const health = healthNow();
    const condition = conditionOf(health);
    if (condition === told) return;
    told = condition;
    custom('recorder_health', health);
  });
  const timer = setInterval(report, HEALTH_INTERVAL_MS);
  report();
  return () => clearInterval(timer);
}

/** The options that a page has set otherwise than the defaults say; address and key stand elsewhere. Pure. */
export const optionsSet = ({ url: _url, key: _key, ...options }: RecorderOptions): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(options).filter(([name, value]) => value !== DEFAULTS[name as keyof typeof DEFAULTS]),
  );

/** What only counts on, and whether a connection is open just now. */
const COUNTERS: (keyof RecorderHealth)[] = [
  'eventsRecorded',
  'eventsAcked',
  'framesUnacked',
  'bytesBuffered',
  'bytesSent',
  'state',
];
/** Without counters: else a page on which nothing happens would never end its session. */
const conditionOf = (health: RecorderHealth): string =>
  JSON.stringify(health, (name, value: unknown) =>
    COUNTERS.includes(name as keyof RecorderHealth) ? undefined : value,
  );
