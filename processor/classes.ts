import { RETENTION_DAYS } from '#projects';
import type { CompactParts } from './compact.ts';
import { classDays, className, lifecycleDays, paths, placeOf, type ClassName } from './layout.ts';
import type { ExpiryRule, StoreObject } from './store.ts';

/** Retention classes that there are: the plans', and whatever other a project has or had. */
const PLANS = RETENTION_DAYS.map(className);

/** Classes in which a project's rows of a day may be. @throws StoreError */
export async function classesOfDay(
  { state, commits }: Pick<CompactParts, 'state' | 'commits'>,
  project: string,
  date: string,
): Promise<ClassName[]> {
  const classes = new Set(PLANS);
  for (const commit of await commits.list())
    for (const session of commit.sessions) if (session.project === project) classes.add(session.class);
  for (const file of (await state(project)).days.get(date)?.files ?? []) classes.add(file.class);
  return [...classes];
}

export function classesIn(files: readonly Pick<StoreObject, 'key'>[]): ClassName[] {
  const classes = new Set(PLANS);
  for (const { key } of files) classes.add(placeOf(key)!.class);
  return [...classes].sort((a, b) => classDays(a) - classDays(b));
}

/** What could not be read goes after this. */
export const QUARANTINE_DAYS = 30;
/** A bucket holds 1000; some may be others'. The sweeper does without. */
const RULES_MAX = 900;
/** The backstop of retention: one rule a class, counted from an object's creation, which compaction begins anew. */
export const expiryRules = (classes: readonly ClassName[] = PLANS): ExpiryRule[] => [
  ...classes.slice(0, RULES_MAX).map((cls) => ({
    id: `mutoscope-${cls}`,
    prefix: paths.classPrefix(cls),
    days: lifecycleDays(classDays(cls)),
  })),
  { id: 'mutoscope-quarantine', prefix: paths.quarantinePrefix, days: QUARANTINE_DAYS },
];
