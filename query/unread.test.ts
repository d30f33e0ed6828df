import { once } from 'node:events';
import { IncomingMessage, ServerResponse } from 'node:http';
import { connect, Socket, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { startQuery } from './fixture-lake.ts';
import { KEY, NOW, OTHER_KEY, PROJECTS, twoProjects } from './fixture-story.ts';
import { createUnread } from './unread.ts';

const response = (): ServerResponse => new ServerResponse(new IncomingMessage(new Socket()));

describe('what clients leave unread', () => {
  it('is counted by project until the response is over, however it ends', () => {
    const unread = createUnread(100);
    const [first, second] = [response(), response()];
    unread.hold('one', 60, first);
    unread.check('one');
    unread.hold('one', 60, second);
    expect(() => unread.check('one')).toThrow('120 bytes of answers of this project wait to be read');
    unread.check('two');
    first.emit('finish');
    first.emit('close');
    unread.check('one');
    unread.hold('one', 60, response());
    expect(() => unread.check('one')).toThrow('120 bytes');
    second.emit('close');
    unread.check('one');
  });
  it('does not count what goes to a client that has left', () => {
    const unread = createUnread(100);
    const gone = response();
    gone.destroy();
    unread.hold('one', 200, gone);
    unread.check('one');
  });
});

it('a project whose clients read nothing gets no more answers until they leave; others get theirs', async () => {
  const lake = await twoProjects();
  const server = await startQuery(lake, PROJECTS, { nowMs: NOW });
  await server.http.listen({ host: '127.0.0.1', port: 0 });
  const { port } = server.http.server.address() as AddressInfo;
  const ask = async (key: string): Promise<number> =>
    (await server.send('POST', '/v1/sql', { sql: 'SELECT 1' }, key)).status;
  // 50 MB out of a short statement.
  const sql = `SELECT replace(replace('${'a'.repeat(1000)}', 'a', '${'b'.repeat(1000)}'), 'b', '${'c'.repeat(50)}')`;
  const body = JSON.stringify({ sql });
  const head = `POST /v1/sql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${KEY}\r\ncontent-type: application/json`;
  const clients: Socket[] = [];
  try {
    for (let i = 0; i < 3; i++) {
      const client = connect(port, '127.0.0.1');
      clients.push(client);
      client.write(`${head}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      // Its beginning has come, and nothing more is taken.
      await once(client, 'readable');
    }
    expect(await ask(KEY)).toBe(429);
    expect(await ask(OTHER_KEY)).toBe(200);
    for (const client of clients) client.destroy();
    await expect.poll(() => ask(KEY)).toBe(200);
  } finally {
    for (const client of clients) client.destroy();
    await server.close();
    await lake.close();
  }
}, 30_000);
