import { createEffect } from 'solid-js';

/** What the tab is called while a page shows: what tells tabs apart comes first. */
export function useTitle(name: () => string): void {
  createEffect(() => void (document.title = `${name()} · Mutoscope`));
}
