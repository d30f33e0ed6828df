import { expect, it } from 'vitest';
import { tableFromIPC } from '@uwdata/flechette';
import { csv, isoInstant, jsonRows, type Rows } from './rows.ts';
import { arrowOf } from './x-arrow.ts';

const ROWS: Rows = {
  columns: [
    { name: 'id', type: 'BIGINT', kind: 'integer' },
    { name: 'say, "x"', type: 'VARCHAR', kind: 'text' },
    { name: 'ts', type: 'TIMESTAMP WITH TIME ZONE', kind: 'instant' },
    { name: 'ratio', type: 'DOUBLE', kind: 'number' },
    { name: 'ok', type: 'BOOLEAN', kind: 'boolean' },
    { name: 'list', type: 'VARCHAR[]', kind: 'json' },
    { name: 'id', type: 'HUGEINT', kind: 'integer' },
  ],
  cells: [
    [1, 2n ** 60n, null],
    ['plain', 'a "quoted",\r\nline é😀', ''],
    [1_773_136_800_000_000n, 1_773_136_800_123_456n, null],
    [1.5, NaN, null],
    [true, false, null],
    [['a', 1], { b: null }, null],
    [1, 2n ** 100n, null],
  ],
  truncated: false,
};

it('writes CSV as RFC 4180 wants it, a null unlike an empty text', () => {
  expect(csv(ROWS)).toBe(
    [
      'id,"say, ""x""",ts,ratio,ok,list,id',
      '1,plain,2026-03-10T10:00:00.000Z,1.5,true,"[""a"",1]",1',
      `1152921504606846976,"a ""quoted"",\r\nline é😀",2026-03-10T10:00:00.123456Z,NaN,false,"{""b"":null}",${2n ** 100n}`,
      ',"",,,,,',
      '',
    ].join('\r\n'),
  );
});

it('writes Arrow that another library reads, also twice the same name, nulls and no rows', () => {
  const table = tableFromIPC(arrowOf(ROWS), { useBigInt: true });
  expect(table.names).toEqual(['id', 'say, "x"', 'ts', 'ratio', 'ok', 'list', 'id:1']);
  expect(table.schema.fields.map(({ type }) => type.typeId)).toEqual([2, 5, 10, 3, 6, 5, 5]);
  const column = (i: number): unknown[] => [...table.getChildAt(i)];
  expect(column(0)).toEqual([1n, 2n ** 60n, null]);
  expect(column(1)).toEqual(['plain', 'a "quoted",\r\nline é😀', '']);
  expect(column(3)).toEqual([1.5, NaN, null]);
  expect(column(4)).toEqual([true, false, null]);
  expect(column(5)).toEqual(['["a",1]', '{"b":null}', null]);
  expect(column(6)).toEqual(['1', String(2n ** 100n), null]);
  const instants = tableFromIPC(arrowOf(ROWS)).getChildAt(2);
  expect(instants.at(0)).toBe(1_773_136_800_000);
  const none = { ...ROWS, cells: ROWS.columns.map(() => []) };
  expect(tableFromIPC(arrowOf(none)).numRows).toBe(0);
});

it('JSON has texts for what it has no numbers for', () => {
  expect(jsonRows(ROWS)[1]).toEqual([
    '1152921504606846976',
    'a "quoted",\r\nline é😀',
    '2026-03-10T10:00:00.123456Z',
    'NaN',
    false,
    { b: null },
    String(2n ** 100n),
  ]);
});

it.each([
  [0n, '1970-01-01T00:00:00.000Z'],
  [-1n, '1969-12-31T23:59:59.999999Z'],
  [-1000n, '1969-12-31T23:59:59.999Z'],
  [1n, '1970-01-01T00:00:00.000001Z'],
])('%d µs is %s', (micros, iso) => {
  expect(isoInstant(micros)).toBe(iso);
});
