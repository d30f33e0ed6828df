import { readConfig, type Config } from '#service';

/**
 * The command line. Each command is a file of its own, `command-<name>.ts`, loaded when it is asked for; settings are those
 * of the services, from the environment.
 */
export interface Command {
  /** A sentence. */
  summary: string;
  /** What may follow the name, a form a line. */
  usage: string;
  /** @returns the exit code. @throws UsageError */
  run(args: string[], context: { config: Config; out(line: string): void }): Promise<number>;
}

const COMMANDS: Record<string, () => Promise<Command>> = {
  erase: () => import('./command-erase.ts'),
};

/** @returns the exit code: 0 done, 1 not done, 2 not understood */
export async function main(
  argv: readonly string[],
  env: Record<string, string | undefined>,
  out: (line: string) => void,
  err: (line: string) => void,
): Promise<number> {
  const [name = '--help', ...args] = argv;
  if (name === '--help' || name === 'help') {
    out('usage: node deploy/mutoscope.ts <command> …; settings as for deploy/all.ts, STORE above all');
    for (const [known, load] of Object.entries(COMMANDS))
      out(`  ${known.padEnd(12)}${(await load()).summary}`);
    return 0;
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!load) {
    err(`there is no command ${name}; there are ${Object.keys(COMMANDS).join(', ')}`);
    return 2;
  }
  const command = await load();
  if (args.includes('--help')) {
    out(command.summary);
    for (const form of command.usage.split('\n')) out(`  mutoscope ${name} ${form}`);
    return 0;
  }
  let config: Config;
  try {
    config = readConfig(env);
  } catch (error) {
    err((error as Error).message);
    return 2;
  }
  try {
    return await command.run(args, { config, out });
  } catch (error) {
    err(`${name}: ${(error as Error).message}`);
    return 1;
  }
}

if (import.meta.main)
  process.exitCode = await main(process.argv.slice(2), process.env, console.log, console.error);
