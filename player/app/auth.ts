import { createSignal } from 'solid-js';
import type { Me } from '#api';
import { createClient, PlayerError } from '../client.ts';

const STORED = 'mutoscope.key';

/** `/#key=ak_…`: a fragment is sent to no server, and it leaves the address before anything else is done. */
function takeFromAddress(): void {
  const key = new URLSearchParams(location.hash.slice(1)).get('key');
  if (!key) return;
  sessionStorage.setItem(STORED, key);
  history.replaceState(history.state, '', location.pathname + location.search);
}
takeFromAddress();

const [key, setKey] = createSignal(sessionStorage.getItem(STORED) ?? undefined);
const [me, setMe] = createSignal<Me>();
export { key, me };

export const client = createClient('', () => key());

/** @throws PlayerError `unauthorized` for a key that nobody has */
export async function signIn(candidate: string): Promise<void> {
  setMe(await createClient('', () => candidate).json<Me>('/v1/me'));
  sessionStorage.setItem(STORED, candidate);
  setKey(candidate);
}

export function signOut(): void {
  sessionStorage.removeItem(STORED);
  setKey(undefined);
  setMe(undefined);
}

/** Whose key it is; one that nobody has any more signs out. */
export async function identify(): Promise<void> {
  if (!key() || me()) return;
  try {
    setMe(await client.json<Me>('/v1/me'));
  } catch (error) {
    if (error instanceof PlayerError && error.code === 'unauthorized') signOut();
  }
}
