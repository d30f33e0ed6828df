// @ts-expect-error The build takes these out of the package's file (see `rrweb-transforms.ts`).
import { stringifyRule as ruleText, stringifyStylesheet } from '@rrweb/record';

/** A style sheet's rules, as rrweb writes them: addresses whole, those of imported sheets among them. Null: unreadable. */
export const stringifySheet = stringifyStylesheet as (sheet: CSSStyleSheet) => string | null;
export const stringifyRule = ruleText as (rule: CSSRule, sheetHref: string | null) => string;
