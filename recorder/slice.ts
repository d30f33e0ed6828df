/** Done at once however slow the machine is, so that small pages and changes stay one event. */
const PIECES_MIN = 64;

/** A stretch of work that ends when its time is over, but does at least PIECES_MIN pieces. */
export function createSlice() {
  let deadlineMs = 0;
  let pieces = 0;
  let isLate = false;
  return {
    begin(ms: number): void {
      deadlineMs = performance.now() + ms;
      pieces = -PIECES_MIN;
      isLate = false;
    },
    /** Asked before each piece. Stays true once it is. */
    late: (): boolean => (isLate ||= ++pieces > 0 && !(pieces & 7) && performance.now() > deadlineMs),
  };
}
