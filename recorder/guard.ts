/** Wraps what the page calls (listeners, patched functions), so that a failure of ours never becomes the page's. */
export type Guard = <A extends unknown[]>(f: (...args: A) => void) => (...args: A) => void;

export const createGuard =
  (onError: (error: unknown) => void): Guard =>
  (f) =>
  (...args) => {
    try {
      f(...args);
    } catch (error) {
      onError(error);
    }
  };
