/** A stretch of work that ends when its time is over, but does at least so many pieces, however slow the machine is. */
export function createSlice(piecesMin: number) {
  let deadlineMs = 0;
  let pieces = 0;
  let isLate = false;
  return {
    begin(ms: number, min = piecesMin): void {
      deadlineMs = performance.now() + ms;
      pieces = -min;
      isLate = false;
    },
    /** Asked before each piece. Stays true once it is. */
    late: (): boolean => (isLate ||= ++pieces > 0 && (pieces & 7) === 0 && performance.now() > deadlineMs),
  };
}
