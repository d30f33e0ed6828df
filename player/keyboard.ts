import { SPEEDS } from './transition.ts';

export type Shortcut =
  | { act: 'toggle' | 'fullScreen' | 'help' | 'copyLink' | 'skipIdle' | 'events' | 'close' }
  | { act: 'jump'; ms: number }
  | { act: 'step'; direction: 1 | -1 }
  | { act: 'signal'; direction: 1 | -1 }
  | { act: 'speed'; speed: number };

/** What the help shows. */
export const SHORTCUTS: readonly (readonly [keys: string[], sentence: string])[] = [
  [['space'], 'Play or pause'],
  [['←', '→'], 'Five seconds back or on, with shift thirty'],
  [[',', '.'], 'Last or next change of the page'],
  [['p', 'n'], 'Last or next rage, dead or disabled click, or error'],
  [['1', '…', '6'], 'Speed ½ to 16'],
  [['i'], 'Skip idle spans or not'],
  [['e'], 'Events beside the page or not'],
  [['c'], 'Copy a link to this moment'],
  [['f'], 'Full screen'],
  [['?'], 'This list'],
];

export interface Key {
  key: string;
  shiftKey: boolean;
  /** ctrl, alt or meta: the browser's, not ours. */
  modified: boolean;
  /** Of the element that has the focus. */
  tagName: string;
}

/** What a key means in the player; undefined leaves it to the browser. */
export function shortcutOf({ key, shiftKey, modified, tagName }: Key): Shortcut | undefined {
  const typing = tagName === 'INPUT' || tagName === 'TEXTAREA' || tagName === 'SELECT';
  if (modified || typing) return undefined;
  if (key === ' ' && tagName === 'BUTTON') return undefined;
  const jump = shiftKey ? 30_000 : 5_000;
  switch (key) {
    case ' ':
    case 'k':
      return { act: 'toggle' };
    case 'ArrowLeft':
      return { act: 'jump', ms: -jump };
    case 'ArrowRight':
      return { act: 'jump', ms: jump };
    case ',':
      return { act: 'step', direction: -1 };
    case '.':
      return { act: 'step', direction: 1 };
    case 'p':
      return { act: 'signal', direction: -1 };
    case 'n':
      return { act: 'signal', direction: 1 };
    case 'i':
      return { act: 'skipIdle' };
    case 'e':
      return { act: 'events' };
    case 'c':
      return { act: 'copyLink' };
    case 'f':
      return { act: 'fullScreen' };
    case '?':
      return { act: 'help' };
    case 'Escape':
      return { act: 'close' };
  }
  const speed = /^[1-9]$/.test(key) ? SPEEDS[Number(key) - 1] : undefined;
  return speed ? { act: 'speed', speed } : undefined;
}
