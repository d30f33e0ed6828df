/** What we ask of the DOM, by prototype. */
const ASKED = {
  Node: ['parentNode', 'nextSibling', 'firstChild'],
  Element: ['shadowRoot'],
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

/** Getters as the browser made them; looked up once. */
const getter = <T>(name: string, of: keyof typeof ASKED = 'Node'): ((node: Node) => T) => {
  let get: ((this: Node) => T) | undefined;
  return (node) =>
    (get ??= Object.getOwnPropertyDescriptor(prototypeOf(of), name)!.get as () => T).call(node);
};
export const parentOf = getter<Node | null>('parentNode');
export const nextOf = getter<Node | null>('nextSibling');
export const firstOf = getter<Node | null>('firstChild');
export const shadowOf = getter<ShadowRoot | null>('shadowRoot', 'Element');
