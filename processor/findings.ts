import type { FileCode } from './inspect-file.ts';

/** What a check of the lake may find, and what to do about it. `repair` says what `repair()` can do. */
export const FINDINGS = {
  root_lost: ['project', 'the newest root manifest is not there; `fsck --repair` makes it from the files'],
  bad_root: ['project', 'the newest root manifest cannot be read; `fsck --repair` makes it from the files'],
  day_lost: ['day', 'a manifest that the root names is not there; `fsck --repair` makes it from the files'],
  bad_day: ['day', 'a manifest that the root names cannot be read; `fsck --repair` makes it from the files'],
  file_lost: ['day', '`fsck --repair` takes what other files and commits still have; else restore a backup'],
  unreadable: ['day', '`fsck --repair` puts it aside and takes what other files and commits still have'],
  wrong_hash: ['day', '`fsck --repair` puts it aside and takes what other files and commits still have'],
  wrong_columns: ['day', '`fsck --repair` puts it aside and takes what other files and commits still have'],
  wrong_size: ['day', '`fsck --repair` tells what the file is, or puts it aside'],
  wrong_order: ['day', '`fsck --repair` writes it again'],
  wrong_groups: ['day', '`fsck --repair` writes it again'],
  wrong_rows: ['day', '`fsck --repair` tells what the file is'],
  wrong_bounds: ['day', '`fsck --repair` tells what the file is'],
  wrong_seal: ['day', '`fsck --repair` tells what the file is'],
  wrong_place: ['day', '`fsck --repair` writes its rows where they belong'],
  key_twice: ['day', '`fsck --repair` keeps the row once'],
  session_rows: ['day', '`fsck --repair` leaves `sessions` out; the next compaction makes it anew'],
  iceberg_differs: ['iceberg', '`fsck --repair` publishes the files anew'],
  iceberg_behind: ['none', "the processor's next compaction publishes it"],
  bad_commit: [
    'shard',
    'restore it from a backup, or `fsck --repair` makes it of its data files; until then its shard stands still and nothing is read',
  ],
  commit_hole: [
    'shard',
    'restore the commit that is missing, or `fsck --repair` makes it of its data files; those after it are seen but not compacted',
  ],
  commit_file_lost: ['commit', 'restore it from a backup, or `fsck --repair` lets the commit be without it'],
  commit_file_bad: ['commit', 'restore it from a backup, or `fsck --repair` puts it aside'],
  commit_rows: ['none', 'rows of the commit are missing or too many; look what wrote it'],
  asset_hash: ['asset', '`fsck --repair` puts it aside'],
  leftover: ['none', 'the next sweeps remove it; look whether a processor runs'],
  overdue: [
    'none',
    'it is past its class and the sweeps should have removed it; look whether a processor runs',
  ],
} as const satisfies Record<string, readonly [repair: string, todo: string]>;
export type FindingCode = keyof typeof FINDINGS;

export interface Finding {
  /** A note is told and is no error. */
  level: 'wrong' | 'note';
  code: FindingCode;
  key: string;
  why: string;
  todo: string;
  /** Of what belongs to one. */
  project?: string;
  date?: string;
}

/** Fails to compile when a file can have a problem that no finding tells. */
const _everyFileCode: Record<FileCode, readonly unknown[]> = FINDINGS;
void _everyFileCode;

export const finding = (
  code: FindingCode,
  key: string,
  why: string,
  more: { project?: string; date?: string; level?: Finding['level'] } = {},
): Finding => ({ level: 'wrong', code, key, why, todo: FINDINGS[code][1], ...more });

/** What is to be made anew, decided from what was found. */
export interface RepairPlan {
  /** By project: the dates, or all with the root. */
  projects: Map<string, { root: boolean; dates: Set<string>; iceberg: boolean }>;
  /** Commits are to be made anew. */
  commits: boolean;
  /** Keys of files of commits. */
  commitFiles: Set<string>;
  assets: string[];
}
export function planRepair(findings: readonly Finding[]): RepairPlan {
  const plan: RepairPlan = { projects: new Map(), commits: false, commitFiles: new Set(), assets: [] };
  for (const { level, code, key, project = '', date } of findings) {
    if (level !== 'wrong') continue;
    const repair = FINDINGS[code][0];
    if (repair === 'shard') plan.commits = true;
    if (repair === 'commit') plan.commitFiles.add(key);
    if (repair === 'asset') plan.assets.push(key);
    if (repair !== 'project' && repair !== 'day' && repair !== 'iceberg') continue;
    const of = plan.projects.get(project) ?? { root: false, dates: new Set(), iceberg: false };
    plan.projects.set(project, of);
    if (repair === 'project') of.root = true;
    if (repair === 'iceberg') of.iceberg = true;
    if (repair === 'day' && date) of.dates.add(date);
  }
  return plan;
}
