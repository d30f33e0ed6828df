import { SESSION_IDLE_MS, SESSION_MAX_MS } from './protocol.ts';

export interface StoredSession {
  /** Once welcomed. */
  token?: string;
  /** Whether the session is recorded: when this is below the sample rate. 1: it is not. */
  draw: number;
  startedMs: number;
  /** When the last event was recorded, by the visitor's clock. */
  activeMs: number;
  /** A page holds it. */
  live?: boolean;
  /** No socket could be had. */
  post?: boolean;
}

/** A clock that was set back counts as the end, too. Pure. */
export function isSessionOver(
  { startedMs, activeMs }: Pick<StoredSession, 'startedMs' | 'activeMs'>,
  nowMs: number,
): boolean {
  const idleMs = nowMs - activeMs;
  const ageMs = nowMs - startedMs;
  return idleMs > SESSION_IDLE_MS || ageMs > SESSION_MAX_MS || ageMs < 0;
}

/** So much of its last activity a tab that crashes may lose; half an hour of rest ends a session. */
const KEEP_INTERVAL_MS = 5000;

/**
 * The tab's session: kept over reloads in sessionStorage, or in memory alone where the page may not use it.
 *
 * A duplicated tab begins with a copy of the storage. A page gives its session back when it goes, so one that is found
 * held belongs to the tab that this one was made from (or to a page that crashed), and a new one is begun.
 */
export function keepSession(key: string, nowMs: number) {
  const name = nameOf(key);
  let held = begin(nowMs);
  let savedMs = 0;
  function save(change: Partial<StoredSession> = {}): void {
    Object.assign(held, change);
    savedMs = held.activeMs;
    try {
      sessionStorage.setItem(name, JSON.stringify(held));
    } catch {
      // Full or forbidden: the session then ends with the page.
    }
  }
  try {
    const stored = readStored(JSON.parse(sessionStorage.getItem(name) ?? 'null'));
    if (stored && !stored.live && !isSessionOver(stored, nowMs)) held = { ...stored, activeMs: nowMs };
  } catch {
    // No storage, or another's value in it.
  }
  save({ live: true });

  return {
    get token() {
      return held.token;
    },
    get draw() {
      return held.draw;
    },
    get isPost() {
      return !!held.post;
    },

    /** Whether it is recorded at this rate. What was once welcomed is recorded to its end; what is refused never. */
    sample(rate: number): boolean {
      if (held.token !== undefined || held.draw < rate) return true;
      save({ draw: 1 });
      return false;
    },

    /** Takes the token of a WELCOME, which may renew the one held. */
    welcome(token: string, nowMs: number, isPost = false): void {
      save({ token, activeMs: nowMs, post: isPost });
    },

    /** @returns false when the session is over: this activity belongs to a new one */
    touch(nowMs: number): boolean {
      if (held.token !== undefined && isSessionOver(held, nowMs)) return false;
      held.activeMs = nowMs;
      return true;
    },

    /** The page has it from now on, or gives it back for the next page of the tab. */
    hold(live: boolean): void {
      save({ live });
    },

    /** While it goes on: each write waits for the disk's process. */
    keep(): void {
      if (held.activeMs - savedMs >= KEEP_INTERVAL_MS) save();
    },

    /** Begins another. */
    forget(nowMs: number): void {
      held = { ...begin(nowMs), live: held.live };
      save();
    },
  };
}

const nameOf = (key: string): string => `mutoscope.${key}`;

/** Leaves no trace of the tab's session. */
export function eraseSession(key: string): void {
  try {
    sessionStorage.removeItem(nameOf(key));
  } catch {
    // Forbidden: then there is none.
  }
}

const begin = (nowMs: number): StoredSession => ({ draw: Math.random(), startedMs: nowMs, activeMs: nowMs });

function readStored(value: unknown): StoredSession | undefined {
  const { token, draw = 0, ...rest } = (value ?? {}) as Partial<StoredSession>;
  return typeof draw + typeof rest.startedMs + typeof rest.activeMs === 'numbernumbernumber' &&
    /string|undefined/.test(typeof token)
    ? ({ token, draw, ...rest } as StoredSession)
    : undefined;
}

/** 22 characters of [A-Za-z0-9_-]: 128 bits. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .slice(0, 22)
    .replaceAll('+', '-')
    .replaceAll('/', '_');
}
