/**
 * What a user agent tells, by the first rule that finds something in it. The expressions mean the same to JavaScript and
 * to DuckDB, whose view `sessions` is made of them too.
 */
export type AgentRule = readonly [pattern: string, name: string];

export const BROWSERS: readonly AgentRule[] = [
  ['Edg(e|A|iOS)?/', 'Edge'],
  ['OPR/|Opera', 'Opera'],
  ['Firefox/|FxiOS/', 'Firefox'],
  ['Chrome/|Chromium/|CriOS/', 'Chrome'],
  ['Safari/', 'Safari'],
];
export const SYSTEMS: readonly AgentRule[] = [
  ['Android', 'Android'],
  ['iPhone|iPad|iPod', 'iOS'],
  ['Windows', 'Windows'],
  ['Mac OS X|Macintosh', 'macOS'],
  ['CrOS', 'ChromeOS'],
  ['Linux|X11', 'Linux'],
];
/** An iPad that asks for desktop pages says that it is a Mac. */
export const DEVICES: readonly AgentRule[] = [
  ['iPad|Tablet', 'tablet'],
  ['Mobi|iPhone|iPod', 'mobile'],
  ['Android', 'tablet'],
];

/** `other` when no rule finds anything, empty of no user agent. */
export function nameOf(rules: readonly AgentRule[], userAgent: string | undefined, other: string): string {
  if (userAgent === undefined) return '';
  return rules.find(([pattern]) => new RegExp(pattern).test(userAgent))?.[1] ?? other;
}

/** For a column's sentence. */
export const namesOf = (rules: readonly AgentRule[]): string =>
  [...new Set(rules.map(([, name]) => name))].sort().join(', ');
