/**
 * Adapts a style sheet for replay, in place of the two copies of postcss that rrweb bundles for it:
 *  - every selector with `:hover` also gets the class `.\:hover`, which the replayer puts on what the cursor is over;
 *  - `:focus`, `:invalid` and their kin match the states that the recorder told (`states.ts`);
 *  - `min-device-width` and the like become `min-width`, for the stage is not the visitor's screen.
 *
 * One pass over the text. What stands before a `{` is a prelude; strings, comments and escapes are stepped over.
 */
export function adaptCss(css: string): string {
  if (!/:hover|-device-|:focus|valid/.test(css)) return css;
  let out = '';
  let from = 0;
  for (let i = 0; i < css.length;) {
    const char = css[i]!;
    if (char === '{') {
      out += adaptPrelude(css.slice(from, i)) + '{';
      from = ++i;
    } else if (char === '}' || char === ';') {
      out += css.slice(from, ++i);
      from = i;
    } else i = step(css, i);
  }
  return out + css.slice(from);
}

/** Past the string, comment, bracket, escape or character that begins at `i`. */
function step(css: string, i: number): number {
  const char = css[i]!;
  if (char === '\\') return i + 2;
  if (char === '"' || char === "'") {
    for (i++; i < css.length && css[i] !== char; i++) if (css[i] === '\\') i++;
    return i + 1;
  }
  if (char === '/' && css[i + 1] === '*') {
    const end = css.indexOf('*/', i + 2);
    return end < 0 ? css.length : end + 2;
  }
  if (char === '(' || char === '[') {
    const close = char === '(' ? ')' : ']';
    for (i++; i < css.length && css[i] !== close;) i = step(css, i);
    return i + 1;
  }
  return i + 1;
}

/**
 * States that the replayed element cannot be in, or is in wrongly (what is masked is not valid as what was typed). The
 * recorder tells them as words of an attribute, whose specificity is that of a pseudo-class.
 */
const STATE = /(?<!\\):(focus-visible|focus-within|focus|user-invalid|user-valid|invalid|valid)(?![\w-])/g;
const has = (word: string): string => `[data-rr-state~=${word}]`;
const STATE_PUT: Record<string, string> = {
  'focus-within': `:is(${has('focus')},:has(${has('focus')}))`,
  valid: `:is(input,select,textarea):not(${has('invalid')})`,
};
const matchStates = (selectors: string): string =>
  selectors.replace(STATE, (_, word: string) => STATE_PUT[word] ?? has(word));

/** Not the escaped one of a class name such as `.md\:hover\:red`. */
const HOVER = /(?<!\\):hover/;
const HOVERS = new RegExp(HOVER.source, 'g');

function adaptPrelude(prelude: string): string {
  const bare = prelude.replace(/\/\*[^]*?\*\//g, '');
  if (bare.trimStart().startsWith('@')) return prelude.replace(/(max|min)-device-(width|height)/g, '$1-$2');
  if (!HOVER.test(bare)) return matchStates(prelude);
  const added: string[] = [];
  for (const selector of splitSelectors(bare))
    if (HOVER.test(selector)) added.push(selector.trim().replace(HOVERS, '.\\:hover'));
  return matchStates(`${prelude.trimEnd()},\n${added.join(',\n')} `);
}

function splitSelectors(prelude: string): string[] {
  const parts: string[] = [];
  let from = 0;
  for (let i = 0; i < prelude.length;)
    if (prelude[i] === ',') {
      parts.push(prelude.slice(from, i));
      from = ++i;
    } else i = step(prelude, i);
  parts.push(prelude.slice(from));
  return parts;
}

const adapted = new Map<string, string>();
const ADAPTED_MAX = 200;

/** Remembers: a seek rebuilds the same sheets, and one of 250 KB takes milliseconds. */
export function adaptCssOnce(css: string): string {
  let result = adapted.get(css);
  if (result === undefined) {
    result = adaptCss(css);
    if (adapted.size >= ADAPTED_MAX) adapted.clear();
    adapted.set(css, result);
  }
  return result;
}
