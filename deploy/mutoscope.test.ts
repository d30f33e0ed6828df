import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openStore } from '#store';
import { main } from './mutoscope.ts';

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
  expect(help.text).toMatch(/^ {2}fsck .*\n {2}retention /m);
  expect(await run()).toEqual({ ...help, code: 2 });
  const unknown = await run('fsk');
  expect([unknown.code, unknown.text.split('\n')[0]]).toEqual([2, 'no command "fsk"']);
  for (const name of ['fsck', 'retention']) {
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
