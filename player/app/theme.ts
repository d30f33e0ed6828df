import { createSignal } from 'solid-js';

export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];
const STORED = 'mutoscope.theme';

const stored = localStorage.getItem(STORED) as Theme | null;
const [theme, setSignal] = createSignal<Theme>(stored && THEMES.includes(stored) ? stored : 'auto');
const apply = (): void => void (document.documentElement.dataset.theme = theme());
apply();

export { theme };
export function nextTheme(): void {
  setSignal(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]!);
  localStorage.setItem(STORED, theme());
  apply();
}
