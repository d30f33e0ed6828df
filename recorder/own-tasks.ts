import type { RecordingContext } from './context.ts';

interface LongFrame extends PerformanceEntry {
  scripts: { sourceURL: string; duration: number }[];
}

/** As built; a site that bundles the recorder with its own code is not told from us. */
const OUR_FILES = /^(core|meaning|loader)\b/;

/** Tells the health how long our longest script took in a frame of over 50 ms; only Chromium knows. */
export function observeOwnTasks({ parts, guard }: RecordingContext): () => void {
  const folder = import.meta.url.replace(/[^/]*$/, '');
  const isOurs = (url: string): boolean => url.startsWith(folder) && OUR_FILES.test(url.slice(folder.length));
  let worstTaskMs: number | undefined;
  const look = guard((entries: PerformanceObserverEntryList) => {
    worstTaskMs ??= 0;
    for (const { scripts } of entries.getEntries() as LongFrame[])
      for (const { sourceURL, duration } of scripts)
        if (isOurs(sourceURL)) worstTaskMs = Math.max(worstTaskMs, Math.round(duration));
  });
  const observer = new PerformanceObserver(look);
  // Where the type is unknown this does nothing.
  observer.observe({ type: 'long-animation-frame', buffered: true });
  parts.push(() => (worstTaskMs === undefined ? {} : { worstTaskMs }));
  return () => observer.disconnect();
}
