/** Less idle time than this is not begun with. */
const IDLE_MIN_MS = 4;
/** A page that is never idle is interrupted so often, for one step. */
const IDLE_TIMEOUT_MS = 200;

const request: (run: (deadline: Pick<IdleDeadline, 'timeRemaining'>) => void) => void =
  typeof requestIdleCallback === 'function'
    ? (run) => requestIdleCallback(run, { timeout: IDLE_TIMEOUT_MS })
    : (run) => setTimeout(run, 30, { timeRemaining: () => 0 });

/** Runs `step` while the browser is idle, again and again until it returns false; then `done`. False where it is not idle, but was waited for. */
export function whenIdle(step: (isIdle: boolean) => boolean, done: () => void): void {
  request((deadline) => {
    let more: boolean;
    do more = step(deadline.timeRemaining() > 0);
    while (more && deadline.timeRemaining() > IDLE_MIN_MS);
    if (more) whenIdle(step, done);
    else done();
  });
}
