import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { encodeSealedFile } from './lake-file.ts';
import { sealRows } from './seal.ts';
import { sessionAt } from './samples.ts';
import { partFile } from './part-file.ts';
import { openStore, readReplayGroups, type Store } from './store.ts';
import { replayRows, START_MS } from './test-replay-rows.ts';
import { decodeFile, readerOf } from './x-hyparquet.ts';

const python = inject('readers');

/** What each reader makes of the file: its payloads, the rows of a session, and how many row groups may hold that one. */
const ASK = `
import hashlib, json, sys
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq

path, session = sys.argv[1:]
told = lambda payloads: hashlib.sha256("\\n".join(payloads).encode()).hexdigest()
rows = pq.read_table(path)
[fragment] = ds.dataset(path).get_fragments()
wanted = ds.field("session_id") == session
metadata = pq.ParquetFile(path).metadata
has_statistics = all(
    metadata.row_group(group).column(column).statistics.has_min_max
    for group in range(metadata.num_row_groups) for column in range(7)
)
lazy = pl.scan_parquet(path)
print(json.dumps({
    "pyarrow": [told(rows["payload"].to_pylist()), fragment.count_rows(filter=wanted)],
    "polars": [told(lazy.collect()["payload"].to_list()), lazy.filter(pl.col("session_id") == session).collect().height],
    "groups": len(fragment.split_by_row_group(wanted)),
    "has_statistics": has_statistics,
}))
`;

describe.skipIf(!python)('a spliced file', () => {
  let dir: string;
  let store: Store;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'spliced-'));
    store = await openStore(join(dir, 'lake'));
  });
  afterAll(async () => {
    await store?.close();
    if (dir) await rm(dir, { recursive: true, force: true });
  });

  it(
    'is read by pyarrow and polars, which pass over row groups by their bounds',
    { timeout: 60_000 },
    async () => {
      const sessions = [1, 2, 3, 4].map((n) => sessionAt(START_MS, n));
      const { rows } = sealRows(sessions.flatMap((session, i) => replayRows(session, 'a', 300 + i, i)));
      const sealed = await encodeSealedFile('sealed', 'r30', rows);
      const parts = await partFile(sealed.file, readerOf(sealed.bytes), (session) => session !== sessions[1]);
      const place = { project: 'shop', date: '2027-01-15', class: 'r30' } as const;
      const file = await parts.get(true)!.put({ store, nonce: () => 'spliced' }, place);
      const bytes = await store.get(file.key);
      const path = join(dir, 'spliced.parquet');
      await writeFile(path, bytes);

      const wanted = sessions[2]!;
      const { stdout } = await promisify(execFile)(python!, ['-c', ASK, path, wanted]);
      const kept = rows.filter((row) => row.session_id !== sessions[1]);
      expect(await decodeFile('replay', bytes)).toEqual(kept);
      const payloads = createHash('sha256')
        .update(kept.map(({ payload }) => payload).join('\n'))
        .digest('hex');
      const count = kept.filter((row) => row.session_id === wanted).length;
      const groups = (await readReplayGroups(store, file)).filter(({ session }) => session === wanted);
      expect(JSON.parse(stdout)).toEqual({
        pyarrow: [payloads, count],
        polars: [payloads, count],
        groups: groups.length,
        has_statistics: true,
      });
    },
  );
});
