/**
 * URLs keep their shape and lose their values: `/a?q=anna&b#t=1` → `/a?q=&b=#t=`. User names and passwords of an
 * authority go too. What is not an address of the web (`data:`, `blob:`) is left as it is.
 */
export function scrubUrl(url: string): string {
  if (/^\s*(data|blob|javascript|about):/i.test(url)) return url;
  const hash = url.indexOf('#');
  const address = hash < 0 ? url : url.slice(0, hash);
  const fragment = hash < 0 ? '' : url.slice(hash + 1);
  return scrubAddress(address) + (hash < 0 ? '' : '#' + scrubFragment(fragment));
}

/** Every URL and query inside a longer text, as in an error message. */
export function scrubText(text: string): string {
  return text.replace(/[^\s'"<>()]*[?#][^\s'"<>()]*|\w+:\/\/[^\s'"<>()]+/g, scrubUrl);
}

function scrubAddress(address: string): string {
  const query = address.indexOf('?');
  const path = (query < 0 ? address : address.slice(0, query))
    .replace(/^([a-z][a-z0-9+.-]*:)?\/\/[^/@]*@/i, '$1//')
    .replace(/;([\w.-]+)=[^/;]*/g, ';$1=');
  return query < 0 ? path : `${path}?${dropValues(address.slice(query + 1))}`;
}

/** A fragment may be an anchor, a route with its own query, or parameters. */
function scrubFragment(fragment: string): string {
  const query = fragment.indexOf('?');
  if (query >= 0) return `${fragment.slice(0, query)}?${dropValues(fragment.slice(query + 1))}`;
  return fragment.includes('=') ? dropValues(fragment) : fragment;
}

/** A name this long is a value that stands alone: a token, an address. */
const PARAMETER_NAME_CHARS_MAX = 40;

function dropValues(query: string): string {
  if (query === '') return '';
  return query
    .split('&')
    .map((part) => part.split('=', 1)[0]!)
    .map((name) => (name.length > PARAMETER_NAME_CHARS_MAX ? '' : name) + '=')
    .join('&');
}
