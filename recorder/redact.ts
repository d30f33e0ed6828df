import { fieldValue, isSecretField } from './masking.ts';
import { MASK } from './protocol.ts';
import { scrubText } from './scrub-text.ts';

/** Shorter values stand in texts by chance. */
const VALUE_CHARS_MIN = 3;
const CREDENTIAL_NAME = /authori[sz]ation|cookie|session|api[-_]?key|signature|credential/i;

/** What stands in the page's fields now: none of it may leave in another text. */
export function typedValues(): Set<string> {
  const values = new Set<string>();
  for (const field of document.querySelectorAll<HTMLInputElement>('input,textarea,select')) {
    const { value } = field;
    if (value.length >= VALUE_CHARS_MIN && fieldValue(value, field) !== value) values.add(value);
  }
  return values;
}

/** Without values of URLs and without what was typed. */
export function redactText(text: string, typed: ReadonlySet<string>): string {
  let out = text;
  for (const value of typed) out = out.replaceAll(value, MASK);
  return scrubText(out);
}

/** Whether a value of this name is kept from the wire. */
export const isSecretName = (name: string): boolean =>
  CREDENTIAL_NAME.test(name) || isSecretField({ tag: 'input', type: 'text', name, id: '', autocomplete: '' });

/** The same for parsed JSON, as deep as it goes; whatever stands under a secret name becomes MASK. */
export function redactJson(value: unknown, typed: ReadonlySet<string>): unknown {
  if (typeof value === 'string') return redactText(value, typed);
  if (typeof value === 'number') return typed.has(String(value)) ? MASK : value;
  if (Array.isArray(value)) return value.map((one) => redactJson(one, typed));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      redactText(name, typed),
      isSecretName(name) && one !== null ? MASK : redactJson(one, typed),
    ]),
  );
}
