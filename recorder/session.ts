import { SESSION_IDLE_MS, SESSION_MAX_MS } from './protocol.ts';

export interface StoredSession {
  token: string;
  startedMs: number;
  /** When the last event was recorded, by the visitor's clock. */
  activeMs: number;
}

/** A clock that was set back counts as the end, too. Pure. */
export function isSessionOver({ startedMs, activeMs }: StoredSession, nowMs: number): boolean {
  const idleMs = nowMs - activeMs;
  const ageMs = nowMs - startedMs;
  return idleMs > SESSION_IDLE_MS || ageMs > SESSION_MAX_MS || ageMs < 0;
}

/** The tab's session: kept over reloads in sessionStorage, or in memory alone where the page may not use it. */
export class SessionKeeper {
  readonly #name: string;
  #held: StoredSession | undefined;

  constructor(key: string, nowMs: number) {
    this.#name = `mutoscope.${key}`;
    try {
      this.#held = readStored(JSON.parse(sessionStorage.getItem(this.#name) ?? 'null'));
    } catch {
      // No storage, or another's value in it.
    }
    if (this.#held && isSessionOver(this.#held, nowMs)) this.forget();
  }

  get token(): string | undefined {
    return this.#held?.token;
  }

  /** Takes the token of a WELCOME, which may renew the one held. */
  welcome(token: string, nowMs: number): void {
    const startedMs = this.#held?.startedMs ?? nowMs;
    this.#held = { token, startedMs, activeMs: nowMs };
    this.save();
  }

  /** @returns false when the session is over: this activity belongs to a new one */
  touch(nowMs: number): boolean {
    if (!this.#held) return true;
    if (isSessionOver(this.#held, nowMs)) return false;
    this.#held.activeMs = nowMs;
    return true;
  }

  save(): void {
    try {
      if (this.#held) sessionStorage.setItem(this.#name, JSON.stringify(this.#held));
      else sessionStorage.removeItem(this.#name);
    } catch {
      // Full or forbidden: the session then ends with the page.
    }
  }

  forget(): void {
    this.#held = undefined;
    this.save();
  }
}

function readStored(value: unknown): StoredSession | undefined {
  const { token, startedMs, activeMs } = (value ?? {}) as Partial<Record<keyof StoredSession, unknown>>;
  return typeof token === 'string' && typeof startedMs === 'number' && typeof activeMs === 'number'
    ? { token, startedMs, activeMs }
    : undefined;
}
