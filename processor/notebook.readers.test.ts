import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createDaysLake, type DaysLake } from './fixture-days.ts';
import { paths, type EventRow } from './layout.ts';
import { openStore } from './store.ts';

const python = inject('readers');
const jars = python ? globSync(join(dirname(python), '../jars/*.jar')) : [];
const isThere = (name: string): boolean =>
  python !== undefined && globSync(join(dirname(python), `../lib/python*/site-packages/${name}`)).length > 0;
const NOTEBOOK = join(import.meta.dirname, '../deploy/notebooks/founding-question.ipynb');
const t0 = Date.parse('2026-03-10T10:00:00Z');
const SIGNUP = 'https://shop.example/signup';

interface Notebook {
  cells: { cell_type: string; metadata: { tags?: string[] }; source: string[] }[];
}
/** Code of the cells that have one of the tags, as a notebook would run them. */
const codeOf = (...tags: string[]): string =>
  (JSON.parse(readFileSync(NOTEBOOK, 'utf8')) as Notebook).cells
    .filter(
      ({ cell_type, metadata }) => cell_type === 'code' && metadata.tags?.some((tag) => tags.includes(tag)),
    )
    .map(({ source }) => source.join(''))
    .join('\n');

describe.skipIf(!python)('the notebook of the founding question', () => {
  let dir: string;
  let lake: DaysLake;
  let expected: { session_id: string; clicks: number; watch: string }[];

  /** A visitor at step 2, who clicks what is disabled and then leaves, or goes on. */
  const visit =
    (clicks: number, completes: boolean, fix: boolean) =>
    (i: number): Partial<EventRow> => {
      if (i === 0)
        return { type: 'track', name: 'variant', props: JSON.stringify({ fix }), url: `${SIGNUP}/step-1` };
      if (i <= clicks) return { type: 'click', disabled: true, url: `${SIGNUP}/step-2` };
      return { type: 'navigation', url: `${SIGNUP}/${completes ? 'done' : 'step-2'}` };
    };
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'notebook-'));
    lake = await createDaysLake(await openStore(join(dir, 'lake')));
    const record = async (n: number, clicks: number, completes: boolean, fix: boolean): Promise<string> => {
      const event = visit(clicks, completes, fix);
      const rows = await lake.record({
        project: 'demo',
        startMs: t0 + n,
        count: clicks + 2,
        days: 365,
        event,
      });
      return rows[0]!.session_id;
    };
    const stuck: [string, number, number][] = [];
    for (const [n, clicks] of [3, 5, 4].entries())
      stuck.push([await record(n, clicks, false, false), n, clicks]);
    await record(3, 2, true, false);
    await record(4, 0, true, true);
    await lake.maintain().compact(t0);
    expected = stuck
      .sort(([, , a], [, , b]) => b - a)
      .map(([session_id, n, clicks]) => ({
        session_id,
        clicks,
        watch: `/sessions/${session_id}?at=${t0 + n + 15_000}`,
      }));
  });
  afterAll(async () => {
    await lake?.close();
    if (dir) await rm(dir, { recursive: true, force: true });
  });

  async function output(code: string): Promise<string> {
    const env = {
      ...process.env,
      EVENTS: `file://${dir}/lake/${paths.icebergTable('demo', 'events')}`,
      ICEBERG_JAR: jars.join(','),
      POLARS_ICEBERG_PLANNER: 'pyiceberg',
      // Where DuckDB puts extensions.
      HOME: dir,
    };
    return (await promisify(execFile)(python!, ['-c', code], { env })).stdout;
  }
  const run = async (code: string): Promise<unknown> =>
    JSON.parse((await output(code)).trim().split('\n').at(-1)!) as unknown;

  it('answers it with polars', { timeout: 60_000 }, async () => {
    const print =
      'import json\nprint(json.dumps([answer.drop("first_click").to_dicts(), completed.to_dicts()]))';
    expect(await run(`${codeOf('polars')}\n${print}`)).toEqual([
      expected,
      [
        { fix: 'false', sessions: 4, completed_pct: 25 },
        { fix: 'true', sessions: 1, completed_pct: 100 },
      ],
    ]);
  });

  it.skipIf(!jars.length)('answers it with Spark', { timeout: 120_000 }, async () => {
    const print = 'import json\nprint(json.dumps(spark_answer.drop("first_click").toArrow().to_pylist()))';
    expect(await run(`import os\n${codeOf('polars', 'spark')}\n${print}`)).toEqual(expected);
  });

  describe('has neighbours in the README, of which', () => {
    const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8');
    const [section = ''] = /<!-- open-lake:begin -->[^]*<!-- open-lake:end -->/.exec(readme) ?? [];
    const commands = [...section.matchAll(/```python\n# pip install (\w+)[^\n]*\n([^]*?)```/g)].map(
      ([, name = '', code = '']) => ({
        name,
        // The jar that the tests have, instead of the same from Maven.
        code: code.replace(/"spark\.jars\.packages", "[^"]*"/, `"spark.jars", "${jars.join(',')}"`),
        isThere: isThere(name) && (name !== 'pyspark' || jars.length > 0),
      }),
    );
    it('there are five', () => expect(commands).toHaveLength(5));
    for (const { name, code, isThere } of commands)
      it.skipIf(!isThere)(`the one for ${name} runs`, { timeout: 120_000 }, async () => {
        expect(await output(code)).toContain('/signup/step-2');
      });
  });
});
