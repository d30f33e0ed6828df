import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { createLog, type Config } from '#service';
import { openRetention, openStore, RetentionError, type Retention } from '#store';

export const summary = 'holds and releases sessions, and moves them to another class';
export const usage = `mutoscope retention hold|release <project> <session> [--reason <text>]
mutoscope retention move <project> <session> <days>
mutoscope retention move <project> --before <YYYY-MM-DD> <days>

A held session outlives its class until it is released, and cannot be erased. A move gives a session, or all that began
before a day, a shorter or longer class, by writing their rows again. Each act is written down in the session's object
under v1/holds/, which the sweeps obey. What is stored until when: SELECT * FROM retention_status.`;

/** @returns 0 done, 1 refused, 2 not understood */
export async function run(
  args: string[],
  { config, out }: { config: Config; out(line: string): void },
): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { before: { type: 'string' }, reason: { type: 'string' } },
  });
  const wanted = values.before === undefined ? 3 : 2;
  const [act = '', project = '', ...rest] = positionals;
  const isKnown =
    act === 'move' ? rest.length === wanted - 1 : /^(hold|release)$/.test(act) && rest.length === 1;
  if (!isKnown || (values.before !== undefined && !/^\d{4}-\d{2}-\d{2}$/.test(values.before))) {
    out(usage);
    return 2;
  }
  const store = await openStore(config.STORE);
  try {
    const retention = openRetention(store, {
      now: Date.now,
      nonce: () => randomBytes(8).toString('hex'),
      log: createLog('warn'),
      graceMs: config.GRACE_MS,
    });
    out(await perform(retention, { act, project, rest, ...values }));
    return 0;
  } catch (error) {
    if (!(error instanceof RetentionError)) throw error;
    out(`${error.code}: ${error.message}`);
    return 1;
  } finally {
    await store.close();
  }
}

async function perform(
  retention: Retention,
  asked: { act: string; project: string; rest: string[]; before?: string; reason?: string },
): Promise<string> {
  const { act, project, rest, before, reason } = asked;
  const [session = '', days = session] = rest;
  if (before !== undefined) {
    const moved = await retention.moveBefore(project, before, Number(days));
    return `${moved.rows} rows of ${moved.days} days moved; ${moved.files} files written again`;
  }
  const { rows, files, hold } =
    act === 'move'
      ? await retention.move(project, session, Number(days))
      : act === 'hold'
        ? await retention.hold(project, session, reason)
        : await retention.release(project, session, reason);
  return `${act}: ${rows} rows moved, ${files} files written again; the session's class is ${hold.retentionDays} days`;
}
