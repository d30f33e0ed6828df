import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What stands for what: `Name.key` for the tables of a module, `NAME` for its constants. */
type Values = Map<string, string>;

/** Of tables of numbers alone and of plain constants that a module exports: `export const A = { b: 1 } as const`, `export const C = 'd'`. Pure. */
export function valuesOf(code: string): Values {
  const values: Values = new Map();
  for (const [, name, body] of code.matchAll(/^export const (\w+) = \{([^{}]*)\} as const;/gm)) {
    const numbers = Array.from(body!.matchAll(/^ +(\w+): (\w+),$/gm));
    if (numbers.every(([, , value]) => Number.isInteger(Number(value))))
      for (const [, key, value] of numbers) values.set(`${name}.${key}`, String(Number(value)));
  }
  for (const [, name, value] of code.matchAll(/^export const (\w+) = ('[^'\\]*'|\d[\d_ *]*);/gm)) {
    const product = value!
      .split('*')
      .reduce((factor, digits) => factor * Number(digits.replaceAll('_', '')), 1);
    values.set(name!, value!.startsWith("'") ? value! : String(product));
  }
  return values;
}

/** Who imported no more than these values imports nothing: the bundler then keeps their module where the rest of it is needed. Pure. */
export function foldValues(code: string, values: Values): string {
  const names = new Set(Array.from(values.keys(), (name) => name.split('.')[0]!));
  const known = new RegExp(`(?<![\\w.$])(?:${[...names].join('|')})\\b(?:\\.\\w+)?(?! =)`, 'g');
  return code
    .split(/(^import \{[^}]*\} from .*$)/m)
    .map((text, index) => {
      if (index % 2 === 0) return text.replace(known, (name) => values.get(name) ?? name);
      const left = text.replace(/\b(\w+),?(?=[^{]*\})/g, (whole, name: string) =>
        names.has(name) ? '' : whole,
      );
      return /\{\s*\}/.test(left) ? '' : left;
    })
    .join('');
}

/** The protocol's numbers in our modules: its tables, and their keys, are then in no file. */
export function foldedValues() {
  const values = valuesOf(readFileSync(join(import.meta.dirname, 'protocol.ts'), 'utf8'));
  return {
    name: 'folded-values',
    transform: (code: string, id: string) =>
      id.startsWith(import.meta.dirname) && id.endsWith('.ts')
        ? { code: foldValues(code, values), map: null }
        : undefined,
  };
}
