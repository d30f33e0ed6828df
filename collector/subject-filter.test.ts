import { expect, test } from 'vitest';
import { compileFilter } from './subject-filter.ts';

test.each<[filter: string, subject: string, matches: boolean]>([
  ['>', 'rec', true],
  ['>', 'rec.a', true],
  ['rec.>', 'rec.a', true],
  ['rec.>', 'rec', false],
  ['rec.>', 'record.a', false],
  ['rec.a.>', 'rec.ab.c', false],
  ['rec.a', 'rec.a', true],
  ['rec.a', 'rec.a.b', false],
  ['rec.*', 'rec.a', true],
  ['rec.*', 'rec.a.b', false],
  ['*.a.>', 'rec.a.b.c', true],
  ['*.a.>', 'rec.a', false],
  ['rec.*.07.>', 'rec.p.07.s.f', true],
  ['rec.*.07.>', 'rec.p.08.s.f', false],
  ['*', 'rec', true],
])('filter %s on %s: %s', (filter, subject, matches) => {
  expect(compileFilter(filter)(subject)).toBe(matches);
});

test.each(['', '.', 'rec.', 'rec..a', '>.a', 'rec.>.a', 'rec.a*', 'rec. '])(
  'filter %j is refused',
  (filter) => {
    expect(() => compileFilter(filter)).toThrow('is not well formed');
  },
);
