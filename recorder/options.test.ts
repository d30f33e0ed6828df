import { expect, test } from 'vitest';
import { DEFAULTS, optionsOf, withDefaults } from './options.ts';

test('each data attribute becomes an option of the kind that its default has', () => {
  const dataset = {
    key: 'wk_x',
    consent: 'required',
    sampleRate: '0.25',
    vitals: 'false',
    assets: '',
    more: '1',
  };
  expect(optionsOf(dataset)).toEqual({ consent: 'required', sampleRate: 0.25, vitals: false, assets: true });
});

test('what is not given is as the defaults say', () => {
  expect(withDefaults({ url: 'https://c.example', key: 'wk_x', mode: 'on-error' })).toEqual({
    ...DEFAULTS,
    url: 'https://c.example',
    key: 'wk_x',
    mode: 'on-error',
  });
});
