import { expect, test } from 'vitest';
import { shortcutOf, type Key } from './keyboard.ts';

const press = (key: string, more: Partial<Key> = {}): ReturnType<typeof shortcutOf> =>
  shortcutOf({ key, shiftKey: false, modified: false, tagName: 'DIV', ...more });

test('keys mean what the help says', () => {
  expect(press(' ')).toEqual({ act: 'toggle' });
  expect(press('ArrowLeft')).toEqual({ act: 'jump', ms: -5000 });
  expect(press('ArrowRight', { shiftKey: true })).toEqual({ act: 'jump', ms: 30_000 });
  expect(press('.')).toEqual({ act: 'step', direction: 1 });
  expect(press('1')).toEqual({ act: 'speed', speed: 0.5 });
  expect(press('6')).toEqual({ act: 'speed', speed: 16 });
  expect(press('7')).toBeUndefined();
  expect(press('?', { shiftKey: true })).toEqual({ act: 'help' });
});

test('typing, pressing a button and the browser’s own shortcuts are left alone', () => {
  expect(press('f', { tagName: 'INPUT' })).toBeUndefined();
  expect(press(' ', { tagName: 'BUTTON' })).toBeUndefined();
  expect(press('f', { tagName: 'BUTTON' })).toEqual({ act: 'fullScreen' });
  expect(press('c', { modified: true })).toBeUndefined();
});
