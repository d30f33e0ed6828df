import { join } from 'node:path';
import { openDirectoryStore } from '../directory-store.ts';
import { createReplayWriter } from '../lake-file.ts';
import { openLakeReader } from '../lake-reader.ts';
import { paths, utcDate, type ReplayRow } from '../layout.ts';
import { decodeReplayGroup, decodeReplayGroups } from '../parquet-groups.ts';
import { partFile } from '../part-file.ts';
import { sessionAt } from '../samples.ts';
import type { Store } from '../store.ts';
import { decodeFile } from '../x-hyparquet.ts';
import { cpuSeconds, figure, sum } from './measuring.ts';

/**
 * One session taken out of a large sealed file, beside a plain copy of it and its encoding anew.
 * @param bytesMin of the file @param dir for it
 */
export async function measureSplicing(
  store: Store,
  project: string,
  dir: string,
  bytesMin: number,
): Promise<void> {
  const { files } = await openLakeReader(store, Date.now).view(project);
  const replay = files.filter(({ table }) => table === 'replay');
  const rows: ReplayRow[] = [];
  for (const { key } of replay)
    for (const row of await decodeFile('replay', await store.get(key))) rows.push(row);
  const bySession = Map.groupBy(rows, (row) => row.session_id);
  const scratch = await openDirectoryStore(join(dir, 'spliced'));
  let nonces = 0;
  const nonce = (): string => `n${String(nonces++).padStart(15, '0')}`;
  const nowMs = Date.now();
  const place = { class: 'r30', project, date: utcDate(nowMs) } as const;
  const newKey = (): string => paths.file(place.class, 'replay', place.project, place.date, nonce());
  // The corpus over and over, each time as other sessions.
  const writer = createReplayWriter(newKey(), place.class, true);
  const rounds = Math.ceil(bytesMin / sum(replay, ({ bytes }) => bytes));
  for (let n = 0; n < rounds * bySession.size;)
    for (const rows of bySession.values()) {
      const session_id = sessionAt(nowMs, n++);
      await writer.write(rows.map((row) => ({ ...row, session_id })));
    }
  const { file, bytes } = writer.finish();
  await scratch.put(file.key, bytes);
  const victim = sessionAt(nowMs, 7);
  const get = (start?: number, end = bytes.length) =>
    scratch.get(file.key, start === undefined ? undefined : { start, end });
  const timed = async (what: string, act: () => Promise<unknown>): Promise<number> => {
    const startMs = performance.now();
    const seconds = await cpuSeconds(act);
    const rate = (bytes.length / 1e6 / seconds).toFixed(1).padStart(7);
    const allS = ((performance.now() - startMs) / 1000).toFixed(2);
    console.log(
      `  ${rate} MB/s  ${seconds.toFixed(2).padStart(6)} s of processor time, ${allS} s in all: ${what}`,
    );
    return seconds;
  };
  const others = async () => (await partFile(file, get, (session) => session !== victim)).get(true)!;
  await (await others()).put({ store: scratch, nonce }, place);
  const splicedS = await timed('spliced', async () => (await others()).put({ store: scratch, nonce }, place));
  const copyS = await timed('copied whole, as a limit', async () => scratch.put(newKey(), await get()));
  const rewrittenS = await timed('decoded and encoded anew', async () => {
    const anew = createReplayWriter(newKey(), place.class, true);
    for (const group of await decodeReplayGroups(bytes.length, get))
      if (group.session !== victim)
        await anew.write(await decodeReplayGroup(group, await get(group.start, group.end)));
    const encoded = anew.finish();
    await scratch.put(encoded.file.key, encoded.bytes);
  });
  await scratch.close();
  console.log(`  of ${(bytes.length / 1e6).toFixed(0)} MB, ${file.rows} rows; each from and to a directory`);
  figure('splice_mb_per_s', bytes.length / 1e6 / splicedS, 'MB/s');
  figure('splice_vs_copy_ratio', copyS / splicedS, 'of a plain copy');
  figure('splice_vs_rewrite_ratio', rewrittenS / splicedS, 'times as fast');
  figure('erase_spliced_s', splicedS, 's of processor time');
  figure('erase_rewritten_s', rewrittenS, 's of processor time');
}
