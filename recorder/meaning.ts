import type { RecordedEvent } from './batcher.ts';
import { observeClicks, RageCounter } from './clicks.ts';
import type { RecordingContext } from './context.ts';
import { watchDeadClicks } from './dead-clicks.ts';
import type { EarlyEvents } from './early.ts';
import { observeErrors } from './errors.ts';
import { observeForms } from './forms.ts';
import { reportHealth } from './health.ts';
import { lateObservers } from './late-observers.ts';
import { observeNavigation } from './navigation.ts';
import { observeNetwork } from './network.ts';
import { observeOwnTasks } from './own-tasks.ts';

/** What every page gets but may get a moment later than the core. */
export interface Meaning {
  recorded(event: RecordedEvent): void;
  /** Tells what waits, now. */
  flush(): void;
  stop(): void;
}

/** @param kept what came before */
export function observeMeaning(context: RecordingContext, kept: EarlyEvents): Meaning {
  const { custom, guard, idOf, observe, options, late } = context;
  const dead = options.deadMs > 0 ? watchDeadClicks(context) : undefined;
  lateObservers.forEach(observe);
  const early = kept.take();
  const navigation = observeNavigation(
    (told, atMs) => custom('navigation', told, atMs),
    guard,
    early,
    kept.href,
  );
  const stops = [
    navigation.stop,
    observeClicks(
      {
        rage: new RageCounter(options.rageClicks, options.rageGapMs),
        idOf,
        onPress: (event) => dead?.pressed(event),
        onClick: (click, control, atMs, isEarly) => {
          custom('click', click, atMs);
          if (!isEarly) dead?.clicked(click, control);
        },
        onRage: (rage, atMs) => custom('rage', rage, atMs),
      },
      guard,
      early,
    ),
    observeErrors(context, early),
    observeForms(context),
    observeOwnTasks(context),
    ...(dead ? [dead.stop] : []),
    ...(dead || options.network !== 'off' ? [observeNetwork(context, (key) => dead?.requested(key))] : []),
  ];
  if (options.vitals) void late(import('./x-web-vitals.ts'), ({ observeVitals }) => observeVitals(context));
  if (options.console) void late(import('./console.ts'), ({ observeConsole }) => observeConsole(context));
  stops.push(reportHealth(context));
  return {
    flush: navigation.flush,
    recorded: (event) => dead?.recorded(event),
    stop: () => stops.forEach((stop) => stop()),
  };
}
