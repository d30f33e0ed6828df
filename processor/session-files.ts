import { encodeSessionsFile } from './lake-file.ts';
import { paths, SESSIONS_FILE_ROWS_MAX, type ClassName, type LakeFile, type SessionRow } from './layout.ts';
import { COLUMNS_FOLDED, sessionRows } from './session-rows.ts';
import { holdsOne, sortedRows } from './sorted-rows.ts';
import type { Store } from './store.ts';

export interface SessionFilesParts {
  store: Store;
  nonce: () => string;
}
export interface SessionFilesQuery {
  project: string;
  date: string;
  /** By class: sessions whose rows may be others now. Of a class without `sessions` all are made. */
  touched: ReadonlyMap<ClassName, ReadonlySet<string>>;
  isErased?: (session: string) => boolean;
}

/**
 * The day's files, with those of `sessions` as its `events` say: rows of touched sessions are made anew from all events
 * of their class.
 *
 *   sessions in    s1 … s8192 │ s8193 … s9000        only files with a touched session are written again, and small
 *   touched              s300         s9001          ones with them
 *   sessions out   s1 … s8192 │ s8193 … s9001
 *
 * The files given stay where they are; what is not named any more is the caller's to remove. @throws StoreError
 */
export async function withSessions(
  parts: SessionFilesParts,
  files: readonly LakeFile[],
  query: SessionFilesQuery,
): Promise<LakeFile[]> {
  let day = [...files];
  for (const [cls, touched] of query.touched) {
    const of = (table: LakeFile['table']): LakeFile[] =>
      day.filter((file) => file.class === cls && file.table === table);
    const [events, before] = [of('events'), of('sessions')];
    if (before.length && events.length && !touched.size) continue;
    const ids = events.length ? [...touched].sort() : undefined;
    const again = before.filter((file) => file.rows < SESSIONS_FILE_ROWS_MAX / 2 || holdsOne(ids, file));
    const sessions = before.length ? touched : undefined;
    const written = events.length ? await writeClass(parts, query, cls, { events, again, sessions }) : [];
    day = [...day.filter((file) => !again.includes(file)), ...written];
  }
  return day;
}

async function writeClass(
  { store, nonce }: SessionFilesParts,
  { project, date, isErased = () => false }: SessionFilesQuery,
  cls: ClassName,
  {
    events,
    again,
    sessions,
  }: {
    events: readonly LakeFile[];
    again: readonly LakeFile[];
    sessions: ReadonlySet<string> | undefined;
  },
): Promise<LakeFile[]> {
  const isLeft = (session: string): boolean => sessions?.has(session) || isErased(session);
  const kept = sortedRows(store, 'sessions', again, { skips: isLeft });
  const fresh = sessionRows(
    sortedRows(store, 'events', events, { columns: COLUMNS_FOLDED, sessions, skips: isErased }),
  );
  const written: LakeFile[] = [];
  let held: SessionRow[] = [];
  const write = async (): Promise<void> => {
    if (!held.length) return;
    const { file, bytes } = await encodeSessionsFile(
      paths.file(cls, 'sessions', project, date, nonce()),
      cls,
      held,
    );
    await store.put(file.key, bytes);
    written.push(file);
    held = [];
  };
  for await (const row of merged(kept, fresh)) {
    held.push(row);
    if (held.length === SESSIONS_FILE_ROWS_MAX) await write();
  }
  await write();
  return written;
}

/** Both are sorted, and have no session in common. */
async function* merged(
  a: AsyncGenerator<SessionRow>,
  b: AsyncGenerator<SessionRow>,
): AsyncGenerator<SessionRow> {
  let [left, right] = [await a.next(), await b.next()];
  while (!left.done || !right.done)
    if (right.done || (!left.done && left.value.session_id < right.value.session_id)) {
      yield left.value as SessionRow;
      left = await a.next();
    } else {
      yield right.value;
      right = await b.next();
    }
}
