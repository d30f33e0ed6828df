import { absoluteCss } from './absolute.ts';
import { scrubCss } from './scrub.ts';
import { stringifySheet } from './x-rrweb.ts';

/** A style sheet's text, as it may be recorded. Null: it cannot be read. */
export function sheetText(sheet: CSSStyleSheet | null | undefined): string | null {
  const text = sheet ? stringifySheet(sheet) : null;
  return text && scrubCss(text);
}

/** Where a style element has several texts, the browser itself says which rules are of which. */
export function styleText(style: HTMLStyleElement): string | null {
  const text = style.sheet && stringifySheet(style.sheet);
  return text && scrubCss(style.childNodes.length > 1 ? markSplits(text, style) : text);
}
const SPLIT = '/* rr_split */';

function markSplits(text: string, style: HTMLStyleElement): string {
  try {
    const parts = Array.from(style.childNodes, ({ textContent }) => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(textContent!);
      return absoluteCss(stringifySheet(sheet)!, style.baseURI);
    });
    if (parts.join('') === text) return parts.join(SPLIT);
  } catch {
    // As one text.
  }
  return text;
}
export const withoutSplits = (text: string): string => text.replaceAll(SPLIT, '');
