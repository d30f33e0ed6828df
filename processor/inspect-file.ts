import { sha256Of } from './damage.ts';
import { describeFile } from './lake-file.ts';
import { sessionDate, type LakeFile, type ReplayRow, type Table } from './layout.ts';
import { compareRows } from './row-groups.ts';
import { assetsIn } from './split-assets.ts';
import { decodeSpliceableGroups } from './parquet-groups.ts';
import { decodeFile, decodeFooter, readerOf, type Row } from './x-hyparquet.ts';

export type FileCode =
  | 'unreadable'
  | 'wrong_hash'
  | 'wrong_size'
  | 'wrong_columns'
  | 'wrong_order'
  | 'wrong_groups'
  | 'wrong_rows'
  | 'wrong_bounds'
  | 'wrong_seal'
  | 'wrong_place';
export interface FileProblem {
  code: FileCode;
  why: string;
}
export interface Inspected {
  rows: Row[];
  /** What is wrong with the file alone, whatever is said of it elsewhere. */
  problems: FileProblem[];
}

/** Reads all of a data file. What cannot be read is a problem, not an error. */
export async function inspectFile(table: Table, bytes: Uint8Array): Promise<Inspected> {
  try {
    const { groupRows, differences } = await decodeFooter(table, bytes);
    const problems = differences.map((why): FileProblem => ({ code: 'wrong_columns', why }));
    if (problems.length) return { rows: [], problems };
    const rows: Row[] = await decodeFile(table, bytes);
    const at = rows.findIndex((row, i) => i > 0 && compareRows(rows[i - 1]!, row) >= 0);
    if (at > 0)
      problems.push({ code: 'wrong_order', why: `row ${at} does not come after the one before it` });
    const crossing = table === 'replay' ? firstCrossing(rows as ReplayRow[], groupRows) : -1;
    if (crossing >= 0)
      problems.push({ code: 'wrong_groups', why: `row group ${crossing} holds more than one page load` });
    const mistold = table === 'replay' ? await firstMistold(bytes, rows as ReplayRow[]) : -1;
    if (mistold >= 0)
      problems.push({ code: 'wrong_seal', why: `row group ${mistold} refers to other assets than it tells` });
    return { rows, problems };
  } catch (error) {
    // Whatever the reader stumbles over in broken bytes.
    return { rows: [], problems: [{ code: 'unreadable', why: (error as Error).message }] };
  }
}

function firstCrossing(rows: readonly ReplayRow[], groupRows: readonly number[]): number {
  let start = 0;
  return groupRows.findIndex((count) => {
    const group = rows.slice(start, (start += count));
    return group.some(({ session_id, rid }) => session_id !== group[0]!.session_id || rid !== group[0]!.rid);
  });
}

/** By what a row group tells of its assets they are kept or removed, without a look at its payloads. */
async function firstMistold(bytes: Uint8Array, rows: readonly ReplayRow[]): Promise<number> {
  const groups = (await decodeSpliceableGroups(bytes.length, readerOf(bytes))) ?? [];
  let start = 0;
  return groups.findIndex((group) => {
    const own = rows.slice(start, (start += group.rows)).flatMap(({ payload }) => assetsIn(payload));
    return [...new Set(own)].sort().join() !== [...group.assets].sort().join();
  });
}

/** In what a file's line in a manifest is not what the file is. */
export async function compareLine(
  line: LakeFile,
  bytes: Uint8Array,
  rows: readonly Row[],
): Promise<FileProblem[]> {
  if (!rows.length) return [{ code: 'wrong_rows', why: `it has no row, ${line.rows} are told` }];
  const is = await describeFile(line.key, line.table, line.class, rows, bytes);
  const told = (what: keyof LakeFile): string =>
    `${what} is ${String(is[what])}, told is ${String(line[what])}`;
  const problems: FileProblem[] = [];
  if (is.rows !== line.rows) problems.push({ code: 'wrong_rows', why: told('rows') });
  for (const bound of ['firstSession', 'lastSession', 'minMs', 'maxMs'] as const)
    if (is[bound] !== line[bound]) problems.push({ code: 'wrong_bounds', why: told(bound) });
  if (is.sealed !== line.sealed) problems.push({ code: 'wrong_seal', why: told('sealed') });
  return problems;
}

export const compareHash = (line: LakeFile, bytes: Uint8Array): FileProblem[] =>
  line.sha256 !== undefined && sha256Of(bytes) !== line.sha256
    ? [{ code: 'wrong_hash', why: 'its SHA-256 is not the one told' }]
    : [];

/** Whether all rows are of the project and day in whose folder the file is. */
export function comparePlace(project: string, date: string, rows: readonly Row[]): FileProblem[] {
  const stray = rows.find((row) => row.project !== project || sessionDate(row.session_id) !== date);
  return stray
    ? [{ code: 'wrong_place', why: `it holds session ${stray.session_id} of project ${stray.project}` }]
    : [];
}
