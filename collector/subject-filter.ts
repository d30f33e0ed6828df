import { StreamError } from './stream.ts';

/**
 * Compiles a filter of the stream's port: `*` stands for one word, a last `>` for one or more.
 * Most filters are a plain prefix or one whole subject; those cost a single string comparison.
 * @throws StreamError `bad_subject`
 */
export function compileFilter(filter: string): (subject: string) => boolean {
  const words = filter.split('.');
  const misplaced = words.some(
    (word, i) => word === '' || (word === '>' ? i !== words.length - 1 : word !== '*' && /[*>\s]/.test(word)),
  );
  if (misplaced) throw new StreamError('bad_subject', `filter ${JSON.stringify(filter)} is not well formed`);
  const open = words.at(-1) === '>';
  if (open) words.pop();
  if (!words.includes('*')) {
    const fixed = words.join('.');
    if (!open) return (subject) => subject === fixed;
    const prefix = fixed && `${fixed}.`;
    return (subject) => subject.startsWith(prefix);
  }
  return (subject) => {
    const parts = subject.split('.');
    if (open ? parts.length <= words.length : parts.length !== words.length) return false;
    return words.every((word, i) => word === '*' || word === parts[i]);
  };
}

/** @throws StreamError `bad_subject` */
export function checkSubject(subject: string): void {
  if (subject.length > SUBJECT_LENGTH_MAX || !/^[^.*>\s]+(\.[^.*>\s]+)*$/.test(subject))
    throw new StreamError('bad_subject', `subject ${JSON.stringify(subject)} is not words joined by dots`);
}

/** Far above what `subjectOf` makes. */
const SUBJECT_LENGTH_MAX = 1024;
