/** Less idle time than this is not begun with. */
const IDLE_MIN_MS = 4;
/** A page that is never idle, as Chromium's may be while a mouse is over it, gives a little of each frame. */
const IDLE_TIMEOUT_MS = 17;

/** Runs it once the browser is idle, but not later than that; where nobody can tell, soon. */
export const onceIdle: (
  run: (deadline: Pick<IdleDeadline, 'timeRemaining'>) => void,
  timeout: number,
) => void =
  typeof requestIdleCallback === 'function'
    ? (run, timeout) => requestIdleCallback(run, { timeout })
    : (run) => setTimeout(run, 30, { timeRemaining: () => 0 });

/** Runs `step` while the browser is idle, again and again until it returns false; then `done`. False where it is not idle, but was waited for. */
export function whenIdle(step: (isIdle: boolean) => boolean, done: () => void): void {
  onceIdle((deadline) => {
    let more: boolean;
    do more = step(deadline.timeRemaining() > 0);
    while (more && deadline.timeRemaining() > IDLE_MIN_MS);
    if (more) whenIdle(step, done);
    else done();
  }, IDLE_TIMEOUT_MS);
}
