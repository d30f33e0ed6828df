import { expect, test } from 'vitest';
import { alignmentOf, formatCell, linkColumn, visibleRows } from './result.ts';

const ID = '0199b3c8-5b40-7000-8000-000000000001';

test('numbers stand right, all else left', () => {
  expect(['BIGINT', 'DOUBLE', 'DECIMAL(18,3)', 'HUGEINT'].map(alignmentOf)).toEqual(Array(4).fill('number'));
  expect(['VARCHAR', 'INTERVAL', 'TIMESTAMP WITH TIME ZONE'].map(alignmentOf)).toEqual(Array(3).fill('text'));
});

test('cells show NULL, structures as JSON and instants without their letters', () => {
  expect(formatCell(null, 'VARCHAR')).toBe('NULL');
  expect(formatCell({ a: [1] }, 'STRUCT')).toBe('{"a":[1]}');
  expect(formatCell('2026-10-05T09:30:00.250Z', 'TIMESTAMP WITH TIME ZONE')).toBe('2026-10-05 09:30:00.250');
  expect(formatCell('2026-10-05T09:30Z', 'VARCHAR')).toBe('2026-10-05T09:30Z');
  expect(formatCell(false, 'BOOLEAN')).toBe('false');
});

test('a row opens at its replay_url, else at its session and first instant', () => {
  const text = (name: string): { name: string; type: string } => ({ name, type: 'VARCHAR' });
  const instant = (name: string): { name: string; type: string } => ({
    name,
    type: 'TIMESTAMP WITH TIME ZONE',
  });
  expect(linkColumn([text('a'), text('replay_url')])!(['x', `/sessions/${ID}?at=5`])).toBe(
    `/sessions/${ID}?at=5`,
  );
  const byTime = linkColumn([instant('later'), text('session_id'), instant('ts')])!;
  expect(byTime(['2026-01-01T00:00:09Z', ID, '2026-01-01T00:00:00Z'])).toBe(
    `/sessions/${ID}?at=1767225600000`,
  );
  expect(linkColumn([text('session_id')])!([ID])).toBe(`/sessions/${ID}`);
  expect(linkColumn([text('url')])).toBeUndefined();
});

test('data cannot make a row lead elsewhere', () => {
  const open = linkColumn([{ name: 'replay_url', type: 'VARCHAR' }])!;
  for (const value of [
    'https://x.test/',
    '//x.test',
    'javascript:alert(1)',
    `/sessions/${ID}/../../x`,
    7,
    null,
  ])
    expect(open([value]), String(value)).toBeUndefined();
  expect(linkColumn([{ name: 'session_id', type: 'VARCHAR' }])!(['../sql'])).toBeUndefined();
});

test('up to 500 rows all are there, beyond that only those in view and a few around', () => {
  expect(visibleRows(500, 28, 9000, 600)).toEqual({ first: 0, end: 500 });
  expect(visibleRows(100_000, 28, 0, 560)).toEqual({ first: 0, end: 32 });
  const middle = visibleRows(100_000, 28, 28_000, 560);
  expect(middle).toEqual({ first: 988, end: 1032 });
  expect(visibleRows(501, 28, 1e9, 560).end).toBe(501);
});
