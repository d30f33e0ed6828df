import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openStore } from '#store';
import { main } from './mutoscope.ts';
import { startProcess } from './processes.ts';
import { freePort } from './servers.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mutoscope-cli-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function run(...args: string[]): Promise<{ code: number; text: string }> {
  const lines: string[] = [];
  const code = await main(args, { DATA_DIR: dir }, (line) => lines.push(line));
  return { code, text: lines.join('\n') };
}

it('lists its commands, explains each, and exits with 2 for what it does not know', async () => {
  const help = await run('--help');
  expect(help.code).toBe(0);
  expect(help.text).toMatch(/^ {2}doctor .*\n {2}erase .*\n {2}fsck .*\n {2}retention /m);
  expect(await run()).toEqual({ ...help, code: 2 });
  const unknown = await run('fsk');
  expect([unknown.code, unknown.text.split('\n')[0]]).toEqual([2, 'no command "fsk"']);
  for (const name of ['doctor', 'erase', 'fsck', 'retention']) {
    const { code, text } = await run(name, '--help');
    expect([code, text.split('\n')[0]]).toEqual([0, expect.stringContaining(`mutoscope ${name}`)]);
  }
  const wrong = await run('fsck', '--quik');
  expect([wrong.code, wrong.text]).toEqual([2, expect.stringContaining("'--quik'")]);
});

it('fsck: an empty lake is well, a root that is none is told and made anew', async () => {
  expect(await run('fsck')).toEqual({
    code: 0,
    text: '0 projects, 0 files, 0 bytes, 0 rows: nothing is wrong',
  });
  const store = await openStore(join(dir, 'lake'));
  await store.put('v1/manifest/project=shop/000000000001.json', Buffer.from('{'));
  const { code, text } = await run('fsck', '--quick');
  expect(code).toBe(1);
  expect(text).toMatch(/^wrong bad_root {2}v1\/manifest\/project=shop\/000000000001.json: .+; .+\n/);
  expect((await run('fsck', '--repair')).code).toBe(0);
  await store.close();
});

it('doctor: tells a line for each thing, in words or as JSON, also beside a server that runs', async () => {
  const server = await startProcess({
    ...{ DATA_DIR: dir, LISTEN: `127.0.0.1:${await freePort()}`, FIRST_ORIGINS: 'https://shop.example' },
    ...{ FIRST_WRITE_KEY: 'wk_for_tests', FIRST_API_KEY: 'ak_for_tests_of_the_doctor' },
  });
  try {
    const { code, text } = await run('doctor');
    expect(text).toMatch(/^ok +conditional puts +of two puts of one key the second is refused$/m);
    expect(text).toMatch(/^ok +stream +directory .* is in use by process \d+; its \/metrics tell the lag$/m);
    expect(code).toBe(0);
    const { text: json } = await run('doctor', '--json');
    expect(JSON.parse(json)).toContainEqual(
      expect.objectContaining({ name: 'clock', state: 'ok', todo: '' }),
    );
  } finally {
    server.kill();
    await server.end();
  }
  const lines: string[] = [];
  const env = { DATA_DIR: dir, STORE: 's3://bucket?endpoint=http://127.0.0.1:9' };
  expect(await main(['doctor'], env, (line) => lines.push(line))).toBe(1);
  expect(lines.join('\n')).toMatch(/^wrong +store +store_unavailable: .*; look at STORE/m);
}, 60_000);

it('retention: does what it is told, and says why it does not', async () => {
  expect((await run('retention', 'hold', 'shop')).code).toBe(2);
  expect((await run('retention', 'move', 'shop', '--before', 'yesterday', '90')).code).toBe(2);
  const session = '01a205b8-63e0-7000-8000-000000000006';
  expect(await run('retention', 'hold', 'shop', session)).toEqual({
    code: 1,
    text: `unknown_session: nothing of session ${session} is stored`,
  });
  expect(await run('retention', 'move', 'shop', '--before', '2026-01-01', '90')).toEqual({
    code: 0,
    text: '0 rows of 0 days moved; 0 files written again',
  });
  expect((await run('retention', 'move', 'shop', '--before', '2026-01-01', '0')).text).toMatch(
    /^bad_retention: 0 /,
  );
});
