import type { ClassName, LakeFile } from './layout.ts';
import type { Row } from './x-hyparquet.ts';

/** Whether a day's `sessions` tell as many events of each session as its `events` are. */
export interface SessionCheck {
  /** @param rows undefined when the file cannot be read: then nothing is said of its class */
  add(file: LakeFile, rows: readonly Row[] | undefined): void;
  differences(erased: ReadonlySet<string>): { key: string; why: string }[];
}

/** Events by session: those that there are, and those that are told. */
interface Counted {
  events: Map<string, number>;
  told: Map<string, number>;
  /** Of one of the files that tell. */
  key?: string;
}
export function createSessionCheck(): SessionCheck {
  const classes = new Map<ClassName, Counted>();
  const unread = new Set<ClassName>();
  return {
    add({ table, class: cls, key }, rows) {
      if (table === 'replay') return;
      const held: Counted = classes.get(cls) ?? { events: new Map(), told: new Map() };
      classes.set(cls, held);
      if (!rows) unread.add(cls);
      if (table === 'sessions') held.key = key;
      for (const row of rows ?? [])
        if ('started_at' in row) held.told.set(row.session_id, row.events);
        else held.events.set(row.session_id, (held.events.get(row.session_id) ?? 0) + 1);
    },
    differences(erased) {
      const found: { key: string; why: string }[] = [];
      for (const [cls, { events, told, key }] of classes) {
        // A lake that was without the table gets it with a compaction.
        if (!key || unread.has(cls)) continue;
        const wrong = [...new Set([...events.keys(), ...told.keys()])].find(
          (session) => !erased.has(session) && events.get(session) !== told.get(session),
        );
        if (wrong === undefined) continue;
        const why = `of session ${wrong} it tells ${told.get(wrong) ?? 0} events, there are ${events.get(wrong) ?? 0}`;
        found.push({ key, why });
      }
      return found;
    },
  };
}
