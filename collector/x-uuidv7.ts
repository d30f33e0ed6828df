import { UUID, V7Generator } from 'uuidv7';

/**
 * A session's id; its first 48 bits are the session's start. From a generator of its own each, for one generator counts
 * up within a millisecond, which makes the next id easier to guess.
 */
export const newSessionId = (nowMs: number): string =>
  new V7Generator().generateOrResetWithTs(nowMs).toString();

/** Epoch milliseconds. Of ids that `newSessionId` made. */
export const sessionStartMs = (session: string): number =>
  Buffer.from(UUID.parse(session).bytes).readUIntBE(0, 6);
