import { idOf } from './node-ids.ts';
import { IncrementalSource } from './protocol.ts';
import { scrubStyles } from './scrub.ts';
import { stringifyRule } from './x-rrweb.ts';

/** Style sheets that documents and shadow roots adopt: each is told once in a snapshot, under a number. */
export function createAdoptedSheets(
  tell: (source: number, data: object) => void,
  isTold: (host: Node) => boolean,
) {
  let ids = new WeakMap<CSSStyleSheet, number>();
  let lastId = 0;
  const hosts = new Set<number>();
  return {
    sheetIdOf: (sheet: CSSStyleSheet): number => ids.get(sheet) ?? -1,
    adopt(root: Document | ShadowRoot, sheets: readonly CSSStyleSheet[]): void {
      const host = 'host' in root ? root.host : root;
      const hostId = idOf(host);
      // A replay that lacks the host would forget the rules.
      if (!isTold(host)) return;
      // Only where sheets were told, it tells something that none are left.
      if (!sheets.length && !hosts.has(hostId)) return;
      hosts.add(hostId);
      const styles: { styleId: number; rules: { rule: string; index: number }[] }[] = [];
      const styleIds = Array.from(sheets, (sheet) => {
        let styleId = ids.get(sheet);
        if (!styleId) {
          ids.set(sheet, (styleId = ++lastId));
          const rules = Array.from(sheet.cssRules, (rule, index) => ({
            rule: stringifyRule(rule, sheet.href),
            index,
          }));
          styles.push({ styleId, rules });
        }
        return styleId;
      });
      const data = { id: hostId, styleIds, styles: styles.length ? styles : undefined };
      tell(IncrementalSource.adoptedStyleSheet, scrubStyles(data));
    },
    /** A full snapshot begins. */
    reset(): void {
      ids = new WeakMap();
      lastId = 0;
    },
  };
}
