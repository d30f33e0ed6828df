import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { paths } from '#layout';
import { main } from './mutoscope.ts';
import { startProcess, type Running } from './processes.ts';
import { freePort } from './servers.ts';
import { Rr1Client } from './test-rr1-client.ts';

/** Runs a command as the command line does. */
async function cli(argv: string[], env: Record<string, string> = {}) {
  const lines: string[] = [];
  const code = await main(argv, env, (line) => lines.push(line));
  return { code, text: lines.join('\n') };
}

test('explains itself, and ends with 2 at what it does not know', async () => {
  expect(await cli(['erase', '--help'])).toMatchObject({
    code: 0,
    text: expect.stringContaining('mutoscope erase visitor <project> <visitor> [--dry-run]'),
  });
  for (const args of [
    [],
    ['session', 'demo'],
    ['verify'],
    ['sql', 'demo', 'SELECT', '1'],
    ['burn', 'a', 'b'],
  ])
    expect(await cli(['erase', ...args])).toMatchObject({ code: 2, text: expect.stringMatching(/^usage/) });
  expect(await cli(['erase', 'status'], { FLUSH_INTERVAL_MS: 'soon' })).toMatchObject({
    code: 2,
    text: expect.stringContaining('FLUSH_INTERVAL_MS="soon"'),
  });
});

describe('erase', () => {
  const KEYS = { FIRST_WRITE_KEY: 'wk_command_write_key', FIRST_API_KEY: 'ak_command_api_key_for_tests' };
  let directory: string;
  let env: { STORE: string };
  let running: Running;
  let clients: Rr1Client[];
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'mutoscope-cli-'));
    env = { STORE: join(directory, 'lake') };
    running = await startProcess({
      ...KEYS,
      ...{ DATA_DIR: directory, LISTEN: `127.0.0.1:${await freePort()}`, FIRST_ORIGINS: '*' },
      ...{ FLUSH_INTERVAL_MS: '150', REFRESH_INTERVAL_MS: '50', GRACE_MS: '15000' },
      ...{ COMPACT_INTERVAL_MS: '1000', SWEEP_INTERVAL_MS: '1000' },
    });
    clients = [];
  });
  afterEach(async () => {
    for (const client of clients) client.close();
    running.kill();
    await running.end();
    await rm(directory, { recursive: true, force: true });
  });
  const custom = (tag: string, payload: object) => ({
    type: 5,
    timestamp: Date.now(),
    data: { tag, payload },
  });
  async function record(rid: string, visitor: string): Promise<string> {
    const client = new Rr1Client({ url: running.url, key: KEYS.FIRST_WRITE_KEY, rid });
    clients.push(client);
    client.send([custom('identify', { visitor }), custom('track', { name: 'paid', props: { rid } })]);
    await client.acked();
    const count = (): Promise<string> =>
      cli(['erase', 'sql', 'demo', sql, '--dry-run'], env).then(({ text }) => text);
    const sql = `SELECT session_id FROM identities WHERE user_id = '${visitor}'`;
    await expect.poll(count, { timeout: 15_000 }).toContain('would erase 1 sessions, 2 rows');
    return client.session!;
  }

  test(
    'by predicate, visitor and session, with only STORE given; then tells how far it is and checks receipts',
    { timeout: 90_000 },
    async () => {
      const paid = await record('aaaaaaaaaaaa', 'ann');
      const visited = await record('bbbbbbbbbbbb', 'bob');
      const one = await record('cccccccccccc', 'eve');
      const erased = await cli(
        [
          'erase',
          'sql',
          'demo',
          `SELECT session_id FROM custom_events WHERE props->>'$.rid' = 'aaaaaaaaaaaa'`,
        ],
        env,
      );
      expect(erased).toMatchObject({
        code: 0,
        text: expect.stringMatching(/^asked to erase 1 sessions, 2 rows/),
      });
      expect(erased.text).toContain(paid);
      expect((await cli(['erase', 'visitor', 'demo', 'bob'], env)).text).toContain(visited);
      const third = await cli(['erase', 'session', 'demo', one], env);
      expect(third.code, third.text).toBe(0);
      expect(await cli(['erase', 'session', 'demo', paid.replace(/.{4}$/, '0000')], env)).toMatchObject({
        code: 1,
        text: expect.stringContaining('unknown_session'),
      });
      expect(await cli(['erase', 'session', 'other', one], env)).toMatchObject({
        code: 1,
        text: expect.stringContaining('no project other'),
      });
      await expect
        .poll(async () => (await cli(['erase', 'status', 'demo'], env)).text, { timeout: 40_000 })
        .toMatch(/^3 done, 0 pending\n {2}demo a visitor since .*, watched until /);

      const held = await cli(['erase', 'verify', 'demo', one], env);
      expect(held).toMatchObject({
        code: 0,
        text: expect.stringMatching(/^holds: signed with key [0-9a-f]{32}/),
      });
      expect(held.text).toContain('2 rows and');
      expect(held.text).toMatch(/searched for in \d+ objects of \d+ bytes/);
      const keys = await cli(['erase', 'key'], env);
      const publicFile = join(directory, 'public.pem');
      await writeFile(publicFile, keys.text.slice(keys.text.indexOf('-----')));
      const file = join(directory, 'receipt.json');
      const receipt = await readFile(join(env.STORE, paths.erasure('demo', one)), 'utf8');
      await writeFile(file, receipt);
      const nowhere = { STORE: join(directory, 'nowhere') };
      expect(await cli(['erase', 'verify', file, '--key', publicFile], nowhere)).toMatchObject({ code: 0 });
      await writeFile(file, receipt.replace('"rows":2', '"rows":3'));
      expect(await cli(['erase', 'verify', file], env)).toEqual({
        ...{
          code: 1,
          text: 'does not hold: its signature does not fit: it was changed after it was signed',
        },
      });
      expect(await cli(['erase', 'verify', file + 'x'], env)).toMatchObject({ code: 1 });
    },
  );
});
