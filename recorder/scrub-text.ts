import { MASK } from './protocol.ts';
import { rules, scrubPersonal, scrubUrl } from './scrub.ts';

/** Query values, personal data, and quoted texts that are no identifiers, in an error's message or the like. */
export function scrubText(text: string): string {
  if (rules.strict) return text && (/\b\w*(Error|Exception)\b/.exec(text)?.[0] ?? '') + MASK;
  return scrubPersonal(
    text
      .replace(/[^\s'"<>()]*[?#][^\s'"<>()]*|\w+:\/\/[^\s'"<>()]+/g, (url) => scrubUrl(url))
      .replace(QUOTED, (found, quote: string = '') => (/:\/\//.test(found) ? found : quote + MASK + quote)),
  );
}
/** Quoted words that are not one name or URL; and long tokens. */
const QUOTED = /(?<!\w)(["'`])(?![\w$.:/?&=#*-]*\1)[^"'`\n]{2,}\1|\b(?=\w*\d)(?=\w*[a-z])[\w-]{32,}\b/gi;
