import * as upstream from '@rrweb/record';

/** See `rrweb-transforms.ts`. */
const taken = upstream as unknown as {
  stringifyStylesheet(sheet: CSSStyleSheet): string | null;
  stringifyRule(rule: CSSRule, sheetHref: string | null): string;
};

/** A style sheet's rules, as rrweb writes them: addresses whole, those of imported sheets among them. Null: unreadable. */
export const stringifySheet = taken.stringifyStylesheet;
export const stringifyRule = taken.stringifyRule;
