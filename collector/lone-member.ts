import type { Members } from './stream.ts';

/** Of the embedded log, whose directory one process alone can open. */
export function createLoneMember(ttlMs: number): Members {
  const id = 'alone';
  const notes = new Map<string, string>();
  return {
    id,
    ttlMs,
    announce: async (note) => void notes.set(id, note),
    list: () => notes,
    onNews: () => {},
    leave: async () => notes.clear(),
  };
}
