import type { CustomPayloads, Hello, Welcome } from './protocol.ts';

/** What a transport is told, and whom it tells. */
export interface TransportOptions {
  /** The collector's base address, `https://…`. */
  url: string;
  /** Begins with POST: the page before could have no socket. */
  isPost: boolean;
  hello(): Omit<Hello, 'version' | 'nowMs'>;
  onWelcome(welcome: Welcome): void;
  /** The player or a drop needs a full snapshot. */
  onSnapshotWanted(): void;
  /** Events were dropped, and there is room again to say so. */
  onGap(gap: CustomPayloads['gap']): void;
  /** The session's token is refused: the next HELLO shall go without it. */
  onSessionLost(): void;
  /** The numbers used so far are of no use any more: go on as a new instance. */
  onVoid(): void;
  /** Turned away for good. */
  onRefused(code: string): void;
  onError(code: string): void;
}
