import { createHttp, createLog, createMetrics, readConfig, runUntilKilled } from '#service';
import { openMembers, openStream } from '#stream';
import { createProcessor } from './processor.ts';
import { openStore } from './store.ts';

/**
 * One of several processors, that is killed by the test: logs on stdout, and says there also how many commits it made and
 * how many another made first. Arguments: stream, store, after how many milliseconds the others take it for dead, and by how
 * many its clock is ahead.
 */
const [streamAt, storeAt, ttlMs, aheadMs] = process.argv.slice(2);
const stream = await openStream(streamAt!, { bytesMax: 256 * 1024 * 1024 });
const store = await openStore(storeAt!);
const members = await openMembers(streamAt!, { place: String(process.pid), ttlMs: Number(ttlMs) });
const log = createLog('info');
const metrics = createMetrics({ process: false });
const config = readConfig({
  FLUSH_INTERVAL_MS: '200',
  COMPACT_INTERVAL_MS: '1000',
  SWEEP_INTERVAL_MS: '1000',
  GRACE_MS: '0',
});
const now = (): number => Date.now() + Number(aheadMs);
const context = { config, log, metrics, http: createHttp(log, metrics, () => []), now };
const tell = async (): Promise<void> => {
  const counts = /^mutoscope_(flushes|commit_conflicts)_total (\d+)/gm;
  const told = [...(await metrics.text()).matchAll(counts)].map(([, name, count]) => [name, Number(count)]);
  log.info(Object.fromEntries(told), 'counts');
};
const telling = setInterval(() => void tell(), 200);
const code = await runUntilKilled([createProcessor(context, { stream, store, members })], log);
clearInterval(telling);
await tell();
await stream.close();
await store.close();
process.exitCode = code;
