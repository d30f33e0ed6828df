import { expect, test } from 'vitest';
import {
  checkProjects,
  findApiKey,
  findWriteKey,
  hashApiKey,
  originAllowed,
  type ProjectsDocument,
} from './projects.ts';

const doc: ProjectsDocument = {
  v: 1,
  secret: 'secret',
  projects: ['a', 'b'].map((id) => ({
    id,
    retentionDays: 30,
    writeKeys: [{ key: `wk_${id}`, origins: [] }],
    apiKeys: [{ name: 'first', hash: hashApiKey(`ak_${id}`), scopes: ['query'] }],
  })),
};

test('a key is found in the project that has it', () => {
  expect(findWriteKey(doc, 'wk_b')?.project.id).toBe('b');
  expect(findWriteKey(doc, 'wk_c')).toBeUndefined();
  expect(findApiKey(doc, 'ak_b')?.project.id).toBe('b');
  expect(findApiKey(doc, 'wk_b')).toBeUndefined();
});

test.each<[allowed: string[], origin: string | undefined, isAllowed: boolean]>([
  [['*'], undefined, true],
  [['*'], 'https://any.example', true],
  [['https://shop.example'], 'https://shop.example', true],
  [['https://shop.example'], 'http://shop.example', false],
  [['https://shop.example'], 'https://shop.example.evil.example', false],
  [['https://shop.example'], 'https://shop.example:8443', false],
  [['https://shop.example'], undefined, false],
  [['https://shop.example'], 'null', false],
  [['http://localhost:*'], 'http://localhost:3000', true],
  [['http://localhost:*'], 'http://localhost', true],
  [['http://localhost:*'], 'http://localhost.evil.example:3000', false],
  [['http://localhost:*'], 'https://localhost:3000', false],
  [[], 'https://shop.example', false],
])('origins %j and a page of %s: %s', (origins, origin, isAllowed) => {
  expect(originAllowed({ key: 'wk_', origins }, origin)).toBe(isAllowed);
});

test.each([
  [1, true],
  [45, true],
  [3650, true],
  [0, false],
  [3651, false],
  [30.5, false],
  ['30', false],
  [undefined, false],
])('a project that is kept %j days: %s', (days, isGood) => {
  const changed = { ...doc, projects: [{ ...doc.projects[0]!, retentionDays: days as number }] };
  if (isGood) expect(checkProjects(changed)).toBe(changed);
  else expect(() => checkProjects(changed)).toThrow('retentionDays of project a is');
});
