import { describe, expect, it } from 'vitest';
import { encodeEventsFile } from './lake-file.ts';
import {
  paths,
  SESSIONS_FILE_ROWS_MAX,
  type ClassName,
  type EventRow,
  type LakeFile,
  type SessionRow,
} from './layout.ts';
import { sessionAt, withMethods } from './samples.ts';
import { withSessions } from './session-files.ts';
import { sortedRows } from './sorted-rows.ts';
import { openMemoryStore } from './test-memory-store.ts';
import { decodeFile, encodeFile } from './x-hyparquet.ts';

const t0 = Date.UTC(2026, 2, 10, 12);
const date = '2026-03-10';
const store = openMemoryStore(() => t0);
let nonces = 0;
const nonce = (): string => `n${nonces++}`;
const id = (n: number): string => sessionAt(t0 + n, n);
const events = (n: number, seqs: readonly number[], rid = 'a'): EventRow[] =>
  seqs.map((seq) => ({
    ...{ project: 'shop', session_id: id(n), rid, seq, ts: BigInt(t0 + n + seq) * 1000n, type: 'click' },
  }));
async function put(rows: EventRow[], cls: ClassName = 'r30', groupRows?: number): Promise<LakeFile> {
  const { file, bytes } = await encodeEventsFile(paths.file(cls, 'events', 'shop', date, nonce()), cls, rows);
  const sizes = Array.from({ length: Math.ceil(rows.length / (groupRows ?? rows.length)) }, (_, i) =>
    Math.min(groupRows ?? rows.length, rows.length - i * (groupRows ?? 0)),
  );
  const grouped = groupRows ? await encodeFile('events', rows, sizes) : bytes;
  await store.put(file.key, grouped);
  return { ...file, bytes: grouped.length };
}
const all = new Map<ClassName, ReadonlySet<string>>([['r30', new Set()]]);
const touched = (...ns: number[]): Map<ClassName, ReadonlySet<string>> =>
  new Map([['r30', new Set(ns.map(id))]]);
const refresh = (files: readonly LakeFile[], which = all, isErased?: (session: string) => boolean) =>
  withSessions({ store, nonce }, files, { project: 'shop', date, touched: which, isErased });
const made = (files: readonly LakeFile[]): LakeFile[] => files.filter(({ table }) => table === 'sessions');
async function told(files: readonly LakeFile[]): Promise<Record<string, number>> {
  const rows: SessionRow[] = [];
  for (const { key } of made(files)) rows.push(...(await decodeFile('sessions', await store.get(key))));
  const counts = Object.fromEntries(
    rows.map((row) => [String(row.started_at / 1000n - BigInt(t0) - 1n), row.events]),
  );
  expect(rows).toHaveLength(Object.keys(counts).length);
  return counts;
}

describe('the sessions of a day', () => {
  it('are made of the events of all its files, also of a page load that lies in several', async () => {
    const files = [await put(events(1, [1, 2])), await put([...events(1, [3, 4]), ...events(2, [1])])];
    const day = await refresh(files);
    expect(await told(day)).toEqual({ 1: 4, 2: 1 });
    expect(made(day)).toMatchObject([
      { rows: 2, firstSession: id(1), lastSession: id(2), minMs: t0 + 2, maxMs: t0 + 3, class: 'r30' },
    ]);
  });

  it('count an event once that two files have', async () => {
    expect(
      await told(await refresh([await put(events(1, [1, 2, 3])), await put(events(1, [2, 3, 4]))])),
    ).toEqual({
      1: 4,
    });
  });

  it('follow those that were touched, and leave the others as they are', async () => {
    const first = await refresh([await put([...events(1, [1]), ...events(2, [1])])]);
    const more = await put([...events(2, [2]), ...events(3, [1])]);
    // Of another the events went, though nobody said so.
    const second = await refresh([...first.slice(1), await put(events(2, [1])), more], touched(2, 3));
    expect(await told(second)).toEqual({ 1: 1, 2: 2, 3: 1 });
    expect(made(second)).toHaveLength(1);
  });

  it('go when their events are in no file of the class any more, and with the last ones the file', async () => {
    const [file, other] = [await put(events(1, [1])), await put(events(2, [1]))];
    const day = await refresh([file, other]);
    const left = await refresh(
      day.filter((one) => one !== file),
      touched(1),
    );
    expect(await told(left)).toEqual({ 2: 1 });
    expect(await refresh(made(left), touched(2))).toEqual([]);
  });

  it('have each class of a session apart', async () => {
    const files = [await put(events(1, [1, 2])), await put(events(1, [3]), 'r90')];
    const day = await refresh(files, new Map([...all, ['r90', new Set()]]));
    const of = (cls: ClassName): LakeFile[] => day.filter((file) => file.class === cls);
    expect([await told(of('r30')), await told(of('r90'))]).toEqual([{ 1: 2 }, { 3: 1 }]);
  });

  it('are none of those that are erased', async () => {
    const files = [await put([...events(1, [1]), ...events(2, [1])])];
    const day = await refresh(files, touched(1), (session) => session === id(1));
    expect(await told(day)).toEqual({ 2: 1 });
  });

  it('of many sessions are several files, of which only those with a touched one are written again', async () => {
    const count = SESSIONS_FILE_ROWS_MAX * 2 + 10;
    const rows = Array.from({ length: count }, (_, n) => events(n, [1])).flat();
    const file = await put(rows);
    const day = await refresh([file]);
    expect(made(day).map((one) => one.rows)).toEqual([SESSIONS_FILE_ROWS_MAX, SESSIONS_FILE_ROWS_MAX, 10]);
    const again = await refresh([...day, await put(events(3, [2]))], touched(3));
    const kept = made(day).filter((one) => again.includes(one));
    // The small one comes along.
    expect(kept).toEqual([made(day)[1]]);
    expect(made(again).reduce((sum, one) => sum + one.rows, 0)).toBe(count);
    expect((await told(again))[3]).toBe(2);
  });

  it('are found without reading row groups that hold no touched one', async () => {
    const rows = Array.from({ length: 100 }, (_, n) => events(n, [1, 2, 3])).flat();
    const file = await put(rows, 'r30', 30);
    const reads: { key: string; bytes: number }[] = [];
    const watched = withMethods(store, {
      get: async (key, range) => {
        const bytes = await store.get(key, range);
        reads.push({ key, bytes: bytes.length });
        return bytes;
      },
    });
    const found: EventRow[] = [];
    const query = { sessions: new Set([id(15), id(70)]), skips: () => false };
    for await (const row of sortedRows(watched, 'events', [file], query)) found.push(row);
    expect(found).toEqual([...events(15, [1, 2, 3]), ...events(70, [1, 2, 3])]);
    // The footer, and one request for each of two groups of ten.
    expect(reads).toHaveLength(3);
    const untouched = { sessions: new Set([id(500)]), skips: () => false };
    for await (const row of sortedRows(watched, 'events', [file], untouched)) expect(row).toBeUndefined();
    expect(reads).toHaveLength(3);
  });
});
