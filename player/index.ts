/** The player: `<session-player>`, and `mount` for those who want no custom element. Importing it defines the element. */
import { SessionPlayer } from './element.ts';

export { SessionPlayer } from './element.ts';
export { mount, type PlayerHandle, type PlayerListener, type PlayerOptions } from './mount.tsx';
export { PlayerError, type PlayerErrorCode, type TokenProvider } from './client.ts';
export type { Phase as PlayerPhase } from './transition.ts';

if (globalThis.customElements && !customElements.get('session-player'))
  customElements.define('session-player', SessionPlayer);

declare global {
  interface HTMLElementTagNameMap {
    'session-player': SessionPlayer;
  }
}
