import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { jsonRows } from './rows.ts';
import { createSql, WAITING_MAX, type Sql, type SqlOptions } from './sql.ts';
import { readFromChild } from './sql-messages.ts';
import type { Statement } from './sql-process.ts';

let dir: string;
let sql: Sql;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mutoscope-sql-'));
});
afterEach(async () => {
  await sql.close();
  await rm(dir, { recursive: true, force: true });
});
const start = (options: Partial<SqlOptions> = {}): void => {
  sql = createSql({
    dirOf: (project) => join(dir, project),
    spillDir: join(dir, '.spill'),
    processesMax: 4,
    timeoutMs: 20_000,
    memoryBytes: 128 * 1024 * 1024,
    ...options,
  });
};
const statement = (text: string, more: Partial<Statement> = {}): Statement => ({
  sql: text,
  params: [],
  lake: { classes: [], erased: [] },
  rowsMax: 1000,
  bytesMax: 1e6,
  ...more,
});
const run = (text: string, more: Partial<Statement> = {}, project = 'one') =>
  sql.run(project, 'sql', statement(text, more));
/** Where the watchdog sees memory: on Linux alone. */
const PROC = `/proc/${process.pid}/task/${process.pid}/children`;
const ENDLESS = 'SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range + b.range = -1';
/** Goes past `memory_limit` before it can be interrupted. */
const BOMB = 'SELECT len(generate_series(1, 2000000000))';

describe('a SQL process', () => {
  it('is started once for a project and answers again and again', async () => {
    start();
    expect(jsonRows(await run('SELECT 1'))).toEqual([[1]]);
    expect(jsonRows(await run('SELECT count(*) FROM sessions'))).toEqual([[0]]);
    expect(sql.processes()).toBe(1);
  });
  it('cuts at the rows asked for and says so, but not when there are just so many', async () => {
    start();
    expect(await run('FROM range(5000)', { rowsMax: 3000 })).toMatchObject({ truncated: true });
    const whole = await run('FROM range(3000)', { rowsMax: 3000 });
    expect(whole.truncated).toBe(false);
    expect(whole.cells[0]).toHaveLength(3000);
  });
  it('cuts an answer that weighs too much', async () => {
    start();
    const cut = await run(`SELECT 'xxxxxxxxxx' || i FROM range(1000000) r(i)`, {
      rowsMax: 1e6,
      bytesMax: 100_000,
    });
    expect(cut.truncated).toBe(true);
    expect(cut.cells[0]!.length).toBeLessThan(10_000);
  });
  it.each([
    ['SELECT nothing FROM events', 'sql_syntax'],
    ['SELECT * FROM nowhere', 'sql_not_allowed'],
    ['DROP VIEW events', 'sql_not_select'],
    [`SELECT error('on purpose')`, 'sql_failed'],
    [`SELECT CAST(url AS INTEGER) FROM (VALUES ('x')) v(url)`, 'sql_failed'],
    [`SELECT list(i::VARCHAR || 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxx') FROM range(20000000) r(i)`, 'sql_memory'],
  ])('says of %s that it is %s, and goes on', async (text, code) => {
    start();
    await expect(run(text)).rejects.toMatchObject({ code });
    expect(jsonRows(await run('SELECT 1'))).toEqual([[1]]);
  });
  it('does not run half of a statement that has a NUL in it', async () => {
    start();
    await expect(run('SELECT 1\0 WHERE false')).rejects.toMatchObject({ code: 'sql_syntax' });
    expect(jsonRows(await run('SELECT $1', { params: ['a\0b'] }))).toEqual([['a\0b']]);
  });
  it('refuses an answer whose columns alone weigh too much', async () => {
    start();
    const text = `SELECT *, *, * FROM (SELECT 1 AS "${'n'.repeat(500)}")`;
    await expect(run(text, { bytesMax: 1000 })).rejects.toMatchObject({ code: 'sql_failed' });
    expect(jsonRows(await run(text, { bytesMax: 10_000 }))).toEqual([[1, 1, 1]]);
  });
  it('tells nothing about where files are', async () => {
    start();
    const lake = {
      classes: [{ days: 30, paths: [join(dir, 'one', 'gone.parquet')], cutoffMs: 0 }],
      erased: [],
    };
    const error: Error = await run('FROM events', { lake }).then(
      () => new Error('it ran'),
      (reason: unknown) => reason as Error,
    );
    expect(error.message).toContain('gone.parquet');
    expect(error.message).not.toContain(dir);
  });
});

describe('the watchdog', () => {
  it('interrupts at the time limit and the process lives on', async () => {
    start({ timeoutMs: 1500 });
    await run('SELECT 1');
    await expect(run(ENDLESS)).rejects.toMatchObject({ code: 'sql_timeout' });
    expect(sql.processes()).toBe(1);
    expect(jsonRows(await run('SELECT 1'))).toEqual([[1]]);
  });
  it.skipIf(!existsSync(PROC))(
    'kills what takes more memory than its process may have; the next statement gets a new one',
    async () => {
      start({ memoryBytes: 64 * 1024 * 1024 });
      await expect(run(BOMB)).rejects.toMatchObject({ code: 'sql_memory' });
      expect(sql.processes()).toBe(0);
      expect(jsonRows(await run('SELECT 1'))).toEqual([[1]]);
    },
  );
  it.skipIf(!existsSync(PROC))(
    'lets a process go that keeps the memory of a statement, so that the next one has its own',
    async () => {
      start({ memoryBytes: 1024 * 1024 * 1024 });
      // Its column types alone fill the process, up to where it is let go, but not to where it is killed.
      const heavy = `SELECT x${',x'.repeat(6000)} FROM (SELECT {'${'n'.repeat(50_000)}': 1} AS x)`;
      // How much of it is still held when the answer comes is the garbage collector's affair.
      for (let tries = 0; tries === 0 || sql.processes() > 0; tries++) {
        expect(tries).toBeLessThan(5);
        await expect(run(heavy)).rejects.toMatchObject({ code: 'sql_failed' });
      }
      const light = `SELECT count(*) FROM (SELECT DISTINCT hash(i) FROM range(4000000) r(i))`;
      expect(jsonRows(await run(light))).toEqual([[4000000]]);
      expect(sql.processes()).toBe(1);
    },
  );
  it('stops a statement whose client left, and those after it run', async () => {
    start();
    await run('SELECT 1');
    const client = new AbortController();
    const endless = sql.run('one', 'sql', statement(ENDLESS), client.signal);
    const next = run('SELECT 2');
    setTimeout(() => client.abort(), 50);
    await expect(endless).rejects.toMatchObject({ code: 'sql_timeout' });
    expect(jsonRows(await next)).toEqual([[2]]);
  });
});

describe('processes', () => {
  it('the app gets a second one only while an analyst’s statement runs', async () => {
    start();
    await run('SELECT 1');
    await sql.run('one', 'app', statement('SELECT 1'));
    expect(sql.processes()).toBe(1);
    const client = new AbortController();
    const endless = sql.run('one', 'sql', statement(ENDLESS), client.signal);
    expect(jsonRows(await sql.run('one', 'app', statement('SELECT 2')))).toEqual([[2]]);
    expect(sql.processes()).toBe(2);
    client.abort();
    await expect(endless).rejects.toMatchObject({ code: 'sql_timeout' });
  });
  it('the one idle longest makes room; when all are at work the statement is refused', async () => {
    start({ processesMax: 1 });
    await run('SELECT 1', {}, 'one');
    await run('SELECT 1', {}, 'two');
    expect(sql.processes()).toBe(1);
    const client = new AbortController();
    const endless = sql.run('two', 'sql', statement(ENDLESS), client.signal);
    await expect(run('SELECT 1', {}, 'one')).rejects.toMatchObject({ code: 'sql_busy' });
    client.abort();
    await expect(endless).rejects.toMatchObject({ code: 'sql_timeout' });
  });
  it('refuses more than may wait', async () => {
    start();
    const all = Array.from({ length: WAITING_MAX + 3 }, () =>
      run('SELECT 1').catch((error: unknown) => error),
    );
    const refused = (await Promise.all(all)).filter((outcome) => outcome instanceof Error);
    expect(refused).toHaveLength(2);
    expect(refused[0]).toMatchObject({ code: 'sql_busy' });
  });
  it('are closed when idle, with what they spilled', async () => {
    start({ idleMs: 50 });
    await run('SELECT 1');
    await expect.poll(() => sql.processes()).toBe(0);
    await expect.poll(() => readdir(join(dir, '.spill'))).toEqual([]);
  });
  it('finish what they do when drained, and take on nothing', async () => {
    start();
    const last = run('SELECT count(*) FROM range(1000000)');
    const drained = sql.drain();
    await expect(run('SELECT 1')).rejects.toMatchObject({ code: 'sql_busy' });
    await drained;
    expect(jsonRows(await last)).toEqual([[1000000]]);
  });
  it.skipIf(!existsSync(PROC))('have none of our environment', async () => {
    process.env.AWS_SECRET_ACCESS_KEY = 'not-for-children';
    start();
    await run('SELECT 1');
    const children = await readFile(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8');
    const environs = await Promise.all(
      children
        .trim()
        .split(/\s+/)
        .map((pid) => readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')),
    );
    const ours = environs.filter((environ) => environ.includes('NODE_CHANNEL_FD'));
    expect(ours.length).toBeGreaterThan(0);
    expect(ours.join()).not.toContain('not-for-children');
    delete process.env.AWS_SECRET_ACCESS_KEY;
  });
});

it.each([
  null,
  'rows',
  { type: 'rows' },
  { type: 'rows', id: 1, cells: [1] },
  { type: 'columns', id: 1, columns: [null] },
  { type: 'end', id: 1 },
  { type: 'error', id: 1, code: 'internal', message: 'x' },
  { type: 'error', id: 1, code: 'sql_failed' },
  { type: '__proto__', id: 1 },
])('a message that no honest child sends is not read: %j', (message) => {
  expect(readFromChild(message)).toBeUndefined();
});
