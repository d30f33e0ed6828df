import { MASK } from './protocol.ts';

/** What every scrubber of the page obeys; set once, before anything is read. */
export const rules = { strict: false, keptParams: /^$/ };

/** @param keepParams names separated by commas; `*` stands for any end: `page,utm_*` */
export function setScrubbing(strict: boolean, keepParams: string): void {
  const names = keepParams
    .split(',')
    .map((name) => name.trim().replace(/[^\w*-]/g, '\\$&'))
    .filter(Boolean);
  rules.strict = strict;
  rules.keptParams = new RegExp(`^(${names.join('|').replaceAll('*', '.*')})$`);
}

/**
 * What gives a person away by its form, wherever it stands. Lengths are bounded, so that no text takes long. An e-mail
 * address; then a telephone number with its country's code, an IBAN, an American social security number, and what may
 * be a card's number.
 */
const EMAIL =
  /[^\s@<>"'(),;:/?&=[\]{}#|\\]{1,64}(?:@|%40)(?!\d+\.\d)(?:[^\s@<>"'(),;:/?&=.#|\\]{1,63}\.){1,5}[a-zA-Z\u00a1-\uffff]{2,}/g;
const NUMBER =
  /\+\d[\d ().-]{7,16}\d|\b[A-Z]{2}\d\d(?: ?[A-Z\d]{4}){3,7}(?: ?[A-Z\d]{1,3})?\b|\b\d{3}-\d\d-\d{4}\b|(?<![\w.])[2-6]\d(?:[ -]?\d){11,17}(?!\w)/g;

/** Luhn's check of the digits in a text. Pure. */
export function isCardNumber(text: string): boolean {
  let sum = 0;
  const digits = text.replace(/\D/g, '');
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i]) * (1 + (i % 2));
    sum += digit > 9 ? digit - 9 : digit;
  }
  return sum % 10 === 0 && digits.length > 12;
}

/** What fields of this page held, by field, so that it is known where the page repeats it. Never leaves the page. */
const typed = new Map<Node, string>();
const TYPED_FIELDS_MAX = 32;
const TYPED_CHARS_MIN = 5;

/** Words without a capital letter or a digit are too common to be looked for everywhere. */
export function rememberTyped(field: Node, value: string): void {
  const text = value.trim();
  if (text.length < TYPED_CHARS_MIN || !/[\p{Lu}\p{Lo}\d\s@]/u.test(text)) return;
  typed.delete(field);
  typed.set(field, text);
  if (typed.size > TYPED_FIELDS_MAX) typed.delete(typed.keys().next().value!);
}
export const forgetTyped = (): void => typed.clear();

/** Masks what is personal by its form, and what was typed on this page. */
export function scrubPersonal(text: string, mask = MASK): string {
  for (const value of typed.values()) if (text.includes(value)) text = text.replaceAll(value, mask);
  if (/@|%40/.test(text)) text = text.replace(EMAIL, mask);
  return /\d\d[A-Z\d ().-]{5}/.test(text)
    ? text.replace(NUMBER, (found) => (isAnyNumber(found) && !isCardNumber(found) ? found : mask))
    : text;
}
/** Of the forms above only a card's begins so, without being a social security number. */
const isAnyNumber = (text: string): boolean => /^[2-6][\d -]{12,}$/.test(text);

/**
 * URLs keep their shape and lose their values: `/a?q=anna&b#t=1` → `/a?q=&b=#t=`. User names and passwords of an
 * authority go, too, and parts of the path that look like a token. What is not an address of the web loses all that
 * follows its scheme. Strictly, of a path only the first word is kept.
 */
export const scrubUrl = (url: string, strict = rules.strict): string => scrubAddress(url, false, strict);

/** As `scrubUrl`, for what a replay has to load: its path is kept, and pictures that stand in the URL itself. */
export const scrubResource = (url: string, strict = rules.strict): string => scrubAddress(url, true, strict);

/** URLs of a style sheet or of a style attribute, and the texts that they put on the page. */
export function scrubCss(css: string, isInline = rules.strict): string {
  return css
    .replace(
      /(url\(\s*|@import\s+(?=["']))(?:"([^"]*)"|'([^']*)'|([^)"']*))/gi,
      (_whole, head: string, double?: string, single?: string, bare = '') => {
        const quote = double !== undefined ? '"' : single !== undefined ? "'" : '';
        return head + quote + scrubResource(double ?? single ?? bare) + quote;
      },
    )
    .replace(DECLARED_TEXT, (whole, name: string, value: string) => {
      // A sign or two is an icon, and a colour no text.
      if (/url\(|^\s*#/i.test(value)) return whole;
      return name + (isInline && /["'][^"']{3,}|[A-Z][a-z]/.test(value) ? `"${MASK}"` : scrubPersonal(value));
    });
}
/** Names of fonts are no secret. */
const DECLARED_TEXT = /((?:^|[\s;{])(?:content|--(?![\w-]*font)[\w-]+)\s*:)((?:"[^"]*"|'[^']*'|[^;}"'])+)/g;

/** Every text in the data of a change to styles. A value of a custom property stands there beside its name. */
export function scrubStyles<T>(data: T): T {
  return JSON.parse(
    JSON.stringify(data, function (this: { property?: string }, key, value: unknown) {
      if (typeof value !== 'string') return value;
      const name = this.property ?? key;
      return name.startsWith('--') && key !== 'property'
        ? scrubCss(`${name}:${value}`, true).slice(name.length + 1)
        : scrubCss(value);
    }),
  ) as T;
}

function scrubAddress(url: string, isResource: boolean, strict: boolean): string {
  const scheme = /^\s*([a-z][\w+.-]*):/i.exec(url)?.[1]!.toLowerCase();
  if (scheme === 'data')
    return isResource && /^\s*data:(image|font|audio|video)/i.test(url) && !/<text|%3Ctext/i.test(url)
      ? url
      : 'data:,';
  if (/^(blob|javascript|mailto|tel|sms|file)$/.test(scheme ?? '')) return `${scheme}:`;
  const isKept = (segment: string, index: number): boolean =>
    strict
      ? segment === '' || (index < 2 && /^[a-z]{1,20}(\.[a-z]+)?$/.test(segment))
      : isResource || !TOKEN.test(segment);
  const dropValues = (query: string): string =>
    query &&
    query
      .split('&')
      .map((part) => {
        const name = part.split('=', 1)[0]!;
        if (name && !strict && rules.keptParams.test(name)) return part;
        return (PARAMETER_NAME.test(name) ? name : '') + '=';
      })
      .join('&');
  const scrubPart = (address: string): string => {
    const query = address.indexOf('?');
    const [, origin = '', path] = /^((?:[a-z][a-z0-9+.-]*:)?\/\/[^/]*)?(.*)$/is.exec(
      query < 0 ? address : address.slice(0, query),
    )!;
    const shown = path!
      .replace(/;([\w.-]+)=[^/;]*/g, ';$1=')
      .split('/')
      .map((segment, index) => (isKept(segment, index) ? segment : GONE))
      .join('/');
    return (
      origin.replace(/\/\/.*@/, '//') + shown + (query < 0 ? '' : '?' + dropValues(address.slice(query + 1)))
    );
  };
  // A fragment may be an anchor, a route with its own query, or parameters.
  const scrubFragment = (fragment: string): string =>
    fragment.includes('=') && !fragment.includes('?')
      ? dropValues(fragment)
      : strict && fragment && fragment[0] !== '/'
        ? GONE
        : scrubPart(fragment);
  const hash = url.indexOf('#');
  return scrubPersonal(
    hash < 0 ? scrubPart(url) : `${scrubPart(url.slice(0, hash))}#${scrubFragment(url.slice(hash + 1))}`,
    GONE,
  );
}
/** Stands for a part of a path: the signs of MASK would be encoded there. */
const GONE = '*';
/** Long, and letters and digits mixed. A UUID is an id. */
const TOKEN = /^eyJ|^(?!\w{8}-(?:\w{4}-){3}\w{12}$)(?=(?:.*?(?:[a-z]\d|\d[a-z])){2})[\w~+=-]{20,}$/i;
/** A name that is longer, or has a number in it, is a value that stands alone: a token, an address. */
const PARAMETER_NAME = /^(?!.*\d{4})[\w.:$[\]%*+~-]{0,40}$/;
