import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Members } from './stream.ts';

/** Every adapter of the port passes these. `open` gives one more process of the same stream, if it can have several. */
export function describeMembers(
  openPlace: () => Promise<{ open(): Promise<Members>; remove(): Promise<void> }>,
): void {
  let place: Awaited<ReturnType<typeof openPlace>>;
  let members: Members;
  beforeEach(async () => {
    place = await openPlace();
    members = await place.open();
  });
  afterEach(async () => {
    await members.leave();
    await place.remove();
  });

  describe('a member', () => {
    test('is listed from its first announcement on, with what it announced last', async () => {
      expect([...members.list()]).toEqual([]);
      await members.announce('one');
      expect([...members.list()]).toEqual([[members.id, 'one']]);
      await members.announce('two');
      expect([...members.list()]).toEqual([[members.id, 'two']]);
    });

    test('may leave twice, and before it ever announced itself', async () => {
      const other = await place.open();
      await other.leave();
      await members.announce('here');
      await members.leave();
      await members.leave();
    });
  });
}
