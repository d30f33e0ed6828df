import { redactJson, redactText, typedValues } from './redact.ts';
import { scrubUrl } from './scrub.ts';

/** In UTF-16 units, after masking; a longer one is left out, for half a JSON cannot be masked. */
export const BODY_CHARS_MAX = 8 * 1024;
/** The answer is told without its text when that does not come. */
const READ_TIMEOUT_MS = 3000;
const TEXT_TYPE = /^(text\/plain|application\/([\w.-]+\+)?json|application\/x-www-form-urlencoded)\b/i;

/** A body that is text, masked; nothing of any other. */
export function bodyOf<Side extends 'request' | 'response'>(
  side: Side,
  body: unknown,
  type = '',
): Partial<Record<Side, string>> {
  if (type && !TEXT_TYPE.test(type)) return {};
  const isForm = body instanceof URLSearchParams || /urlencoded/i.test(type);
  const text = body instanceof URLSearchParams ? String(body) : body;
  if (typeof text !== 'string' || !text || text.length > BODY_CHARS_MAX) return {};
  const masked = isForm ? scrubUrl(`?${text}`).slice(1) : maskBody(text);
  return masked.length > BODY_CHARS_MAX ? {} : ({ [side]: masked } as Partial<Record<Side, string>>);
}

function maskBody(text: string): string {
  const typed = typedValues();
  try {
    return JSON.stringify(redactJson(JSON.parse(text), typed));
  } catch {
    // `a=1&b=2` is a form, whatever its type says.
    return /^[\w.[\]%+-]+=[^\s]*$/.test(text) ? scrubUrl(`?${text}`).slice(1) : redactText(text, typed);
  }
}

/** Reads a clone of the page's answer, as far as it may be told. */
export async function textOfResponse(copy: Response): Promise<{ response?: string }> {
  const type = copy.headers.get('content-type') ?? '';
  const reader = copy.body?.getReader();
  if (!reader) return {};
  if (!TEXT_TYPE.test(type)) return (void reader.cancel().catch(() => undefined), {});
  const decoder = new TextDecoder();
  let text = '';
  const timer = setTimeout(() => void reader.cancel().catch(() => undefined), READ_TIMEOUT_MS);
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      text += decoder.decode(part.value, { stream: true });
      if (text.length <= BODY_CHARS_MAX) continue;
      void reader.cancel().catch(() => undefined);
      return {};
    }
  } finally {
    clearTimeout(timer);
  }
  return bodyOf('response', text, type);
}
