import { describe, expect, test } from 'vitest';
import { PublishWindow, type PublishWindowOptions } from './publish-window.ts';
import { StreamError } from './stream.ts';

function createBench(options: Partial<PublishWindowOptions> = {}) {
  const sent: { token: number; id: string }[] = [];
  const window = new PublishWindow({
    send: (token, _subject, _bytes, id) => sent.push({ token, id }),
    messagesMax: 2,
    bytesMax: 100,
    replyTimeoutMs: 10_000,
    giveUpMs: 10_000,
    ...options,
  });
  const append = (id: string, size = 1) => window.append('rec.s', new Uint8Array(size), id);
  const ids = () => sent.map(({ id }) => id);
  const store = (id: string, seq: number) =>
    window.reply(sent.findLast((message) => message.id === id)!.token, {
      kind: 'stored',
      seq,
      duplicate: false,
    });
  return { window, sent, append, ids, store };
}
const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
};

describe('the publish window', () => {
  test('lets so many messages out and the others as replies come in', async () => {
    const { append, ids, store } = createBench();
    const answers = ['a', 'b', 'c', 'd'].map((id) => append(id));
    expect(ids()).toEqual(['a', 'b']);
    store('b', 7);
    expect(ids()).toEqual(['a', 'b', 'c']);
    expect(await answers[1]).toEqual({ seq: 7, duplicate: false });
    store('a', 8);
    expect(ids()).toEqual(['a', 'b', 'c', 'd']);
    store('c', 9);
    store('d', 10);
    expect((await Promise.all(answers)).map(({ seq }) => seq)).toEqual([8, 7, 9, 10]);
  });

  test('counts bytes too, yet one message of any size may go', async () => {
    const { append, ids, store } = createBench({ messagesMax: 100 });
    const answers = [append('large', 500), append('a', 60), append('b', 60)];
    expect(ids()).toEqual(['large']);
    store('large', 1);
    expect(ids()).toEqual(['large', 'a']);
    store('a', 2);
    store('b', 3);
    await Promise.all(answers);
  });

  test('sends again what got no reply, or was told to wait, and takes a late reply', async () => {
    const { window, append, ids, sent } = createBench({ replyTimeoutMs: 20 });
    const answer = append('a');
    window.reply(sent[0]!.token, { kind: 'retry', reason: 'no leader' });
    await until(() => sent.length >= 3);
    expect(new Set(ids())).toEqual(new Set(['a']));
    window.reply(sent[0]!.token, { kind: 'stored', seq: 5, duplicate: true });
    expect(await answer).toEqual({ seq: 5, duplicate: true });
    window.reply(sent[0]!.token, { kind: 'stored', seq: 6, duplicate: true });
    await window.settled();
  });

  test('gives up in time and says why', async () => {
    const { window, append, sent } = createBench({ replyTimeoutMs: 20, giveUpMs: 60 });
    const answer = append('a');
    window.reply(sent[0]!.token, { kind: 'retry', reason: 'no leader' });
    await expect(answer).rejects.toMatchObject({ code: 'stream_unavailable', message: /no leader$/ });
    await window.settled();
  });

  test('a refusal reaches its sender alone', async () => {
    const { window, append, sent, store } = createBench();
    const [full, fine] = [append('a'), append('b')];
    window.reply(sent[0]!.token, { kind: 'refused', error: new StreamError('stream_full', 'full') });
    store('b', 1);
    await expect(full).rejects.toMatchObject({ code: 'stream_full' });
    expect((await fine).seq).toBe(1);
  });

  test('without a connection nothing is sent; then all that had no reply, in order', async () => {
    const { window, append, ids, store } = createBench();
    const answers = [append('a'), append('b')];
    window.setConnected(false);
    answers.push(append('c'));
    expect(ids()).toEqual(['a', 'b']);
    window.setConnected(true);
    expect(ids()).toEqual(['a', 'b', 'a', 'b']);
    for (const [i, id] of ['a', 'b', 'c'].entries()) store(id, i);
    await Promise.all(answers);
  });
});
