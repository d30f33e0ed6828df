/** Addresses as a replay, which stands elsewhere, has to ask for them. Pure. */
export function absoluteUrl(url: string, base: string): string {
  return !url.trim() || /^(blob|data):/.test(url) ? url : resolved(url, base);
}

/** A path of the same site in which nothing is to be encoded or left out: most are, and parsing costs. */
const PLAIN_PATH = /^\/(?!\/)(?!.*\/\.)[\w./?=&#~+,:@-]*$/;
const ORIGIN = /^https?:\/\/[^/?#@]+(?=\/)/;

function resolved(url: string, base: string): string {
  const origin = PLAIN_PATH.test(url) && ORIGIN.exec(base)?.[0];
  if (origin) return origin + url;
  try {
    return new URL(url, base).href;
  } catch {
    return url;
  }
}

const URL_IN_CSS = /url\((?:(')([^']*)'|(")(.*?)"|([^)]*))\)/g;
/** Of a style sheet or a style attribute. A fragment alone means the document that it stands in, also where that is replayed. */
export function absoluteCss(css: string, base: string): string {
  return css.replace(
    URL_IN_CSS,
    (whole, single?: string, first?: string, double?: string, second?: string, bare?: string) => {
      const path = first || second || bare;
      const quote = single || double || '';
      return !path || /^(#|data:|www\.|([a-z+]+:)?\/\/)/i.test(path)
        ? whole
        : `url(${quote}${resolved(path, base)}${quote})`;
    },
  );
}

const SRCSET_CANDIDATE = /([^\s,]\S*?)(?:,(?=\s|$)|(\s(?:\([^)]*\)?|[^,(])*)(?:,|$)|$)/g;
export function absoluteSrcset(candidates: string, base: string): string {
  return (
    Array.from(candidates.matchAll(SRCSET_CANDIDATE), ([, url, descriptors = '']) =>
      (absoluteUrl(url!, base) + descriptors).trim(),
    ).join(', ') || candidates
  );
}
