import { idOf } from './node-ids.ts';
import type { Scene } from './observers.ts';
import { patch } from './patch.ts';
import { IncrementalSource } from './protocol.ts';
import { scrubStyles } from './scrub.ts';

type Stop = () => void;
type Rules = (CSSStyleSheet | CSSGroupingRule) & { parentStyleSheet?: CSSStyleSheet | null };

/** Rules and declarations that scripts change, style sheets that they adopt, custom elements that they define. */
export function observeRules(doc: Document, scene: Scene): Stop {
  const { tell, tellText, guard, sheetIdOf } = scene;
  const win = doc.defaultView as Window & typeof globalThis;
  /** By the node that owns it, or by the number it got when it was adopted; undefined where it is unknown to a replay. */
  const idsOf = (sheet: CSSStyleSheet | null | undefined): object | undefined => {
    const node = sheet?.ownerNode;
    const id = node ? idOf(node) : sheet ? sheetIdOf(sheet) : -1;
    return id > 0 ? (node ? { id } : { styleId: id }) : undefined;
  };
  /** By the method's name, what of a call changes the sheet. */
  const watch = (
    owner: { prototype: object } | undefined,
    sheetOf: (self: never) => CSSStyleSheet | null | undefined,
    source: number,
    changes: Record<string, (self: never, args: never) => object>,
  ): Stop[] =>
    Object.entries(changes).map(([name, dataOf]) => {
      const tellChange = guard((self: never, args: never) => {
        const sheet = sheetOf(self);
        // Its text may just have been set: that comes first.
        if (sheet?.ownerNode) tellText(sheet.ownerNode as Node);
        const ids = idsOf(sheet);
        if (ids) tell(source, scrubStyles({ ...ids, ...dataOf(self, args) }));
      });
      return patch(owner?.prototype, name, (call, self, args) => {
        tellChange(self as never, args as never);
        return call();
      });
    });
  const removeAt = (_: CSSStyleSheet, [index]: unknown[]) => ({ removes: [{ index }] });
  const stops = [
    ...watch(win.CSSStyleSheet, (sheet) => sheet, IncrementalSource.styleSheetRule, {
      insertRule: (_, [rule, index]: unknown[]) => ({ adds: [{ rule, index }] }),
      addRule: ({ cssRules }: CSSStyleSheet, [selector, style, index = cssRules.length]: unknown[]) => ({
        adds: [{ rule: `${selector} { ${style} }`, index }],
      }),
      deleteRule: removeAt,
      removeRule: removeAt,
      replace: (_, [replace]: unknown[]) => ({ replace }),
      replaceSync: (_, [replaceSync]: unknown[]) => ({ replaceSync }),
    }),
    ...watch(
      win.CSSGroupingRule,
      (rule: CSSRule) => rule.parentStyleSheet,
      IncrementalSource.styleSheetRule,
      {
        insertRule: (group: CSSRule, [rule, index]: unknown[]) => ({
          adds: [{ rule, index: [...positionsOf(group), index || 0] }],
        }),
        deleteRule: (group: CSSRule, [index]: unknown[]) => ({
          removes: [{ index: [...positionsOf(group), index] }],
        }),
      },
    ),
    ...watch(
      win.CSSStyleDeclaration,
      (style: CSSStyleDeclaration) => style.parentRule?.parentStyleSheet,
      IncrementalSource.styleDeclaration,
      {
        setProperty: ({ parentRule }: CSSStyleDeclaration, [property, value, priority]: unknown[]) => ({
          set: { property, value, priority },
          index: positionsOf(parentRule),
        }),
        removeProperty: ({ parentRule }: CSSStyleDeclaration, [property]: unknown[]) => ({
          remove: { property },
          index: positionsOf(parentRule),
        }),
      },
    ),
    observeAdopted(doc, scene),
    patch(win.CustomElementRegistry?.prototype, 'define', (call, _, [name]: string[]) => {
      guard(() => tell(IncrementalSource.customElement, { define: { name } }))();
      return call();
    }),
  ];
  return () => stops.forEach((stop) => stop());
}

/** The way to a rule: its index among its siblings, after those of the rules around it. */
function positionsOf(rule: CSSRule | null): number[] {
  const positions = [];
  for (let at = rule; at; at = at.parentRule) {
    const { cssRules = [] } = (at.parentRule ?? at.parentStyleSheet ?? {}) as Partial<Rules>;
    positions.unshift(Array.from(cssRules).indexOf(at));
  }
  return positions;
}

/** Sheets that a document or shadow root gets by assignment, or by a change of the list in place, as by `push`. */
export function observeAdopted(root: Document | ShadowRoot, { adopt, guard }: Scene): Stop {
  const isDocument = 'defaultView' in root;
  const win = (isDocument ? root : root.ownerDocument).defaultView as (Window & typeof globalThis) | null;
  const owner = isDocument ? win?.Document : win?.ShadowRoot;
  const original = owner && Object.getOwnPropertyDescriptor(owner.prototype, 'adoptedStyleSheets');
  if (!original) return () => {};
  let told = Array.from(original.get!.call(root) as CSSStyleSheet[]);
  let isDue = false;
  const tell = guard((adopted: CSSStyleSheet[]) => {
    told = Array.from(adopted);
    adopt(root, told);
  });
  Object.defineProperty(root, 'adoptedStyleSheets', {
    ...original,
    get() {
      const adopted = original.get!.call(this) as CSSStyleSheet[];
      // Who reads the list may be about to change it.
      if (!isDue)
        queueMicrotask(() => {
          isDue = false;
          if (adopted.length !== told.length || told.some((sheet, at) => sheet !== adopted[at]))
            tell(adopted);
        });
      isDue = true;
      return adopted;
    },
    set(adopted) {
      original.set!.call(this, adopted);
      tell(adopted as CSSStyleSheet[]);
    },
  });
  return () => void delete (root as Partial<Document>).adoptedStyleSheets;
}
