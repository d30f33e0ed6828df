import { expect, test } from 'vitest';
import { isSecretName, redactJson, redactText } from './redact.ts';

const typed = new Set(['anna@x.example', '4711']);

test('what was typed and the values of URLs leave no text', () => {
  expect(redactText('mail anna@x.example to https://h/?k=secret', typed)).toBe('mail ····· to https://h/?k=');
});

test('of JSON the shape stays; what stands under a secret name goes whole', () => {
  const value = {
    list: [1, 4711, 'id 4711', true, null],
    Authorization: 'Bearer x',
    newPassword: { deep: ['x'] },
    sessionId: null,
    nested: { api_key: 'x', note: 'fine', 'anna@x.example': 1 },
  };
  expect(redactJson(value, typed)).toEqual({
    list: [1, '·····', 'id ·····', true, null],
    Authorization: '·····',
    newPassword: '·····',
    sessionId: null,
    nested: { api_key: '·····', note: 'fine', '·····': 1 },
  });
});

test.each(['password', 'apiKey', 'X-Signature', 'cardNumber', 'csrf_token', 'set-cookie', 'iban'])(
  '%s is a secret name',
  (name) => expect(isSecretName(name)).toBe(true),
);
test.each(['name', 'pinned', 'keys', 'description', 'cardinal'])('%s is not', (name) =>
  expect(isSecretName(name)).toBe(false),
);
