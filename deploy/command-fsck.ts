import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { createLog, type Config } from '#service';
import { fsck, openStore, repair, type Finding } from '#store';

export const summary = 'checks the lake against its manifests, and makes lost ones anew';
export const usage = `mutoscope fsck [--quick] [--project <id>] [--repair]

Checks that every file which the newest manifests and the commits name is there and is what they say, that other
programs' readers are led to the same files, that assets have the content of their names, and tells what nothing names.
One line each: code, key, why, what to do. Exits with 1 when something is wrong. Reads only.

  --quick         names, sizes and manifests; no data file is read
  --project <id>  one project
  --repair        makes what is lost or damaged anew from the files, as a new version, and puts what cannot be read
                  aside under v1/quarantine/files/; stop the processors before`;

/** @returns 0 when nothing is wrong, also after a repair; else 1 */
export async function run(
  args: string[],
  { config, out }: { config: Config; out(line: string): void },
): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean' },
      project: { type: 'string' },
      repair: { type: 'boolean' },
    },
  });
  const store = await openStore(config.STORE);
  const options = {
    project: values.project,
    quick: values.quick,
    nowMs: Date.now(),
    graceMs: config.GRACE_MS,
  };
  try {
    if (values.repair) {
      const nonce = (): string => randomBytes(8).toString('hex');
      const { before, done } = await repair({ store, nonce, log: createLog('warn') }, options);
      for (const finding of before.findings) out(lineOf(finding));
      for (const line of done) out(`repaired  ${line}`);
      if (done.length) out('looked once more:');
    }
    const report = await fsck(store, options);
    for (const finding of report.findings) out(lineOf(finding));
    const wrong = report.findings.filter(({ level }) => level === 'wrong').length;
    out(
      `${report.projects.length} projects, ${report.files} files, ${report.bytes} bytes, ${report.rows} rows: ` +
        (wrong ? `${wrong} wrong` : 'nothing is wrong'),
    );
    return wrong ? 1 : 0;
  } finally {
    await store.close();
  }
}

const lineOf = ({ level, code, key, why, todo }: Finding): string =>
  `${level.padEnd(6)}${code}  ${key}: ${why}; ${todo}`;
