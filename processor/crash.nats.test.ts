import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { sessionFilter } from '#stream';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { encodeJson, getJson } from './lake-reader.ts';
import { paths, type Erasure, type EventRow } from './layout.ts';
import { keyOf, openHarness, until, type Harness } from './processor.harness.ts';
import { createRandom } from './samples.ts';
import { openLakeReader, openStore, type Store } from './store.ts';
import { decodeFile } from './x-hyparquet.ts';

const natsUrl = inject('natsUrl');
const s3 = inject('s3');
process.env.AWS_ACCESS_KEY_ID ??= s3?.accessKey;
process.env.AWS_SECRET_ACCESS_KEY ??= s3?.secretKey;

/** What the victim is about to do when it is killed, or has just done, for the kill takes its time. */
const MOMENTS = [
  /^! put v1\/l0\/.*json/,
  /^! put v1\/r30\//,
  /^! put v1\/manifest\/.*\/day\//,
  /^! put v1\/manifest\/project=\w+\/\d/,
  /^! put v1\/iceberg\//,
  /^! remove .*\/l0\//,
  /^! remove .*\/manifest\//,
  /^! remove v1\/r30\//,
  /^! erase /,
  /^! put v1\/erasures\//,
];
/** Of a moment that does not come the victim is killed all the same. */
const MOMENT_MS_MAX = 3_000;
/** As many of the moments as there is time for, by the seed. */
const KILLS = 6;

describe.skipIf(!natsUrl || !s3)('on JetStream and S3, kill -9', () => {
  let lake: Harness;
  let store: Store;
  let streamUrl: string;
  let storeUrl: string;
  let victims: Victim[] = [];
  beforeEach(async () => {
    const id = randomUUID().replaceAll('-', '');
    streamUrl = `${natsUrl}/CRASH_${id}`;
    storeUrl = `s3://crash-${id}?endpoint=${encodeURIComponent(s3!.endpoint)}&region=us-east-1`;
    lake = await openHarness(streamUrl);
    store = await openStore(storeUrl);
  });
  afterEach(async () => {
    await Promise.all(victims.map((victim) => victim.kill()));
    victims = [];
    await lake.close();
    await store?.close();
  });

  it(
    'in the midst of a flush, compaction, sweep or erasure loses, repeats and brings back nothing',
    { timeout: 90_000 },
    async () => {
      const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
      process.stdout.write(`processors killed on JetStream and S3: SEED=${seed}\n`);
      const random = createRandom(seed);
      const acked = new Map<string, number>();
      const erased = new Map<string, string>();
      const start = (n: number): Victim => {
        const victim = startVictim(
          [streamUrl, storeUrl, String(seed + n), String(1 + n * 1000), 'tell'],
          acked,
        );
        victims.push(victim);
        return victim;
      };
      // All the while another one owns every shard too.
      let [one, other] = [start(0), start(1)];
      let struck = 0;
      for (const [n, moment] of shuffled(MOMENTS, random).slice(0, KILLS).entries()) {
        for (const id of [...acked.keys()].slice(-2)) {
          const [session, rid] = id.split(' ') as [string, string];
          const project = Number(rid.slice(4)) % 2 ? 'odd' : 'even';
          const tombstone: Erasure = { v: 1, project, session, requestedMs: Date.now() };
          await store.put(paths.erasure(project, session), encodeJson(tombstone));
          erased.set(session, project);
        }
        if (await one.said(moment, MOMENT_MS_MAX)) struck++;
        await new Promise((resolve) => setTimeout(resolve, random() * 15));
        await one.kill();
        [one, other] = [other, start(n + 2)];
      }
      await Promise.all(victims.map((victim) => victim.kill()));
      process.stdout.write(
        `${struck} of ${KILLS} were killed at their moment, ${erased.size} sessions erased\n`,
      );
      expect(struck).toBeGreaterThan(0);

      lake.start({ store, env: { COMPACT_INTERVAL_MS: '1000', SWEEP_INTERVAL_MS: '1000', GRACE_MS: '0' } });
      const kept = [...acked].filter(([id]) => !erased.has(id.split(' ')[0]!));
      await until(async () => {
        const stored = new Map<string, number>();
        for (const { session_id, rid } of await rows({ hidden: false })) {
          const id = `${session_id} ${rid}`;
          stored.set(id, (stored.get(id) ?? 0) + 1);
        }
        expect(kept.filter(([id, count]) => (stored.get(id) ?? 0) < count)).toEqual([]);
      });
      const pending = async (): Promise<string[]> => {
        const keys = [...erased].map(([session, project]) => paths.erasure(project, session));
        const found = await Promise.all(keys.map((key) => getJson<Erasure>(store, key)));
        return found.filter(({ done }) => !done).map(({ session }) => session);
      };
      await until(async () => expect(await pending()).toEqual([]));
      const all = await rows({ hidden: true });
      expect(new Set(all.map(keyOf)).size).toBe(all.length);
      expect(all.filter(({ session_id }) => erased.has(session_id))).toEqual([]);
      for (const [session, project] of erased)
        expect(await lake.stream.last(sessionFilter(project, session))).toBeUndefined();
      expect(kept.length).toBeGreaterThan(20);
    },
  );

  /** Rows of the files that are live; `hidden`: also those of erased sessions. */
  async function rows({ hidden }: { hidden: boolean }): Promise<EventRow[]> {
    const found: EventRow[] = [];
    for (const project of ['odd', 'even']) {
      const view = await openLakeReader(store, Date.now).view(project);
      for (const file of view.files)
        if (file.table === 'events')
          for (const row of await decodeFile('events', await store.get(file.key)))
            if (row.project === project && (hidden || !view.erased.has(row.session_id))) found.push(row);
    }
    return found;
  }
});

interface Victim {
  /** Whether it came to say a line such as this, from now on, in time. */
  said(line: RegExp, msMax: number): Promise<boolean>;
  kill(): Promise<void>;
}

/** @param acked hears of what is durable: events by session and rid */
function startVictim(args: string[], acked: Map<string, number>): Victim {
  const script = join(import.meta.dirname, 'processor.victim.ts');
  const child: ChildProcess = spawn(process.execPath, [script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const heard = new Set<(line: string) => void>();
  let isUp: () => void;
  const up = new Promise<void>((resolve) => (isUp = resolve));
  let rest = '';
  child.stdout!.on('data', (data: Buffer) => {
    const lines = (rest + data.toString()).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      const [session, rid, count] = line.split(' ');
      if (count && session !== '!')
        acked.set(`${session} ${rid}`, (acked.get(`${session} ${rid}`) ?? 0) + Number(count));
      if (line === 'up') isUp();
      for (const hear of heard) hear(line);
    }
  });
  return {
    said: (wanted, msMax) =>
      Promise.race([up, closed]).then(
        () =>
          new Promise((resolve) => {
            const end = (found: boolean): void => {
              heard.delete(hear);
              clearTimeout(timer);
              resolve(found);
            };
            const hear = (line: string): void => void (wanted.test(line) && end(true));
            const timer = setTimeout(() => end(false), msMax);
            heard.add(hear);
          }),
      ),
    async kill() {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, order: random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
}
