import { createHttp, createLog, createMetrics, readConfig } from '#service';
import { createLoneMember, MEMBER_TTL_MS, openStream } from '#stream';
import { createProcessor } from './processor.ts';
import { append, createRandom, createSender, pageLoad, sessionAt, withMethods } from './samples.ts';
import { openStore } from './store.ts';

/**
 * A process that is killed by the test: appends sessions of its own, says each batch that is durable on stdout, and
 * processes the stream into the store. Arguments: stream, store, seed, first session number, and `tell` to append
 * slowly and say each effect before it is made.
 */
const [streamAt, storeAt, seed, firstSession, tell] = process.argv.slice(2);
const random = createRandom(Number(seed));
const stream = await openStream(streamAt!, { bytesMax: 256 * 1024 * 1024 });
const store = await openStore(storeAt!);
const log = createLog('silent');
const metrics = createMetrics({ process: false });
const config = readConfig({
  FLUSH_INTERVAL_MS: '100',
  COMPACT_INTERVAL_MS: '1000',
  SWEEP_INTERVAL_MS: '1000',
  GRACE_MS: '0',
});
const context = { config, log, metrics, http: createHttp(log, metrics, () => []), now: Date.now };
const say = (effect: string): void => void (tell && process.stdout.write(`! ${effect}\n`));
const told = {
  stream: withMethods(stream, {
    erase: (filter) => {
      say(`erase ${filter}`);
      return stream.erase(filter);
    },
  }),
  store: withMethods(store, {
    put: (key, bytes, how) => {
      say(`put ${key}`);
      return store.put(key, bytes, how);
    },
    remove: (keys) => {
      if (keys.length) say(`remove ${keys.join(' ')}`);
      return store.remove(keys);
    },
  }),
};
// Each takes itself for alone, and so every shard has several owners.
void createProcessor(context, { ...told, members: createLoneMember(MEMBER_TTL_MS) }).run();
process.stdout.write('up\n');

for (let n = Number(firstSession); ; n++) {
  const startMs = Date.now();
  const session = sessionAt(startMs, n);
  const sender = createSender({ project: n % 2 ? 'odd' : 'even', session, rid: `rid-${n}` });
  for (let batch = 0; batch < 3; batch++) {
    const events = pageLoad(5 + Math.floor(random() * 20), startMs);
    const sent = sender.batch(events, random() < 0.3 ? { frameBytes: 100 } : {});
    await append(stream, sent);
    process.stdout.write(`${session} rid-${n} ${events.length}\n`);
    // A resend, as after a lost ack.
    if (random() < 0.2)
      await append(
        stream,
        sent.map((one) => ({ ...one, id: `${one.id} again` })),
      );
    await new Promise((resolve) => setTimeout(resolve, random() * (tell ? 150 : 10)));
  }
}
