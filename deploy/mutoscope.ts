#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { readConfig, type Config } from '#service';

/** What an operator does to a lake by hand: one command a file, read only when it is asked for. */
export interface Command {
  /** Half a line. */
  summary: string;
  /** All of `mutoscope <name> --help`. */
  usage: string;
  /** @returns the exit code: 0 well, 1 something is wrong, 2 not understood */
  run(args: string[], context: { config: Config; out(line: string): void }): Promise<number>;
}

const COMMANDS: Record<string, () => Promise<Command>> = {
  doctor: () => import('./command-doctor.ts'),
  erase: () => import('./command-erase.ts'),
  fsck: () => import('./command-fsck.ts'),
  retention: () => import('./command-retention.ts'),
};

/** @returns the exit code */
export async function main(
  args: string[],
  env: Record<string, string | undefined>,
  out: (line: string) => void,
): Promise<number> {
  const [name = '', ...rest] = args;
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!load) {
    const asked = name === '' || name === '--help' || name === '-h';
    if (!asked) out(`no command ${JSON.stringify(name)}`);
    out('mutoscope <command> [--help]; settings come from the environment, as for deploy/all.ts');
    for (const [each, loadEach] of Object.entries(COMMANDS))
      out(`  ${each.padEnd(12)}${(await loadEach()).summary}`);
    return asked && name !== '' ? 0 : 2;
  }
  const command = await load();
  const { values } = parseArgs({
    args: rest,
    options: { help: { type: 'boolean', short: 'h' } },
    strict: false,
  });
  if (values.help) {
    out(command.usage);
    return 0;
  }
  let config: Config;
  try {
    config = readConfig(env);
  } catch (error) {
    out((error as Error).message);
    return 2;
  }
  try {
    return await command.run(rest, { config, out });
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    out(`${name}: ${message}`);
    if (!code.startsWith('ERR_PARSE_ARGS')) return 1;
    out(command.usage);
    return 2;
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2), process.env, console.log);
