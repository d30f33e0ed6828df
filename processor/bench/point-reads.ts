import { openLakeReader, readReplayGroups } from '../lake-reader.ts';
import type { Store } from '../store.ts';
import { figure, percentile } from './measuring.ts';

export interface Served {
  /** Of a path of the API. @throws Error where the answer is not 200 */
  get(path: string): Promise<Buffer>;
  close(): Promise<void>;
}

/** Segments by the query service's API, beside a ranged get of the same bytes. @param open a service with empty caches */
export async function measurePointReads(
  from: Store,
  project: string,
  open: () => Served,
  figureName: string,
): Promise<void> {
  const view = await openLakeReader(from, Date.now).view(project);
  const replay = view.files.filter(({ table }) => table === 'replay');
  const groups = (
    await Promise.all(
      replay.map(async (file) => (await readReplayGroups(from, file)).map((group) => ({ file, group }))),
    )
  ).flat();
  const timed = async (act: () => Promise<unknown>): Promise<number> => {
    const startMs = performance.now();
    await act();
    return performance.now() - startMs;
  };
  const times: Record<string, number[]> = { cold: [], warm: [], session: [], limit: [] };
  const ids = [...new Set(groups.map(({ group }) => group.session))].slice(0, 20);
  const warm = open();
  for (const id of ids) {
    const manifest = JSON.parse((await warm.get(`/v1/sessions/${id}/manifest`)).toString()) as {
      segments: { n: number }[];
    };
    const address = ({ n }: { n: number }): string => `/v1/sessions/${id}/segments/${n}`;
    const fresh = open();
    times.cold!.push(await timed(() => fresh.get(address(manifest.segments[0]!))));
    await fresh.close();
    for (const segment of manifest.segments) times.warm!.push(await timed(() => warm.get(address(segment))));
    times.session!.push(
      await timed(async () => {
        for (const segment of manifest.segments) await warm.get(address(segment));
      }),
    );
  }
  await warm.close();
  for (const { file, group } of groups.slice(0, 100))
    times.limit!.push(await timed(() => from.get(file.key, { start: group.start, end: group.end })));
  for (const [what, values] of Object.entries(times))
    console.log(
      `  ${what.padEnd(8)} p50 ${percentile(values, 0.5).toFixed(2)} ms  p95 ${percentile(values, 0.95).toFixed(2)} ms  of ${values.length}`,
    );
  console.log(
    '  cold: caches empty, the first segment; session: all segments of one, warm; limit: the same bytes by a ranged get',
  );
  figure(`${figureName}_p50_ms`, percentile(times.warm!, 0.5), 'ms');
  figure(`${figureName}_cold_p50_ms`, percentile(times.cold!, 0.5), 'ms');
}
