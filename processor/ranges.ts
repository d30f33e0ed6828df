/** Closed ranges of whole numbers, ascending, apart from each other by at least one. */
export type Ranges = [from: number, to: number][];

export const inRanges = (ranges: Readonly<Ranges>, n: number): boolean => {
  // The newest are asked for most.
  for (let i = ranges.length - 1; i >= 0; i--) {
    const [from, to] = ranges[i]!;
    if (n > to) return false;
    if (n >= from) return true;
  }
  return false;
};

/** Adds `[from, to]` in place. */
export function addRange(ranges: Ranges, from: number, to: number): void {
  const last = ranges.at(-1);
  // As most do, and once an event.
  if (last && from === last[1] + 1) {
    last[1] = to;
    return;
  }
  let at = ranges.length;
  while (at > 0 && ranges[at - 1]![0] > from) at--;
  ranges.splice(at, 0, [from, to]);
  for (let i = Math.max(at - 1, 0); i + 1 < ranges.length && i <= at;) {
    const left = ranges[i]!;
    const right = ranges[i + 1]!;
    if (right[0] > left[1] + 1) {
      i++;
      continue;
    }
    left[1] = Math.max(left[1], right[1]);
    ranges.splice(i + 1, 1);
  }
}
