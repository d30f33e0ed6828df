import { join } from 'node:path';
import { openDirectoryStore } from '../directory-store.ts';
import { encodeReplayFile, encodeSealedFile } from '../lake-file.ts';
import { openLakeReader } from '../lake-reader.ts';
import { paths, sessionDate, type LakeFile, type ReplayRow } from '../layout.ts';
import { createAssetReader, putSealed, wholeRows } from '../seal.ts';
import type { Store } from '../store.ts';
import { decodeFile } from '../x-hyparquet.ts';
import { cpuSeconds, figure, sum, zstd } from './measuring.ts';
import type { CorpusSession } from './read-corpus.ts';

/**
 * What a session weighs in every form that it takes, beside zstd -19 of it whole; and how fast sessions are sealed.
 * @param store with a day that is closed @param earlier its files when they were fresh, and compacted
 */
export async function measureSizes(
  store: Store,
  project: string,
  dir: string,
  sessions: readonly CorpusSession[],
  earlier: Record<'fresh' | 'compacted', readonly LakeFile[]>,
): Promise<void> {
  const limitBytes = sum(sessions, ({ jsons }) => zstd(Buffer.concat(jsons), 19).length);
  const minutes = sum(sessions, ({ recordedMs }) => recordedMs) / 60_000;
  const view = await openLakeReader(store, Date.now).view(project);
  const rows: ReplayRow[] = [];
  const joining = createAssetReader(store);
  /** As they lie there, but for the checkpoints. */
  let bareBytes = 0;
  for (const file of view.files)
    if (file.table === 'replay') {
      const all = await decodeFile('replay', await store.get(file.key));
      const bare = all.filter(({ kind }) => kind === 'event');
      bareBytes += (await encodeSealedFile(file.key, file.class, bare)).bytes.length;
      for (const row of await joining.joinAll(bare, file)) rows.push(row);
    }
  const bySession = Map.groupBy(rows, (row) => row.session_id);
  const scratch = await openDirectoryStore(join(dir, 'sealed'));
  let sealedBytes = 0;
  let plainBytes = 0;
  const sealS = await cpuSeconds(async () => {
    for (const [session, one] of bySession) {
      const to = { class: 'r30', project, date: sessionDate(session) } as const;
      const key = paths.file(to.class, 'replay', to.project, to.date, session);
      sealedBytes += (await putSealed(scratch, { ...to, key }, wholeRows(one)))!.bytes.length;
    }
  });
  await scratch.close();
  for (const one of bySession.values())
    plainBytes += (await encodeReplayFile('v1/plain', 'r30', one)).bytes.length;
  let assetBytes = 0;
  for await (const { bytes } of store.list('v1/r30/assets/')) assetBytes += bytes;
  const eventsBytes = bytesOf(view.files, 'events');
  const line = (what: string, bytes: number): void =>
    console.log(
      `  ${(bytes / sessions.length / 1000).toFixed(1).padStart(9)} KB  ${(bytes / limitBytes).toFixed(3).padStart(7)} of zstd -19  ${what}`,
    );
  line(
    'raw JSON',
    sum(sessions, ({ rawBytes }) => rawBytes),
  );
  line(
    'gzip batches as sent',
    sum(sessions, ({ gzipBytes }) => gzipBytes),
  );
  line('zstd -19 of the whole session', limitBytes);
  line('L0 replay', bytesOf(earlier.fresh, 'replay'));
  line('L0 events', bytesOf(earlier.fresh, 'events'));
  line('compacted replay', bytesOf(earlier.compacted, 'replay'));
  line('compacted events', bytesOf(earlier.compacted, 'events'));
  line('closed day: replay', bytesOf(view.files, 'replay'));
  line('closed day: replay without its checkpoints', bareBytes);
  line('closed day: events', eventsBytes);
  line('closed day: assets', assetBytes);
  line('replay unsealed, nothing taken out, a file a session', plainBytes);
  line('replay sealed, a file a session', sealedBytes);
  const beside = assetBytes + eventsBytes;
  const sealed = bytesOf(view.files, 'replay') + beside;
  // Of what lies there once a day is closed, assets and `events` among it; and of one session alone, unsealed.
  figure('lake_bytes_vs_zstd19_ratio', (bareBytes + beside) / limitBytes, 'of zstd -19');
  figure('lake_with_checkpoints_ratio', sealed / limitBytes, 'of zstd -19');
  figure('lake_unsealed_replay_ratio', plainBytes / limitBytes, 'of zstd -19');
  figure('lake_unsealed_ratio', (plainBytes + eventsBytes) / limitBytes, 'of zstd -19');
  // By the corpus's mean length: its sessions are about 5 minutes long, so what a snapshot costs is hardly stretched.
  figure('lake_kb_per_5min_session', ((sealed / 1000) * 5) / minutes, 'KB');
  figure('seal_events_per_core_s', rows.length / sealS, 'events/s');
}

const bytesOf = (files: readonly LakeFile[], table: string): number =>
  sum(files, (file) => (file.table === table ? file.bytes : 0));
