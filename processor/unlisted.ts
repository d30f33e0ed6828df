import { paths, type Commit } from './layout.ts';

/**
 * A list may tell of a commit and not yet of one before it: of what is made while it runs, and where it tells late of what is
 * new. Taken for the whole, that would hide the other's rows for ever, and let what it dealt with come once more. So each
 * commit names the one before, which is got by its name; one that is not there was forgotten, as all before it.
 *
 * @param get of a key. @returns adds such commits, in the order of shards and positions
 */
export function createUnlistedFinder<C extends Pick<Commit, 'shard' | 'fromSeq' | 'prevSeq'>>(
  get: (key: string) => Promise<C | undefined>,
): (commits: readonly C[]) => Promise<C[]> {
  /** Names come but once: what is gone stays so. */
  let gone = new Set<string>();
  return async (commits) => {
    const known = new Map(commits.map((commit) => [keyOf(commit), commit]));
    const missed = new Set<string>();
    for (const listed of commits)
      for (let key = keyBefore(listed); key && !known.has(key);) {
        const found = gone.has(key) ? undefined : await get(key);
        if (!found) {
          missed.add(key);
          break;
        }
        known.set(key, found);
        key = keyBefore(found);
      }
    gone = missed;
    return [...known.values()].sort((a, b) => a.shard - b.shard || a.fromSeq - b.fromSeq);
  };
}

const keyOf = ({ shard, fromSeq }: Pick<Commit, 'shard' | 'fromSeq'>): string => paths.commit(shard, fromSeq);
const keyBefore = ({ shard, prevSeq }: Pick<Commit, 'shard' | 'prevSeq'>): string | undefined =>
  prevSeq === undefined ? undefined : paths.commit(shard, prevSeq);
