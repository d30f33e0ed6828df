import { randomUUID } from 'node:crypto';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest';
import { describeMembers } from './members.contract.ts';
import { MEMBER_TTL_MS, openMembers, type Members } from './stream.ts';
import { openLine } from './test-line.ts';
import { removeNatsStream } from './x-nats.ts';

const natsUrl = inject('natsUrl');
/** Long enough that a slow machine does not take the living for dead. */
const SHORT_TTL_MS = 3_000;

/** The stream of the bucket in which members of that one have their keys. */
const bucketOf = (name: string): string => `KV_${name}_members`;
const newName = (): string => `REC_${randomUUID().slice(0, 8)}`;

describe.skipIf(!natsUrl)('a process on JetStream', () => {
  describeMembers(async () => {
    const name = newName();
    return {
      open: () => openMembers(`${natsUrl}/${name}`, { place: randomUUID() }),
      remove: () => removeNatsStream(`${natsUrl}/${bucketOf(name)}`),
    };
  });
});

describe.skipIf(!natsUrl)('members of a stream on JetStream', () => {
  let name: string;
  let opened: Members[];
  const open = async (ttlMs = MEMBER_TTL_MS, place: string = randomUUID()): Promise<Members> => {
    const members = await openMembers(`${natsUrl}/${name}`, { place, ttlMs });
    opened.push(members);
    return members;
  };
  beforeEach(() => {
    name = newName();
    opened = [];
  });
  afterEach(async () => {
    await Promise.all(opened.map((members) => members.leave()));
    await removeNatsStream(`${natsUrl}/${bucketOf(name)}`);
  });

  test('know each other and their notes from their first announcement on', async () => {
    const [one, other] = [await open(), await open()];
    await one.announce('first');
    await other.announce('second');
    const known = new Map([
      [one.id, 'first'],
      [other.id, 'second'],
    ]);
    expect(other.list()).toEqual(known);
    await vi.waitFor(() => expect(one.list()).toEqual(known));
  });

  test('hear of one who leaves, at once', async () => {
    const [one, other] = [await open(), await open()];
    await one.announce('');
    await other.announce('');
    const gone = new Promise<void>((resolve) => one.onNews(() => void (one.list().size === 1 && resolve())));
    await vi.waitFor(() => expect(one.list().size).toBe(2));
    await other.leave();
    await gone;
    expect([...one.list().keys()]).toEqual([one.id]);
  });

  test('take one for dead who announces himself no more, also those who come later', async () => {
    const [one, dead] = [await open(SHORT_TTL_MS), await open(SHORT_TTL_MS)];
    await dead.announce('');
    await one.announce('');
    expect(one.list().size).toBe(2);
    await vi.waitFor(
      async () => {
        await one.announce('');
        expect([...one.list().keys()]).toEqual([one.id]);
      },
      { timeout: 15_000, interval: SHORT_TTL_MS / 10 },
    );
    const late = await open(SHORT_TTL_MS);
    await late.announce('');
    expect([...late.list().keys()].sort()).toEqual([one.id, late.id].sort());
  });

  test('do not wait for one to die in whose place another has come; who lives all the same is heard of again', async () => {
    const place = 'machine.example:8080';
    const [one, other] = [await open(), await open(MEMBER_TTL_MS, place)];
    await other.announce('');
    const next = await open(MEMBER_TTL_MS, place);
    await one.announce('');
    await next.announce('');
    expect([...next.list().keys()].sort()).toEqual([one.id, next.id].sort());
    await vi.waitFor(() => expect(one.list()).toEqual(next.list()));
    await other.announce('');
    await next.announce('');
    expect([...next.list().keys()].sort()).toEqual([one.id, other.id, next.id].sort());
  });

  test('keep what they knew while the line to the server is cut, and say so, and hear again when it is mended', async () => {
    const line = await openLine(natsUrl!);
    const at = `nats://${line.address}/${name}`;
    const [far, near] = [await openMembers(at, { place: 'far', ttlMs: MEMBER_TTL_MS }), await open()];
    opened.push(far);
    await near.announce('before');
    await far.announce('');
    line.cut();
    const known = far.list();
    expect(known.size).toBe(2);
    await expect(far.announce('')).rejects.toMatchObject({ code: 'stream_unavailable' });
    expect(far.list()).toEqual(known);
    await near.announce('after');
    await line.mend();
    await vi.waitFor(() => far.announce('again'), 15_000);
    expect(far.list()).toEqual(
      new Map([
        [near.id, 'after'],
        [far.id, 'again'],
      ]),
    );
    await far.leave();
    line.cut();
  });

  test('keep what they knew while their bucket is gone, and say so, and make it anew', async () => {
    const [one, other] = [await open(), await open()];
    await one.announce('');
    await other.announce('');
    await vi.waitFor(() => expect(one.list().size).toBe(2));
    const before = one.list();
    await withManager((manager) => manager.streams.delete(bucketOf(name)));
    await expect(one.announce('')).rejects.toMatchObject({ code: 'stream_unavailable' });
    expect(one.list()).toEqual(before);
    // The bucket is made anew by whoever comes first.
    await one.announce('again');
    await vi.waitFor(async () => {
      await other.announce('again');
      expect(other.list()).toEqual(new Map([one, other].map(({ id }) => [id, 'again'])));
    }, 15_000);
    await vi.waitFor(() => expect(one.list()).toEqual(other.list()));
  });
});

test('where no server answers an announcement fails with its address, and leaving does not', async () => {
  const members = await openMembers('nats://127.0.0.1:1', { place: 'here' });
  for (let i = 0; i < 2; i++)
    await expect(members.announce('')).rejects.toMatchObject({
      code: 'stream_unavailable',
      message: expect.stringContaining('127.0.0.1:1') as string,
    });
  expect(members.list().size).toBe(0);
  await members.leave();
});

async function withManager(
  act: (manager: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<unknown>,
): Promise<void> {
  const connection = await connect({ servers: natsUrl! });
  await act(await jetstreamManager(connection));
  await connection.close();
}
