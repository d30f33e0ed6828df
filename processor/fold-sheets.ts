import { IncrementalSource } from '#protocol';
import { NodeType, isFields, type FoldNode } from './fold-node.ts';
import { RuleLog } from './fold-rules.ts';

type Fields = Record<string, unknown>;

/** A style sheet that scripts made, to be adopted by documents and shadow roots. */
export interface Sheet {
  id: number;
  /** The frame whose window made it, null for the page's: no other adopts it. A frame's next document has the same window. */
  frame: FoldNode | null;
  /** Its text when it was last replaced. */
  text?: string;
  log: RuleLog;
}

/** Sheets by the recorder's numbers, which begin anew with each full snapshot. Any may be adopted again, so none is let go. */
export class Sheets {
  private readonly byId = new Map<number, Sheet>();

  /** As rrweb's AdoptedStyleSheet tells it. Returns how much of it could not be applied. */
  adopt(host: FoldNode | undefined, data: Fields): number {
    const document = host?.shadow || host?.type === NodeType.document ? host.document() : undefined;
    if (!host || !document) return 1;
    let skipped = 0;
    for (const style of Array.isArray(data.styles) ? (data.styles as unknown[]) : []) {
      const { styleId, rules } = isFields(style) ? style : {};
      if (typeof styleId !== 'number') {
        skipped++;
        continue;
      }
      const log = new RuleLog();
      skipped += log.change({ adds: rules });
      this.byId.set(styleId, { id: styleId, frame: document.holder, log });
    }
    const ids: unknown[] = Array.isArray(data.styleIds) ? data.styleIds : [];
    const adopted = ids.map((id) => this.byId.get(id as number)).filter((sheet) => sheet !== undefined);
    host.extras().adopted = adopted;
    return skipped + ids.length - adopted.length;
  }

  change(data: Fields): number {
    const sheet = this.byId.get(data.styleId as number);
    if (!sheet) return 1;
    if (data.source === IncrementalSource.styleDeclaration) return sheet.log.declare(data);
    let skipped = sheet.log.change(data);
    for (const text of [data.replace, data.replaceSync]) {
      if (typeof text !== 'string') continue;
      sheet.text = text;
      sheet.log = new RuleLog();
    }
    return skipped;
  }

  /** Events that make all sheets, change them, and have them adopted by `hosts` (with their ids). */
  toEvents(hosts: ReadonlyMap<FoldNode, number>): Fields[] {
    const ids = new Map<Sheet, number>();
    const made = new Map<FoldNode, Sheet[]>();
    const documents = new Map(
      [...hosts.keys()].filter(({ type }) => type === NodeType.document).map((one) => [one.holder, one]),
    );
    const add = (sheet: Sheet, id: number): void => {
      const document = documents.get(sheet.frame);
      if (ids.has(sheet) || !document) return;
      ids.set(sheet, id);
      const own = made.get(document);
      if (own) own.push(sheet);
      else made.set(document, [sheet]);
    };
    for (const sheet of [...this.byId.values()].sort((a, b) => a.id - b.id)) add(sheet, sheet.id);
    // A number told twice means another sheet from then on; who adopted the first one still has it.
    for (const { extra } of hosts.keys()) for (const sheet of extra?.adopted ?? []) add(sheet, -1 - ids.size);

    const events: Fields[] = [];
    const adopt = (id: number, adopted: readonly Sheet[], styles?: Fields[]): void => {
      const styleIds = adopted.map((sheet) => ids.get(sheet)).filter((one) => one !== undefined);
      events.push({ source: IncrementalSource.adoptedStyleSheet, id, styleIds, ...(styles && { styles }) });
    };
    for (const [document, sheets] of made) {
      const styles = sheets.map((sheet) => {
        const inserted = sheet.text === undefined && sheet.log.insertsOnly;
        const rules = inserted ? sheet.log.toEvents({}).flatMap(({ adds }) => adds) : [];
        return { styleId: ids.get(sheet), rules };
      });
      adopt(hosts.get(document)!, document.extra?.adopted ?? [], styles);
    }
    for (const [sheet, styleId] of ids) {
      if (sheet.text !== undefined)
        events.push({ source: IncrementalSource.styleSheetRule, styleId, replaceSync: sheet.text });
      else if (sheet.log.insertsOnly) continue;
      for (const event of sheet.log.toEvents({ styleId })) events.push(event);
    }
    for (const [host, id] of hosts) if (host.extra?.adopted && !made.has(host)) adopt(id, host.extra.adopted);
    return events;
  }
}
