/** What a member announced last, and when, by the clock of the server that keeps it. */
export interface Announcement {
  note: string;
  announcedMs: number;
}

/**
 * Those of them who live. The newest announcement of any is taken for now: so no two machines' clocks are compared, and
 * while nothing is heard nobody is taken for dead.
 */
export function living(
  heard: ReadonlyMap<string, Announcement>,
  ttlMs: number,
): ReadonlyMap<string, Announcement> {
  const newestMs = Math.max(...[...heard.values()].map(({ announcedMs }) => announcedMs));
  return new Map([...heard].filter(([, { announcedMs }]) => announcedMs > newestMs - ttlMs));
}
