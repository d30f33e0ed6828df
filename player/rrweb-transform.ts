import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

/**
 * What must differ from `@rrweb/replay` as published, done while building:
 *  - postcss, bundled twice (37 KB gz), only adapts `:hover` and device widths: `hover-css.ts` does that in one pass.
 *  - MathML is built in its namespace, without which it is no mathematics. Its names are not HTML's.
 * Each text is looked for exactly once; where upstream's has moved, the build fails and says which.
 */
const EDITS: readonly { find: string; put: string }[] = [
  { find: 'var postcssExports$1 = requirePostcss$1();', put: 'var postcssExports$1 = {};' },
  { find: 'var postcssExports = requirePostcss();', put: 'var postcssExports = {};' },
  {
    find: `function adaptCssForReplay(cssText, cache) {
  const cachedStyle = cache == null ? void 0 : cache.stylesWithHoverClass.get(cssText);
  if (cachedStyle) return cachedStyle;
  let result2 = cssText;
  try {
    const ast = postcss$1([
      mediaSelectorPlugin,
      pseudoClassPlugin
    ]).process(cssText);
    result2 = ast.css;
  } catch (error) {
    console.warn("Failed to adapt css for replay", error);
  }
  cache == null ? void 0 : cache.stylesWithHoverClass.set(cssText, result2);
  return result2;
}`,
    put: 'function adaptCssForReplay(cssText) {\n  return adaptCssOnce(cssText);\n}',
  },
  {
    find: `          );
        node2 = doc.createElement(tagName);`,
    put: `          );
        node2 = /^(math|m[inos]|mtext|mspace|mrow|mfrac|msqrt|mroot|mstyle|merror|mpadded|mphantom|msub|msup|msubsup|munder|mover|munderover|mmultiscripts|mprescripts|mtable|mtr|mtd|maction|semantics|annotation|annotation-xml)$/.test(tagName) ? doc.createElementNS("http://www.w3.org/1998/Math/MathML", tagName) : doc.createElement(tagName);`,
  },
];

/** @throws Error naming the text that is not there exactly once */
export function slimReplay(code: string): string {
  let slim = code;
  for (const { find, put } of EDITS) {
    const found = slim.split(find).length - 1;
    if (found !== 1)
      throw new Error(
        `@rrweb/replay has changed: expected once, found ${found} times: ${find.split('\n')[0]}`,
      );
    slim = slim.replace(find, () => put);
  }
  return slim;
}

export function rrwebTransform(): Plugin {
  let transformed = 0;
  const hoverCss = fileURLToPath(new URL('hover-css.ts', import.meta.url));
  return {
    name: 'slim-rrweb-replay',
    enforce: 'pre',
    transform(code, id) {
      if (!/@rrweb\/replay\/dist\/replay\.js$/.test(id.split('?')[0]!)) return undefined;
      transformed++;
      return {
        code: `import { adaptCssOnce } from ${JSON.stringify(hoverCss)};\n${slimReplay(code)}`,
        map: null,
      };
    },
    buildEnd(error) {
      if (!error && !transformed) throw new Error('@rrweb/replay was not bundled from dist/replay.js');
    },
  };
}
