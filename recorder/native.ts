type Asked = 'Node' | 'Element' | 'MutationObserver';
type Owners = Pick<typeof globalThis, Asked>;
let fresh: Owners | undefined;

/** Another window's, as the browser made them. In Safari an observer ends with the window that it is of: there the frame stays. */
function freshOwners(): Owners {
  if (!fresh)
    try {
      const frame = document.createElement('iframe');
      frame.style.display = 'none';
      frame.className = 'rr-block';
      document.body.append(frame);
      const { Node, Element, MutationObserver } = frame.contentWindow as Window & typeof globalThis;
      fresh = { Node, Element, MutationObserver };
      if (!/^(?!.*Chrome).*Safari/.test(navigator.userAgent)) frame.remove();
    } catch {
      return window;
    }
  return fresh;
}

/** A getter, a method or the constructor of a prototype as the browser made it, for pages and polyfills replace what is on theirs. */
export function nativeOf<F>(name: string, of: Asked = 'Node'): F {
  const memberOf = (owners: Owners): unknown => {
    const { get, value } = Object.getOwnPropertyDescriptor(owners[of].prototype, name) ?? {};
    return (get ?? value) as unknown;
  };
  const own = memberOf(window);
  const isNative = !('Zone' in window) && /\[native code/.test(String(own));
  return (isNative ? own : memberOf(freshOwners())) as F;
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
