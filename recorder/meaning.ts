import type { RecordedEvent } from './batcher.ts';
import { observeClicks, RageCounter } from './clicks.ts';
import type { RecordingContext } from './context.ts';
import { watchDeadClicks } from './dead-clicks.ts';
import type { EarlyEvent } from './early.ts';
import { observeForms } from './forms.ts';
import { reportHealth } from './health.ts';
import { observeNetwork } from './network.ts';
import { observeOwnTasks } from './own-tasks.ts';

/** What every page gets but may get a moment later than the core. */
export interface Meaning {
  recorded(event: RecordedEvent): void;
  stop(): void;
}

/** @param early what may become clicks */
export function observeMeaning(context: RecordingContext, early: EarlyEvent[]): Meaning {
  const { custom, guard, idOf, options, late } = context;
  const dead = options.deadMs > 0 ? watchDeadClicks(context) : undefined;
  const stops = [
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
    observeForms(context),
    observeOwnTasks(context),
    ...(dead ? [dead.stop] : []),
    ...(dead || options.network !== 'off' ? [observeNetwork(context, (key) => dead?.requested(key))] : []),
  ];
  if (options.vitals) late(import('./x-web-vitals.ts'), ({ observeVitals }) => observeVitals(context));
  if (options.console) late(import('./console.ts'), ({ observeConsole }) => observeConsole(context));
  stops.push(reportHealth(context));
  return {
    recorded: (event) => dead?.recorded(event),
    stop: () => stops.forEach((stop) => stop()),
  };
}
