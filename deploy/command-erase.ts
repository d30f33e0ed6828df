import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiError, type ErasuresAnswer, type ErasuresRequest } from '#api';
import { paths, type Erasure, type VisitorErasure } from '#layout';
import { hashApiKey } from '#projects';
import { createQuery } from '#query';
import { createHttp, createLog, createMetrics, type Config } from '#service';
import { checkReceipt, openProjectStore, openStore, readReceiptKeys, type Store } from '#store';

export const summary = 'erases sessions, tells how far erasures are, and checks receipts';
export const usage = `usage: mutoscope erase session <project> <session> [--dry-run]
       mutoscope erase visitor <project> <visitor> [--dry-run]
       mutoscope erase sql <project> "<SELECT with a column session_id>" [--dry-run]
       mutoscope erase status [<project>]
       mutoscope erase verify <receipt.json> [--key <public.pem>]
       mutoscope erase verify <project> <session> [--key <public.pem>]
       mutoscope erase key`;

interface Context {
  config: Config;
  out(line: string): void;
}

export async function run(args: string[], { config, out }: Context): Promise<number> {
  const dryRun = args.includes('--dry-run');
  const at = args.indexOf('--key');
  const keyFile = at < 0 ? undefined : args[at + 1];
  const [what = '', ...rest] = args.filter(
    (arg, i) => arg !== '--dry-run' && (at < 0 || (i !== at && i !== at + 1)),
  );
  const [project, target] = rest;
  if ((what === 'session' || what === 'visitor' || what === 'sql') && project && target && rest.length === 2)
    return erase(config, project, { [what]: target, dryRun }, out);
  if (what === 'status' && rest.length < 2) return withStore(config, (store) => status(store, project, out));
  if (what === 'key' && !rest.length) return withStore(config, (store) => printKeys(store, out));
  if (what === 'verify' && rest.length && rest.length < 3) return verify(config, rest, keyFile, out);
  out(usage);
  return 2;
}

async function withStore<T>(config: Config, act: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore(config.STORE);
  try {
    return await act(store);
  } finally {
    await store.close();
  }
}

/**
 * By the query service itself, which does not listen, under a key that nobody else has: so what may be erased, and how SQL is
 * guarded, is the same as over HTTP, and only STORE is needed. The copies that SQL reads are removed after.
 */
async function erase(
  config: Config,
  project: string,
  request: ErasuresRequest,
  out: (line: string) => void,
): Promise<number> {
  const cacheDir = await mkdtemp(join(tmpdir(), 'mutoscope-erase-'));
  try {
    return await withStore(config, async (store) => {
      const key = `ak_${randomBytes(18).toString('base64url')}`;
      const own = await projectOf(store, project);
      const apiKeys = [{ name: 'erase', hash: hashApiKey(key), scopes: ['erase' as const] }];
      const doc = { v: 1 as const, secret: '', projects: [{ ...own, apiKeys }] };
      const log = createLog('silent');
      const metrics = createMetrics({ process: false });
      const http = createHttp(log, metrics, () => []);
      const service = createQuery(
        { config: { ...config, CACHE_DIR: cacheDir }, log, metrics, http, now: Date.now },
        { store, projects: { current: () => doc } },
      );
      const ran = service.run();
      try {
        const reply = await http.inject({
          ...{ method: 'POST', url: '/v1/erasures', payload: request },
          headers: { authorization: `Bearer ${key}` },
        });
        const answer = JSON.parse(reply.payload) as ErasuresAnswer & {
          error?: Pick<ApiError, 'code' | 'message'>;
        };
        if (answer.error) throw new Error(`${answer.error.code}: ${answer.error.message}`);
        tell(answer, out);
        return 0;
      } finally {
        await service.drain();
        await service.stop();
        await ran;
        await http.close();
      }
    });
  } finally {
    await rm(cacheDir, { recursive: true, force: true });
  }
}

async function projectOf(store: Store, id: string) {
  const projects = await openProjectStore(store, {
    refreshMs: 3_600_000,
    first: () => {
      throw new Error('the store has no projects; look at STORE');
    },
    onError: () => {},
  });
  projects.close();
  const found = projects.current().projects.find((project) => project.id === id);
  if (!found) throw new Error(`the store has no project ${id}`);
  return found;
}

const iso = (ms: number): string => new Date(ms).toISOString();

function tell(
  { dryRun, sessions, rows, bytes, first, untilMs }: ErasuresAnswer,
  out: (line: string) => void,
): void {
  const what = `${sessions} sessions, ${rows} rows, ${bytes} bytes of replay`;
  out(dryRun ? `would erase ${what}` : `asked to erase ${what}; readers see none of it from now on`);
  for (const id of first) out(`  ${id}`);
  if (sessions > first.length) out(`  and ${sessions - first.length} more`);
  if (untilMs !== undefined)
    out(
      `sessions that began before now and come to be known as this visitor's go too, until ${iso(untilMs)}`,
    );
}

async function status(
  store: Store,
  project: string | undefined,
  out: (line: string) => void,
): Promise<number> {
  const read = async <T>(prefix: string): Promise<T[]> => {
    const found: T[] = [];
    for await (const { key } of store.list(prefix))
      found.push(JSON.parse(Buffer.from(await store.get(key)).toString()) as T);
    return found;
  };
  const isAsked = (one: { project: string }): boolean => !project || one.project === project;
  const erasures = (await read<Erasure>(paths.erasuresPrefix)).filter(isAsked);
  const visitors = (await read<VisitorErasure>(paths.visitorErasuresPrefix)).filter(isAsked);
  const pending = erasures.filter(({ done }) => !done);
  out(`${erasures.length - pending.length} done, ${pending.length} pending`);
  for (const { project: of, session, requestedMs, left } of pending) {
    out(`  ${of} ${session} since ${iso(requestedMs)}`);
    for (const key of left?.keys ?? []) out(`    still in ${key}`);
  }
  for (const { project: of, requestedMs, untilMs, done } of visitors)
    if (!done) out(`  ${of} a visitor since ${iso(requestedMs)}, watched until ${iso(untilMs)}`);
  return 0;
}

async function printKeys(store: Store, out: (line: string) => void): Promise<number> {
  for (const { id, publicKey } of await readReceiptKeys(store)) {
    out(`key ${id}`);
    out(publicKey.trimEnd());
  }
  return 0;
}

async function verify(
  config: Config,
  [where = '', session]: string[],
  keyFile: string | undefined,
  out: (line: string) => void,
): Promise<number> {
  const needsStore = session !== undefined || keyFile === undefined;
  if (session === undefined && !existsSync(where)) throw new Error(`there is no file ${where}`);
  const readText = async (store?: Store): Promise<string> =>
    session === undefined
      ? readFile(where, 'utf8')
      : Buffer.from(await store!.get(paths.erasure(where, session))).toString();
  const readKeys = async (store?: Store): Promise<string[]> =>
    keyFile === undefined
      ? (await readReceiptKeys(store!)).map(({ publicKey }) => publicKey)
      : [await readFile(keyFile, 'utf8')];
  const [text, keys] = needsStore
    ? await withStore(config, async (store) => [await readText(store), await readKeys(store)] as const)
    : ([await readText(), await readKeys()] as const);
  const checked = checkReceipt(text, keys);
  if (!checked.holds) {
    out(`does not hold: ${checked.reason}`);
    return 1;
  }
  out(`holds: signed with key ${checked.keyId}, and nothing in it was changed since`);
  if ('session' in checked.receipt) tellReceipt(checked.receipt, out);
  else
    out(
      `a visitor's sessions in project ${checked.receipt.project} that began before ${iso(checked.receipt.requestedMs)}`,
    );
  return 0;
}

function tellReceipt({ project, session, requestedMs, done }: Erasure, out: (line: string) => void): void {
  const { atMs, rows, messages, objects = [], kept = [], scan } = done!;
  const removed = objects.filter(({ after }) => !after);
  const bytes = (list: typeof objects): number => list.reduce((sum, { before }) => sum + before.bytes, 0);
  const anew = objects.filter(({ after }) => after);
  out(`session ${session} of project ${project}, asked for at ${iso(requestedMs)}, erased by ${iso(atMs)}`);
  out(`${rows} rows and ${messages} messages of the stream`);
  out(
    `${removed.length} objects of ${bytes(removed)} bytes removed, ${anew.length} of ${bytes(anew)} bytes written anew without it`,
  );
  if (scan)
    out(
      `its id was then searched for in ${scan.objects} objects of ${scan.bytes} bytes and ${scan.messages} messages, ` +
        `and was in none but what is kept${scan.unsearched.length ? `; not searched: ${scan.unsearched.join(', ')}` : ''}`,
    );
  for (const { where, reason, untilMs } of kept)
    out(`kept: ${where}: ${reason}${untilMs === undefined ? '' : `; until ${iso(untilMs)} at the latest`}`);
}
