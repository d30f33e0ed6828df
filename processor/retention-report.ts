import { unlessDamaged } from './damage.ts';
import { encodeJson } from './lake-reader.ts';
import {
  classDays,
  dayEndMs,
  dayIsPast,
  paths,
  placeOf,
  type RetentionLine,
  type RetentionReport,
} from './layout.ts';
import type { ProjectState } from './manifest.ts';
import type { Store, StoreError, StoreObject } from './store.ts';

/** One object a project, written by each collection of garbage, for the table `retention_status`. @throws StoreError */
export async function reportRetention(
  store: Store,
  state: (project: string) => Promise<ProjectState>,
  projects: Iterable<string>,
  stored: readonly StoreObject[],
  nowMs: number,
  onDamage: (error: StoreError) => void,
): Promise<void> {
  for (const project of projects) {
    const known = await unlessDamaged(onDamage, () => state(project));
    if (!known) continue;
    const lines = retentionLines(known, stored, nowMs);
    const report: RetentionReport = { v: 1, project, atMs: nowMs, lines };
    await store.put(paths.retentionReport(project), encodeJson(report));
  }
}

/** @param stored data files and assets of any projects */
export function retentionLines(
  { project, days }: ProjectState,
  stored: readonly StoreObject[],
  nowMs: number,
): RetentionLine[] {
  const lines = new Map<string, RetentionLine>();
  const lineOf = (retentionDays: number, date: string): RetentionLine => {
    const key = `${date} ${String(retentionDays).padStart(4, '0')}`;
    const dueMs = dayEndMs(date, retentionDays);
    const fresh = {
      retentionDays,
      date,
      rows: 0,
      bytes: 0,
      files: 0,
      dueMs,
      overdueRows: 0,
      overdueBytes: 0,
    };
    const line = lines.get(key) ?? fresh;
    lines.set(key, line);
    return line;
  };
  for (const [date, { files }] of days)
    for (const file of files)
      if (file.table === 'events') lineOf(classDays(file.class), date).rows += file.rows;
  for (const { key, bytes } of stored) {
    if (!key.includes(`/project=${project}/`)) continue;
    const { class: cls, date } = placeOf(key)!;
    const line = lineOf(classDays(cls), date);
    line.bytes += bytes;
    line.files++;
  }
  for (const line of lines.values())
    if (dayIsPast(line.date, line.retentionDays, nowMs)) {
      line.overdueRows = line.rows;
      line.overdueBytes = line.bytes;
    }
  return [...lines].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line);
}
