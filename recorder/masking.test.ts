import { expect, test } from 'vitest';
import { isSecretField, maskText, type FieldTraits } from './masking.ts';
import { MASK } from './protocol.ts';

const field = (traits: Partial<FieldTraits>): FieldTraits => ({
  tag: 'input',
  type: 'text',
  name: '',
  id: '',
  autocomplete: '',
  ...traits,
});

test.each([
  { type: 'password' },
  { autocomplete: 'current-password' },
  { autocomplete: 'section-blue new-password' },
  { autocomplete: 'one-time-code' },
  { autocomplete: 'CC-Number' },
  { tag: 'select', type: 'select-one', autocomplete: 'cc-exp-month' },
  { name: 'userPassword' },
  { name: 'user[passwd]' },
  { id: 'clientSecret' },
  { id: 'cvv' },
  { name: 'cardNumber' },
  { name: 'card' },
  { name: 'card-no' },
  { name: 'credit_card' },
  { name: 'otp' },
  { name: 'csrf_token', type: 'hidden' },
  { tag: 'textarea', type: 'textarea', name: 'secret' },
])('%o is secret', (traits) => {
  expect(isSecretField(field(traits))).toBe(true);
});

test.each([
  {},
  { name: 'email', autocomplete: 'email' },
  { name: 'passenger' },
  { id: 'compass' },
  { name: 'discard' },
  { name: 'cardboard' },
  { name: 'shipping' },
  { id: 'account' },
  { type: 'checkbox', name: 'card' },
  { type: 'submit', name: 'password' },
])('%o is masked as any field, not secret', (traits) => {
  expect(isSecretField(field(traits))).toBe(false);
});

test('a masked text has one length, and white space stays white space', () => {
  expect(maskText('a')).toBe(MASK);
  expect(maskText('much longer')).toBe(MASK);
  expect(maskText('\n   ')).toBe(' ');
  expect(maskText('')).toBe('');
});
