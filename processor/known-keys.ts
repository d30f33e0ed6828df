import type { CommitSession, EventRow, ReplayRow, Table } from './layout.ts';
import { addRange, inRanges, type Ranges } from './ranges.ts';

/** Keys of rows, held as ranges: of a page load they are nearly all numbers in a row. */
export interface KnownKeys {
  /** False when it was known. */
  add(table: Table, row: EventRow | ReplayRow): boolean;
  /** What commits hold of a project. */
  addSessions(project: string, sessions: readonly CommitSession[]): void;
}

export function createKnownKeys(): KnownKeys {
  const held = new Map<string, Ranges>();
  const rangesOf = (key: string): Ranges => {
    const ranges = held.get(key) ?? [];
    held.set(key, ranges);
    return ranges;
  };
  return {
    add(table, row) {
      const kind = 'kind' in row ? row.kind : 'event';
      const ranges = rangesOf(`${table} ${kind} ${row.session_id} ${row.rid}`);
      if (inRanges(ranges, row.seq)) return false;
      addRange(ranges, row.seq, row.seq);
      return true;
    },
    addSessions(project, sessions) {
      for (const one of sessions)
        if (one.project === project)
          for (const table of ['events', 'replay'] as const)
            for (const [from, to] of one.seqs)
              addRange(rangesOf(`${table} event ${one.session} ${one.rid}`), from, to);
    },
  };
}
