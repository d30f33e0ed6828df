import type { ServerResponse } from 'node:http';
import { ApiError } from './api.ts';

/**
 * Bytes of answers that wait in this process for their clients to take them, by project. A client may be slow, but what
 * it leaves unread stands in memory that all projects share.
 */
export interface Unread {
  /** @throws ApiError `sql_busy` while the project has left too much unread */
  check(project: string): void;
  /** Counts `bytes` until the response is over; one that stands still for too long is ended. */
  hold(project: string, bytes: number, response: ServerResponse): void;
}

const STILL_MS_MAX = 60_000;

/** `bytesMax`: of one project, past which its next answer is refused; the last one may go beyond. */
export function createUnread(bytesMax: number): Unread {
  const held = new Map<string, number>();
  return {
    check(project) {
      const bytes = held.get(project) ?? 0;
      if (bytes >= bytesMax)
        throw new ApiError('sql_busy', `${bytes} bytes of answers of this project wait to be read`);
    },
    hold(project, bytes, response) {
      if (response.destroyed) return;
      held.set(project, (held.get(project) ?? 0) + bytes);
      let over = false;
      const letGo = (): void => {
        if (over) return;
        over = true;
        const left = (held.get(project) ?? 0) - bytes;
        if (left > 0) held.set(project, left);
        else held.delete(project);
      };
      response.once('finish', letGo).once('close', letGo);
      response.setTimeout(STILL_MS_MAX, () => response.destroy());
    },
  };
}
