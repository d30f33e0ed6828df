/** What was decided of one session's retention. It obeys the last of each act, whatever class its recorder's token says. */
export interface Hold {
  v: 1;
  project: string;
  session: string;
  /** Its class while it is not held. */
  retentionDays: number;
  acts: HoldAct[];
}
export interface HoldAct {
  act: 'hold' | 'release' | 'move';
  atMs: number;
  /** Of a move. */
  retentionDays?: number;
  reason?: string;
}
/** Class of a session that is held. */
export const HOLD_DAYS = 3650;
export const isHeld = (hold: Hold | undefined): boolean =>
  hold?.acts.findLast(({ act }) => act !== 'move')?.act === 'hold';
export const holdDays = (hold: Hold): number => (isHeld(hold) ? HOLD_DAYS : hold.retentionDays);
