import { createHash } from 'node:crypto';
import { ASSET_BYTES_MAX, assetName } from '#protocol';
import { isFields } from './fold-node.ts';

/**
 * Takes style sheets and data: addresses out of the JSON text of a payload, for most of what snapshots and checkpoints repeat are
 * these; and puts them back so that the text is the same to the byte.
 *
 *   "_cssText":"body { … 200 KB … }"          →  "_cssText":"~asset:<sha256>.css~"
 *   "src":"data:image/png;base64,iVBO… 9 KB"  →  "src":"data:image/png;base64,~asset:<sha256>.png~"
 *
 * It works on the text, not on what is parsed from it: order of keys, spaces and escapes stay. An asset holds a sheet's
 * text in UTF-8, or the bytes of an address; what cannot come back from that as it was written (another escape, half a
 * surrogate pair, padding left out) stays where it is, as does what is of no type of asset. A text that reads like a
 * reference of ours gets one `~` more. What a page or its visitor says is never taken out, however long.
 */
const SPLIT_CHARS_MIN = 1024;
// From the first of several alone: of a million, each would else be tried as the first.
const LOOKS_LIKE = /(?<!~)~+asset:/g;
const REFERENCE = /(?<!~)~(?:asset:([0-9a-f]{64}\.[a-z0-9]+)~|(~+asset:)|asset:)/g;
const ADDRESS =
  /data:([a-z]+\/[a-z0-9.+-]+)(?:;[a-z0-9=-]+)?;base64,([A-Za-z0-9+/]{1024,}={0,2})(?![A-Za-z0-9+/=~])/g;

export interface SplitPayload {
  payload: string;
  /** By name. */
  assets: Map<string, Uint8Array>;
}

/** @param payload JSON text of rrweb's `data` @param data what it says, where that is at hand */
export function splitAssets(payload: string, data?: unknown): SplitPayload {
  const assets = new Map<string, Uint8Array>();
  if (payload.length < SPLIT_CHARS_MIN) return { payload: escape(payload), assets };
  let texts: ReturnType<typeof textsIn>;
  let out = '';
  let from = 0;
  const keep = (type: string, bytes: Uint8Array): string | undefined => {
    const name = bytes.length <= ASSET_BYTES_MAX ? assetName(sha256(bytes), type) : undefined;
    if (name) assets.set(name, bytes);
    return name && `~asset:${name}~`;
  };
  const put = (start: number, end: number, reference: string | undefined): void => {
    if (reference === undefined) return;
    out += escape(payload.slice(from, start)) + reference;
    from = end;
  };
  for (const [start, end] of longStrings(payload)) {
    texts ??= textsIn(payload, data);
    if (!texts) break;
    const { css, said } = texts;
    const literal = payload.slice(start, end);
    const text = JSON.parse(literal) as string;
    if (css.has(text)) {
      if (isExact(text, literal)) put(start + 1, end - 1, keep('text/css', Buffer.from(text)));
    } else if (!said.has(text))
      for (const { 0: whole, 1: type, 2: base64, index } of literal.matchAll(ADDRESS)) {
        const bytes = Buffer.from(base64!, 'base64');
        if (bytes.toString('base64') !== base64) continue;
        const at = start + index + whole.length;
        put(at - base64.length, at, keep(type!, bytes));
      }
  }
  return { payload: out + escape(payload.slice(from)), assets };
}

/** Puts back what was taken out. @throws Error naming an asset that is not there, or what is no reference */
export function joinAssets(split: string, assetOf: (name: string) => Uint8Array | undefined): string {
  return split.replace(REFERENCE, (whole, name?: string, escaped?: string, at?: number) => {
    if (escaped) return escaped;
    if (!name) throw new Error(`no reference to an asset: ${split.slice(at, at! + 80)}`);
    const bytes = assetOf(name);
    if (!bytes) throw new Error(`no asset ${name}`);
    const buffer = Buffer.from(bytes);
    // A sheet is all of its string; an address goes on from its type.
    return split[at! - 1] === '"'
      ? JSON.stringify(buffer.toString()).slice(1, -1)
      : buffer.toString('base64');
  });
}

/** Names of what was taken out. */
export const assetsIn = (split: string): string[] => [
  ...new Set(Array.from(split.matchAll(REFERENCE), ([, name]) => name).filter((name) => name !== undefined)),
];

const escape = (text: string): string => text.replace(LOOKS_LIKE, '~$&');
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const isExact = (text: string, literal: string): boolean =>
  !/\p{Surrogate}/u.test(text) && JSON.stringify(text) === literal;

/** Where long string literals stand in a JSON text, with their quotes. */
function* longStrings(json: string): Generator<[start: number, end: number]> {
  for (let start = json.indexOf('"'); start >= 0;) {
    let end = json.indexOf('"', start + 1);
    while (end >= 0 && isEscaped(json, end)) end = json.indexOf('"', end + 1);
    if (end < 0) return;
    if (end - start > SPLIT_CHARS_MIN) yield [start, end + 1];
    start = json.indexOf('"', end + 1);
  }
}
function isEscaped(json: string, at: number): boolean {
  let slashes = 0;
  while (json[at - 1 - slashes] === '\\') slashes++;
  return slashes % 2 === 1;
}

/** The long texts of a payload: what is a style sheet's, and what somebody wrote. Undefined when it is no JSON. */
function textsIn(payload: string, data?: unknown): { css: Set<string>; said: Set<string> } | undefined {
  const css = new Set<string>();
  const said = new Set<string>();
  try {
    data ??= JSON.parse(payload);
  } catch {
    return undefined;
  }
  const add = (to: Set<string>, text: unknown): void => {
    if (typeof text === 'string' && text.length >= SPLIT_CHARS_MIN) to.add(text);
  };
  const stack: { value: unknown; isStyle: boolean }[] = [{ value: data, isStyle: false }];
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { value, isStyle } = next;
    if (Array.isArray(value)) for (const one of value as unknown[]) stack.push({ value: one, isStyle });
    if (!isFields(value)) continue;
    for (const name of ['_cssText', 'rule', 'replace', 'replaceSync']) add(css, value[name]);
    add(isStyle || value.isStyle === true ? css : said, value.textContent);
    for (const name of ['text', 'value']) add(said, value[name]);
    const holdsStyle = value.tagName === 'style';
    for (const [name, one] of Object.entries(value))
      if (typeof one === 'object') stack.push({ value: one, isStyle: holdsStyle && name === 'childNodes' });
  }
  // What is both was said.
  for (const text of said) css.delete(text);
  return { css, said };
}
