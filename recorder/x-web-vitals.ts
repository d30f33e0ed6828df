import { onCLS, onFCP, onINP, onLCP, onTTFB, type MetricType } from 'web-vitals';
import type { RecordingContext } from './context.ts';

/** Tells each vital when its value is final: at the latest when the page is hidden, before the farewell. */
export function observeVitals({ custom, guard }: RecordingContext): () => void {
  let isOn = true;
  const tell = guard(({ name, value, rating, id }: MetricType) => {
    // Thousandths are enough for a score and for milliseconds.
    if (isOn) custom('web-vital', { name, value: Math.round(value * 1000) / 1000, rating, id });
  });
  for (const observe of [onCLS, onFCP, onINP, onLCP, onTTFB]) observe(tell);
  // The library cannot be told to stop.
  return () => void (isOn = false);
}
