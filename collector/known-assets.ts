import {
  decodeJsonPayload,
  PAGE_ASSETS_MAX,
  ProtocolError,
  assetType,
  type AssetsQuestion,
  type Frame,
} from '#protocol';
import { sessionStartMs } from './x-uuidv7.ts';

/** Some 300 bytes each. */
const KNOWN_MAX = 20_000;
/** How long what a recorder said it had stored is believed. */
export const KNOWN_MS = 3_600_000;
/** How long one recorder is given to bring what it was asked for, before another is asked. */
export const AWAITED_MS = 30_000;
/**
 * That something was stored is the recorder's word, which nobody here checks, and an erasure may have taken it away
 * again. So of so many that ask for what is known, one is asked to bring it all the same.
 */
export const ASK_AGAIN_SHARE = 1 / 50;

export interface AssetScope {
  project: string;
  retentionDays: number;
  session: string;
}

/** Which assets need not be brought, by project, retention class and day of the session: each such place holds its own. */
export class KnownAssets {
  /** When it is no longer believed, by place and name; the one used longest ago first. */
  readonly #untilMs = new Map<string, number>();

  /** @returns those to bring */
  ask(scope: AssetScope, names: readonly string[], nowMs: number, random: () => number): string[] {
    return names.filter((name) => {
      const key = keyOf(scope, name);
      if (nowMs < (this.#untilMs.get(key) ?? 0) && random() >= ASK_AGAIN_SHARE) return false;
      if (!(nowMs < (this.#untilMs.get(key) ?? 0))) this.#know(key, nowMs + AWAITED_MS);
      return true;
    });
  }

  stored(scope: AssetScope, names: readonly string[], nowMs: number): void {
    for (const name of names) this.#know(keyOf(scope, name), nowMs + KNOWN_MS);
  }

  #know(key: string, untilMs: number): void {
    this.#untilMs.delete(key);
    this.#untilMs.set(key, untilMs);
    if (this.#untilMs.size > KNOWN_MAX) this.#untilMs.delete(this.#untilMs.keys().next().value!);
  }
}

const keyOf = ({ project, retentionDays, session }: AssetScope, name: string): string =>
  `${project} ${retentionDays} ${new Date(sessionStartMs(session)).toISOString().slice(0, 10)} ${name}`;

/** @throws ProtocolError `bad_frame` */
export function readAssets(frame: Frame): Required<AssetsQuestion> {
  const given = decodeJsonPayload(frame) as Partial<Record<keyof AssetsQuestion, unknown>> | null;
  const names = (value: unknown = []): string[] => {
    const isGood = (name: unknown): boolean => typeof name === 'string' && assetType(name) !== undefined;
    if (!Array.isArray(value) || value.length > PAGE_ASSETS_MAX || !value.every(isGood))
      throw new ProtocolError(
        'bad_frame',
        `ASSETS is not lists of at most ${PAGE_ASSETS_MAX} names of assets`,
      );
    return value as string[];
  };
  return { ask: names(given?.ask), stored: names(given?.stored) };
}
