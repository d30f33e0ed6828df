import { RECORDED_TABLES, type ClassName, type CommitSession, type Table } from './layout.ts';
import { addRange, inRanges, type Ranges } from './ranges.ts';
import type { Row } from './x-hyparquet.ts';

/** Keys of rows, held as ranges: of a page load they are nearly all numbers in a row. */
export interface KnownKeys {
  /** False when it was known. Of `sessions` a class has its own. */
  add(table: Table, row: Row, cls: ClassName): boolean;
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
    add(table, row, cls) {
      const kind = 'kind' in row ? row.kind : 'event';
      const { rid, seq } = 'seq' in row ? row : { rid: cls, seq: 1 };
      const ranges = rangesOf(`${table} ${kind} ${row.session_id} ${rid}`);
      if (inRanges(ranges, seq)) return false;
      addRange(ranges, seq, seq);
      return true;
    },
    addSessions(project, sessions) {
      for (const one of sessions)
        if (one.project === project)
          for (const table of RECORDED_TABLES)
            for (const [from, to] of one.seqs)
              addRange(rangesOf(`${table} event ${one.session} ${one.rid}`), from, to);
    },
  };
}
