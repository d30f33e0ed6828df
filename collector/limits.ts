/** Every bound of the collector that a recorder can run into, beside those of the protocol itself. */
export interface CollectorLimits {
  /** HELLO must come within this. */
  helloTimeoutMs: number;
  /** Silence after which a socket is closed; recorders PING every 20 s. */
  idleMs: number;
  /** How often sockets are looked at for the two above, and for tokens that need renewal. */
  tickMs: number;
  /** How long batches wait for a stream that takes nothing, before the recorder is told to come back. */
  holdMs: number;
  /** The same for a POST, whose page may be gone. */
  postHoldMs: number;
  /** Body of a POST. */
  postBytesMax: number;
  /** Sockets of one process: at 60 KB each, a gigabyte or so. */
  connectionsMax: number;
  /** What one process holds of batches that are not durable yet, over all recorders. */
  inFlightBytesMax: number;
  /** What a recorder may leave unread of our answers; they are small, so it does not read at all. */
  unreadBytesMax: number;
  /** How long drain waits for what is under way; well below the grace period of an orchestrator. */
  drainMs: number;
  /** First and longest pause between two tries on a stream that takes nothing. */
  backOffMinMs: number;
  backOffMaxMs: number;
}

export const LIMITS: CollectorLimits = {
  helloTimeoutMs: 5_000,
  idleMs: 90_000,
  tickMs: 1_000,
  holdMs: 30_000,
  postHoldMs: 5_000,
  postBytesMax: 1024 * 1024,
  connectionsMax: 20_000,
  inFlightBytesMax: 256 * 1024 * 1024,
  unreadBytesMax: 1024 * 1024,
  drainMs: 10_000,
  backOffMinMs: 100,
  backOffMaxMs: 2_000,
};
