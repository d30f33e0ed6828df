import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** A Mutoscope process under test: started as an operator would, with settings in the environment. */
export interface Running {
  url: string;
  pid: number;
  /** What it wrote to standard output and standard error. */
  output(): string;
  /** SIGTERM; resolves with the exit code. */
  end(): Promise<number | null>;
  /** Idempotent. */
  kill(): void;
}

const READY_MS_MAX = 30_000;

/** Resolves once `/readyz` says 200. @throws Error with its output when it ends or does not become ready */
export async function startProcess(settings: Record<string, string> & { LISTEN: string }): Promise<Running> {
  const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, 'all.ts')], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, LOG_LEVEL: 'warn', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const pipe of [child.stdout, child.stderr])
    pipe?.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-100_000)));
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  const url = `http://${settings.LISTEN}`;
  for (const end = Date.now() + READY_MS_MAX; ;) {
    if (child.exitCode !== null)
      throw new Error(`the process ended with ${child.exitCode} before it was ready:\n${output}`);
    const reply = await fetch(`${url}/readyz`).catch(() => undefined);
    if (reply?.status === 200) break;
    if (Date.now() > end) {
      child.kill('SIGKILL');
      throw new Error(`not ready within ${READY_MS_MAX} ms: ${await reply?.text()}\n${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    url,
    pid: child.pid as number,
    output: () => output,
    async end() {
      child.kill('SIGTERM');
      return exited;
    },
    kill: () => void child.kill('SIGKILL'),
  };
}
