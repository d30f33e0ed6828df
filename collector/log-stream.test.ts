import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openLogStream } from './log-stream.ts';
import type { Stream, StreamMessage } from './stream.ts';
import { describeStream } from './stream.contract.ts';

/** Appends without end and tells its parent what was acked: made to be killed. */
const VICTIM = `
  import { openLogStream } from ${JSON.stringify(join(import.meta.dirname, 'log-stream.ts'))};
  const [dir, name] = process.argv.slice(1);
  const stream = await openLogStream(dir, { bytesMax: 2 ** 26 });
  let next = 0;
  const work = async () => {
    for (;;) {
      const id = name + '-' + next++;
      await stream.append('rec.p.00.s.i', Buffer.from(id.padEnd(1 + (next % 3000))), id);
      process.send(id);
    }
  };
  process.once('disconnect', () => process.exit());
  await Promise.all(Array.from({ length: 16 }, work));
`;

const BYTES_MAX = 64 * 1024 * 1024;

describe('the embedded log is a stream', () => {
  describeStream(async () => {
    const dir = await mkdtemp(join(tmpdir(), 'log-'));
    return {
      open: (options) => openLogStream(dir, options),
      remove: () => rm(dir, { recursive: true }),
    };
  });
});

describe('the embedded log', () => {
  let dir: string;
  const opened: Stream[] = [];
  const warnings: Record<string, unknown>[] = [];
  const openLog = async (options: Partial<Parameters<typeof openLogStream>[1]> = {}): Promise<Stream> => {
    const warn = (fields: Record<string, unknown>): void => void warnings.push(fields);
    const stream = await openLogStream(dir, { bytesMax: BYTES_MAX, firstSeq: 1, warn, ...options });
    opened.push(stream);
    return stream;
  };
  const segments = async (): Promise<string[]> =>
    (await readdir(dir)).filter((name) => name.endsWith('.segment')).sort();
  const read = async (stream: Stream): Promise<StreamMessage[]> => {
    const messages: StreamMessage[] = [];
    for await (const message of stream.read(1, 'rec.>')) messages.push(message);
    return messages;
  };
  const fill = async (stream: Stream, count: number, size = 100): Promise<void> => {
    for (let i = 0; i < count; i++)
      await stream.append(`rec.p.00.s${i % 3}.i`, Buffer.alloc(size, `m${i} `), `id${i}`);
  };

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'log-'));
  });
  afterEach(async () => {
    for (const stream of opened.splice(0)) await stream.close();
    warnings.length = 0;
    await rm(dir, { recursive: true });
  });

  test.each([1, 27, 28, 60, 120])(
    'a tail torn %i bytes before its end is cut off, with a warning',
    async (cut) => {
      const first = await openLog();
      await fill(first, 10);
      await first.close();
      const file = join(dir, (await segments())[0]!);
      const size = (await stat(file)).size;
      const handle = await open(file, 'r+');
      await handle.truncate(size - cut);
      await handle.close();
      const second = await openLog();
      expect((await read(second)).map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toMatchObject({ file });
      expect(warnings[0]!.tornBytes).toBeGreaterThan(0);
      expect((await second.append('rec.p.00.s.i', Buffer.from('new'), 'new')).seq).toBe(10);
      await second.close();
      expect(await read(await openLog())).toHaveLength(10);
      expect(warnings).toHaveLength(1);
    },
  );

  test('where little comes, what was trimmed is soon gone from the disk', async () => {
    let nowMs = Date.now();
    const stream = await openLog({ now: () => nowMs });
    const bytesOnDisk = async (): Promise<string> =>
      (await Promise.all((await segments()).map((name) => readFile(join(dir, name), 'latin1')))).join('');
    for (let hour = 0; hour < 4; hour++) {
      await stream.append('rec.p.00.s.i', Buffer.from(`said in hour ${hour}`), `id${hour}`);
      nowMs += 3_600_000;
    }
    await stream.trim(4);
    expect(await bytesOnDisk()).not.toMatch(/hour [012]/);
    expect((await read(stream)).map(({ seq }) => seq)).toEqual([4]);
  });

  test('a tail of zeros or noise, as a power loss leaves it, is cut off', async () => {
    for (const tail of [
      Buffer.alloc(5000),
      Buffer.from(Array.from({ length: 777 }, (_, i) => (i * 37) % 256)),
    ]) {
      const first = await openLog();
      const { messages } = await first.state();
      await first.append('rec.p.00.s.i', Buffer.from('kept'), `kept${messages}`);
      await first.close();
      await writeFile(join(dir, (await segments()).at(-1)!), tail, { flag: 'a' });
      const second = await openLog();
      expect((await read(second)).length).toBe(messages + 1);
      await second.close();
    }
    expect(warnings.map(({ tornBytes }) => tornBytes)).toEqual([5000, 777]);
  });

  test('damage in the middle is an error that names file and offset', async () => {
    const first = await openLog();
    await fill(first, 10);
    await first.close();
    const file = join(dir, (await segments())[0]!);
    const bytes = await readFile(file);
    bytes[400]! ^= 1;
    await writeFile(file, bytes);
    await expect(openLog()).rejects.toMatchObject({ code: 'bad_record' });
    await expect(openLog()).rejects.toThrow(new RegExp(`^${file} is damaged at byte \\d+$`));
  });

  test('damage at the end of a segment that is not the newest is an error too', async () => {
    const first = await openLog({ segmentBytesMax: 1000 });
    await fill(first, 30);
    await first.close();
    const file = join(dir, (await segments())[0]!);
    const handle = await open(file, 'r+');
    await handle.truncate((await stat(file)).size - 1);
    await handle.close();
    await expect(openLog()).rejects.toThrow(/is damaged at byte \d+$/);
  });

  test('damage that comes while it is open is found when it is read', async () => {
    const stream = await openLog();
    await fill(stream, 3);
    const file = join(dir, (await segments())[0]!);
    const handle = await open(file, 'r+');
    await handle.write(Buffer.from('!'), 0, 1, (await stat(file)).size - 5);
    await handle.close();
    await expect(read(stream)).rejects.toThrow(/is damaged at byte \d+$/);
  });

  test('trim frees whole segments, erase leaves no byte in any file', async () => {
    const stream = await openLog({ segmentBytesMax: 1000 });
    await fill(stream, 40);
    const before = await segments();
    expect(before.length).toBeGreaterThan(3);
    await stream.trim(20);
    expect((await segments()).length).toBeLessThan(before.length);
    expect((await read(stream)).map(({ seq }) => seq)).toEqual(Array.from({ length: 21 }, (_, i) => 20 + i));
    expect(await stream.erase('rec.p.00.s1.>')).toBe(7);
    const all = Buffer.concat(
      await Promise.all((await readdir(dir)).map((name) => readFile(join(dir, name)))),
    );
    expect(all.includes('rec.p.00.s0.i')).toBe(true);
    expect(all.includes('rec.p.00.s1.i')).toBe(false);
    expect(all.includes('m37 ')).toBe(false);
    const left = (await read(stream)).map(({ seq }) => seq);
    await stream.close();
    expect((await read(await openLog())).map(({ seq }) => seq)).toEqual(left);
  });

  test('an id is forgotten after the window', async () => {
    let nowMs = 1_000_000;
    const stream = await openLog({ now: () => nowMs });
    await stream.append('rec.p.00.s.i', Buffer.from('a'), 'id');
    nowMs += 59_999;
    expect((await stream.append('rec.p.00.s.i', Buffer.from('a'), 'id')).duplicate).toBe(true);
    nowMs += 1;
    expect(await stream.append('rec.p.00.s.i', Buffer.from('a'), 'id')).toEqual({ seq: 2, duplicate: false });
  });

  test('appends that wait share a sync', async () => {
    const stream = await openLog();
    const order: string[] = [];
    await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        stream.append('rec.p.00.s.i', Buffer.from(`${i}`), `id${i}`).then(() => order.push(`${i}`)),
      ),
    );
    expect(order).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`));
    expect((await read(stream)).map(({ seq }) => seq)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  });

  test('a second opening is refused while the first holds the directory', async () => {
    const first = await openLog();
    await expect(openLog()).rejects.toThrow(`is in use by process ${process.pid}`);
    await first.close();
    await openLog();
  });

  test('a living process keeps its lock, a dead one loses it, also when its pid lives on in another', async () => {
    const lock = join(dir, 'lock');
    const parent = process.ppid;
    await writeFile(lock, JSON.stringify({ pid: parent, started: '' }));
    await expect(openLog()).rejects.toMatchObject({ code: 'stream_unavailable' });
    await writeFile(lock, JSON.stringify({ pid: parent, started: 'at another time' }));
    await (await openLog()).close();
    await writeFile(lock, JSON.stringify({ pid: 2 ** 22 + 1, started: '1' }));
    await (await openLog()).close();
    await writeFile(lock, JSON.stringify({ pid: process.pid, started: '1' }));
    await (await openLog()).close();
  });

  test('kill -9 loses nothing that was acked', async () => {
    const acked = new Set<string>();
    for (let round = 0; round < 3; round++) {
      const child = spawn(process.execPath, ['--input-type=module', '--eval', VICTIM, dir, `r${round}`], {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      const enough = 400 * (round + 1);
      let heard = 0;
      await new Promise<void>((resolve, reject) => {
        child.on('message', (id) => {
          acked.add(String(id));
          if (++heard === enough) resolve();
        });
        child.once('exit', (code) => reject(new Error(`the child ended with ${code}`)));
      });
      child.removeAllListeners('exit').kill('SIGKILL');
      await once(child, 'close');
    }
    const stream = await openLog();
    const stored = (await read(stream)).map(({ bytes }) => Buffer.from(bytes).toString().trim());
    const lost = [...acked].filter((id) => !stored.includes(id));
    expect(acked.size).toBeGreaterThanOrEqual(2400);
    expect(lost).toEqual([]);
    expect(stored.length).toBe(new Set(stored).size);
  });
});
