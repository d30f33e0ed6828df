import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import type { Config } from '#service';
import { examine } from '#store';

export const summary = 'tells whether settings, store, stream and lake are well';
export const usage = `mutoscope doctor [--json]

Looks at the settings, reaches the store and the stream, and tells what waits: one line each, ok, warn or wrong, why, and
what to do. Exits with 1 when something is wrong. Puts one small object into the store and removes it again; where
nobody else has the embedded log, opens it for a moment as a starting server does.

  --json   the lines as JSON`;

/** @returns 1 when something is wrong */
export async function run(
  args: string[],
  { config, out }: { config: Config; out(line: string): void },
): Promise<number> {
  const { values } = parseArgs({ args, options: { json: { type: 'boolean' } } });
  const checks = await examine(config, { now: Date.now, nonce: randomBytes(8).toString('hex') });
  if (values.json) out(JSON.stringify(checks, null, 2));
  else
    for (const { name, state, why, todo } of checks)
      out(`${state.padEnd(7)}${name.padEnd(18)}${why}${todo ? `; ${todo}` : ''}`);
  return checks.some(({ state }) => state === 'wrong') ? 1 : 0;
}
