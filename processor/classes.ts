import { RETENTION_DAYS } from '#projects';
import type { CompactParts } from './compact.ts';
import { getJsonIfThere } from './lake-reader.ts';
import {
  classDays,
  className,
  lifecycleDays,
  paths,
  placeOf,
  type ClassName,
  type RetentionReport,
} from './layout.ts';
import type { ExpiryRule, StoreObject } from './store.ts';

/** Retention classes that there are: the plans', and whatever other a project has or had. */
const PLANS = RETENTION_DAYS.map(className);

/**
 * Classes in which a project's rows and assets of a day may be: of the manifest, of the commits, which stay for an hour, and
 * of what was stored when garbage was collected last, for rows leave the manifest before their assets. @throws StoreError
 */
export async function classesOfDay(
  { store, state, commits }: Pick<CompactParts, 'store' | 'state' | 'commits'>,
  project: string,
  date: string,
): Promise<ClassName[]> {
  const classes = new Set(PLANS);
  for (const commit of await commits.list())
    for (const session of commit.sessions) if (session.project === project) classes.add(session.class);
  for (const file of (await state(project)).days.get(date)?.files ?? []) classes.add(file.class);
  const report = await getJsonIfThere<RetentionReport>(store, paths.retentionReport(project));
  for (const line of report?.lines ?? []) if (line.date === date) classes.add(className(line.retentionDays));
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
