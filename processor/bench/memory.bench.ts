/**
 * Memory of a processor, and that it comes to an end, with what is large in one way: one session of 1 GB, one of
 * 8 hours, full snapshots of 20 MB, 100,000 sessions at once. CASES names those to run.
 */
import { mkdtemp } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { workOff, type Backlog } from './backlog.ts';
import { largeSnapshots, longSession, oneSession, tinySessions } from './backlogs.ts';
import { readCorpus } from './read-corpus.ts';

const PROJECT = 'bench';
const SECONDS_MAX = 600;
const CASES: Record<string, () => Backlog> = {
  '1gb_session': () => oneSession(readCorpus(200).sessions, PROJECT, 1e9),
  '8h_session': () => longSession(readCorpus(200).sessions, PROJECT, 8),
  '20mb_snapshots': () => largeSnapshots(PROJECT, 20, 20e6),
  '100k_sessions': () => tinySessions(PROJECT, 100_000),
};

for (const name of (process.env.CASES ?? Object.keys(CASES).join(',')).split(',')) {
  const backlog = CASES[name];
  if (!backlog) throw new Error(`${name} is none of ${Object.keys(CASES).join(', ')}`);
  const dir = await mkdtemp(join(tmpdir(), 'bench-memory-'));
  const { rssMb, seconds, messages, rows } = await workOff(dir, PROJECT, backlog(), SECONDS_MAX);
  console.log(
    `${name}: ${messages} messages, ${rows} events in ${seconds.toFixed(0)} s  (load ${loadavg()[0]!.toFixed(1)})`,
  );
  console.log(`figure rss_mb_${name} ${rssMb.toFixed(1)} MB`);
}
