/** What we ask of the DOM, by prototype. */
const ASKED = {
  Node: ['nodeType', 'nodeName', 'parentNode', 'nextSibling', 'firstChild'],
  Element: ['shadowRoot', 'getAttribute', 'getAttributeNames'],
  MutationObserver: ['constructor'],
};
const found: Record<string, object> = {};

/**
 * A prototype as the browser made it, for pages and polyfills replace what is on theirs: then it is another window's.
 * In Safari an observer ends with the window that it is of: there the frame stays.
 */
export function prototypeOf(name: keyof typeof ASKED): object {
  const { prototype } = window[name];
  const isNative = (member: string): boolean => {
    const { get, value } = Object.getOwnPropertyDescriptor(prototype, member) ?? {};
    return /\[native code/.test(String(get ?? value));
  };
  if (!found[name] && !('Zone' in window) && ASKED[name].every(isNative)) found[name] = prototype;
  if (!found[name])
    try {
      const frame = document.createElement('iframe');
      frame.style.display = 'none';
      frame.className = 'rr-block';
      document.body.append(frame);
      found[name] = (frame.contentWindow as Window & typeof globalThis)[name].prototype;
      if (!/^(?!.*Chrome).*Safari/.test(navigator.userAgent)) frame.remove();
    } catch {
      return prototype;
    }
  return found[name]!;
}

/** By what the browser has: a getter, or a method. */
const nativeOf = (name: string, of: keyof typeof ASKED): unknown => {
  const { get, value } = Object.getOwnPropertyDescriptor(prototypeOf(of), name)!;
  return get ?? value;
};

/**
 * Getters and methods as the browser made them, looked up once: what a form calls by a field's name hides none of them,
 * and one function for elements of all kinds costs less than a property of each.
 */
const ask = <T>(name: string, of: keyof typeof ASKED = 'Node'): ((node: Node) => T) => {
  let call: (this: Node) => T;
  return (node) => (call ??= nativeOf(name, of) as typeof call).call(node);
};
export const typeOf = ask<number>('nodeType');
export const nameOf = ask<string>('nodeName');
export const parentOf = ask<Node | null>('parentNode');
export const nextOf = ask<Node | null>('nextSibling');
export const firstOf = ask<Node | null>('firstChild');
export const shadowOf = ask<ShadowRoot | null>('shadowRoot', 'Element');
export const attributeNamesOf = ask<string[]>('getAttributeNames', 'Element');
let getAttribute: (this: Node, name: string) => string;
export const attributeOf = (element: Element, name: string): string =>
  (getAttribute ??= nativeOf('getAttribute', 'Element') as typeof getAttribute).call(element, name);
