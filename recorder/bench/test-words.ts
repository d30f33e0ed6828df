import { createRandom } from '../test-proxy.ts';

/**
 * Text that compresses about as a language does: VOCABULARY distinct words made of syllables, drawn by Zipf's law, by the
 * writer's topic, or by what tends to follow the word before. All by seed.
 */
const VOCABULARY = 24_000;
const TOPIC_WORDS = 400;
const FOLLOWERS = 8;

let words: string[] | undefined;
/** The same for every writer, the frequent ones first and short. */
export function vocabulary(): string[] {
  if (words) return words;
  const random = createRandom(1);
  const of = (list: string): string => list.split(' ')[Math.floor(random() * list.split(' ').length)]!;
  const found = new Set<string>();
  while (found.size < VOCABULARY) {
    const syllables = 1 + Math.floor(random() * Math.min(4, 1 + found.size / 300));
    let word = '';
    for (let i = 0; i < syllables; i++)
      word +=
        of('b br c ch d dr f fl g gr h j k l m n p pr qu r s sh st t th tr v w z') +
        of('a e i o u ai ea ie oo ou');
    found.add(word + of('  n r s t l m d ng nd st ck'));
  }
  return (words = [...found]);
}

export interface Writer {
  random(): number;
  int(below: number): number;
  word(): string;
  words(count: number): string;
  sentence(): string;
}

export function createWriter(seed: number): Writer {
  const random = createRandom(seed * 7919 + 3);
  const int = (below: number): number => Math.floor(random() * below);
  const all = vocabulary();
  const zipf = (below: number): number => Math.floor(below ** random()) - 1;
  const topic = int(VOCABULARY);
  let last = 0;
  const pick = (): number => {
    const way = random();
    if (way < 0.3) return Math.imul(last + 1, 2654435761 + int(FOLLOWERS)) >>> 0;
    if (way < 0.55) return topic + zipf(TOPIC_WORDS) * 53;
    return zipf(VOCABULARY);
  };
  const word = (): string => all[(last = pick() % VOCABULARY)]!;
  const many = (count: number): string => Array.from({ length: count }, word).join(' ');
  return {
    random,
    int,
    word,
    words: many,
    sentence() {
      const text = many(5 + int(14));
      return `${text[0]!.toUpperCase()}${text.slice(1)}. `;
    },
  };
}
