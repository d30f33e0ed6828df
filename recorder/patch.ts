/**
 * Puts a proxy before a method: it keeps the method's name, length, own properties and how it prints itself, and
 * `apply` must call it once as it was called. @returns what puts the method back
 */
export function patch<F extends (...args: never[]) => unknown>(
  owner: object | undefined,
  name: string,
  apply: (call: () => ReturnType<F>, self: unknown, args: Parameters<F>) => ReturnType<F>,
): () => void {
  const methods = owner as Record<string, F> | undefined;
  const original = methods?.[name];
  if (typeof original !== 'function') return () => undefined;
  let isOn = true;
  const patched = new Proxy(original, {
    apply: (target, self, args: Parameters<F>) => {
      const call = (): ReturnType<F> => Reflect.apply(target, self, args) as ReturnType<F>;
      return isOn ? apply(call, self, args) : call();
    },
  });
  methods![name] = patched;
  return () => {
    isOn = false;
    // Someone may have patched over us: then ours stays in the chain, silent.
    if (methods![name] === patched) methods![name] = original;
  };
}
