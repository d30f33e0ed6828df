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

/** A getter, or a method. */
function nativeOf<F>(name: string, of: keyof typeof ASKED = 'Node'): F {
  const { get, value } = Object.getOwnPropertyDescriptor(prototypeOf(of), name)!;
  return (get ?? value) as F;
}
type Get<T> = (this: Node) => T;

/*
 * Getters and methods as the browser made them, looked up once: what a form calls by a field's name hides none of them,
 * and one function for elements of all kinds costs less than a property of each. Written out one by one, for the engine
 * learns of each what it calls.
 */
let getType: Get<number>;
export const typeOf = (node: Node): number => (getType ??= nativeOf('nodeType')).call(node);
let getName: Get<string>;
export const nameOf = (node: Node): string => (getName ??= nativeOf('nodeName')).call(node);
let getParent: Get<Node | null>;
export const parentOf = (node: Node): Node | null => (getParent ??= nativeOf('parentNode')).call(node);
let getNext: Get<Node | null>;
export const nextOf = (node: Node): Node | null => (getNext ??= nativeOf('nextSibling')).call(node);
let getFirst: Get<Node | null>;
export const firstOf = (node: Node): Node | null => (getFirst ??= nativeOf('firstChild')).call(node);
let getShadow: Get<ShadowRoot | null>;
export const shadowOf = (node: Node): ShadowRoot | null =>
  (getShadow ??= nativeOf('shadowRoot', 'Element')).call(node);
let getNames: Get<string[]>;
export const attributeNamesOf = (element: Element): string[] =>
  (getNames ??= nativeOf('getAttributeNames', 'Element')).call(element);
let getAttribute: (this: Node, name: string) => string;
export const attributeOf = (element: Element, name: string): string =>
  (getAttribute ??= nativeOf('getAttribute', 'Element')).call(element, name);
